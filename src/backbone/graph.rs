//! The features of a backbone as a part of an ONNX graph: the network at each scale, and its outputs on one grid.

use super::assembler::{axis, grid};
use super::scales::shrinking;
use super::{BackboneSpec, FeatureExtractor, Scales};
use crate::error::{Error, Result, Status};
use crate::exec::memory::try_vec;
use crate::onnx::{Embeddable, Embedded, Value, Writer};
use crate::preprocess::InputSize;

/// What the features of a graph are computed with.
pub struct FeatureGraph {
    network: Embeddable,
    /// The sizes of the inputs at all scales, in ascending order.
    sizes: Vec<InputSize>,
    grid: (usize, usize),
    /// Rows and columns of each tap of each scale.
    taps: Vec<(usize, usize)>,
}

/// The same, with the network's constants in a graph.
pub struct EmbeddedFeatures {
    network: Embedded,
    sizes: Vec<InputSize>,
    grid: (usize, usize),
    taps: Vec<(usize, usize)>,
}

impl FeatureGraph {
    /// Reads the network of a model. `extractor` is the opened one at all scales, for inputs of `size`, and `grid_step` the side of the
    /// grid's cells in positions of the finest tap.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when it cannot be embedded in a graph; as [`FeatureExtractor::extract`].
    pub fn new(
        spec: &BackboneSpec,
        extractor: &dyn FeatureExtractor,
        scales: &Scales,
        size: InputSize,
        grid_step: usize,
    ) -> Result<Self> {
        let refused = |what: String| Error::new(Status::InvalidArgument, format!("the model's backbone {what}"));
        let bytes =
            spec.bytes().ok_or_else(|| refused("is a feature extractor of the host, not a network".to_owned()))?;
        let network = Embeddable::read(bytes).map_err(refused)?;
        let mut taps = Vec::new();
        extractor.extract(&try_vec(3 * size.height * size.width, 0.0)?, size, &mut |_, maps| {
            taps.extend(maps.iter().map(|map| (map.rows, map.cols)));
            Ok(())
        })?;
        let sizes: Vec<InputSize> = scales.smaller(size).chain([size]).collect();
        let grid = grid(taps[..taps.len() / sizes.len()].iter().copied(), grid_step);
        Ok(Self { network, sizes, grid, taps })
    }

    /// The network.
    pub fn network(&self) -> &Embeddable {
        &self.network
    }

    /// Adds the network's constants to a graph.
    pub fn embed(self, writer: &mut Writer) -> EmbeddedFeatures {
        let Self { network, sizes, grid, taps } = self;
        EmbeddedFeatures { network: writer.embed(network), sizes, grid, taps }
    }
}

impl EmbeddedFeatures {
    /// Computes the features of normalised images (images x 3 x height x width): images x channels x rows x columns of the grid.
    pub fn of(&mut self, writer: &mut Writer, images: &Value) -> Value {
        let Self { network, sizes, grid, taps } = self;
        let mut outputs = Vec::new();
        for to in &*sizes {
            let from = sizes[sizes.len() - 1];
            let (down, across) = shrinking(from, *to);
            let input = if *to == from { images.clone() } else { writer.mapped(images, &down, &across) };
            outputs.extend(writer.call(network, &input, Some((to.height, to.width))));
        }
        let pairs = outputs.iter().zip(&*taps);
        let on_grid: Vec<Value> =
            pairs.map(|(tap, (rows, cols))| writer.mapped(tap, &axis(*rows, grid.0), &axis(*cols, grid.1))).collect();
        writer.joined(&on_grid.iter().collect::<Vec<_>>(), 1)
    }
}
