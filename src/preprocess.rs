//! From the caller's pixels to the network's input tensor: antialiased resize, channel order, normalisation.
//!
//! The resize is fast_image_resize's triangle filter, widened when it shrinks the image. That is what Pillow's
//! `BILINEAR` does, so features agree with those of a Python pipeline; a plain bilinear sampler (OpenCV's default)
//! aliases fine texture into false structure.

use std::fmt;
use std::str::FromStr;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::pixels::{F32, U8};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Status};
use crate::image::{ImageView, PixelFormat};
use crate::mask::Mask;

/// The longest side of the network's input, in pixels.
pub const MAX_INPUT_SIDE: usize = 8192;

/// The size of the network's input in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// How the network's input size follows from the images'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Geometry {
    /// As many pixels as a square of this side has, in the proportions of the first image, both sides rounded to the
    /// backbone's coarsest stride.
    Area(usize),
    /// Every image is resized to this size.
    Fixed(InputSize),
    /// The first image's own size, both sides rounded to the backbone's coarsest stride.
    Native,
}

impl Geometry {
    /// The input size for images like one of `width` x `height` pixels and a backbone of the given coarsest stride.
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
                    "native geometry cannot take an image of {width} x {height} pixels: its sides may be at most \
                     {MAX_INPUT_SIDE}. Give a smaller size, for example 512x512"
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

/// The affine map from a channel value in 0..=1 to the network's input: `(value - mean) / std`, for R, G and B.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// Subtracted from each channel.
    pub mean: [f32; 3],
    /// Divides each channel.
    pub std: [f32; 3],
}

/// How far a value may be from a whole one and still be one of 8 bits: below a step of 16 bits, above what dividing by 255
/// in single precision does.
const EIGHT_BITS: f32 = 1e-3;

/// One channel of an image and its resized copy.
struct Plane<P> {
    pixels: Vec<P>,
    resized: Image<'static>,
}

impl<P: PixelTrait> Plane<P> {
    fn new(size: InputSize) -> Self {
        let resized = Image::new(size.width as u32, size.height as u32, P::pixel_type());
        Self { pixels: Vec::new(), resized }
    }

    /// Writes the plane, resized and mapped by `convert`, to the channels of `targets`.
    fn write(
        &mut self,
        resizer: &mut Resizer,
        (width, height): (usize, usize),
        targets: &mut [&mut [f32]],
        convert: impl Fn(usize, P) -> f32,
    ) -> Result<()> {
        let mut put = |pixels: &[P]| {
            for (index, target) in targets.iter_mut().enumerate() {
                target.iter_mut().zip(pixels).for_each(|(out, p)| *out = convert(index, *p));
            }
        };
        if (width, height) == (self.resized.width() as usize, self.resized.height() as usize) {
            put(&self.pixels);
            return Ok(());
        }
        let failed = |e: &dyn fmt::Display| Error::new(Status::Internal, format!("resizing the image failed: {e}"));
        let source = ImageRef::from_pixels(width as u32, height as u32, &self.pixels).map_err(|e| failed(&e))?;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        resizer.resize(&source, &mut self.resized, &options).map_err(|e| failed(&e))?;
        put(self.resized.typed_image::<P>().ok_or_else(|| failed(&"another pixel type"))?.pixels());
        Ok(())
    }
}

/// Reusable buffers for [`Preprocessor::run`]; one per scoring context.
pub struct Preprocessor {
    size: InputSize,
    normalisation: Normalisation,
    resizer: Resizer,
    values: Vec<f32>,
    bytes: Plane<U8>,
    floats: Plane<F32>,
}

impl Preprocessor {
    /// A preprocessor for one network input.
    pub fn new(size: InputSize, normalisation: Normalisation) -> Self {
        Self {
            size,
            normalisation,
            resizer: Resizer::new(),
            values: Vec::new(),
            bytes: Plane::new(size),
            floats: Plane::new(size),
        }
    }

    /// The network's input size.
    pub fn size(&self) -> InputSize {
        self.size
    }

    /// Writes the network's input for `image` to `tensor`: R, G and B planes of `height * width` values.
    ///
    /// Channels are resized one by one, so the same pixels give the same input to the last bit however they lie in memory.
    /// Channels of 8 bits, also where they come widened to 16 or as floats, are rounded to 8 bits after resizing, as Pillow
    /// does; all others keep their precision. Pixels outside `mask`, which has the image's size, have no influence.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when a floating-point pixel is not finite.
    pub fn run(&mut self, image: &ImageView<'_>, mask: Option<&Mask>, tensor: &mut Vec<f32>) -> Result<()> {
        let InputSize { height, width } = self.size;
        let (format, from) = (image.format(), (image.width(), image.height()));
        tensor.resize(3 * height * width, 0.0);
        let mut targets: Vec<&mut [f32]> = tensor.chunks_exact_mut(height * width).collect();
        let Normalisation { mean, std } = self.normalisation;
        let normalise = |channel: usize, v: f32| v * (1.0 / (255.0 * std[channel])) - mean[channel] / std[channel];
        // A grey image is one channel that goes to all three.
        let share = if format.is_gray() { 3 } else { 1 };
        for (group, targets) in targets.chunks_mut(share).enumerate() {
            let rows = 0..image.height();
            self.bytes.pixels.clear();
            if mask.is_some() || matches!(format, PixelFormat::Gray16 | PixelFormat::Grayf32) {
                self.values.clear();
                rows.for_each(|y| image.for_each_value(y, group, |_, v| self.values.push(v)));
                let counts = |(i, _): &(usize, &f32)| mask.is_none_or(|mask| mask.inside()[*i]);
                let mut counting = self.values.iter().enumerate().filter(counts).map(|(_, v)| *v);
                let eight_bits = counting.all(|v| (f32::from(v.round() as u8) - v).abs() < EIGHT_BITS);
                if let Some(mask) = mask {
                    mask.fill(&mut self.values);
                }
                if !self.values.iter().all(|v| v.is_finite()) {
                    let message = "the image has pixels that are not finite (NaN or infinity)";
                    return Err(Error::new(Status::InvalidImage, message));
                }
                if !eight_bits {
                    self.floats.pixels.clear();
                    self.floats.pixels.extend(self.values.iter().map(|v| F32::new(*v)));
                    self.floats.write(&mut self.resizer, from, targets, |index, p| normalise(group + index, p.0))?;
                    continue;
                }
                self.bytes.pixels.extend(self.values.iter().map(|v| U8::new(v.round() as u8)));
            } else {
                rows.for_each(|y| image.for_each_value(y, group, |_, v| self.bytes.pixels.push(U8::new(v as u8))));
            }
            let convert = |index: usize, p: U8| normalise(group + index, f32::from(p.0));
            self.bytes.write(&mut self.resizer, from, targets, convert)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Normalisation = Normalisation { mean: [0.0; 3], std: [1.0; 3] };

    fn run(bytes: &[u8], width: usize, height: usize, stride: usize, format: PixelFormat, size: InputSize) -> Vec<f32> {
        let mut tensor = Vec::new();
        let view = ImageView::new(bytes, width, height, stride, format).unwrap();
        Preprocessor::new(size, PLAIN).run(&view, None, &mut tensor).unwrap();
        tensor
    }

    #[test]
    fn formats_and_strides_of_the_same_pixels_agree_to_the_last_bit() {
        let (width, height) = (40, 40);
        let rgb: Vec<u8> = (0..width * height * 3).map(|i| (i * i % 251) as u8).collect();
        let reordered = |order: &[usize]| -> Vec<u8> {
            rgb.chunks(3).flat_map(|p| order.iter().map(|&c| p[c]).collect::<Vec<_>>()).collect()
        };
        let planes: [Vec<u8>; 3] = std::array::from_fn(|c| reordered(&[c]));
        let gray = reordered(&[0]);
        for size in [InputSize { height: 32, width: 48 }, InputSize { height: 40, width: 40 }] {
            let expected = run(&rgb, width, height, width * 3, PixelFormat::Rgb8, size);
            for (order, format) in [
                (&[2, 1, 0][..], PixelFormat::Bgr8),
                (&[0, 1, 2, 1], PixelFormat::Rgba8),
                (&[2, 1, 0, 0], PixelFormat::Bgra8),
            ] {
                let stride = width * order.len();
                assert!(expected == run(&reordered(order), width, height, stride, format, size), "{format:?}");
            }
            let mut tensor = Vec::new();
            let slices = [&planes[0][..], &planes[1], &planes[2]];
            let view = ImageView::from_planes(slices, width, height, width, PixelFormat::Rgb8Planar).unwrap();
            Preprocessor::new(size, PLAIN).run(&view, None, &mut tensor).unwrap();
            assert!(expected == tensor, "planar");
            for padding in [1, 3, 8] {
                let rows = rgb.chunks(width * 3);
                let padded: Vec<u8> =
                    rows.flat_map(|r| r.iter().copied().chain(std::iter::repeat_n(9, padding))).collect();
                assert!(expected == run(&padded, width, height, width * 3 + padding, PixelFormat::Rgb8, size));
            }
            let expected = run(&gray, width, height, width, PixelFormat::Gray8, size);
            let triple: Vec<u8> = gray.iter().flat_map(|&v| [v, v, v]).collect();
            let wide: Vec<u8> = gray.iter().flat_map(|&v| (u16::from(v) * 257).to_ne_bytes()).collect();
            assert!(expected == run(&triple, width, height, width * 3, PixelFormat::Rgb8, size));
            assert!(expected == run(&wide, width, height, width * 2, PixelFormat::Gray16, size));
        }
    }

    #[test]
    fn floats_that_are_not_finite_are_refused() {
        let bytes: Vec<u8> = [0.5, f32::NAN].iter().flat_map(|v| v.to_ne_bytes()).collect();
        let view = ImageView::new(&bytes, 2, 1, 8, PixelFormat::Grayf32).unwrap();
        let size = InputSize { height: 32, width: 32 };
        let error = Preprocessor::new(size, PLAIN).run(&view, None, &mut Vec::new()).unwrap_err();
        assert_eq!(error.status(), Status::InvalidImage);
    }

    #[test]
    fn shrinking_averages_instead_of_sampling() {
        let stripes: Vec<u8> = (0..256 * 256).map(|i| if i % 2 == 0 { 0 } else { 255 }).collect();
        let out = run(&stripes, 256, 256, 256, PixelFormat::Gray8, InputSize { height: 32, width: 32 });
        assert!(out.iter().all(|v| (v - 0.5).abs() < 0.05), "one-pixel stripes must turn grey");
    }

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
