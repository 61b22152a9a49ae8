//! FastFlow (Yu, Zheng, Wang, Li, Wu, Zhao, Wu; arXiv 2111.07677, 2021): a 2-D normalizing flow over each tap.
//!
//! Each tap's map x becomes a latent map z of the same shape through coupling steps whose subnets have kernels of 3 x 3 and
//! 1 x 1 in turn. Training minimises the negative log-likelihood of the map under a standard normal distribution of z (the
//! paper's equation 3), for each value, so that taps count alike:
//!
//! ```text
//! loss = sum over taps of (|z|^2 / 2 - log |det dz/dx|) / number of values
//! ```
//!
//! The anomaly map is the mean over taps of sqrt(2 (l - least)), where l is the same quantity at each position and least its
//! least value of good images, resized to the finest grid.
//!
//! Differences from the paper: features are whitened instead of layer-normalised, and image scores computed from the latent
//! values (see [`super::super`]). The paper's map is exp(-z^2 / 2) alone. It is 0 for all strong anomalies, so the map is a
//! mean of roots of logarithms; and without the determinant, positions that vary little are stretched until their noise is the
//! largest value of the map.

use candle_core::Tensor;

use super::super::super::Parameters;
use super::super::layout::Plane;
use super::coupling::{Flow, Shape};
use super::density::{Densities, Density};
use super::weights::Weights;
use crate::math::random::Random;

/// A network for these taps.
pub fn network(parameters: &Parameters, planes: &[Plane], weights: &mut Weights, random: &mut Random) -> Densities {
    let steps = parameters.count("fastflow.steps");
    let ratio = parameters.number("fastflow.hidden");
    let clamp = parameters.number("fastflow.clamp") as f32;
    let mut tap = |plane: &Plane| {
        let channels = plane.channels;
        let shape = Shape { channels, condition: 0, clamp };
        let hidden = ((channels.div_ceil(2) as f64 * ratio).round() as usize).max(1);
        let sides = (0..steps).map(|step| if step % 2 == 0 { 3 } else { 1 });
        let flow = Flow::new(weights, shape, sides, hidden, random);
        Density::new(weights, *plane, flow, None)
    };
    Densities { taps: planes.iter().map(&mut tap).collect(), loss: Tensor::mean_all }
}
