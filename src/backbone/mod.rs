//! The backbone: a network that turns an image into feature maps at several strides ("taps"), and their assembly into
//! one map on the finest tap's grid. This is the only module that names `ort`.

mod assembler;
mod device;
mod ending;
mod feature_map;
mod graph;
mod head;
mod library_file;
mod location;
mod onnx;
mod open;
mod runtime;
mod scales;
mod session;
mod spec;
mod threads;
mod tiles;

pub use assembler::Assembler;
pub use device::{
    ChosenDevice, DEVICE_FORM, Device, DeviceChoice, DeviceReport, check_device, device_names, device_reports,
};
pub use feature_map::{FeatureMap, Tap};
pub use graph::{EmbeddedFeatures, FeatureGraph};
pub use head::{Head, MOST};
pub use library_file::check as check_library_file;
pub use onnx::{BUILTIN, OnnxBackbone, run_network};
pub use runtime::{in_use as runtime_in_use, is_loaded as runtime_is_loaded, open as open_runtime, warm_up};
pub use scales::{MultiScale, Scales};
pub use spec::BackboneSpec;
pub use tiles::Tiled;

use ndarray::ArrayView3;

use crate::error::Result;
use crate::preprocess::{InputSize, Normalisation};

/// Prefix of the identity of a host's feature extractor.
pub const HOST: &str = "host/";

/// Maximum number of outputs of a backbone.
pub const MAX_TAPS: usize = 16;

/// One output of a backbone for one image: `channels` planes of `rows * cols` values.
#[derive(Debug, Clone, Copy, Default)]
pub struct TapMap<'a> {
    /// Planes.
    pub channels: usize,
    /// Rows of each plane.
    pub rows: usize,
    /// Columns of each plane.
    pub cols: usize,
    /// Plane after plane, row after row.
    pub data: &'a [f32],
}

impl<'a> TapMap<'a> {
    /// The array: planes x rows x columns.
    ///
    /// # Panics
    /// Where there are not as many values.
    pub fn view(&self) -> ArrayView3<'a, f32> {
        ArrayView3::from_shape((self.channels, self.rows, self.cols), self.data)
            .expect("a value for each cell of each plane")
    }
}

/// Something that turns a normalised image into feature maps. May be called from several threads at once.
pub trait FeatureExtractor: Send + Sync {
    /// Runs on images of one size that stand one after the other in `inputs` (three planes each), at most
    /// [`FeatureExtractor::max_batch`] of them, and hands each one's number and all its taps' maps to `consume`, once.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the network fails; whatever `consume` returns.
    fn extract(
        &self,
        inputs: &[f32],
        size: InputSize,
        consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
    ) -> Result<()>;

    /// Images of a size that a run takes best. Their maps are the same to the last bit however many run together.
    fn max_batch(&self, _size: InputSize) -> usize {
        1
    }

    /// Makes what runs need ahead, so that `calls` calls at once, each with `images` images of one size, find it ready.
    /// Optional: what is missing is made when it is needed.
    ///
    /// # Errors
    /// As [`FeatureExtractor::extract`].
    fn warm_up(&self, _size: InputSize, _images: usize, _calls: usize) -> Result<()> {
        Ok(())
    }

    /// Number of scales that each image is run at. The taps come in as many groups of equal channels; the first group
    /// determines the grid.
    fn scales(&self) -> usize {
        1
    }

    /// How pixel values become the network's input.
    fn normalisation(&self) -> Normalisation;

    /// A name and checksum (of a host's own extractor: [`HOST`] and its name) that tell whether two backbones are the same.
    fn identity(&self) -> &str;
}
