//! FastFlow (Yu, Zheng, Wang, Li, Wu, Zhao, Wu; arXiv 2111.07677, 2021): a 2-D normalizing flow over each tap.
//!
//! Each tap's map x becomes a latent map z of the same shape through coupling steps whose subnets have kernels of 3 x 3 and
//! 1 x 1 in turn. Training minimises the negative log-likelihood of the map under a standard normal distribution of z (the
//! paper's equation 3), for each value so that taps count alike:
//!
//! ```text
//! loss = sum over taps of mean(z^2) / 2 - log |det dz/dx| / number of values
//! ```
//!
//! The anomaly map is the mean over taps of -log p(z) = mean over channels of z^2 / 2, resized to the finest grid.
//!
//! Differences from the paper: features are whitened instead of layer-normalised (see [`super::super`]); the scores of the
//! taps are averaged as logarithms, since the paper's probabilities exp(-z^2 / 2) of strong anomalies are all 0.

use candle_core::Tensor;

use super::super::super::Parameters;
use super::super::layout::Plane;
use super::coupling::{Flow, Shape};
use super::network::Network;
use super::ops::Ops;
use super::tape::{Tape, failed};
use super::weights::Weights;
use crate::error::Result;
use crate::math::random::Random;

/// One flow for each tap.
pub struct FastFlow {
    planes: Vec<Plane>,
    flows: Vec<Flow>,
}

impl FastFlow {
    /// A network for these planes.
    pub fn new(parameters: &Parameters, planes: &[Plane], weights: &mut Weights, random: &mut Random) -> Self {
        let steps = parameters.count("fastflow.steps");
        let ratio = parameters.number("fastflow.hidden").unwrap_or(1.0);
        let clamp = parameters.number("fastflow.clamp").unwrap_or(2.0) as f32;
        let mut flow = |plane: &Plane| {
            let shape = Shape { channels: plane.channels, condition: 0, clamp };
            let hidden = ((plane.channels.div_ceil(2) as f64 * ratio).round() as usize).max(1);
            let sides = (0..steps).map(|step| if step % 2 == 0 { 3 } else { 1 });
            Flow::new(weights, shape, sides, hidden, random)
        };
        Self { planes: planes.to_vec(), flows: planes.iter().map(&mut flow).collect() }
    }
}

impl Network for FastFlow {
    fn loss(&self, tape: &Tape, taps: &[Tensor]) -> Result<Tensor> {
        let mut total = None;
        for ((flow, plane), x) in self.flows.iter().zip(&self.planes).zip(taps) {
            let mut ops = tape;
            let likelihood = flow.run(&mut ops, x, None)?.negative_log_likelihood(&mut ops, plane.channels)?;
            let own = likelihood.mean_all().map_err(failed)?;
            total = Some(total.map_or(Ok(own.clone()), |total: Tensor| total.add(&own)).map_err(failed)?);
        }
        Ok(total.expect("a backbone has at least one tap"))
    }

    fn scores<O: Ops>(&self, ops: &mut O, taps: &[O::Value]) -> Result<Vec<O::Value>> {
        let flows = self.flows.iter().zip(&self.planes).zip(taps);
        flows.map(|((flow, plane), x)| flow.run(ops, x, None)?.energy(ops, plane.channels)).collect()
    }

    fn grids(&self) -> Vec<(usize, usize)> {
        self.planes.iter().map(|plane| (plane.rows, plane.cols)).collect()
    }
}
