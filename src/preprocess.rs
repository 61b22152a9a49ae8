//! From the caller's pixels to the network's input tensor: antialiased resize, channel order, normalisation.
//!
//! The resize is fast_image_resize's triangle filter, widened when it shrinks the image. That is what Pillow's
//! `BILINEAR` does, so features agree with those of a Python pipeline; a plain bilinear sampler (OpenCV's default)
//! aliases fine texture into false structure.

use std::fmt;
use std::str::FromStr;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Status};
use crate::image::{ImageView, PixelFormat};

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
        let Self::Native = self else {
            let Self::Fixed(size) = self else { unreachable!("two variants") };
            return Ok(size);
        };
        let round = |side: usize| ((side + stride / 2) / stride).max(2) * stride;
        let size = InputSize { height: round(height), width: round(width) };
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

    /// `224` (a square), `HxW` (height first) or `native`.
    fn from_str(text: &str) -> Result<Self> {
        let error = || {
            Error::new(
                Status::InvalidOption,
                format!(
                    "size is '{text}', but must be one number ('224'), height x width ('320x256') or 'native'; sides are \
                     32 to {MAX_INPUT_SIDE} pixels"
                ),
            )
        };
        if text == "native" {
            return Ok(Self::Native);
        }
        let (height, width) = text.split_once(['x', 'X']).unwrap_or((text, text));
        let side = |s: &str| s.parse::<usize>().ok().filter(|n| (32..=MAX_INPUT_SIDE).contains(n)).ok_or_else(error);
        Ok(Self::Fixed(InputSize { height: side(height)?, width: side(width)? }))
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
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

/// Reusable buffers for [`Preprocessor::run`]; one per scoring context.
pub struct Preprocessor {
    size: InputSize,
    normalisation: Normalisation,
    resizer: Resizer,
    packed: Vec<u8>,
    resized: [Option<Image<'static>>; 2],
}

impl Preprocessor {
    /// A preprocessor for one network input.
    pub fn new(size: InputSize, normalisation: Normalisation) -> Self {
        Self { size, normalisation, resizer: Resizer::new(), packed: Vec::new(), resized: [None, None] }
    }

    /// The network's input size.
    pub fn size(&self) -> InputSize {
        self.size
    }

    /// Writes the network's input for `image` to `tensor`: R, G and B planes of `height * width` values.
    ///
    /// # Errors
    /// [`Status::Internal`] when the resizer refuses, which validated views never provoke.
    pub fn run(&mut self, image: &ImageView<'_>, tensor: &mut Vec<f32>) -> Result<()> {
        let InputSize { height, width } = self.size;
        tensor.resize(3 * height * width, 0.0);
        let pixel = image.format().bytes_per_pixel();
        if (image.width(), image.height()) == (width, height) {
            for y in 0..height {
                self.normalisation.write_row(image.row(y), image.format(), y * width, height * width, tensor);
            }
            return Ok(());
        }
        let kind = if pixel == 1 { PixelType::U8 } else { PixelType::U8x3 };
        // A stride of whole pixels is a wider image with a crop; any other stride is packed first.
        let whole = image.stride().is_multiple_of(pixel) && image.data().len() >= image.stride() * image.height();
        let (data, row) = if whole {
            (&image.data()[..image.stride() * image.height()], image.stride() / pixel)
        } else {
            self.packed.clear();
            (0..image.height()).for_each(|y| self.packed.extend_from_slice(image.row(y)));
            (&self.packed[..], image.width())
        };
        let internal = |e: &dyn fmt::Display| Error::new(Status::Internal, format!("resizing the image failed: {e}"));
        let source = ImageRef::new(row as u32, image.height() as u32, data, kind).map_err(|e| internal(&e))?;
        let target =
            self.resized[usize::from(pixel == 3)].get_or_insert_with(|| Image::new(width as u32, height as u32, kind));
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(
            0.0,
            0.0,
            image.width() as f64,
            image.height() as f64,
        );
        self.resizer.resize(&source, target, &options).map_err(|e| internal(&e))?;
        for (y, row) in target.buffer().chunks_exact(width * pixel).enumerate() {
            self.normalisation.write_row(row, image.format(), y * width, height * width, tensor);
        }
        Ok(())
    }
}

impl Normalisation {
    fn write_row(&self, row: &[u8], format: PixelFormat, at: usize, plane: usize, tensor: &mut [f32]) {
        for channel in 0..3 {
            let scale = 1.0 / (255.0 * self.std[channel]);
            let offset = -self.mean[channel] / self.std[channel];
            let value = |v: u8| f32::from(v) * scale + offset;
            let source = match format {
                PixelFormat::Gray8 => 0,
                PixelFormat::Rgb8 => channel,
                PixelFormat::Bgr8 => 2 - channel,
            };
            let pixels = row.chunks_exact(format.bytes_per_pixel());
            for (out, pixel) in tensor[channel * plane + at..].iter_mut().zip(pixels) {
                *out = value(pixel[source]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Normalisation = Normalisation { mean: [0.0; 3], std: [1.0; 3] };

    fn run(bytes: &[u8], width: usize, height: usize, stride: usize, format: PixelFormat, size: InputSize) -> Vec<f32> {
        let mut tensor = Vec::new();
        let view = ImageView::new(bytes, width, height, stride, format).unwrap();
        Preprocessor::new(size, PLAIN).run(&view, &mut tensor).unwrap();
        tensor
    }

    #[test]
    fn formats_and_strides_of_the_same_pixels_agree() {
        for size in [InputSize { height: 32, width: 48 }, InputSize { height: 40, width: 40 }] {
            let (width, height) = (40, 40);
            let rgb: Vec<u8> = (0..width * height * 3).map(|i| (i * i % 251) as u8).collect();
            let expected = run(&rgb, width, height, width * 3, PixelFormat::Rgb8, size);
            let bgr: Vec<u8> = rgb.chunks(3).flat_map(|p| [p[2], p[1], p[0]]).collect();
            assert_eq!(expected, run(&bgr, width, height, width * 3, PixelFormat::Bgr8, size));
            for padding in [1, 3, 8] {
                let padded: Vec<u8> = rgb
                    .chunks(width * 3)
                    .flat_map(|r| r.iter().copied().chain(std::iter::repeat_n(9, padding)))
                    .collect();
                assert_eq!(expected, run(&padded, width, height, width * 3 + padding, PixelFormat::Rgb8, size));
            }
            let gray: Vec<u8> = (0..width * height).map(|i| (i * 7 % 256) as u8).collect();
            let triple: Vec<u8> = gray.iter().flat_map(|&v| [v, v, v]).collect();
            assert_eq!(
                run(&gray, width, height, width, PixelFormat::Gray8, size),
                run(&triple, width, height, width * 3, PixelFormat::Rgb8, size)
            );
        }
    }

    #[test]
    fn shrinking_averages_instead_of_sampling() {
        let stripes: Vec<u8> = (0..256 * 256).map(|i| if i % 2 == 0 { 0 } else { 255 }).collect();
        let out = run(&stripes, 256, 256, 256, PixelFormat::Gray8, InputSize { height: 32, width: 32 });
        assert!(out.iter().all(|v| (v - 0.5).abs() < 0.05), "one-pixel stripes must turn grey");
    }

    #[test]
    fn native_rounds_to_the_stride_and_refuses_giants() {
        let native: Geometry = "native".parse().unwrap();
        assert_eq!(native.resolve(500, 1250, 16).unwrap(), InputSize { height: 1248, width: 496 });
        assert_eq!(native.resolve(1, 1, 16).unwrap(), InputSize { height: 32, width: 32 });
        assert_eq!(native.resolve(20_000, 3, 16).unwrap_err().status(), Status::InvalidImage);
        assert_eq!(
            "320x256".parse::<Geometry>().unwrap().resolve(9, 9, 16).unwrap(),
            InputSize { height: 320, width: 256 }
        );
        for bad in ["", "0", "NaN", "224x", "x", "9000", "-3", "12x12x12"] {
            assert_eq!(bad.parse::<Geometry>().unwrap_err().status(), Status::InvalidOption, "{bad}");
        }
    }
}
