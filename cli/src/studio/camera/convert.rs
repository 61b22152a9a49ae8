//! Conversion of cameras' pixels to pictures.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, ImageReader};

use crate::jpeg;
use crate::picture::Picture;
use npad::image::PixelFormat;

/// How the pixels of a frame lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One byte per pixel.
    Gray8,
    /// Two bytes per pixel, the lower one first, of which the lower `bits` bits, 8 to 16, are used.
    Gray16 { bits: u32 },
    /// Red, green, blue.
    Rgb8,
    /// Blue, green, red.
    Bgr8,
    /// One byte per pixel behind a colour filter of 2 by 2 pixels, with red at this column and row, 0 or 1, and blue
    /// diagonal to it.
    Bayer8 { red_x: usize, red_y: usize },
    /// A pair of pixels in four bytes: their luma, and one pair of chroma between (`luma_first`) or before them, by
    /// ITU-R BT.601. Luma is from 16 to 235 unless `full_range`.
    Yuv422 { luma_first: bool, full_range: bool },
}

impl Layout {
    /// Bytes of a row without padding.
    pub fn row_bytes(self, width: usize) -> usize {
        match self {
            Self::Gray8 | Self::Bayer8 { .. } => width,
            Self::Gray16 { .. } => width * 2,
            Self::Rgb8 | Self::Bgr8 => width * 3,
            Self::Yuv422 { .. } => width.div_ceil(2) * 4,
        }
    }
}

/// A frame as the camera delivers it.
pub struct Raw<'a> {
    pub data: &'a [u8],
    pub width: usize,
    pub height: usize,
    /// Bytes from row to row.
    pub stride: usize,
    pub layout: Layout,
}

impl Raw<'_> {
    /// Converts the frame. Grey values are scaled to 16 bits with 65535 for white, colours behind a filter are
    /// interpolated bilinearly.
    ///
    /// # Errors
    /// What is wrong with the frame, when it is smaller than its size says.
    pub fn to_picture(&self) -> Result<Picture, String> {
        let (width, height) = (self.width, self.height);
        let row_bytes = self.layout.row_bytes(width);
        let least = if matches!(self.layout, Layout::Bayer8 { .. }) { 2 } else { 1 };
        if width < least || height < least || self.stride < row_bytes {
            return Err(format!("{width} x {height} pixels with rows of {} bytes is no size of a frame", self.stride));
        }
        let expected = (height - 1).checked_mul(self.stride).and_then(|bytes| bytes.checked_add(row_bytes));
        if expected.is_none_or(|expected| self.data.len() < expected) {
            let (got, stride) = (self.data.len(), self.stride);
            return Err(format!("{got} bytes came, too few for {width} x {height} pixels with rows of {stride} bytes"));
        }
        let rows = self.data.chunks(self.stride).take(height).map(|row| &row[..row_bytes]);
        let (format, pixels) = match self.layout {
            Layout::Gray8 => (PixelFormat::Gray8, rows.flatten().copied().collect()),
            Layout::Gray16 { bits } => (PixelFormat::Gray16, rows.flat_map(|row| gray16(row, bits)).collect()),
            Layout::Rgb8 => (PixelFormat::Rgb8, rows.flatten().copied().collect()),
            Layout::Bgr8 => {
                let reversed = rows.flat_map(|row| row.chunks_exact(3)).flat_map(|v| [v[2], v[1], v[0]]);
                (PixelFormat::Rgb8, reversed.collect())
            }
            Layout::Bayer8 { red_x, red_y } => (PixelFormat::Rgb8, self.demosaic(red_x, red_y)),
            Layout::Yuv422 { luma_first, full_range } => {
                let mut pixels = Vec::with_capacity(width * height * 3);
                for row in rows {
                    let colours = row.chunks_exact(4).flat_map(|pair| yuv_pair(pair, luma_first, full_range));
                    pixels.extend(colours.take(width).flatten());
                }
                (PixelFormat::Rgb8, pixels)
            }
        };
        Ok(Picture { width, height, format, pixels })
    }

    fn demosaic(&self, red_x: usize, red_y: usize) -> Vec<u8> {
        let (width, height) = (self.width, self.height);
        let mut pixels = Vec::with_capacity(width * height * 3);
        let row_at = |y: usize| &self.data[y * self.stride..][..width];
        // Rows and columns beyond an edge are those on its other side, which have the same colours.
        let neighbours = |i: usize, n: usize| (if i == 0 { 1 } else { i - 1 }, if i + 1 == n { n - 2 } else { i + 1 });
        for y in 0..height {
            let (above, below) = neighbours(y, height);
            let (above, row, below) = (row_at(above), row_at(y), row_at(below));
            let red_row = y % 2 == red_y;
            for x in 0..width {
                let (left, right) = neighbours(x, width);
                let at = |row: &[u8], x: usize| u32::from(row[x]);
                let across = at(row, left) + at(row, right);
                let along = at(above, x) + at(below, x);
                let own = row[x];
                // Of a red row's pixels every other one is red, of a blue row's every other one blue.
                let (row_colour, green, other_colour) = if (x % 2 == red_x) == red_row {
                    let diagonal = at(above, left) + at(above, right) + at(below, left) + at(below, right);
                    (own, ((across + along + 2) / 4) as u8, ((diagonal + 2) / 4) as u8)
                } else {
                    (across.div_ceil(2) as u8, own, along.div_ceil(2) as u8)
                };
                let rgb = [row_colour, green, other_colour];
                pixels.extend(if red_row { rgb } else { [rgb[2], rgb[1], rgb[0]] });
            }
        }
        pixels
    }
}

/// Scales by repeating the upper bits below, so that the largest value becomes 65535.
fn gray16(row: &[u8], bits: u32) -> impl Iterator<Item = u8> + '_ {
    let largest = (1 << bits) - 1;
    row.chunks_exact(2).flat_map(move |v| {
        let value = u32::from(u16::from_le_bytes([v[0], v[1]])).min(largest);
        let scaled = value << (16 - bits) | value >> (2 * bits - 16);
        (scaled as u16).to_ne_bytes()
    })
}

/// The colours of two pixels.
fn yuv_pair(pair: &[u8], luma_first: bool, full_range: bool) -> [[u8; 3]; 2] {
    let at = |i: usize| i32::from(pair[i]);
    let (lumas, u, v) = if luma_first { ([at(0), at(2)], at(1), at(3)) } else { ([at(1), at(3)], at(0), at(2)) };
    let (u, v) = (u - 128, v - 128);
    // The coefficients of BT.601 in units of 2^-16.
    let (black, luma, red_v, green_u, green_v, blue_u) = if full_range {
        (0, 65_536, 91_881, 22_554, 46_802, 116_130)
    } else {
        (16, 76_309, 104_597, 25_675, 53_279, 132_201)
    };
    lumas.map(|y| {
        let y = (y - black) * luma + 32_768;
        [y + red_v * v, y - green_u * u - green_v * v, y + blue_u * u].map(|v| (v >> 16).clamp(0, 255) as u8)
    })
}

/// Decodes a frame of a camera that compresses to JPEG.
///
/// # Errors
/// What is wrong with the frame.
pub fn decode_jpeg(data: &[u8]) -> Result<Picture, String> {
    if jpeg::is_truncated(data) {
        return Err("its JPEG data ends early".into());
    }
    // A webcam may leave out the Huffman tables, which are then the standard's. The decoder knows them, but takes them
    // only for a frame of an AVI file, which this segment says that it is.
    const OF_AVI: &[u8] = b"\xFF\xE0\0\x10AVI1\0\0\0\0\0\0\0\0\0\0";
    let completed;
    let data = match data.split_at_checked(2) {
        Some((start, rest)) if !has_huffman_tables(rest) => {
            completed = [start, OF_AVI, rest].concat();
            &completed
        }
        _ => data,
    };
    let decoded = ImageReader::with_format(Cursor::new(data), ImageFormat::Jpeg).decode();
    let decoded = decoded.map_err(|e| format!("its JPEG data cannot be decoded: {e}"))?;
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let (format, pixels) = match decoded {
        DynamicImage::ImageLuma8(gray) => (PixelFormat::Gray8, gray.into_raw()),
        other => (PixelFormat::Rgb8, other.into_rgb8().into_raw()),
    };
    Ok(Picture { width, height, format, pixels })
}

/// Whether there is a Huffman table among the segments before the first scan.
fn has_huffman_tables(mut segments: &[u8]) -> bool {
    while let [0xFF, marker, high, low, ..] = *segments {
        match marker {
            0xC4 => return true,
            0xDA => return false,
            _ => {}
        }
        let length = usize::from(high) << 8 | usize::from(low);
        segments = segments.get(2 + length..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes without a pattern.
    fn noise(length: usize) -> Vec<u8> {
        (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    const LAYOUTS: [Layout; 11] = [
        Layout::Gray8,
        Layout::Gray16 { bits: 10 },
        Layout::Gray16 { bits: 16 },
        Layout::Rgb8,
        Layout::Bgr8,
        Layout::Bayer8 { red_x: 0, red_y: 0 },
        Layout::Bayer8 { red_x: 1, red_y: 0 },
        Layout::Bayer8 { red_x: 0, red_y: 1 },
        Layout::Bayer8 { red_x: 1, red_y: 1 },
        Layout::Yuv422 { luma_first: true, full_range: false },
        Layout::Yuv422 { luma_first: false, full_range: true },
    ];

    /// The colour at a pixel, from its definition.
    fn expected(raw: &Raw, x: usize, y: usize) -> Vec<u8> {
        let row = &raw.data[y * raw.stride..];
        match raw.layout {
            Layout::Gray8 => vec![row[x]],
            Layout::Gray16 { bits } => {
                let white = (1u32 << bits) - 1;
                let value = (u32::from(row[2 * x]) | u32::from(row[2 * x + 1]) << 8).min(white);
                let digits = format!("{value:0width$b}", width = bits as usize).repeat(2);
                u16::from_str_radix(&digits[..16], 2).unwrap().to_ne_bytes().to_vec()
            }
            Layout::Rgb8 => row[3 * x..3 * x + 3].to_vec(),
            Layout::Bgr8 => [2, 1, 0].map(|i| row[3 * x + i]).to_vec(),
            Layout::Bayer8 { red_x, red_y } => {
                // A colour is the mean of the pixels that have it, among the pixel itself or else its neighbours, which
                // are mirrored at the edges.
                let colour = |x: usize, y: usize| usize::from(x % 2 != red_x) + usize::from(y % 2 != red_y);
                let mean = |wanted: usize| {
                    if colour(x, y) == wanted {
                        return row[x];
                    }
                    let near = |i: usize, n: usize| [i.abs_diff(1), i, n - 1 - (n - 1 - i).abs_diff(1)];
                    let places = near(y, raw.height).into_iter().flat_map(|y| near(x, raw.width).map(move |x| (x, y)));
                    let values: Vec<f64> = places
                        .filter(|(x, y)| colour(*x, *y) == wanted)
                        .map(|(x, y)| raw.data[y * raw.stride + x].into())
                        .collect();
                    (values.iter().sum::<f64>() / values.len() as f64 + 0.5).floor() as u8
                };
                [0, 1, 2].map(mean).to_vec()
            }
            Layout::Yuv422 { luma_first, full_range } => {
                let at = |i: usize| f64::from(row[x / 2 * 4 + i]);
                let (luma, u, v) = if luma_first {
                    (at(x % 2 * 2), at(1) - 128.0, at(3) - 128.0)
                } else {
                    (at(x % 2 * 2 + 1), at(0) - 128.0, at(2) - 128.0)
                };
                let (y, c) = if full_range { (luma, 1.0) } else { ((luma - 16.0) * 255.0 / 219.0, 255.0 / 224.0) };
                let (r, b) = (y + 1.402 * c * v, y + 1.772 * c * u);
                let g = (y - 0.299 * r - 0.114 * b) / 0.587;
                [r, g, b].map(|v| v.round().clamp(0.0, 255.0) as u8).to_vec()
            }
        }
    }

    #[test]
    fn pixels_become_what_their_definition_says() {
        for layout in LAYOUTS {
            for (width, height, padding) in [(2, 2, 0), (3, 2, 1), (7, 5, 3), (16, 9, 0), (5, 64, 2)] {
                let stride = layout.row_bytes(width) + padding;
                // The last row's padding is missing, as some cameras have it.
                let data = noise(stride * height - padding);
                let raw = Raw { data: &data, width, height, stride, layout };
                let picture = raw.to_picture().unwrap();
                assert_eq!((picture.width, picture.height), (width, height));
                let bytes = picture.format.bytes_per_pixel();
                assert_eq!(picture.pixels.len(), width * height * bytes);
                for (i, pixel) in picture.pixels.chunks_exact(bytes).enumerate() {
                    let wanted = expected(&raw, i % width, i / width);
                    let tolerance = u8::from(matches!(layout, Layout::Yuv422 { .. }));
                    let close = pixel.iter().zip(&wanted).all(|(a, b)| a.abs_diff(*b) <= tolerance);
                    assert!(close && pixel.len() == wanted.len(), "{layout:?} {i}: {pixel:?}, not {wanted:?}");
                }
            }
        }
    }

    #[test]
    fn black_and_white_keep_the_ends_of_the_scale() {
        for bits in [8, 10, 12, 14, 16] {
            let white = u16::MAX >> (16 - bits);
            let data = [0, white].map(u16::to_le_bytes).concat();
            let raw = Raw { data: &data, width: 2, height: 1, stride: 4, layout: Layout::Gray16 { bits } };
            assert_eq!(raw.to_picture().unwrap().pixels, [0, 0, 255, 255], "{bits}");
        }
        for (full_range, black, white) in [(false, 16, 235), (true, 0, 255)] {
            let layout = Layout::Yuv422 { luma_first: true, full_range };
            let raw = Raw { data: &[black, 128, white, 128], width: 2, height: 1, stride: 4, layout };
            assert_eq!(raw.to_picture().unwrap().pixels, [0, 0, 0, 255, 255, 255]);
        }
    }

    #[test]
    fn frames_that_are_too_small_are_told() {
        for layout in LAYOUTS {
            let stride = layout.row_bytes(4);
            let data = noise(stride * 3);
            let whole = Raw { data: &data, width: 4, height: 3, stride, layout };
            assert!(whole.to_picture().is_ok());
            for length in [0, 1, stride, data.len() - 1] {
                assert!(Raw { data: &data[..length], ..whole }.to_picture().is_err(), "{layout:?} {length}");
            }
            for (width, height) in [(0, 3), (4, 0), (usize::MAX / 8, 2), (4, usize::MAX)] {
                assert!(Raw { width, height, ..whole }.to_picture().is_err(), "{layout:?} {width} {height}");
            }
        }
    }

    #[test]
    fn jpeg_frames_are_decoded_also_without_their_huffman_tables() {
        let gray = image::GrayImage::from_fn(32, 24, |x, y| image::Luma([(x * 4 + y * 3) as u8]));
        let mut file = Vec::new();
        gray.write_to(&mut Cursor::new(&mut file), ImageFormat::Jpeg).unwrap();
        let picture = decode_jpeg(&file).unwrap();
        assert_eq!((picture.width, picture.height, picture.format), (32, 24, PixelFormat::Gray8));
        for length in [0, 1, 100, file.len() - 2] {
            assert!(decode_jpeg(&file[..length]).is_err(), "{length}");
        }
        // Webcams leave out the tables, which are then the standard's, and fill up behind the image.
        let mut at = 2;
        let mut without = file[..2].to_vec();
        while file[at + 1] != 0xDA {
            let end = at + 2 + (usize::from(file[at + 2]) << 8 | usize::from(file[at + 3]));
            if file[at + 1] != 0xC4 {
                without.extend(&file[at..end]);
            }
            at = end;
        }
        assert!(at > 2 && without.len() < at);
        without.extend(&file[at..]);
        without.extend([0; 40]);
        assert_eq!(decode_jpeg(&without).unwrap().pixels, picture.pixels);
        let colour = image::RgbImage::from_pixel(8, 8, image::Rgb([200, 30, 10]));
        let mut file = Vec::new();
        colour.write_to(&mut Cursor::new(&mut file), ImageFormat::Jpeg).unwrap();
        let picture = decode_jpeg(&file).unwrap();
        assert_eq!(picture.format, PixelFormat::Rgb8);
        assert!(picture.pixels[0] > 190 && picture.pixels[1] < 40);
    }
}
