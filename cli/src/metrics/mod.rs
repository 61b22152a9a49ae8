//! Metrics of scores, decisions and maps.

mod image;
mod pixel;

pub use image::{Confusion, auroc, average_precision, interval};
pub use pixel::{AUPRO_LIMIT, PixelMetrics};
