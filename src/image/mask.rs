//! Regions of interest: which pixels of an image count.
//!
//! Pixels outside are replaced before anything looks at them, so nothing of them can reach a model or a score. Their
//! replacement continues the image smoothly from the mask's edge, because a hard edge is itself an anomaly to a
//! backbone; filling with one value was rejected for that.

use crate::error::{Error, Result, Status};
use crate::exec::rows::RowsMut;
use crate::image::MaskView;

/// A region of interest: at least one pixel of `width` x `height`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    width: usize,
    height: usize,
    inside: Vec<bool>,
}

impl Mask {
    /// A copy of a view.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when it leaves no pixel.
    pub fn new(view: MaskView<'_>) -> Result<Self> {
        let inside = view.rows().flat_map(|row| row.iter().map(|v| *v != 0)).collect();
        let (width, height) = view.size();
        Self { width, height, inside }.checked()
    }

    /// What both masks keep.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when that is nothing.
    pub fn and(mut self, other: &Self) -> Result<Self> {
        self.inside.iter_mut().zip(&other.inside).for_each(|(a, b)| *a &= b);
        self.checked()
    }

    fn checked(self) -> Result<Self> {
        if self.inside.contains(&true) {
            return Ok(self);
        }
        Err(Error::new(Status::InvalidImage, "the mask leaves no pixel to look at; at least one must not be 0"))
    }

    /// The pixels, row after row: true for those that count.
    pub fn inside(&self) -> &[bool] {
        &self.inside
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Eight pixels a byte, each row from a byte of its own.
    pub fn to_bits(&self) -> Vec<u8> {
        let rows = self.inside.chunks_exact(self.width);
        rows.flat_map(|row| row.chunks(8))
            .map(|eight| eight.iter().enumerate().fold(0, |byte, (bit, inside)| byte | u8::from(*inside) << bit))
            .collect()
    }

    /// Reads what [`Mask::to_bits`] wrote; none where the length does not fit or no pixel is left.
    pub fn from_bits(bits: &[u8], width: usize, height: usize) -> Option<Self> {
        let row = width.div_ceil(8);
        if width == 0 || row.checked_mul(height) != Some(bits.len()) {
            return None;
        }
        let inside =
            bits.chunks_exact(row).flat_map(|bits| (0..width).map(|x| bits[x / 8] >> (x % 8) & 1 == 1)).collect();
        Self { width, height, inside }.checked().ok()
    }

    /// Sets what is outside to 0 in a map, whose size may differ from the mask's.
    pub fn clear_outside(&self, map: &mut RowsMut<'_, f32>) {
        let (width, height) = (map.width(), map.height());
        for y in 0..height {
            let inside = &self.inside[y * self.height / height * self.width..][..self.width];
            let values = map.row_mut(y).iter_mut().enumerate().filter(|(x, _)| !inside[x * self.width / width]);
            values.for_each(|(_, value)| *value = 0.0);
        }
    }

    /// Which pixels of the image, resized to `width` x `height`, show something of what is inside.
    pub fn cover(&self, width: usize, height: usize) -> Vec<bool> {
        let range = |at: usize, out: usize, of: usize| at * of / out..((at + 1) * of).div_ceil(out).min(of);
        let mut covered = Vec::with_capacity(height * width);
        for y in 0..height {
            for x in 0..width {
                let any = range(y, height, self.height)
                    .any(|v| self.inside[v * self.width..][range(x, width, self.width)].contains(&true));
                covered.push(any);
            }
        }
        covered
    }

    /// Replaces the values outside by a continuation of those inside: the mean of the nearest to the left, right, top
    /// and bottom, nearer ones counting more, or the mean of all where there is none in row and column.
    pub fn fill(&self, plane: &mut [f32]) {
        let (mut sum, mut count) = (0.0f64, 0.0f64);
        for (value, _) in plane.iter().zip(&self.inside).filter(|(_, inside)| **inside) {
            sum += f64::from(*value);
            count += 1.0;
        }
        let mean = (sum / count) as f32;
        let mut weighted = vec![(0.0f32, 0.0f32); plane.len()];
        let mut sweep = |line: &mut dyn Iterator<Item = usize>| {
            let mut last = None;
            for at in line {
                if self.inside[at] {
                    last = Some((plane[at], 1.0));
                } else if let Some((value, distance)) = last {
                    weighted[at].0 += value / distance;
                    weighted[at].1 += 1.0 / distance;
                    last = Some((value, distance + 1.0));
                }
            }
        };
        let (width, height) = (self.width, self.height);
        for y in 0..height {
            sweep(&mut (y * width..(y + 1) * width));
            sweep(&mut (y * width..(y + 1) * width).rev());
        }
        for x in 0..width {
            sweep(&mut (0..height).map(|y| y * width + x));
            sweep(&mut (0..height).rev().map(|y| y * width + x));
        }
        let outside = plane.iter_mut().zip(&self.inside).zip(&weighted).filter(|((_, inside), _)| !**inside);
        outside.for_each(|((value, _), (sum, weight))| *value = if *weight > 0.0 { sum / weight } else { mean });
    }
}

/// Takes away from `inside`, rows of `width` pixels, what is nearer than `margin` pixels (in rows or columns) to its
/// edge; an image's own border is no edge. Where nothing would be left, nothing is taken.
pub fn erode(inside: &mut [bool], width: usize, margin: usize) {
    let height = inside.len() / width;
    let near = |at: usize, length: usize| at.saturating_sub(margin)..(at + margin + 1).min(length);
    let rows: Vec<bool> =
        (0..inside.len()).map(|i| near(i % width, width).all(|x| inside[i / width * width + x])).collect();
    let eroded: Vec<bool> =
        (0..inside.len()).map(|i| near(i / width, height).all(|y| rows[y * width + i % width])).collect();
    if eroded.contains(&true) {
        inside.copy_from_slice(&eroded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(width: usize, height: usize, inside: impl Fn(usize, usize) -> bool) -> Mask {
        let bytes: Vec<u8> = (0..width * height).map(|i| 7 * u8::from(inside(i % width, i / width))).collect();
        Mask::new(MaskView::new(&bytes, width, height, width).unwrap()).unwrap()
    }

    #[test]
    fn a_fill_continues_what_is_inside_and_forgets_what_is_not() {
        let mask = mask(8, 6, |x, y| x < 5 && y > 0);
        let ramp = |outside: f32| -> Vec<f32> {
            let inside = |i: usize| mask.inside()[i];
            (0..48).map(|i| if inside(i) { (i % 8) as f32 } else { outside }).collect()
        };
        let (mut a, mut b) = (ramp(1e9), ramp(-3.0));
        mask.fill(&mut a);
        mask.fill(&mut b);
        assert_eq!(a, b);
        assert_eq!(a[2 * 8 + 6], 4.0, "to the right of a row that ends with 4");
        assert_eq!(a[2], 2.0, "above a column of 2");
        assert_eq!(a[6], 2.0, "nothing in row and column: the mean of 0 to 4");
    }

    #[test]
    fn bits_come_back_and_wrong_ones_are_refused() {
        let mask = mask(11, 3, |x, y| (x + y) % 3 == 0);
        let bits = mask.to_bits();
        assert_eq!(bits.len(), 6);
        assert_eq!(Mask::from_bits(&bits, 11, 3), Some(mask));
        assert_eq!(Mask::from_bits(&bits, 11, 4), None);
        assert_eq!(Mask::from_bits(&[0; 6], 11, 3), None);
        assert_eq!(Mask::from_bits(&[], 0, 3), None);
    }

    #[test]
    fn the_smallest_region_is_still_covered() {
        let mask = mask(100, 50, |x, y| (x, y) == (99, 30));
        let covered = mask.cover(10, 10);
        assert_eq!(covered.iter().filter(|c| **c).count(), 1);
        assert!(covered[6 * 10 + 9]);
        let mask = self::mask(2, 1, |x, _| x == 1);
        let covered = mask.cover(4, 2);
        assert_eq!(covered, [false, false, true, true, false, false, true, true]);
    }

    #[test]
    fn erosion_stops_at_the_image_border_and_before_nothing_is_left() {
        let mut inside: Vec<bool> = (0..25).map(|i| i % 5 < 4).collect();
        erode(&mut inside, 5, 1);
        assert_eq!(inside, (0..25).map(|i| i % 5 < 3).collect::<Vec<_>>());
        let mut one = vec![false, true, false];
        erode(&mut one, 3, 1);
        assert_eq!(one, [false, true, false]);
    }

    #[test]
    fn empty_and_unfit_masks_are_errors() {
        let zeros = [0u8; 6];
        let error = Mask::new(MaskView::new(&zeros, 3, 2, 3).unwrap()).unwrap_err();
        assert!(error.status() == Status::InvalidImage && error.message().contains("no pixel"), "{error}");
        assert!(MaskView::new(&zeros, 3, 3, 3).unwrap_err().message().starts_with("the mask: "));
        let (left, right) = (mask(4, 1, |x, _| x < 2), mask(4, 1, |x, _| x >= 2));
        assert!(left.clone().and(&right).is_err() && left.clone().and(&left).is_ok());
    }
}
