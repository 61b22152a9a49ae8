//! The anomaly map in an image's own resolution, which decides about regions.

use super::roi::InputRoi;
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::rows::{Rows, RowsMut, RowsOut};
use crate::postprocess::{RegionFinder, Resizer, maximum};
use crate::preprocess::InputSize;

/// Resizes a map of the network's input size to the image's, and clears what the region of interest excludes.
///
/// # Errors
/// [`crate::error::Status::OutOfMemory`].
pub fn image_map<'a>(
    map: &[f32],
    size: InputSize,
    roi: Option<&InputRoi>,
    resizer: &mut Resizer,
    threads: &Threads,
    out: RowsOut<'a, f32>,
) -> Result<RowsMut<'a, f32>> {
    let mut map = resizer.run(map, (size.height, size.width), out, threads)?;
    if let Some(roi) = roi {
        roi.mask.clear_outside(&mut map);
    }
    Ok(map)
}

/// The score below which an image with this map is found at every threshold: if regions of any area count, the map's
/// largest value.
///
/// # Errors
/// [`crate::error::Status::OutOfMemory`].
pub fn decisive_score(map: Rows<'_, f32>, least_area: usize, finder: &mut RegionFinder) -> Result<f32> {
    let highest = map.iter().map(maximum).fold(0.0, f32::max);
    finder.highest_level(map, highest, least_area)
}
