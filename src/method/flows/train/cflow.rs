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
//! The anomaly map is the mean over taps of sqrt(2 (max - log p(x) / D)), where max is the largest value of good images, resized
//! to the finest grid.
//!
//! Differences from the paper: features are whitened, and image scores computed from the latent values (see
//! [`super::super`]); the encoding has 32 values instead of 128, which takes a fifth of the time; all positions of an image
//! are one step of training; the map is a mean of roots of logarithms instead of densities, and max is that of the training
//! images instead of the test images.

use candle_core::Tensor;

use super::super::super::Parameters;
use super::super::layout::Plane;
use super::coupling::{Flow, Shape};
use super::density::{Densities, Density};
use super::encoding::encoding;
use super::weights::Weights;
use crate::math::random::Random;

/// log(2 pi) / 2.
const NORMAL: f64 = 0.918_938_533_204_672_7;

/// A network for these taps.
pub fn network(parameters: &Parameters, planes: &[Plane], weights: &mut Weights, random: &mut Random) -> Densities {
    let steps = parameters.count("cflow.steps");
    let values = parameters.count("cflow.encoding").next_multiple_of(4);
    let clamp = parameters.number("cflow.clamp") as f32;
    let mut tap = |plane: &Plane| {
        let shape = Shape { channels: plane.channels, condition: values, clamp };
        let hidden = 2 * (plane.channels.div_ceil(2) + values);
        let place = [values, plane.rows, plane.cols];
        let condition = weights.fixed(&place, encoding(values, plane.rows, plane.cols));
        let flow = Flow::new(weights, shape, std::iter::repeat_n(1, steps), hidden, random);
        Density::new(weights, *plane, flow, Some(condition))
    };
    Densities { taps: planes.iter().map(&mut tap).collect(), loss }
}

/// The mean over positions of -log sigmoid(log p(x) / D).
fn loss(likelihood: &Tensor) -> candle_core::Result<Tensor> {
    softplus(&likelihood.affine(1.0, NORMAL)?)?.mean_all()
}

/// log(1 + exp(x)) = -log sigmoid(-x), which does not overflow.
fn softplus(x: &Tensor) -> candle_core::Result<Tensor> {
    let small = x.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?;
    x.relu()? + small
}
