//! Pixel formats.

/// Pixel formats. The numbers are part of the C ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum PixelFormat {
    /// One byte per pixel: grey.
    Gray8 = 0,
    /// Three bytes per pixel: red, green, blue.
    Rgb8 = 1,
    /// Three bytes per pixel: blue, green, red (the order of OpenCV and Windows).
    Bgr8 = 2,
    /// One unsigned 16-bit number per pixel, in the machine's byte order. 65535 is white unless `significant_bits` is
    /// set.
    Gray16 = 3,
    /// Four bytes per pixel: red, green, blue, and a fourth that is ignored.
    Rgba8 = 4,
    /// Four bytes per pixel: blue, green, red, and a fourth that is ignored.
    Bgra8 = 5,
    /// One 32-bit float per pixel, in the machine's byte order. 0 is black and 1 is white; values outside this range
    /// are not clamped. All values must be finite, and none beyond 1e9 or -1e9.
    Grayf32 = 6,
    /// Three planes of one byte per pixel: red, green, blue (the layout of HALCON).
    Rgb8Planar = 7,
}

impl PixelFormat {
    /// All formats. (A constant would end up in the C header.)
    pub fn all() -> [Self; 8] {
        use PixelFormat::*;
        [Gray8, Rgb8, Bgr8, Gray16, Rgba8, Bgra8, Grayf32, Rgb8Planar]
    }

    /// Bytes from one pixel to the next in a plane.
    pub fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Gray8 | Self::Rgb8Planar => 1,
            Self::Gray16 => 2,
            Self::Rgb8 | Self::Bgr8 => 3,
            Self::Rgba8 | Self::Bgra8 | Self::Grayf32 => 4,
        }
    }

    /// Byte offsets of red, green and blue within a pixel of their plane.
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

    /// Whether a pixel is a single grey value.
    pub fn is_gray(self) -> bool {
        matches!(self, Self::Gray8 | Self::Gray16 | Self::Grayf32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_formats_are_listed_by_their_number() {
        let numbers: Vec<i32> = PixelFormat::all().iter().map(|format| *format as i32).collect();
        assert_eq!(numbers, (0..8).collect::<Vec<_>>());
    }
}
