//! Pictures of results: the anomaly map over the image, and boxes around regions.

use super::{Heatmap, Region};
use crate::error::{Error, Result, Status};
use crate::exec::rows::{Rows, RowsMut, RowsOut};
use crate::image::{ImageView, PixelFormat};

/// The brightness of the boxes around regions: white.
const BOX: u8 = 255;

/// Draws the anomaly map and boxes around the regions over an image.
///
/// `map` has the image's size and `threshold` is the map's. `pixels` has the same number of rows, with three bytes per
/// pixel in the order of `format`, which is [`PixelFormat::Rgb8`] or [`PixelFormat::Bgr8`].
///
/// # Errors
/// [`Status::InvalidImage`] when the map has another size than the image; [`Status::InvalidArgument`] for another format or
/// rows of another size.
pub fn render(
    image: &ImageView<'_>,
    map: Rows<'_, f32>,
    regions: &[Region],
    threshold: f32,
    format: PixelFormat,
    pixels: RowsOut<'_, u8>,
) -> Result<()> {
    let (width, height) = (image.width(), image.height());
    if (map.width(), map.height()) != (width, height) {
        let message = format!(
            "the image has {width} x {height} pixels, but the anomaly map has {} x {}",
            map.width(),
            map.height()
        );
        return Err(Error::new(Status::InvalidImage, message));
    }
    if !matches!(format, PixelFormat::Rgb8 | PixelFormat::Bgr8) {
        let message = format!("the picture's pixel format is {format:?}, but must be Rgb8 or Bgr8");
        return Err(Error::new(Status::InvalidArgument, message));
    }
    if (pixels.width(), pixels.height()) != (3 * width, height) {
        let message = format!(
            "the picture needs {height} rows of {} bytes, but its buffer has {} rows of {}",
            3 * width,
            pixels.height(),
            pixels.width()
        );
        return Err(Error::new(Status::InvalidArgument, message));
    }
    let heatmap = Heatmap { threshold };
    let mut pixels = pixels.write(0, |y, row| {
        image.write_rgb(y, row);
        for (pixel, value) in row.chunks_exact_mut(3).zip(map.row(y)) {
            heatmap.blend(*value, pixel);
            if format == PixelFormat::Bgr8 {
                pixel.swap(0, 2);
            }
        }
    });
    regions.iter().for_each(|region| draw_box(&mut pixels, region));
    Ok(())
}

/// Draws a region's bounding box, enlarged by the line width, into rows of three bytes per pixel.
fn draw_box(pixels: &mut RowsMut<'_, u8>, region: &Region) {
    let (width, height) = (pixels.width() / 3, pixels.height());
    let line = 1 + width.max(height) / 400;
    let left = region.x.saturating_sub(line).min(width);
    let right = (region.x + region.width + line).min(width).max(left);
    let top = region.y.saturating_sub(line);
    let bottom = (region.y + region.height + line).min(height);
    for y in top..bottom {
        let row = &mut pixels.row_mut(y)[3 * left..3 * right];
        if y < top + line || y + line >= bottom {
            row.fill(BOX);
        } else {
            let side = (3 * line).min(row.len());
            let other = row.len() - side;
            row[..side].fill(BOX);
            row[other..].fill(BOX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: Region =
        Region { x: 4, y: 3, width: 3, height: 2, area: 6, centroid_x: 5.0, centroid_y: 3.5, peak: 9.0 };
    const SIZE: (usize, usize) = (10, 8);

    fn draw(format: PixelFormat, padding: usize, regions: &[Region]) -> Vec<u8> {
        let (width, height) = SIZE;
        let image: Vec<u8> = (0..3 * width * height).map(|i| (i * 5 % 251) as u8).collect();
        let view = ImageView::new(&image, width, height, 3 * width, PixelFormat::Rgb8).unwrap();
        let map: Vec<f32> = (0..width * height).map(|i| i as f32 / 10.0).collect();
        let map = Rows::from_slice(&map, width, height, width).unwrap();
        let stride = 3 * width + padding;
        let mut pixels = vec![77; stride * height];
        let out = RowsOut::from_slice(&mut pixels, 3 * width, height, stride).unwrap();
        render(&view, map, regions, 3.0, format, out).unwrap();
        pixels
    }

    #[test]
    fn both_orders_show_the_same_and_padding_stays() {
        let (rgb, bgr) = (draw(PixelFormat::Rgb8, 0, &[REGION]), draw(PixelFormat::Bgr8, 5, &[REGION]));
        for (rgb, bgr) in rgb.chunks_exact(30).zip(bgr.chunks_exact(35)) {
            let (bgr, padding) = bgr.split_at(30);
            assert_eq!(padding, [77; 5]);
            assert!(rgb.chunks(3).zip(bgr.chunks(3)).all(|(a, b)| a.iter().eq(b.iter().rev())));
        }
    }

    #[test]
    fn a_box_surrounds_its_region() {
        let (with, without) = (draw(PixelFormat::Rgb8, 0, &[REGION]), draw(PixelFormat::Rgb8, 0, &[]));
        for (at, (with, without)) in with.chunks(3).zip(without.chunks(3)).enumerate() {
            let (x, y) = (at % SIZE.0, at / SIZE.0);
            let inside = (4..7).contains(&x) && (3..5).contains(&y);
            let boxed = (3..8).contains(&x) && (2..6).contains(&y) && !inside;
            assert_eq!(with, if boxed { &[255; 3] } else { without }, "column {x}, row {y}");
        }
    }

    #[test]
    fn boxes_stay_inside_the_picture() {
        let whole = Region { x: 0, y: 0, width: SIZE.0, height: SIZE.1, ..REGION };
        let pixels = draw(PixelFormat::Rgb8, 0, &[whole]);
        assert_eq!(pixels[..3], [255; 3]);
        // The caller's regions may be those of another image.
        let far = Region { x: 50, y: 60, ..REGION };
        assert_eq!(draw(PixelFormat::Rgb8, 0, &[far]), draw(PixelFormat::Rgb8, 0, &[]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let view = ImageView::new(&[0; 12], 2, 2, 6, PixelFormat::Rgb8).unwrap();
        let status = |map: (usize, usize), format: PixelFormat, out: (usize, usize)| {
            let (values, mut pixels) = ([0.0; 12], [0; 36]);
            let map = Rows::from_slice(&values, map.0, map.1, map.0).unwrap();
            let out = RowsOut::from_slice(&mut pixels, out.0, out.1, out.0).unwrap();
            render(&view, map, &[], 1.0, format, out).map_err(|error| error.status())
        };
        assert_eq!(status((2, 2), PixelFormat::Bgr8, (6, 2)), Ok(()));
        assert_eq!(status((3, 2), PixelFormat::Rgb8, (6, 2)), Err(Status::InvalidImage));
        assert_eq!(status((2, 2), PixelFormat::Rgba8, (6, 2)), Err(Status::InvalidArgument));
        assert_eq!(status((2, 2), PixelFormat::Rgb8, (8, 2)), Err(Status::InvalidArgument));
    }
}
