//! Rectangular regions of interest.

use crate::error::{Error, Result, Status};

/// A rectangle of pixels of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// The leftmost column.
    pub x: usize,
    /// The top row.
    pub y: usize,
    /// Columns, at least 1.
    pub width: usize,
    /// Rows, at least 1.
    pub height: usize,
}

impl Rectangle {
    /// Checks that the rectangle has a pixel and lies inside an image of `width` x `height` pixels.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when it does not.
    pub fn check_inside(self, width: usize, height: usize) -> Result<()> {
        let fits = |start: usize, length: usize, side: usize| length > 0 && start < side && length <= side - start;
        if fits(self.x, self.width, width) && fits(self.y, self.height, height) {
            return Ok(());
        }
        let Self { x, y, width: columns, height: rows } = self;
        let message = format!(
            "the region of interest is {columns} x {rows} pixels at column {x} and row {y}, but must have at least 1 x 1 pixel \
             and lie inside the image of {width} x {height}"
        );
        Err(Error::new(Status::InvalidImage, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_must_have_a_pixel_and_lie_inside() {
        let check = |x, y, width, height| Rectangle { x, y, width, height }.check_inside(10, 6);
        for (x, y, width, height) in [(0, 0, 10, 6), (9, 5, 1, 1), (3, 2, 4, 4)] {
            check(x, y, width, height).unwrap();
        }
        for (x, y, width, height) in [
            (0, 0, 0, 1),
            (0, 0, 1, 0),
            (10, 0, 1, 1),
            (0, 6, 1, 1),
            (1, 0, 10, 1),
            (0, 3, 1, 4),
            (2, 2, usize::MAX, 1),
        ] {
            let error = check(x, y, width, height).unwrap_err();
            assert!(error.status() == Status::InvalidImage && error.message().contains("10 x 6"), "{error}");
        }
    }
}
