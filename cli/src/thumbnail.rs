//! Pictures reduced to a size of the screen.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage, imageops};

use crate::dataset::GroundTruth;
use npad::error::{Error, Result, Status};

/// The longest side of a picture in a report, in pixels.
const SIDE: u32 = 300;
/// Quality of JPEG files.
const QUALITY: u8 = 82;
/// Colour of a mask's outline: red, green, blue.
const OUTLINE: [u8; 3] = [255, 0, 255];

/// Draws the mask's border into an RGB picture.
pub fn outline(pixels: &mut [u8], mask: &GroundTruth) {
    let line = 1 + mask.width.max(mask.height) / SIDE as usize;
    let (width, height) = (mask.width, mask.height);
    for at in (0..mask.pixels.len()).filter(|at| mask.pixels[*at]) {
        let (x, y) = (at % width, at / width);
        let outside = |u: usize, v: usize| u >= width || v >= height || !mask.pixels[v * width + u];
        let edge = (1..=line).any(|d| {
            outside(x + d, y) || outside(x, y + d) || x < d || y < d || outside(x - d, y) || outside(x, y - d)
        });
        if edge {
            pixels[3 * at..3 * at + 3].copy_from_slice(&OUTLINE);
        }
    }
}

/// Encodes a picture as a data URI, reduced to the display size of the report.
pub fn data_uri(pixels: Vec<u8>, width: usize, height: usize) -> Result<String> {
    let jpeg = jpeg(pixels, width, height, Some(SIDE))?;
    Ok(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)))
}

/// Encodes an RGB picture as a JPEG file, reduced to a longest side if one is given.
pub fn jpeg(pixels: Vec<u8>, width: usize, height: usize, longest: Option<u32>) -> Result<Vec<u8>> {
    let internal = |what: &dyn std::fmt::Display| Error::new(Status::Internal, format!("a picture for a page: {what}"));
    let image =
        RgbImage::from_raw(width as u32, height as u32, pixels).ok_or_else(|| internal(&"its size is wrong"))?;
    let scale = longest.map_or(1.0, |longest| f64::from(longest) / width.max(height) as f64);
    let image = if scale < 1.0 {
        let side = |length: usize| ((length as f64 * scale).round() as u32).max(1);
        imageops::resize(&image, side(width), side(height), imageops::FilterType::Triangle)
    } else {
        image
    };
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .write_image(&image, image.width(), image.height(), ExtendedColorType::Rgb8)
        .map_err(|e| internal(&e))?;
    Ok(jpeg)
}
