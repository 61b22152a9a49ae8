//! Borrowed views of the caller's images: any stride, no copy, validated once.

use super::{MaskView, PixelFormat, Rectangle};
use crate::error::{Error, Result, Status};
use crate::exec::memory::try_vec;

/// Maximum width and height of an image in pixels.
pub const MAX_SIDE: usize = 65_535;

/// A view of an image in the caller's memory; row `y` of a plane starts `y * stride` bytes after its first pixel.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    planes: [&'a [u8]; 3],
    width: usize,
    height: usize,
    stride: usize,
    format: PixelFormat,
    significant_bits: u32,
    mask: Option<MaskView<'a>>,
    roi: Option<Rectangle>,
}

impl<'a> ImageView<'a> {
    /// A view of `height` rows of `width` pixels, `stride` bytes apart. Sides go from 1 to [`MAX_SIDE`]; the last row
    /// need not be padded to the stride.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when size, stride and length of `data` are inconsistent.
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
        Ok(Self { planes, width, height, stride, format, significant_bits: 16, mask: None, roi: None })
    }

    /// Adds a mask. Excluded pixels are ignored and not scored.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when the mask has another size.
    pub fn with_mask(mut self, mask: MaskView<'a>) -> Result<Self> {
        check_mask_size(mask.size(), (self.width, self.height))?;
        self.mask = Some(mask);
        Ok(self)
    }

    /// Adds a rectangular region of interest. Pixels outside are ignored and not scored. With a mask as well, a pixel
    /// must be included by both.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when the rectangle is empty or does not lie inside the image.
    pub fn with_roi(mut self, roi: Rectangle) -> Result<Self> {
        roi.check_inside(self.width, self.height)?;
        self.roi = Some(roi);
        Ok(self)
    }

    /// Sets the number of significant bits of a GRAY16 image, 8 to 16: white is `2^bits - 1` instead of 65535. A higher
    /// value is an error when the image is used.
    ///
    /// Shifting 10- or 12-bit values up to 16 bits instead gives values that are smaller by a factor of at most
    /// `1 - 2^-bits`, a quarter of a grey level of 255 at 10 bits.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] for another number or format.
    pub fn with_significant_bits(mut self, bits: u32) -> Result<Self> {
        if self.format != PixelFormat::Gray16 {
            let message = format!("significant bits require a Gray16 image, but this one is {:?}", self.format);
            return Err(Error::new(Status::InvalidImage, message));
        }
        if !(8..=16).contains(&bits) {
            let message = format!("the number of significant bits is {bits}, but must be 8 to 16");
            return Err(Error::new(Status::InvalidImage, message));
        }
        self.significant_bits = bits;
        Ok(self)
    }

    /// The mask, if there is one.
    pub fn mask(&self) -> Option<MaskView<'a>> {
        self.mask
    }

    /// The rectangular region of interest, if there is one.
    pub fn roi(&self) -> Option<Rectangle> {
        self.roi
    }

    /// The number of significant bits of a GRAY16 image: 16 unless set by [`ImageView::with_significant_bits`].
    pub fn significant_bits(&self) -> u32 {
        self.significant_bits
    }

    /// The bytes of a plane from the first pixel to the end of the last, after checking the geometry.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] for a side of zero or above [`MAX_SIDE`], a stride shorter than a row, or more bytes than a
    /// slice may have (`isize::MAX`).
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
        let bytes = stride.checked_mul(height - 1).and_then(|n| n.checked_add(row));
        bytes.filter(|bytes| *bytes <= isize::MAX as usize).ok_or_else(|| {
            let message = format!("a stride of {stride} bytes over {height} rows exceeds the address space");
            Error::new(Status::InvalidImage, message)
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

    /// The pixel format.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// The bytes of row `y` of a plane, without padding.
    pub fn row(&self, plane: usize, y: usize) -> &'a [u8] {
        &self.planes[plane][y * self.stride..][..self.width * self.format.bytes_per_pixel()]
    }

    /// Divisor that scales the values of a GRAY16 image to 0 to 255. For 16 bits it is 257, which restores a widened
    /// byte exactly.
    pub(crate) fn gray16_divisor(&self) -> f32 {
        ((1u32 << self.significant_bits) - 1) as f32 / 255.0
    }

    /// Writes row `y` as red, green and blue bytes for display. Values outside black and white are clamped.
    pub fn write_rgb(&self, y: usize, pixels: &mut [u8]) {
        let (step, divisor) = (self.format.bytes_per_pixel(), self.gray16_divisor());
        for channel in 0..3 {
            let row = self.row(if self.format.planes() == 3 { channel } else { 0 }, y);
            let offset = self.format.channel_offsets()[channel];
            for (pixel, bytes) in pixels.chunks_exact_mut(3).zip(row.chunks_exact(step)) {
                pixel[channel] = match self.format {
                    PixelFormat::Gray16 => (f32::from(u16::from_ne_bytes([bytes[0], bytes[1]])) / divisor) as u8,
                    PixelFormat::Grayf32 => {
                        (f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) * 255.0) as u8
                    }
                    _ => bytes[offset],
                };
            }
        }
    }

    /// A copy as red, green and blue bytes, see [`ImageView::write_rgb`].
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn to_rgb(&self) -> Result<Vec<u8>> {
        let mut rgb = try_vec(3 * self.width * self.height, 0u8)?;
        rgb.chunks_exact_mut(3 * self.width).enumerate().for_each(|(y, pixels)| self.write_rgb(y, pixels));
        Ok(rgb)
    }
}

/// Checks that a mask has the size of its image.
///
/// # Errors
/// [`Status::InvalidImage`].
pub fn check_mask_size(mask: (usize, usize), image: (usize, usize)) -> Result<()> {
    if mask == image {
        return Ok(());
    }
    let ((a, b), (c, d)) = (mask, image);
    let message = format!("the mask has {a} x {b} pixels, but the image has {c} x {d}; they must be equal");
    Err(Error::new(Status::InvalidImage, message))
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
    fn extents_end_where_slices_do() {
        let longest = isize::MAX as usize;
        let bytes = |stride| ImageView::required_bytes(4, 2, stride, PixelFormat::Gray8);
        assert_eq!(bytes(longest - 4).unwrap(), longest);
        for stride in [longest - 3, usize::MAX - 4, usize::MAX] {
            let error = bytes(stride).unwrap_err();
            assert!(error.status() == Status::InvalidImage && error.message().contains("address space"), "{error}");
        }
        let mask = MaskView::new(&[0; 8], 4, 2, longest - 3).unwrap_err();
        assert!(mask.message().starts_with("the mask: ") && mask.message().contains("address space"), "{mask}");
    }

    #[test]
    fn copies_skip_the_padding_and_mean_the_same_in_every_format() {
        let short: Vec<u8> = (0..20).collect();
        assert!(ImageView::new(&short, 2, 3, 8, PixelFormat::Rgb8).is_err(), "two strides and four bytes, not six");
        assert!(ImageView::new(&short, 2, 2, 8, PixelFormat::Rgb8Planar).is_err(), "planes come as three");
        let rgb = [[10u8, 20, 30], [40, 50, 60], [70, 80, 90], [100, 110, 120]];
        let of = |order: &[usize]| -> Vec<u8> {
            let row = |row: &[[u8; 3]]| row.iter().flat_map(|p| order.iter().map(|&c| p[c])).collect::<Vec<u8>>();
            let mut bytes = row(&rgb[..2]);
            bytes.resize(8, 0);
            bytes.extend(row(&rgb[2..]));
            bytes
        };
        let check = |planes: [&[u8]; 3], format: PixelFormat| {
            let view = ImageView::from_planes(planes, 2, 2, 8, format).unwrap();
            assert_eq!(view.to_rgb().unwrap(), rgb.concat(), "{format:?}");
        };
        check([&of(&[0, 1, 2]), &[], &[]], PixelFormat::Rgb8);
        check([&of(&[2, 1, 0]), &[], &[]], PixelFormat::Bgr8);
        check([&of(&[0, 1, 2, 0]), &[], &[]], PixelFormat::Rgba8);
        check([&of(&[2, 1, 0, 0]), &[], &[]], PixelFormat::Bgra8);
        check([&of(&[0]), &of(&[1]), &of(&[2])], PixelFormat::Rgb8Planar);
        let gray =
            |format: PixelFormat, bytes: &[u8]| ImageView::new(bytes, 1, 1, 4, format).unwrap().to_rgb().unwrap();
        for v in 0..=255u8 {
            assert_eq!(gray(PixelFormat::Gray16, &(u16::from(v) * 257).to_ne_bytes()), [v; 3]);
        }
        assert_eq!(gray(PixelFormat::Grayf32, &0.5f32.to_ne_bytes()), [127; 3]);
        assert_eq!(gray(PixelFormat::Grayf32, &2f32.to_ne_bytes()), [255; 3]);
    }

    #[test]
    fn significant_bits_scale_gray16_alone() {
        let bytes = 1023u16.to_ne_bytes();
        let view = ImageView::new(&bytes, 1, 1, 2, PixelFormat::Gray16).unwrap();
        assert_eq!(view.to_rgb().unwrap(), [3; 3]);
        assert_eq!(view.with_significant_bits(10).unwrap().to_rgb().unwrap(), [255; 3]);
        for bits in [0, 7, 17] {
            let error = view.with_significant_bits(bits).unwrap_err();
            assert!(error.status() == Status::InvalidImage && error.message().contains("8 to 16"), "{error}");
        }
        let gray8 = ImageView::new(&bytes, 1, 1, 1, PixelFormat::Gray8).unwrap();
        assert_eq!(gray8.with_significant_bits(10).unwrap_err().status(), Status::InvalidImage);
    }

    #[test]
    fn regions_of_interest_must_fit_the_image() {
        let bytes = [0u8; 64];
        let view = ImageView::new(&bytes, 8, 8, 8, PixelFormat::Gray8).unwrap();
        let roi = Rectangle { x: 1, y: 2, width: 7, height: 6 };
        assert_eq!(view.with_roi(roi).unwrap().roi(), Some(roi));
        assert!(view.with_roi(Rectangle { height: 7, ..roi }).is_err());
    }
}
