//! How good scores, decisions and maps are.

mod image;
mod pixel;

pub use image::{Confusion, auroc, average_precision, interval};
pub use pixel::{AUPRO_LIMIT, PixelMetrics};
