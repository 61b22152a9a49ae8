//! The network's input size and its dependence on the images' size.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Status};

/// Maximum side of the network's input in pixels.
pub const MAX_INPUT_SIDE: usize = 8192;

/// The size of the network's input in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Rule for the network's input size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Geometry {
    /// As many pixels as a square of this side, with the aspect ratio of the first image; both sides are rounded to the
    /// backbone's coarsest stride.
    Area(usize),
    /// A fixed size.
    Fixed(InputSize),
    /// The size of the first image; both sides are rounded to the backbone's coarsest stride.
    Native,
}

impl Geometry {
    /// The input size for a first image of `width` x `height` pixels and a backbone of the given coarsest stride.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when a native input would be larger than [`MAX_INPUT_SIDE`].
    pub fn resolve(self, width: usize, height: usize, stride: usize) -> Result<InputSize> {
        let round = |side: f64| ((side / stride as f64).round() as usize).max(2) * stride;
        let size = match self {
            Self::Fixed(size) => return Ok(size),
            Self::Area(side) => {
                let (side, proportion) = (side as f64, (width as f64 / height as f64).sqrt());
                let longest = MAX_INPUT_SIDE as f64;
                InputSize {
                    height: round((side / proportion).min(longest)),
                    width: round((side * proportion).min(longest)),
                }
            }
            Self::Native => InputSize { height: round(height as f64), width: round(width as f64) },
        };
        if size.height.max(size.width) > MAX_INPUT_SIDE {
            return Err(Error::new(
                Status::InvalidImage,
                format!(
                    "size 'native' does not support an image of {width} x {height} pixels: its sides must be at most \
                     {MAX_INPUT_SIDE}. Set a smaller size, for example 512x512"
                ),
            ));
        }
        Ok(size)
    }
}

impl FromStr for Geometry {
    type Err = Error;

    /// `240` (an area), `240x320` (height first) or `native`.
    fn from_str(text: &str) -> Result<Self> {
        let error = || {
            Error::new(
                Status::InvalidOption,
                format!(
                    "size is '{text}', but must be one number ('240'), height x width ('320x256') or 'native'; sides are \
                     32 to {MAX_INPUT_SIDE} pixels"
                ),
            )
        };
        if text == "native" {
            return Ok(Self::Native);
        }
        let side = |s: &str| s.parse::<usize>().ok().filter(|n| (32..=MAX_INPUT_SIDE).contains(n)).ok_or_else(error);
        Ok(match text.split_once(['x', 'X']) {
            Some((height, width)) => Self::Fixed(InputSize { height: side(height)?, width: side(width)? }),
            None => Self::Area(side(text)?),
        })
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
            Self::Area(side) => write!(f, "{side}"),
            Self::Fixed(size) => write!(f, "{}x{}", size.height, size.width),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_proportions_round_to_the_stride_and_refuse_giants() {
        let native: Geometry = "native".parse().unwrap();
        assert_eq!(native.resolve(500, 1250, 16).unwrap(), InputSize { height: 1248, width: 496 });
        assert_eq!(native.resolve(1, 1, 16).unwrap(), InputSize { height: 32, width: 32 });
        assert_eq!(native.resolve(20_000, 3, 16).unwrap_err().status(), Status::InvalidImage);
        assert_eq!(
            "320x256".parse::<Geometry>().unwrap().resolve(9, 9, 16).unwrap(),
            InputSize { height: 320, width: 256 }
        );
        let area: Geometry = "240".parse().unwrap();
        for (image, expected) in [((512, 512), (240, 240)), ((500, 1250), (384, 144)), ((60_000, 2), (32, 8192))] {
            let size = area.resolve(image.0, image.1, 16).unwrap();
            assert_eq!((size.height, size.width), expected, "{image:?}");
        }
        for bad in ["", "0", "NaN", "224x", "x", "9000", "-3", "12x12x12"] {
            assert_eq!(bad.parse::<Geometry>().unwrap_err().status(), Status::InvalidOption, "{bad}");
        }
    }
}
