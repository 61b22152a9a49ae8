//! npad: industrial visual anomaly detection that learns from good images only.
//!
//! Data and imports flow in one direction through the modules: [`error`], [`image`], [`preprocess`], [`backbone`],
//! [`method`], [`plugin`], [`postprocess`], [`model`], [`ffi`]. [`math`] (numerics) and [`exec`] (threads, scratch
//! memory, progress) serve all of them; `onnx` writes the networks that methods train.
//!
//! ```
//! use npad::image::{ImageView, PixelFormat};
//! use npad::model::{Model, Options, Trainer};
//!
//! /// Learns from grey images of 64 x 64 pixels.
//! fn learn(images: &[Vec<u8>]) -> npad::error::Result<Model> {
//!     let mut options = Options::default();
//!     options.set("size", "64")?;
//!     let mut trainer = Trainer::new(&options)?;
//!     for pixels in images {
//!         trainer.add(&ImageView::new(pixels, 64, 64, 64, PixelFormat::Gray8)?)?;
//!     }
//!     trainer.finish()
//! }
//!
//! let images: Vec<Vec<u8>> =
//!     (0..8).map(|n: usize| (0..64 * 64).map(|i: usize| (i % 61 + i * (n + 3) % 17) as u8).collect()).collect();
//! let model = learn(&images)?;
//! let inspection = model.score(&ImageView::new(&images[0], 64, 64, 64, PixelFormat::Gray8)?)?;
//! assert!(!inspection.anomalous() && inspection.map.len() == 64 * 64);
//! # Ok::<(), npad::error::Error>(())
//! ```
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod abi;
pub mod backbone;
pub mod error;
pub mod exec;
pub mod ffi;
pub mod image;
pub mod math;
pub mod method;
pub mod model;
mod onnx;
pub mod plugin;
pub mod postprocess;
pub mod preprocess;

/// What fuzz targets need beyond the public interface.
#[cfg(fuzzing)]
#[allow(missing_docs)]
pub mod fuzzing {
    use prost::bytes::Bytes;

    use crate::onnx::{Embeddable, Writer, check};
    pub use crate::plugin::method::read_table;

    /// Reads an ONNX file in all ways in which the library does: as a network of a model file, and to embed it for an image of 40 x 24.
    pub fn read_network(bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        let _ = check(bytes.clone());
        let Ok(network) = Embeddable::read(bytes) else { return };
        let _ = (network.takes_several(), network.check_opset(13), network.check_opset(22));
        let mut writer = Writer::new(17);
        let image = writer.input(&[1, 3, 40, 24]);
        let mut embedded = writer.embed(network);
        for size in [Some((40, 24)), None] {
            let outputs = writer.call(&mut embedded, &image, size);
            outputs.iter().for_each(|output| writer.output(output, &[1, 1, 1, 1]));
        }
        let _ = writer.finish("fuzzing");
    }
}
