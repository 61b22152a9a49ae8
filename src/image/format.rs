//! How pixels lie in memory.

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
    /// One 16-bit number a pixel, in the machine's byte order; 65535 is white, or what the significant bits say.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_formats_are_listed_by_their_number() {
        let numbers: Vec<i32> = PixelFormat::all().iter().map(|format| *format as i32).collect();
        assert_eq!(numbers, (0..8).collect::<Vec<_>>());
    }
}
