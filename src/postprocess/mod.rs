//! Converts grid scores to the anomaly map of the image's size, regions, and pictures.

mod calibrated;
mod contour;
mod graph;
mod heatmap;
mod peak;
mod regions;
mod render;
mod resizer;
mod smoother;
mod unite;

pub use calibrated::{calibrated_byte, calibrated_map};
pub use graph::{smoothed, united};
pub use heatmap::Heatmap;
pub use peak::{maximum, peak};
pub use regions::{Components, Region, RegionFinder, Regions, Run};
pub use render::render;
pub use resizer::Resizer;
pub use smoother::{MapGeometry, Smoother};
pub use unite::{cut_off, unite};
