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
//! The anomaly map is the mean over taps of the same quantity at each position, above its least value of good images,
//! resized to the finest grid.
//!
//! Differences from the paper: features are whitened instead of layer-normalised (see [`super::super`]). The paper scores
//! with exp(-z^2 / 2) alone. It is 0 for all strong anomalies, so scores are averaged as logarithms; and without the
//! determinant, positions that vary little are stretched until their noise is the largest value of the map.

use candle_core::Tensor;

use super::super::super::Parameters;
use super::super::layout::Plane;
use super::coupling::{Flow, Shape};
use super::density::Density;
use super::network::{Measured, Network};
use super::ops::Ops;
use super::tape::{Tape, failed, total};
use super::weights::Weights;
use crate::error::Result;
use crate::math::random::Random;

/// One flow for each tap.
pub struct FastFlow {
    taps: Vec<Density>,
}

impl FastFlow {
    /// A network for these planes.
    pub fn new(parameters: &Parameters, planes: &[Plane], weights: &mut Weights, random: &mut Random) -> Self {
        let steps = parameters.count("fastflow.steps");
        let ratio = parameters.number("fastflow.hidden").unwrap_or(1.0);
        let clamp = parameters.number("fastflow.clamp").unwrap_or(2.0) as f32;
        let mut tap = |plane: &Plane| {
            let shape = Shape { channels: plane.channels, condition: 0, clamp };
            let hidden = ((plane.channels.div_ceil(2) as f64 * ratio).round() as usize).max(1);
            let sides = (0..steps).map(|step| if step % 2 == 0 { 3 } else { 1 });
            let flow = Flow::new(weights, shape, sides, hidden, random);
            Density::new(weights, *plane, flow, None)
        };
        Self { taps: planes.iter().map(&mut tap).collect() }
    }
}

impl Network for FastFlow {
    fn loss(&self, tape: &Tape, taps: &[Tensor]) -> Result<Tensor> {
        let losses = self.taps.iter().zip(taps).map(|(density, x)| {
            let likelihood = density.negative_log_likelihood(&mut &*tape, x)?;
            likelihood.mean_all().map_err(failed)
        });
        total(&losses.collect::<Result<Vec<_>>>()?)
    }

    fn scores<O: Ops>(&self, ops: &mut O, taps: &[O::Value]) -> Result<Vec<O::Value>> {
        self.taps.iter().zip(taps).map(|(density, x)| density.score(ops, x)).collect()
    }

    fn measured(&self, tape: &Tape, taps: &[Tensor]) -> Result<Vec<Measured>> {
        self.taps.iter().zip(taps).map(|(density, x)| density.measured(tape, x)).collect()
    }

    fn grids(&self) -> Vec<(usize, usize)> {
        self.taps.iter().map(Density::grid).collect()
    }
}
