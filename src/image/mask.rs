//! Masks, which exclude pixels of an image.
//!
//! Excluded pixels affect neither a model nor a score. The preprocessor extrapolates the image smoothly across the
//! mask's edge, since a hard edge, as from filling with a constant, would itself be an anomaly.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{ImageView, PixelFormat, Rectangle};
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::{try_reserve, try_resize, try_vec};
use crate::exec::rows::RowsMut;

/// A view of a mask in the caller's memory, one byte per pixel: 0 excludes the pixel, any other value includes it.
#[derive(Debug, Clone, Copy)]
pub struct MaskView<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
}

impl<'a> MaskView<'a> {
    /// A view of `height` rows of `width` bytes, `stride` bytes apart.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when size, stride and length of `data` are inconsistent.
    pub fn new(data: &'a [u8], width: usize, height: usize, stride: usize) -> Result<Self> {
        let view = ImageView::new(data, width, height, stride, PixelFormat::Gray8);
        view.map(|_| Self { data, width, height, stride }).map_err(|e| e.context("the mask"))
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The bytes of row `y`, without padding.
    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..self.width]
    }
}

/// An owned mask of `width` x `height` pixels that includes at least one.
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
    /// [`Status::InvalidImage`] when no pixel is left, [`Status::OutOfMemory`].
    pub fn new(view: MaskView<'_>) -> Result<Self> {
        let (width, height) = view.size();
        let mut inside = try_vec(width * height, false)?;
        for (y, row) in inside.chunks_exact_mut(width).enumerate() {
            row.iter_mut().zip(view.row(y)).for_each(|(inside, byte)| *inside = *byte != 0);
        }
        Self { width, height, inside }.checked()
    }

    /// The mask of an image of `width` x `height` pixels that includes a rectangle.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when the rectangle is empty or does not lie inside, [`Status::OutOfMemory`].
    pub fn rectangle(width: usize, height: usize, rectangle: Rectangle) -> Result<Self> {
        rectangle.check_inside(width, height)?;
        let mut inside = try_vec(width * height, false)?;
        for row in inside.chunks_exact_mut(width).skip(rectangle.y).take(rectangle.height) {
            row[rectangle.x..][..rectangle.width].fill(true);
        }
        Ok(Self { width, height, inside })
    }

    /// The pixels that both masks, of one size, include.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when no pixel is left.
    pub fn and(mut self, other: &Self) -> Result<Self> {
        self.inside.iter_mut().zip(&other.inside).for_each(|(own, other)| *own &= *other);
        self.checked()
    }

    /// A mask without storage, for [`Mask::assign`].
    pub(crate) fn unset() -> Self {
        Self { width: 0, height: 0, inside: Vec::new() }
    }

    /// Becomes the intersection of an image's mask, its rectangle and `shared`, a mask of the same size. Reuses its
    /// storage. Returns whether a pixel is excluded.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when no pixel is left, [`Status::OutOfMemory`].
    pub(crate) fn assign(&mut self, image: &ImageView<'_>, shared: Option<&Self>, threads: &Threads) -> Result<bool> {
        (self.width, self.height) = (image.width(), image.height());
        try_resize(&mut self.inside, self.width * self.height, false)?;
        let (view, roi) = (image.mask(), image.roi());
        let (any, excludes) = (AtomicBool::new(false), AtomicBool::new(false));
        threads.chunks(&mut self.inside, self.width, |y, row| {
            let columns = match roi {
                Some(roi) if !(roi.y..roi.y + roi.height).contains(&y) => 0..0,
                Some(roi) => roi.x..roi.x + roi.width,
                None => 0..row.len(),
            };
            row[..columns.start].fill(false);
            row[columns.end..].fill(false);
            let kept = &mut row[columns.clone()];
            match view {
                Some(view) => kept.iter_mut().zip(&view.row(y)[columns.clone()]).for_each(|(a, b)| *a = *b != 0),
                None => kept.fill(true),
            }
            if let Some(shared) = shared {
                kept.iter_mut().zip(&shared.row(y)[columns]).for_each(|(a, b)| *a &= *b);
            }
            if is_any(kept) {
                any.store(true, Ordering::Relaxed);
            }
            if kept.len() < row.len() || !is_all(row) {
                excludes.store(true, Ordering::Relaxed);
            }
        });
        if any.into_inner() { Ok(excludes.into_inner()) } else { Err(empty()) }
    }

    fn checked(self) -> Result<Self> {
        if is_any(&self.inside) { Ok(self) } else { Err(empty()) }
    }

    /// Whether any pixel is excluded.
    pub fn excludes(&self) -> bool {
        !is_all(&self.inside)
    }

    /// The pixels, row after row: true for included ones.
    pub fn inside(&self) -> &[bool] {
        &self.inside
    }

    /// The pixels of row `y`.
    pub fn row(&self, y: usize) -> &[bool] {
        &self.inside[y * self.width..][..self.width]
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Packs the mask: eight pixels per byte, each row starting at a byte.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn to_bits(&self) -> Result<Vec<u8>> {
        let byte = |eight: &[bool]| (0..).zip(eight).fold(0, |byte, (bit, inside)| byte | u8::from(*inside) << bit);
        let mut bits = Vec::new();
        try_reserve(&mut bits, self.width.div_ceil(8) * self.height)?;
        self.inside.chunks_exact(self.width).for_each(|row| bits.extend(row.chunks(8).map(byte)));
        Ok(bits)
    }

    /// Unpacks the bytes of [`Mask::to_bits`]; none if the length is wrong or no pixel is included.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn from_bits(bits: &[u8], width: usize, height: usize) -> Result<Option<Self>> {
        let row = width.div_ceil(8);
        if width == 0 || row.checked_mul(height) != Some(bits.len()) {
            return Ok(None);
        }
        let mut inside = Vec::new();
        try_reserve(&mut inside, width * height)?;
        bits.chunks_exact(row).for_each(|bits| inside.extend((0..width).map(|x| bits[x / 8] >> (x % 8) & 1 == 1)));
        Ok(Self { width, height, inside }.checked().ok())
    }

    /// Sets excluded pixels of a map to 0. The map's size may differ from the mask's.
    pub fn clear_outside(&self, map: &mut RowsMut<'_, f32>) {
        let (width, height) = (map.width(), map.height());
        for y in 0..height {
            let (inside, row) = (self.row(y * self.height / height), map.row_mut(y));
            if width == self.width {
                row.iter_mut().zip(inside).for_each(|(value, inside)| *value = if *inside { *value } else { 0.0 });
            } else {
                let outside = row.iter_mut().enumerate().filter(|(x, _)| !inside[x * self.width / width]);
                outside.for_each(|(_, value)| *value = 0.0);
            }
        }
    }

    /// The mask resized to `width` x `height`, into `resized`: a pixel is included if it covers any included pixel.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn resized(&self, width: usize, height: usize, threads: &Threads, resized: &mut Vec<bool>) -> Result<()> {
        let range = |at: usize, out: usize, of: usize| at * of / out..((at + 1) * of).div_ceil(out).min(of);
        try_resize(resized, width * height, false)?;
        threads.chunks(resized, width, |y, row| {
            row.fill(false);
            for from in range(y, height, self.height).map(|y| self.row(y)) {
                for (x, inside) in row.iter_mut().enumerate().filter(|(_, inside)| !**inside) {
                    *inside = from[range(x, width, self.width)].contains(&true);
                }
            }
        });
        Ok(())
    }
}

fn empty() -> Error {
    Error::new(
        Status::InvalidImage,
        "the mask or the region of interest leaves no pixel; at least one must be included",
    )
}

/// Whether any value is true, without an early exit, which would prevent vectorisation.
fn is_any(inside: &[bool]) -> bool {
    inside.chunks(1 << 12).any(|inside| inside.iter().fold(false, |any, inside| any | inside))
}

/// Whether all values are true, as [`is_any`].
fn is_all(inside: &[bool]) -> bool {
    inside.chunks(1 << 12).all(|inside| inside.iter().fold(true, |all, inside| all & inside))
}

/// Erodes `inside`, rows of `width` pixels, by a square of radius `margin`; the border of the image is not an edge. If
/// nothing would be left, `inside` is unchanged. `scratch` is working memory.
///
/// # Errors
/// [`Status::OutOfMemory`]; `inside` is then unchanged.
pub(crate) fn erode(inside: &mut [bool], width: usize, margin: usize, scratch: &mut Vec<bool>) -> Result<()> {
    try_resize(scratch, 2 * inside.len(), false)?;
    let (rows, eroded) = scratch.split_at_mut(inside.len());
    for (from, to) in inside.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
        to.copy_from_slice(from);
        for (x, _) in from.iter().enumerate().filter(|(_, inside)| !**inside) {
            to[x.saturating_sub(margin)..(x + margin + 1).min(width)].fill(false);
        }
    }
    let height = inside.len() / width;
    for (y, to) in eroded.chunks_exact_mut(width).enumerate() {
        to.fill(true);
        for from in rows.chunks_exact(width).take((y + margin + 1).min(height)).skip(y.saturating_sub(margin)) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to &= *from);
        }
    }
    if is_any(eroded) {
        inside.copy_from_slice(eroded);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(width: usize, height: usize, inside: impl Fn(usize, usize) -> bool) -> Mask {
        let bytes: Vec<u8> = (0..width * height).map(|i| 7 * u8::from(inside(i % width, i / width))).collect();
        Mask::new(MaskView::new(&bytes, width, height, width).unwrap()).unwrap()
    }

    #[test]
    fn bits_come_back_and_wrong_ones_are_refused() {
        let mask = mask(11, 3, |x, y| (x + y) % 3 == 0);
        let bits = mask.to_bits().unwrap();
        assert_eq!(bits.len(), 6);
        assert_eq!(Mask::from_bits(&bits, 11, 3).unwrap(), Some(mask));
        assert_eq!(Mask::from_bits(&bits, 11, 4).unwrap(), None);
        assert_eq!(Mask::from_bits(&[0; 6], 11, 3).unwrap(), None);
        assert_eq!(Mask::from_bits(&[], 0, 3).unwrap(), None);
    }

    fn resized(mask: &Mask, width: usize, height: usize) -> Vec<bool> {
        let mut resized = Vec::new();
        mask.resized(width, height, &Threads::new(2).unwrap(), &mut resized).unwrap();
        resized
    }

    #[test]
    fn the_smallest_region_is_still_covered() {
        let mask = mask(100, 50, |x, y| (x, y) == (99, 30));
        let covered = resized(&mask, 10, 10);
        assert_eq!(covered.iter().filter(|c| **c).count(), 1);
        assert!(covered[6 * 10 + 9]);
        let mask = self::mask(2, 1, |x, _| x == 1);
        let covered = resized(&mask, 4, 2);
        assert_eq!(covered, [false, false, true, true, false, false, true, true]);
    }

    #[test]
    fn erosion_stops_at_the_image_border_and_before_nothing_is_left() {
        let mut inside: Vec<bool> = (0..25).map(|i| i % 5 < 4).collect();
        erode(&mut inside, 5, 1, &mut Vec::new()).unwrap();
        assert_eq!(inside, (0..25).map(|i| i % 5 < 3).collect::<Vec<_>>());
        let mut one = vec![false, true, false];
        erode(&mut one, 3, 1, &mut Vec::new()).unwrap();
        assert_eq!(one, [false, true, false]);
    }

    #[test]
    fn empty_and_unfit_masks_are_errors() {
        let zeros = [0u8; 6];
        let error = Mask::new(MaskView::new(&zeros, 3, 2, 3).unwrap()).unwrap_err();
        assert!(error.status() == Status::InvalidImage && error.message().contains("no pixel"), "{error}");
        assert!(MaskView::new(&zeros, 3, 3, 3).unwrap_err().message().starts_with("the mask: "));
    }

    #[test]
    fn mask_rectangle_and_shared_mask_keep_what_all_of_them_keep() {
        let (bytes, pixels, threads) = ([1u8, 1, 0, 1, 1, 1, 1, 0, 1, 1], [0u8; 10], Threads::new(2).unwrap());
        let view = ImageView::new(&pixels, 5, 2, 5, PixelFormat::Gray8).unwrap();
        let own = MaskView::new(&bytes, 5, 2, 5).unwrap();
        let shared = mask(5, 2, |x, _| x > 0);
        let roi = Rectangle { x: 0, y: 0, width: 4, height: 1 };
        let mut kept = Mask::unset();
        kept.assign(&view.with_mask(own).unwrap().with_roi(roi).unwrap(), Some(&shared), &threads).unwrap();
        assert_eq!(kept, mask(5, 2, |x, y| y == 0 && (x == 1 || x == 3)));
        kept.assign(&view.with_roi(roi).unwrap(), None, &threads).unwrap();
        assert_eq!(kept, Mask::rectangle(5, 2, roi).unwrap());
        let nothing = mask(5, 2, |x, _| x == 4);
        let error = kept.assign(&view.with_roi(roi).unwrap(), Some(&nothing), &threads).unwrap_err();
        assert!(error.status() == Status::InvalidImage && error.message().contains("no pixel"), "{error}");
    }
}
