//! The backbone: a network that turns an image into feature maps at several strides ("taps"), and their assembly into
//! one map on the finest tap's grid. This is the only module that names `ort`.

mod assembler;
mod device;
mod location;
mod onnx;
mod runtime;
mod session;
mod spec;
mod tiles;

pub use assembler::Assembler;
pub use device::{Device, device_names};
pub use onnx::{BUILTIN, OnnxBackbone};
pub use runtime::{open as open_runtime, warm_up};
pub use spec::BackboneSpec;
pub use tiles::Tiled;

use crate::error::Result;
use crate::preprocess::{InputSize, Normalisation};

/// What the identity of a host's own feature extractor starts with, before its name.
pub const HOST: &str = "host/";

/// The most outputs that a backbone may have.
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

    /// How pixel values become the network's input.
    fn normalisation(&self) -> Normalisation;

    /// A name and checksum (of a host's own extractor: [`HOST`] and its name) that tell whether two backbones are the same.
    fn identity(&self) -> &str;
}

/// The features of one image, `channels` values per grid position, position after position.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeatureMap {
    /// Grid rows.
    pub rows: usize,
    /// Grid columns.
    pub cols: usize,
    /// Values per position.
    pub channels: usize,
    /// `rows * cols * channels` values.
    pub data: Vec<f32>,
}

impl FeatureMap {
    /// The values of grid position `p`, counted row by row.
    pub fn at(&self, p: usize) -> &[f32] {
        &self.data[p * self.channels..][..self.channels]
    }

    /// Grid positions.
    pub fn positions(&self) -> usize {
        self.rows * self.cols
    }

    /// Whether `other` has the same grid and channels.
    pub fn same_shape(&self, other: &Self) -> bool {
        (self.rows, self.cols, self.channels) == (other.rows, other.cols, other.channels)
    }
}
