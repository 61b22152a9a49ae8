//! Checks of all values of a 16-bit or floating-point image before its use.

use super::resample::Samples;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::try_resize;
use crate::image::{ImageView, Mask, PixelFormat};

/// Tolerance for recognising 8-bit values: less than a step of 16 bits, more than the rounding error of a division by
/// 255 in single precision.
const EIGHT_BITS: f32 = 1e-3;

/// If most values of a float image are above this, its range is not 0 to 1. Images with values of 0 to 1 have few such
/// pixels, at specular highlights; images with values of 0 to 255 have few others.
const TOO_BRIGHT: f32 = 1.5;

/// Checks images before their use.
#[derive(Default)]
pub struct Scanner {
    rows: Vec<RowFacts>,
    warned: bool,
}

/// The largest float, where 1 is white. Beyond it, squares of features would leave the range of numbers.
const LARGEST: f32 = 1e9;

/// Statistics of the included pixels of a row.
#[derive(Debug, Clone, Copy, Default)]
struct RowFacts {
    /// Whether all values are integers of 0 to 255.
    eight_bits: bool,
    /// The largest 16-bit number.
    largest: u16,
    /// Whether any float is not finite or beyond [`LARGEST`].
    unusable: bool,
    /// Number of included pixels, and of those far above white.
    count: u32,
    too_bright: u32,
}

impl Scanner {
    /// Returns whether all values inside the mask are 8-bit values.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when one of them is not finite, is beyond [`LARGEST`], or has more than the image's significant bits.
    pub fn run(&mut self, image: &ImageView<'_>, mask: Option<&Mask>, threads: &Threads) -> Result<bool> {
        let scan: fn(&ImageView<'_>, usize, Option<&[bool]>) -> RowFacts = match image.format() {
            PixelFormat::Gray16 => scan_words,
            PixelFormat::Grayf32 => scan_floats,
            _ => return Ok(true),
        };
        try_resize(&mut self.rows, image.height(), RowFacts::default())?;
        threads.chunks(&mut self.rows, 1, |y, facts| facts[0] = scan(image, y, mask.map(|mask| mask.row(y))));
        let largest = self.rows.iter().map(|row| row.largest).max().unwrap_or(0);
        let bits = image.significant_bits();
        if u32::from(largest) >= 1 << bits {
            let message = format!(
                "the image has a value of {largest}, but values of {bits} significant bits are at most {}: set the \
                 number of bits that the camera delivers or, if it aligns values to the most significant bit, shift \
                 them right by {} bits",
                (1u32 << bits) - 1,
                16 - bits
            );
            return Err(Error::new(Status::InvalidImage, message));
        }
        if self.rows.iter().any(|row| row.unusable) {
            let message = "the image has pixels that are not finite (NaN or infinity), or far outside 0 to 1";
            return Err(Error::new(Status::InvalidImage, message));
        }
        self.warn_if_too_bright();
        Ok(self.rows.iter().all(|row| row.eight_bits))
    }

    fn warn_if_too_bright(&mut self) {
        let sum = |of: fn(&RowFacts) -> u32| self.rows.iter().map(|row| u64::from(of(row))).sum::<u64>();
        if !self.warned && 2 * sum(|row| row.too_bright) > sum(|row| row.count) {
            self.warned = true;
            log::warn!(
                "most values of a Grayf32 image are above {TOO_BRIGHT}, but 0 is black and 1 is white: divide values of 0 to \
                 255 by 255"
            );
        }
    }
}

/// The included values of a row.
fn counting<'a, T>(values: impl Iterator<Item = T> + 'a, inside: Option<&'a [bool]>) -> impl Iterator<Item = T> + 'a {
    values.enumerate().filter(move |(x, _)| inside.is_none_or(|inside| inside[*x])).map(|(_, value)| value)
}

fn is_eight_bits(value: f32) -> bool {
    (f32::from(value.round() as u8) - value).abs() < EIGHT_BITS
}

fn scan_words(image: &ImageView<'_>, y: usize, inside: Option<&[bool]>) -> RowFacts {
    let (row, divisor) = (image.row(0, y), image.gray16_divisor());
    let mut facts = RowFacts::default();
    if image.significant_bits() < 16 {
        let numbers = row.chunks_exact(2).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
        facts.largest = counting(numbers, inside).max().unwrap_or(0);
    }
    let values = row.chunks_exact(2).map(|bytes| Samples::word(bytes, divisor));
    facts.eight_bits = counting(values, inside).all(is_eight_bits);
    facts
}

fn scan_floats(image: &ImageView<'_>, y: usize, inside: Option<&[bool]>) -> RowFacts {
    let values = || counting(image.row(0, y).chunks_exact(4).map(Samples::float), inside);
    let mut facts = RowFacts { eight_bits: values().all(is_eight_bits), ..RowFacts::default() };
    for value in values() {
        facts.unusable |= value.is_nan() || value.abs() > 255.0 * LARGEST;
        facts.too_bright += u32::from(value > 255.0 * TOO_BRIGHT);
        facts.count += 1;
    }
    facts
}
