//! The density of a tap's features under a flow.

use candle_core::Tensor;

use super::super::layout::Plane;
use super::coupling::Flow;
use super::network::{Measure, Measured};
use super::ops::Ops;
use super::tape::Tape;
use super::weights::{Weight, Weights};
use crate::error::Result;

/// The flow of one tap, and the density of good features under it.
pub struct Density {
    plane: Plane,
    flow: Flow,
    /// The condition of each position.
    condition: Option<Weight>,
    /// The least negative log-likelihood of good positions.
    least: Weight,
}

impl Density {
    /// The density of a tap's features under a flow with a condition, if its subnets take one.
    pub fn new(weights: &mut Weights, plane: Plane, flow: Flow, condition: Option<Weight>) -> Self {
        Self { plane, flow, condition, least: weights.fixed(&[1, 1, 1], vec![0.0]) }
    }

    /// The negative log-likelihood of each position for each channel, without the constant log(2 pi) / 2:
    /// `(|z|^2 / 2 - log |det dz/dx|) / channels`, 1 x rows x columns.
    pub fn negative_log_likelihood<O: Ops>(&self, ops: &mut O, x: &O::Value) -> Result<O::Value> {
        let share = 1.0 / self.plane.channels as f32;
        let condition = self.condition.map(|condition| ops.weight(condition)).transpose()?;
        let latent = self.flow.run(ops, x, condition.as_ref())?;
        let square = ops.multiply(&latent.z, &latent.z)?;
        let sum = ops.sum_channels(&square)?;
        let mut likelihood = ops.scale(&sum, share / 2.0)?;
        for log_scales in &latent.log_scales {
            let sum = ops.sum_channels(log_scales)?;
            let sum = ops.scale(&sum, share)?;
            likelihood = ops.subtract(&likelihood, &sum)?;
        }
        Ok(likelihood)
    }

    /// How far the negative log-likelihood of each position is above the least of good positions; 0 where it is not.
    pub fn score<O: Ops>(&self, ops: &mut O, x: &O::Value) -> Result<O::Value> {
        let likelihood = self.negative_log_likelihood(ops, x)?;
        let least = ops.weight(self.least)?;
        let above = ops.subtract(&likelihood, &least)?;
        ops.relu(&above)
    }

    /// What [`Density::score`] needs to know of good images.
    pub fn measured(&self, tape: &Tape, x: &Tensor) -> Result<Measured> {
        let map = self.negative_log_likelihood(&mut &*tape, x)?;
        Ok(Measured { weight: self.least, measure: Measure::Minimum, map })
    }

    /// Rows and columns.
    pub fn grid(&self) -> (usize, usize) {
        (self.plane.rows, self.plane.cols)
    }
}
