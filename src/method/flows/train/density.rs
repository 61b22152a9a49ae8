//! The densities of the features of all taps under flows.

use candle_core::Tensor;

use super::super::layout::Plane;
use super::coupling::Flow;
use super::network::{Measure, Measured, Network, Scores};
use super::ops::Ops;
use super::tape::{Tape, failed, total};
use super::weights::{Weight, Weights};
use crate::error::Result;

/// A network of one flow for each tap.
pub struct Densities {
    pub taps: Vec<Density>,
    /// The loss of a tap, from the negative log-likelihood of each position.
    pub loss: fn(&Tensor) -> candle_core::Result<Tensor>,
}

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

    /// The latent values z and the negative log-likelihood of each position for each channel, 1 x rows x columns, without
    /// the constant log(2 pi) / 2: `(|z|^2 / 2 - log |det dz/dx|) / channels`.
    fn likelihood<O: Ops>(&self, ops: &mut O, x: &O::Value) -> Result<(O::Value, O::Value)> {
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
        Ok((latent.z, likelihood))
    }

    /// `sqrt(2 (l - least))` for the negative log-likelihood l of each position and the least of good positions, 0 where it is
    /// not above that. As the Mahalanobis distance it is the root of a sum of squares, so that the map has the unit of the
    /// image score.
    fn scores<O: Ops>(&self, ops: &mut O, x: &O::Value) -> Result<Scores<O::Value>> {
        let (z, likelihood) = self.likelihood(ops, x)?;
        let least = ops.weight(self.least)?;
        let above = ops.subtract(&likelihood, &least)?;
        let above = ops.relu(&above)?;
        let twice = ops.scale(&above, 2.0)?;
        Ok(Scores { map: ops.sqrt(&twice)?, latent: Some(z) })
    }
}

impl Network for Densities {
    fn loss(&self, tape: &Tape, taps: &[Tensor]) -> Result<Tensor> {
        let losses = self.taps.iter().zip(taps).map(|(density, x)| {
            let (_, likelihood) = density.likelihood(&mut &*tape, x)?;
            (self.loss)(&likelihood).map_err(failed)
        });
        total(&losses.collect::<Result<Vec<_>>>()?)
    }

    fn scores<O: Ops>(&self, ops: &mut O, taps: &[O::Value]) -> Result<Vec<Scores<O::Value>>> {
        self.taps.iter().zip(taps).map(|(density, x)| density.scores(ops, x)).collect()
    }

    fn measured(&self, tape: &Tape, taps: &[Tensor]) -> Result<Vec<Measured>> {
        let measured = |(density, x): (&Density, &Tensor)| {
            let (_, map) = density.likelihood(&mut &*tape, x)?;
            Ok(Measured { weight: density.least, measure: Measure::Minimum, map })
        };
        self.taps.iter().zip(taps).map(measured).collect()
    }

    fn planes(&self) -> Vec<Plane> {
        self.taps.iter().map(|density| density.plane).collect()
    }
}
