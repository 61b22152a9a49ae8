//! Metrics of scores, decisions and maps.

mod image;
mod pixel;
mod statistics;

pub use image::{Confusion, auroc, average_precision, interval, misses_at};
pub use pixel::{AUPRO_LIMIT, PixelMetrics};
pub use statistics::{Statistics, mean};
