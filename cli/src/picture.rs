//! Pictures that people look at: an image and its anomaly map side by side.

use std::path::Path;

use crate::dataset::Picture;
use npad::error::{Error, Result, Status};
use npad::model::{Inspection, Model};

/// Writes a PNG: the image on the left, the map laid over it with the regions' boxes on the right.
pub fn write_heatmap(path: &Path, picture: &Picture, model: &Model, inspection: &Inspection) -> Result<()> {
    let (width, height) = (picture.width, picture.height);
    let view = picture.view()?;
    let (left, right) = (view.to_rgb(), model.render(&view, inspection)?);
    let rows: Vec<u8> =
        left.chunks_exact(3 * width).zip(right.chunks_exact(3 * width)).flat_map(|(a, b)| [a, b].concat()).collect();
    image::save_buffer(path, &rows, 2 * width as u32, height as u32, image::ExtendedColorType::Rgb8)
        .map_err(|e| Error::new(Status::Io, format!("cannot write the picture {}: {e}", path.display())))
}
