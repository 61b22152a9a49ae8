//! Borrowed views of the caller's pixels: any stride, no copy, validated once.

pub mod mask;

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
    /// One 16-bit number a pixel, in the machine's byte order; 65535 is white. Shift 10- or 12-bit values up first.
    Gray16 = 3,
    /// Four bytes a pixel: red, green, blue, and a fourth that is not looked at.
    Rgba8 = 4,
    /// Four bytes a pixel: blue, green, red, and a fourth that is not looked at.
    Bgra8 = 5,
    /// One 32-bit float a pixel, in the machine's byte order; 0 is black, 1 white, and values between and around them count
    /// as they are. All must be finite.
    Grayf32 = 6,
    /// Three planes of one byte a pixel: red, green, blue (HALCON's layout).
    Rgb8Planar = 7,
}

impl PixelFormat {
    /// All formats.
    pub const ALL: [Self; 8] =
        [Self::Gray8, Self::Rgb8, Self::Bgr8, Self::Gray16, Self::Rgba8, Self::Bgra8, Self::Grayf32, Self::Rgb8Planar];

    /// Bytes from one pixel to the next in a plane.
    pub fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Gray8 | Self::Rgb8Planar => 1,
            Self::Gray16 => 2,
            Self::Rgb8 | Self::Bgr8 => 3,
            Self::Rgba8 | Self::Bgra8 | Self::Grayf32 => 4,
        }
    }

    /// Where in the bytes of a pixel (of its plane, where there are several) red, green and blue stand.
    pub fn channel_offsets(self) -> [usize; 3] {
        match self {
            Self::Rgb8 | Self::Rgba8 => [0, 1, 2],
            Self::Bgr8 | Self::Bgra8 => [2, 1, 0],
            Self::Gray8 | Self::Gray16 | Self::Grayf32 | Self::Rgb8Planar => [0; 3],
        }
    }

    /// The number of separate planes.
    pub fn planes(self) -> usize {
        if self == Self::Rgb8Planar { 3 } else { 1 }
    }

    /// Whether a pixel is one grey value.
    pub fn is_gray(self) -> bool {
        matches!(self, Self::Gray8 | Self::Gray16 | Self::Grayf32)
    }
}

/// A view of a mask in the caller's memory, one byte a pixel: 0 leaves the pixel out, anything else keeps it.
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
    /// [`Status::InvalidImage`] when the size, the stride or the length of `data` do not fit together.
    pub fn new(data: &'a [u8], width: usize, height: usize, stride: usize) -> Result<Self> {
        let view = ImageView::new(data, width, height, stride, PixelFormat::Gray8);
        view.map(|_| Self { data, width, height, stride }).map_err(|e| e.context("the mask"))
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The rows, without padding.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> {
        let Self { data, width, stride, .. } = *self;
        (0..self.height).map(move |y| &data[y * stride..][..width])
    }
}

/// The error for a mask of another size than its image.
pub fn other_mask_size(mask: (usize, usize), image: (usize, usize)) -> Error {
    let ((a, b), (c, d)) = (mask, image);
    Error::new(
        Status::InvalidImage,
        format!("the mask has {a} x {b} pixels, but the image {c} x {d}: they must be equal"),
    )
}

/// Stub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// Left.
    pub x: usize,
    /// Top.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// A view of an image in the caller's memory; row `y` of a plane starts `y * stride` bytes after its first pixel.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    planes: [&'a [u8]; 3],
    width: usize,
    height: usize,
    stride: usize,
    format: PixelFormat,
    mask: Option<MaskView<'a>>,
}

impl<'a> ImageView<'a> {
    /// A view of `height` rows of `width` pixels, `stride` bytes apart. Sides go from 1 to [`MAX_SIDE`]; the last row
    /// need not be padded to the stride.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when the size, the stride or the length of `data` do not fit together.
    pub fn new(data: &'a [u8], width: usize, height: usize, stride: usize, format: PixelFormat) -> Result<Self> {
        if format.planes() != 1 {
            return Err(Error::new(Status::InvalidImage, format!("a {format:?} image needs three planes, not one")));
        }
        Self::from_planes([data, &[], &[]], width, height, stride, format)
    }

    /// A view of an image of one plane (the first) or of three, all of the same geometry.
    ///
    /// # Errors
    /// As [`ImageView::new`].
    pub fn from_planes(
        planes: [&'a [u8]; 3],
        width: usize,
        height: usize,
        stride: usize,
        format: PixelFormat,
    ) -> Result<Self> {
        let needed = Self::required_bytes(width, height, stride, format)?;
        if let Some(plane) = planes[..format.planes()].iter().find(|plane| plane.len() < needed) {
            return Err(Error::new(
                Status::InvalidImage,
                format!(
                    "the pixel buffer holds {} bytes, but a {width} x {height} {format:?} image with a stride of {stride} \
                     bytes needs {needed}",
                    plane.len()
                ),
            ));
        }
        Ok(Self { planes, width, height, stride, format, mask: None })
    }

    /// Stub.
    ///
    /// # Errors
    /// Bits.
    pub fn with_significant_bits(self, _bits: u32) -> Result<Self> {
        Ok(self)
    }

    /// Stub.
    ///
    /// # Errors
    /// Outside.
    pub fn with_roi(self, _roi: Rectangle) -> Result<Self> {
        Ok(self)
    }

    /// The same view with a mask: what it leaves out is neither looked at nor scored.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when the mask has another size.
    pub fn with_mask(mut self, mask: MaskView<'a>) -> Result<Self> {
        if mask.size() != (self.width, self.height) {
            return Err(other_mask_size(mask.size(), (self.width, self.height)));
        }
        self.mask = Some(mask);
        Ok(self)
    }

    /// The mask, if there is one.
    pub fn mask(&self) -> Option<MaskView<'a>> {
        self.mask
    }

    /// The bytes of a plane from the first pixel to the end of the last, after checking the geometry.
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

    /// How pixels lie in memory.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// The bytes of row `y` of a plane, without padding.
    pub fn row(&self, plane: usize, y: usize) -> &'a [u8] {
        &self.planes[plane][y * self.stride..][..self.width * self.format.bytes_per_pixel()]
    }

    /// A copy as red, green and blue bytes, for people to look at.
    pub fn to_rgb(&self) -> Vec<u8> {
        let mut rgb = vec![0; 3 * self.width * self.height];
        for (y, row) in rgb.chunks_exact_mut(3 * self.width).enumerate() {
            (0..3).for_each(|channel| self.for_each_value(y, channel, |x, v| row[3 * x + channel] = v as u8));
        }
        rgb
    }

    /// Calls `put(x, value)` for each pixel of row `y` with its red (0), green (1) or blue (2) value, which for grey images
    /// are the same; 0 is black, 255 white.
    pub fn for_each_value(&self, y: usize, channel: usize, mut put: impl FnMut(usize, f32)) {
        let row = self.row(if self.format.planes() == 3 { channel } else { 0 }, y);
        let size = self.format.bytes_per_pixel();
        match self.format {
            PixelFormat::Gray16 => row
                .chunks_exact(size)
                .enumerate()
                // 257 = 65535 / 255, so a widened byte comes back exactly.
                .for_each(|(x, p)| put(x, f32::from(u16::from_ne_bytes([p[0], p[1]])) / 257.0)),
            PixelFormat::Grayf32 => row
                .chunks_exact(size)
                .enumerate()
                .for_each(|(x, p)| put(x, f32::from_ne_bytes([p[0], p[1], p[2], p[3]]) * 255.0)),
            _ => {
                let offset = self.format.channel_offsets()[channel];
                row.chunks_exact(size).enumerate().for_each(|(x, pixel)| put(x, f32::from(pixel[offset])));
            }
        }
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
    fn values_skip_the_padding_and_mean_the_same_in_every_format() {
        let short: Vec<u8> = (0..20).collect();
        assert!(ImageView::new(&short, 2, 3, 8, PixelFormat::Rgb8).is_err(), "two strides and four bytes, not six");
        assert!(ImageView::new(&short, 2, 2, 8, PixelFormat::Rgb8Planar).is_err(), "planes come as three");
        let rgb = [[10u8, 20, 30], [40, 50, 60]];
        let of = |order: &[usize]| {
            rgb.iter().flat_map(|p| order.iter().map(|&c| p[c]).collect::<Vec<_>>()).collect::<Vec<u8>>()
        };
        let check = |planes: [&[u8]; 3], format: PixelFormat| {
            let view = ImageView::from_planes(planes, 2, 1, 8, format).unwrap();
            let expected = |x: usize, channel: usize| f32::from(rgb[x][channel]);
            for channel in 0..3 {
                view.for_each_value(0, channel, |x, v| assert_eq!(v, expected(x, channel), "{format:?}"));
            }
        };
        let (rgb3, bgr3) = (of(&[0, 1, 2]), of(&[2, 1, 0]));
        let (rgb4, bgr4) = (of(&[0, 1, 2, 0]), of(&[2, 1, 0, 0]));
        check([&rgb3, &[], &[]], PixelFormat::Rgb8);
        check([&bgr3, &[], &[]], PixelFormat::Bgr8);
        check([&rgb4, &[], &[]], PixelFormat::Rgba8);
        check([&bgr4, &[], &[]], PixelFormat::Bgra8);
        check([&of(&[0]), &of(&[1]), &of(&[2])], PixelFormat::Rgb8Planar);
        let gray = |format: PixelFormat, bytes: &[u8]| {
            let view = ImageView::new(bytes, 1, 1, 4, format).unwrap();
            let mut value = 0.0;
            view.for_each_value(0, 1, |_, v| value = v);
            value
        };
        for v in 0..=255u8 {
            assert_eq!(gray(PixelFormat::Gray16, &(u16::from(v) * 257).to_ne_bytes()), f32::from(v));
        }
        assert_eq!(gray(PixelFormat::Grayf32, &0.5f32.to_ne_bytes()), 127.5);
    }
}
