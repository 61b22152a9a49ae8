//! Borrowed views of the caller's pixels: any stride, no copy, validated once.

use crate::error::{Error, Result, Status};

/// The longest side an image may have, in pixels.
pub const MAX_SIDE: usize = 65_535;

/// How pixels lie in memory. The numbers are part of the C ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum PixelFormat {
    /// One byte a pixel.
    Gray8 = 0,
    /// Three bytes a pixel: red, green, blue.
    Rgb8 = 1,
    /// Three bytes a pixel: blue, green, red (OpenCV's and Windows' order).
    Bgr8 = 2,
}

impl PixelFormat {
    /// Bytes from one pixel to the next.
    pub fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Rgb8 | Self::Bgr8 => 3,
        }
    }
}

/// A view of an image in the caller's memory; row `y` starts `y * stride` bytes after the first pixel.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
    format: PixelFormat,
}

impl<'a> ImageView<'a> {
    /// A view of `height` rows of `width` pixels, `stride` bytes apart. Sides go from 1 to [`MAX_SIDE`]; the last row
    /// need not be padded to the stride.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when the size, the stride or the length of `data` do not fit together.
    pub fn new(data: &'a [u8], width: usize, height: usize, stride: usize, format: PixelFormat) -> Result<Self> {
        let needed = Self::required_bytes(width, height, stride, format)?;
        if data.len() < needed {
            return Err(Error::new(
                Status::InvalidImage,
                format!(
                    "the pixel buffer holds {} bytes, but a {width} x {height} {format:?} image with a stride of {stride} \
                     bytes needs {needed}",
                    data.len()
                ),
            ));
        }
        Ok(Self { data: &data[..needed], width, height, stride, format })
    }

    /// The bytes from the first pixel to the end of the last, after checking the geometry.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] for a side of zero or above [`MAX_SIDE`], or a stride shorter than a row.
    pub fn required_bytes(width: usize, height: usize, stride: usize, format: PixelFormat) -> Result<usize> {
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return Err(Error::new(
                Status::InvalidImage,
                format!("an image of {width} x {height} pixels cannot be used: both sides must be 1 to {MAX_SIDE}"),
            ));
        }
        let row = width * format.bytes_per_pixel();
        if stride < row {
            return Err(Error::new(
                Status::InvalidImage,
                format!("the stride is {stride} bytes, but a row of {width} {format:?} pixels takes {row}"),
            ));
        }
        stride.checked_mul(height - 1).and_then(|n| n.checked_add(row)).ok_or_else(|| {
            Error::new(
                Status::InvalidImage,
                format!("a stride of {stride} bytes over {height} rows exceeds the address space"),
            )
        })
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Bytes from one row to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// How pixels lie in memory.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// The bytes from the first pixel to the end of the last.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The bytes of row `y`, without padding.
    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..self.width * self.format.bytes_per_pixel()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometry_is_checked() {
        let bytes = [0u8; 64];
        assert!(ImageView::new(&bytes, 4, 4, 4, PixelFormat::Gray8).is_ok());
        assert!(ImageView::new(&bytes, 4, 4, 20, PixelFormat::Gray8).is_ok(), "the last row needs no padding");
        for (width, height, stride, format) in [
            (0, 4, 4, PixelFormat::Gray8),
            (4, 0, 4, PixelFormat::Gray8),
            (4, 4, 3, PixelFormat::Gray8),
            (4, 4, 4, PixelFormat::Rgb8),
            (8, 9, 8, PixelFormat::Gray8),
            (70_000, 1, 70_000, PixelFormat::Gray8),
            (4, 4, usize::MAX / 2, PixelFormat::Gray8),
        ] {
            let error = ImageView::new(&bytes, width, height, stride, format).unwrap_err();
            assert_eq!(error.status(), Status::InvalidImage, "{error}");
        }
    }

    #[test]
    fn rows_skip_the_padding() {
        let bytes: Vec<u8> = (0..20).collect();
        let view = ImageView::new(&bytes, 2, 3, 8, PixelFormat::Rgb8).map(|v| v.row(2).to_vec());
        assert!(view.is_err(), "20 bytes hold two strides and four bytes, not six");
        let view = ImageView::new(&bytes, 1, 3, 8, PixelFormat::Rgb8).unwrap();
        assert_eq!(view.row(2), &[16, 17, 18]);
    }
}
