//! CFLOW-AD (Gudovskiy, Ishizaka, Kozuka; WACV 2022): a conditional normalizing flow over each tap's positions.
//!
//! The feature vector x of each position becomes a latent vector z of as many values D through coupling steps that are
//! conditioned on a sinusoidal encoding of the position (the paper's equations 5 and 6). Training minimises
//!
//! ```text
//! loss = sum over taps of mean over positions of -log sigmoid(log p(x) / D)
//! log p(x) = -|z|^2 / 2 - D log(2 pi) / 2 + log |det dz/dx|
//! ```
//!
//! The anomaly map is the mean over taps of (max - log p(x) / D), where max is the largest value of good images, resized to
//! the finest grid.
//!
//! Differences from the paper: features are whitened (see [`super::super`]); the encoding has 32 values instead of 128,
//! which takes a fifth of the time; all positions of an image are one step of training; scores are averaged as logarithms,
//! and max is that of the training images instead of the test images.

use candle_core::Tensor;

use super::super::super::Parameters;
use super::super::layout::Plane;
use super::coupling::{Flow, Shape};
use super::encoding::encoding;
use super::network::{Measure, Network};
use super::ops::Ops;
use super::tape::{Tape, failed};
use super::weights::{Weight, Weights};
use crate::error::Result;
use crate::math::random::Random;

/// log(2 pi) / 2.
const NORMAL: f64 = 0.918_938_533_204_672_7;

/// One flow for each tap.
pub struct Cflow {
    taps: Vec<Decoder>,
}

/// The flow of one tap.
struct Decoder {
    plane: Plane,
    encoding: Weight,
    flow: Flow,
    /// The least negative log-likelihood of a good position.
    least: Weight,
}

impl Cflow {
    /// A network for these planes.
    pub fn new(parameters: &Parameters, planes: &[Plane], weights: &mut Weights, random: &mut Random) -> Self {
        let steps = parameters.count("cflow.steps");
        let values = parameters.count("cflow.encoding").next_multiple_of(4);
        let clamp = parameters.number("cflow.clamp").unwrap_or(1.9) as f32;
        let mut decoder = |plane: &Plane| {
            let shape = Shape { channels: plane.channels, condition: values, clamp };
            let hidden = 2 * (plane.channels.div_ceil(2) + values);
            let place = [values, plane.rows, plane.cols];
            Decoder {
                plane: *plane,
                encoding: weights.fixed(&place, encoding(values, plane.rows, plane.cols)),
                flow: Flow::new(weights, shape, std::iter::repeat_n(1, steps), hidden, random),
                least: weights.fixed(&[1, 1, 1], vec![0.0]),
            }
        };
        Self { taps: planes.iter().map(&mut decoder).collect() }
    }
}

impl Decoder {
    /// The negative log-likelihood of each position for each channel, without its constant.
    fn likelihood<O: Ops>(&self, ops: &mut O, x: &O::Value) -> Result<O::Value> {
        let encoding = ops.weight(self.encoding)?;
        self.flow.run(ops, x, Some(&encoding))?.negative_log_likelihood(ops, self.plane.channels)
    }
}

impl Network for Cflow {
    fn loss(&self, tape: &Tape, taps: &[Tensor]) -> Result<Tensor> {
        let mut losses = Vec::new();
        for (decoder, x) in self.taps.iter().zip(taps) {
            let likelihood = decoder.likelihood(&mut &*tape, x)?;
            losses.push(likelihood.affine(1.0, NORMAL).and_then(|l| softplus(&l)?.mean_all()).map_err(failed)?);
        }
        Tensor::stack(&losses, 0).and_then(|losses| losses.sum_all()).map_err(failed)
    }

    fn scores<O: Ops>(&self, ops: &mut O, taps: &[O::Value]) -> Result<Vec<O::Value>> {
        let scores = self.taps.iter().zip(taps).map(|(decoder, x)| {
            let likelihood = decoder.likelihood(ops, x)?;
            let least = ops.weight(decoder.least)?;
            let above = ops.subtract(&likelihood, &least)?;
            ops.relu(&above)
        });
        scores.collect()
    }

    fn measured(&self, tape: &Tape, taps: &[Tensor]) -> Result<Vec<(Weight, Measure, Tensor)>> {
        let measured = self.taps.iter().zip(taps);
        measured
            .map(|(decoder, x)| Ok((decoder.least, Measure::Minimum, decoder.likelihood(&mut &*tape, x)?)))
            .collect()
    }

    fn grids(&self) -> Vec<(usize, usize)> {
        self.taps.iter().map(|tap| (tap.plane.rows, tap.plane.cols)).collect()
    }
}

/// log(1 + exp(x)) = -log sigmoid(-x), which does not overflow.
fn softplus(x: &Tensor) -> candle_core::Result<Tensor> {
    let small = x.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?;
    x.relu()? + small
}
