//! What training and export need to know of a network.

use candle_core::Tensor;

use super::super::layout::Plane;
use super::ops::Ops;
use super::tape::{Tape, failed, values};
use super::weights::{Weight, Weights};
use crate::error::Result;
use crate::exec::Threads;

/// What a part of a network makes of a tap.
pub struct Scores<V> {
    /// The anomaly scores of its positions, 1 x rows x columns: 0 or above, larger is more anomalous.
    pub map: V,
    /// Latent values of the tap's shape, if the network has them: the image score is computed from them.
    pub latent: Option<V>,
}

/// A network over the whitened features of all taps, each a map of channels x rows x columns.
pub trait Network: Send + Sync {
    /// The loss of one image, a scalar.
    fn loss(&self, tape: &Tape, taps: &[Tensor]) -> Result<Tensor>;

    /// The anomaly scores of each part of the network. All parts have latent values, or none.
    fn scores<O: Ops>(&self, ops: &mut O, taps: &[O::Value]) -> Result<Vec<Scores<O::Value>>>;

    /// What one image adds to the values that are measured on the training images after training.
    fn measured(&self, tape: &Tape, taps: &[Tensor]) -> Result<Vec<Measured>>;

    /// The planes that the scores lie on.
    fn planes(&self) -> Vec<Plane>;
}

/// A value that scoring needs, and a map of one image that it is measured from.
pub struct Measured {
    /// Where the value is stored.
    pub weight: Weight,
    /// How it is measured.
    pub measure: Measure,
    /// Channels x rows x columns.
    pub map: Tensor,
}

/// How the maps of all training images become a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Their least value.
    Minimum,
    /// The mean of each channel.
    Mean,
}

/// Least mean, which scores are divided by: a channel without errors on good images is not divided by 0.
const LEAST_MEAN: f64 = 1e-4;

/// Measures what the network scores with.
///
/// # Errors
/// Those of the network.
pub fn measure<N: Network>(
    network: &N,
    weights: &mut Weights,
    images: impl Iterator<Item = Result<Vec<Tensor>>>,
    threads: &Threads,
) -> Result<()> {
    let tape = Tape::new(weights)?;
    let mut totals: Vec<(Weight, Measure, Vec<f64>)> = Vec::new();
    let mut count = 0;
    for taps in images {
        let taps = taps?;
        let measured = threads.run(|| network.measured(&tape, &taps))?;
        for (index, Measured { weight, measure, map }) in measured.into_iter().enumerate() {
            let channels = map.dim(0).map_err(failed)?;
            let all = values(&map)?;
            let of_channel = all.chunks_exact(all.len() / channels);
            let own: Vec<f64> = match measure {
                Measure::Minimum => vec![all.iter().copied().fold(f32::INFINITY, f32::min).into()],
                Measure::Mean => {
                    of_channel.map(|v| v.iter().map(|v| f64::from(*v)).sum::<f64>() / v.len() as f64).collect()
                }
            };
            match (totals.get_mut(index), measure) {
                (None, _) => totals.push((weight, measure, own)),
                (Some((_, _, total)), Measure::Minimum) => total[0] = total[0].min(own[0]),
                (Some((_, _, total)), Measure::Mean) => total.iter_mut().zip(own).for_each(|(t, v)| *t += v),
            }
        }
        count += 1;
    }
    for (weight, measure, total) in totals {
        let share = if measure == Measure::Mean { 1.0 / f64::from(count) } else { 1.0 };
        let least = if measure == Measure::Minimum { f64::MIN } else { LEAST_MEAN };
        weights.set(weight, total.iter().map(|v| (v * share).max(least) as f32).collect());
    }
    Ok(())
}
