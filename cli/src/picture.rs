//! Decoding of image files.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use image::{DynamicImage, GrayImage, ImageFormat, ImageReader};
use tiff::decoder::{Decoder, DecodingResult, Limits};

use crate::jpeg;
use crate::output::file_error;
use npad::error::{Error, Result, Status};
use npad::image::{ImageView, PixelFormat};

/// Help text about image files.
pub const HELP: &str = "Image files are PNG, JPEG, BMP, TIFF and PNM. Grey images keep their depth: 8 bits, 16 bits \
                        or, in TIFF, 32-bit floats. White is 65535 in a 16-bit file, also where the camera delivers 10 \
                        or 12 bits (a PNM file states its own white), and 1.0 in a float file. Colour of 16 bits is \
                        rounded to 8 bits per channel. Alpha is ignored. A JPEG file without its end-of-image marker, which a \
                        file cut short lacks, is refused.";

/// The largest decoded image in bytes; the limit of the image crate for the formats that it reads.
const MAX_BYTES: usize = 512 << 20;

/// A decoded image. Grey images keep their depth (8 bits, 16 bits, floats); colour has 8 bits per channel, red first.
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The format of `pixels`, which have no padding.
    pub format: PixelFormat,
    /// The pixels, in the machine's byte order.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// Decodes an image file. Alpha is dropped. The library has no format for colour of 16 bits, so such values are
    /// rounded to the nearest of 8 bits: (v + 128) / 257.
    ///
    /// # Errors
    /// [`Status::NotFound`] when there is no such file, [`Status::Io`] when it cannot be read or decoded,
    /// [`Status::InvalidImage`] when it holds colours of floats that are not between 0 and 1.
    pub fn read(path: &Path) -> Result<Self> {
        let decoded = match decode(path)? {
            Decoded::GrayFloat(picture) => return Ok(picture),
            Decoded::Standard(decoded) => decoded,
        };
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        let (format, pixels) = if !decoded.color().has_color() {
            match decoded {
                DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_) => {
                    let values = decoded.into_luma16().into_raw();
                    (PixelFormat::Gray16, values.into_iter().flat_map(u16::to_ne_bytes).collect())
                }
                _ => (PixelFormat::Gray8, decoded.into_luma8().into_raw()),
            }
        } else {
            check_colour_floats(&decoded).map_err(|e| e.context(path.display()))?;
            (PixelFormat::Rgb8, decoded.into_rgb8().into_raw())
        };
        Ok(Self { width, height, format, pixels })
    }

    /// Decodes a mask: 0 where the file is black, 255 everywhere else.
    ///
    /// # Errors
    /// As [`Picture::read`].
    pub fn read_mask(path: &Path) -> Result<Self> {
        // Sixteen bits, so that only black becomes black.
        let gray = decode(path)?.standard(path)?.into_luma16();
        let (width, height) = (gray.width() as usize, gray.height() as usize);
        let pixels = gray.into_raw().into_iter().map(|v| if v == 0 { 0 } else { 255 }).collect();
        Ok(Self { width, height, format: PixelFormat::Gray8, pixels })
    }

    /// A view for npad.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when a side is too long.
    pub fn view(&self) -> Result<ImageView<'_>> {
        let stride = self.width * self.format.bytes_per_pixel();
        ImageView::new(&self.pixels, self.width, self.height, stride, self.format)
    }
}

/// Decodes an image file as grey values of 8 bits.
///
/// # Errors
/// [`Status::NotFound`] when there is no such file, [`Status::Io`] when it cannot be read or decoded.
pub fn read_gray8(path: &Path) -> Result<GrayImage> {
    Ok(decode(path)?.standard(path)?.into_luma8())
}

/// Maximum number of decoded images that wait.
const AHEAD: usize = 4;

/// Decodes files in their order and hands each to `each` with its number; the next ones are decoded in parallel.
///
/// # Errors
/// The first one of `each`.
pub fn read_ahead<'a>(
    files: impl Iterator<Item = &'a PathBuf> + Send,
    mut each: impl FnMut(usize, &Path, Result<Picture>) -> Result<()>,
) -> Result<()> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || {
            // Sending fails once `each` has failed.
            files.map(|path| (path, Picture::read(path))).all(|picture| sender.send(picture).is_ok())
        });
        receiver.into_iter().enumerate().try_for_each(|(number, (path, picture))| each(number, path, picture))
    })
}

enum Decoded {
    /// An image that the image crate decodes, including colours of floats.
    Standard(DynamicImage),
    /// Grey floats, which the image crate does not decode.
    GrayFloat(Picture),
}

impl Decoded {
    fn standard(self, path: &Path) -> Result<DynamicImage> {
        match self {
            Self::Standard(decoded) => Ok(decoded),
            Self::GrayFloat(_) => {
                let message = format!("{}: a mask has 8 or 16 bits per pixel, not floats", path.display());
                Err(Error::new(Status::InvalidImage, message))
            }
        }
    }
}

fn decode(path: &Path) -> Result<Decoded> {
    const ACTION: &str = "cannot read the image";
    let failed = |e: &dyn std::fmt::Display| Error::new(Status::Io, format!("{ACTION} {}: {e}", path.display()));
    // The format is detected from the contents, since wrong extensions are common.
    let reader =
        ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|e| file_error(ACTION, path, &e))?;
    let format = reader.format();
    if !matches!(format, Some(ImageFormat::Jpeg | ImageFormat::Tiff)) {
        return Ok(Decoded::Standard(reader.decode().map_err(|e| failed(&e))?));
    }
    let mut file = reader.into_inner();
    if format == Some(ImageFormat::Jpeg) {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|e| failed(&e))?;
        if jpeg::is_truncated(&bytes) {
            return Err(failed(&"the file is truncated, its end-of-image marker is missing: copy or record it again"));
        }
        let reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Jpeg);
        return Ok(Decoded::Standard(reader.decode().map_err(|e| failed(&e))?));
    }
    if let Some(picture) = decode_float_tiff(&mut file).map_err(|e| failed(&e))? {
        return Ok(Decoded::GrayFloat(picture));
    }
    file.rewind().map_err(|e| failed(&e))?;
    let reader = ImageReader::with_format(file, ImageFormat::Tiff);
    Ok(Decoded::Standard(reader.decode().map_err(|e| failed(&e))?))
}

/// Decodes a TIFF file of grey 32-bit floats; none for other TIFF files.
fn decode_float_tiff(file: &mut BufReader<File>) -> tiff::TiffResult<Option<Picture>> {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MAX_BYTES;
    let mut decoder = Decoder::new(file)?.with_limits(limits);
    if decoder.colortype()? != tiff::ColorType::Gray(32) {
        return Ok(None);
    }
    let (width, height) = decoder.dimensions()?;
    let DecodingResult::F32(values) = decoder.read_image()? else { return Ok(None) };
    Ok(Some(Picture {
        width: width as usize,
        height: height as usize,
        format: PixelFormat::Grayf32,
        pixels: values.into_iter().flat_map(f32::to_ne_bytes).collect(),
    }))
}

/// Checks that float colours are from 0 to 1, since they are converted to 8 bits per channel.
fn check_colour_floats(decoded: &DynamicImage) -> Result<()> {
    let values: &[f32] = match decoded {
        DynamicImage::ImageRgb32F(image) => image.as_raw(),
        DynamicImage::ImageRgba32F(image) => image.as_raw(),
        _ => return Ok(()),
    };
    let Some(value) = values.iter().find(|v| !(0.0..=1.0).contains(*v)) else { return Ok(()) };
    let message =
        format!("the colours of a float image must be from 0 (black) to 1 (white), but one is {value}: scale them");
    Err(Error::new(Status::InvalidImage, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageBuffer, Luma, LumaA, Rgb, Rgba};
    use tiff::encoder::{TiffEncoder, colortype};

    fn in_folder(check: impl FnOnce(&Path)) {
        check(tempfile::tempdir().unwrap().path());
    }

    fn values16(picture: &Picture) -> Vec<u16> {
        assert_eq!(picture.format, PixelFormat::Gray16);
        picture.pixels.chunks_exact(2).map(|v| u16::from_ne_bytes([v[0], v[1]])).collect()
    }

    #[test]
    fn grey_of_sixteen_bits_stays_what_it_is() {
        in_folder(|folder| {
            let expected = [0u16, 1, 256, 4095, 40_000, 65_535];
            let gray = ImageBuffer::<Luma<u16>, _>::from_raw(3, 2, expected.to_vec()).unwrap();
            for name in ["gray.png", "gray.tif", "gray.pgm"] {
                let path = folder.join(name);
                gray.save(&path).unwrap();
                let picture = Picture::read(&path).unwrap();
                assert_eq!((picture.width, picture.height), (3, 2));
                assert_eq!(values16(&picture), expected, "{name}");
            }
            let with_alpha: Vec<u16> = expected.iter().flat_map(|v| [*v, 77]).collect();
            let path = folder.join("alpha.png");
            ImageBuffer::<LumaA<u16>, _>::from_raw(3, 2, with_alpha).unwrap().save(&path).unwrap();
            assert_eq!(values16(&Picture::read(&path).unwrap()), expected);
        });
    }

    #[test]
    fn a_pnm_file_states_its_own_white() {
        in_folder(|folder| {
            let path = folder.join("twelve.pgm");
            std::fs::write(&path, b"P5\n2 1\n4095\n\x0f\xff\x00\x00").unwrap();
            assert_eq!(values16(&Picture::read(&path).unwrap()), [65_535, 0]);
        });
    }

    #[test]
    fn grey_floats_stay_what_they_are() {
        in_folder(|folder| {
            let (path, expected) = (folder.join("float.tiff"), [-0.5f32, 0.0, 0.123_456_79, 1.0, 255.0, 1e-9]);
            let mut encoder = TiffEncoder::new(File::create(&path).unwrap()).unwrap();
            encoder.write_image::<colortype::Gray32Float>(2, 3, &expected).unwrap();
            let picture = Picture::read(&path).unwrap();
            assert_eq!((picture.width, picture.height, picture.format), (2, 3, PixelFormat::Grayf32));
            let bytes: Vec<u8> = expected.into_iter().flat_map(f32::to_ne_bytes).collect();
            assert_eq!(picture.pixels, bytes);
            assert_eq!(Picture::read_mask(&path).err().unwrap().status(), Status::InvalidImage);
        });
    }

    #[test]
    fn colour_of_sixteen_bits_is_rounded_and_alpha_dropped() {
        in_folder(|folder| {
            let path = folder.join("rgb.png");
            let values: Vec<u16> = (0..=u16::MAX).step_by(5).collect();
            ImageBuffer::<Rgb<u16>, _>::from_raw(values.len() as u32 / 3, 1, values.clone())
                .unwrap()
                .save(&path)
                .unwrap();
            let picture = Picture::read(&path).unwrap();
            assert_eq!(picture.format, PixelFormat::Rgb8);
            for (value, rounded) in values.iter().zip(picture.pixels) {
                assert_eq!(u32::from(rounded), (u32::from(*value) + 128) / 257, "{value}");
            }
            let path = folder.join("rgba.png");
            ImageBuffer::<Rgba<u8>, _>::from_raw(1, 1, vec![10, 20, 30, 0]).unwrap().save(&path).unwrap();
            assert_eq!(Picture::read(&path).unwrap().pixels, [10, 20, 30]);
        });
    }

    #[test]
    fn colours_of_floats_must_be_from_zero_to_one() {
        in_folder(|folder| {
            let path = folder.join("colours.tif");
            let write =
                |values: Vec<f32>| ImageBuffer::<Rgb<f32>, _>::from_raw(1, 1, values).unwrap().save(&path).unwrap();
            write(vec![0.0, 0.5, 1.0]);
            assert_eq!(Picture::read(&path).unwrap().pixels, [0, 128, 255]);
            for wrong in [1.01, -0.1, f32::NAN] {
                write(vec![0.0, wrong, 1.0]);
                assert_eq!(Picture::read(&path).err().unwrap().status(), Status::InvalidImage, "{wrong}");
            }
        });
    }

    #[test]
    fn masks_are_black_or_not() {
        in_folder(|folder| {
            let path = folder.join("mask.png");
            ImageBuffer::<Luma<u16>, _>::from_raw(3, 1, vec![0u16, 1, 65_535]).unwrap().save(&path).unwrap();
            assert_eq!(Picture::read_mask(&path).unwrap().pixels, [0, 255, 255]);
        });
    }

    #[test]
    fn missing_files_and_broken_ones_are_told_apart() {
        in_folder(|folder| {
            let path = folder.join("image.png");
            assert_eq!(Picture::read(&path).err().unwrap().status(), Status::NotFound);
            for contents in [&b""[..], b"not an image", b"II*\0", b"\x89PNG\r\n\x1a\n"] {
                std::fs::write(&path, contents).unwrap();
                assert_eq!(Picture::read(&path).err().unwrap().status(), Status::Io, "{contents:?}");
            }
        });
    }

    #[test]
    fn a_truncated_file_is_an_error_in_every_format() {
        in_folder(|folder| {
            let pixels: Vec<u8> = (0..30 * 20 * 3u32).map(|i| (i * 7919 % 251) as u8).collect();
            for ending in ["png", "jpg", "bmp", "tif", "ppm"] {
                let path = folder.join("whole").with_extension(ending);
                image::save_buffer(&path, &pixels, 30, 20, ExtendedColorType::Rgb8).unwrap();
                let whole = std::fs::read(&path).unwrap();
                assert!(Picture::read(&path).is_ok());
                // The contents count, whatever the ending is. The last 4 bytes of a PNG file are the checksum of nothing.
                let cut = folder.join("cut.png");
                for length in (0..whole.len() - 4).step_by(7).chain([whole.len() - 5]) {
                    std::fs::write(&cut, &whole[..length]).unwrap();
                    let error = Picture::read(&cut).err().unwrap_or_else(|| panic!("{ending} cut to {length} bytes"));
                    assert_eq!(error.status(), Status::Io);
                    assert!(
                        ending != "jpg" || length < 3 || error.message().contains("truncated"),
                        "{length}: {error}"
                    );
                }
                std::fs::write(&cut, [&whole[..], b"appended"].concat()).unwrap();
                assert!(ending != "jpg" || Picture::read(&cut).is_ok());
            }
        });
    }
}
