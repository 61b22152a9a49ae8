//! Converts the caller's pixels to the network's input tensor: antialiased resizing, channel order, normalisation.
//!
//! Resizing uses a triangle filter, which is widened for downscaling, as Pillow's `BILINEAR` does, so that features
//! agree with those of a Python pipeline; plain bilinear sampling (OpenCV's default) causes aliasing. The caller's rows
//! are read in place in any format, and tables are reused. Resizing libraries need separate channels or a copy without
//! stride, and compute their tables each time.

mod fill;
mod geometry;
mod resample;
mod scan;

pub use geometry::{Geometry, InputSize, MAX_INPUT_SIDE};
pub use resample::HALF;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::try_resize;
use crate::image::{ImageView, Mask, PixelFormat};
use crate::math::kernels::dispatch;

use resample::{Resampler, Row, Samples};
use scan::Scanner;

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
    scanner: Scanner,
    resampler: Resampler,
}

impl Preprocessor {
    /// A preprocessor for one network input.
    pub fn new(size: InputSize, normalisation: Normalisation) -> Self {
        Self { size, normalisation, scanner: Scanner::default(), resampler: Resampler::default() }
    }

    /// The network's input size.
    pub fn size(&self) -> InputSize {
        self.size
    }

    /// Writes the network's input for `image` to `tensor`: R, G and B planes of `height * width` values.
    ///
    /// The same pixel values result in a bit-identical input in every format. Channels of 8 bits, also if widened to 16
    /// bits or floats, are rounded to 8 bits after resizing, as in Pillow; all others keep their precision. Pixels
    /// outside `mask`, which has the image's size, have no influence: the input is the weighted mean of the included
    /// pixels, extrapolated smoothly where there are none. The image's own mask and region of interest are ignored. On
    /// failure `tensor` is unchanged.
    ///
    /// # Errors
    /// [`Status::InvalidImage`](crate::error::Status::InvalidImage) when a pixel inside the mask is a float that is not finite or beyond 1e9,
    /// or has more than the image's significant bits, [`Status::OutOfMemory`](crate::error::Status::OutOfMemory).
    pub fn run(
        &mut self,
        image: &ImageView<'_>,
        mask: Option<&Mask>,
        threads: &Threads,
        tensor: &mut Vec<f32>,
    ) -> Result<()> {
        let format = image.format();
        let eight_bits = self.scanner.run(image, mask, threads)?;
        let samples = match format {
            PixelFormat::Gray16 => Samples::Words { divisor: image.gray16_divisor(), round: eight_bits },
            PixelFormat::Grayf32 => Samples::Floats { round: eight_bits },
            _ => Samples::Bytes(format.bytes_per_pixel()),
        };
        try_resize(tensor, 3 * self.size.height * self.size.width, 0.0)?;
        self.resampler.prepare((image.width(), image.height()), self.size);
        let offsets = format.channel_offsets();
        let channels = if format.is_gray() { 1 } else { 3 };
        let per_plane = channels / format.planes();
        for plane in 0..format.planes() {
            let inside = |y: usize| mask.map(|mask| mask.row(y));
            let row = |y: usize| Row { bytes: image.row(plane, y), samples, inside: inside(y) };
            let picked = &offsets[plane * per_plane..][..per_plane];
            self.resampler.run(row, picked, mask.is_some(), eight_bits, threads)?;
            self.write(plane * per_plane, per_plane, channels, eight_bits, threads, tensor);
        }
        Ok(())
    }

    /// Normalises the `count` resized channels to the planes from `first` on; the single channel of a grey image to all
    /// planes.
    fn write(
        &self,
        first: usize,
        count: usize,
        channels: usize,
        eight_bits: bool,
        threads: &Threads,
        tensor: &mut [f32],
    ) {
        let InputSize { height, width } = self.size;
        let Normalisation { mean, std } = self.normalisation;
        let copies = 3 / channels;
        let planes = &mut tensor[first * copies * height * width..][..count * copies * height * width];
        threads.chunks(planes, width, |index, out| {
            let (plane, y) = (index / height, index % height);
            let channel = first * copies + plane;
            let (scale, offset) = (1.0 / (255.0 * std[channel]), mean[channel] / std[channel]);
            let row = self.resampler.row(y, plane / copies);
            normalise(row, eight_bits, scale, offset, out);
        });
    }
}

fn normalise(row: &[f32], round: bool, scale: f32, offset: f32, out: &mut [f32]) {
    dispatch!(normalise_body(row: &[f32], round: bool, scale: f32, offset: f32, out: &mut [f32]))
}

#[inline(always)]
fn normalise_body<const FMA: bool>(row: &[f32], round: bool, scale: f32, offset: f32, out: &mut [f32]) {
    if round {
        out.iter_mut().zip(row).for_each(|(out, v)| *out = (v + HALF).floor() * scale - offset);
    } else {
        out.iter_mut().zip(row).for_each(|(out, v)| *out = v * scale - offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_that_no_image_has_are_refused() {
        let size = InputSize { height: 2, width: 2 };
        let mut preprocessor = Preprocessor::new(size, Normalisation { mean: [0.0; 3], std: [1.0; 3] });
        let mut run = |value: f32| {
            let bytes = [0.5, value, 0.5, 0.5].map(f32::to_ne_bytes).concat();
            let image = ImageView::new(&bytes, 2, 2, 8, PixelFormat::Grayf32).unwrap();
            preprocessor.run(&image, None, &Threads::new(1).unwrap(), &mut Vec::new()).map_err(|e| e.status())
        };
        for value in [1e9, -1e9, 2.0] {
            assert_eq!(run(value), Ok(()));
        }
        for value in [1.1e9, -1e30, f32::NAN, f32::INFINITY] {
            assert_eq!(run(value), Err(Status::InvalidImage), "{value}");
        }
    }
    use crate::error::Status;
    use crate::image::MaskView;

    const PLAIN: Normalisation = Normalisation { mean: [0.0; 3], std: [1.0; 3] };

    fn run(bytes: &[u8], width: usize, height: usize, stride: usize, format: PixelFormat, size: InputSize) -> Vec<f32> {
        let mut tensor = Vec::new();
        let view = ImageView::new(bytes, width, height, stride, format).unwrap();
        Preprocessor::new(size, PLAIN).run(&view, None, &Threads::new(1).unwrap(), &mut tensor).unwrap();
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
            Preprocessor::new(size, PLAIN).run(&view, None, &Threads::new(1).unwrap(), &mut tensor).unwrap();
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
        let error =
            Preprocessor::new(size, PLAIN).run(&view, None, &Threads::new(1).unwrap(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.status(), Status::InvalidImage);
    }

    #[test]
    fn shrinking_averages_instead_of_sampling() {
        let stripes: Vec<u8> = (0..256 * 256).map(|i| if i % 2 == 0 { 0 } else { 255 }).collect();
        let out = run(&stripes, 256, 256, 256, PixelFormat::Gray8, InputSize { height: 32, width: 32 });
        assert!(out.iter().all(|v| (v - 0.5).abs() < 0.05), "one-pixel stripes must turn grey");
    }

    /// An image of 8 x 6 pixels whose value is ten times the column, with `outside` where x > 4 or y = 0.
    fn masked(outside: u8, size: InputSize, format: PixelFormat) -> Vec<f32> {
        let inside = |i: usize| i % 8 < 5 && i / 8 > 0;
        let step = format.bytes_per_pixel();
        let pixels: Vec<u8> =
            (0..48 * step).map(|i| if inside(i / step) { 10 * (i / step % 8) as u8 } else { outside }).collect();
        let mask: Vec<u8> = (0..48).map(|i| u8::from(inside(i))).collect();
        let mask = Mask::new(MaskView::new(&mask, 8, 6, 8).unwrap()).unwrap();
        let view = ImageView::new(&pixels, 8, 6, 8 * step, format).unwrap();
        let (mut tensor, threads) = (Vec::new(), Threads::new(2).unwrap());
        Preprocessor::new(size, PLAIN).run(&view, Some(&mask), &threads, &mut tensor).unwrap();
        tensor
    }

    #[test]
    fn pixels_outside_a_mask_have_no_influence_and_the_inside_is_continued() {
        for format in [PixelFormat::Gray8, PixelFormat::Rgb8, PixelFormat::Bgra8] {
            for (height, width) in [(6, 8), (3, 4), (12, 20), (32, 32)] {
                let size = InputSize { height, width };
                assert!(masked(0, size, format) == masked(255, size, format), "{format:?} {size:?}");
            }
        }
        let same = masked(200, InputSize { height: 6, width: 8 }, PixelFormat::Gray8);
        let value = |x: usize, y: usize| (same[y * 8 + x] * 255.0).round();
        assert_eq!(value(3, 2), 30.0, "inside, as it is");
        assert_eq!(value(6, 2), 40.0, "to the right of a row that ends with 40");
        assert_eq!(value(2, 0), 20.0, "above a column of 20");
        assert_eq!(value(6, 0), 20.0, "nothing in row and column: the mean");
    }

    #[test]
    fn a_mask_that_keeps_everything_changes_nothing() {
        let pixels: Vec<u8> = (0..40 * 30 * 3).map(|i: usize| (i * i % 251) as u8).collect();
        let view = ImageView::new(&pixels, 40, 30, 120, PixelFormat::Rgb8).unwrap();
        let all = Mask::new(MaskView::new(&[1; 40 * 30], 40, 30, 40).unwrap()).unwrap();
        let threads = Threads::new(2).unwrap();
        for (height, width) in [(30, 40), (16, 16), (64, 48)] {
            let size = InputSize { height, width };
            let (mut with, mut without) = (Vec::new(), Vec::new());
            Preprocessor::new(size, PLAIN).run(&view, Some(&all), &threads, &mut with).unwrap();
            Preprocessor::new(size, PLAIN).run(&view, None, &threads, &mut without).unwrap();
            assert!(with == without, "{size:?}");
        }
    }
}
