//! PEFM (Wan, Cao, Gao, Shen, Li; CASE 2022): position encoding enhanced feature mapping, in both directions between two
//! sets of features.
//!
//! An encoder, a coder that both directions share, and a decoder map features s to features t and t to s; an encoding of
//! the position is an input of the encoders. Training minimises the squared errors of both directions. The anomaly map is
//! the error of each direction, each channel divided by its mean over good images:
//!
//! ```text
//! score = sqrt((mean over channels of (s - s')^2 / v_s  +  mean over channels of (t - t')^2 / v_t) / 2)
//! ```
//!
//! resized to the finest grid, and the mean over pairs.
//!
//! Differences from the paper: the two sets are successive taps of one backbone instead of the same stage of two, on one
//! grid, that of the middle tap; features are whitened (see [`super::super`]), so that the networks need no batch norm; v is a
//! value for each channel, not for each channel and position; the score is the root of the paper's, a distance as that of
//! the other methods, whose largest values on good images lie closer together.

use candle_core::Tensor;

use super::super::super::Parameters;
use super::super::layout::Plane;
use super::encoding::encoding;
use super::network::{Measure, Measured, Network, Scores};
use super::ops::Ops;
use super::tape::{Tape, failed, total};
use super::weights::{Convolution, Weight, Weights};
use crate::error::Result;
use crate::math::random::Random;

/// The mappings between successive taps.
pub struct Pefm {
    pairs: Vec<Pair>,
}

/// A mapping between two taps on one grid, in both directions.
struct Pair {
    plane: Plane,
    encoding: Weight,
    forward: Direction,
    backward: Direction,
    shared: Convolution,
}

/// What one direction has of its own.
struct Direction {
    encoder: [Convolution; 2],
    decoder: [Convolution; 3],
    /// The mean squared error of each channel of good images.
    variance: Weight,
    channels: usize,
}

impl Direction {
    fn new(
        weights: &mut Weights,
        from: usize,
        to: usize,
        (values, latent): (usize, usize),
        random: &mut Random,
    ) -> Self {
        let mut layer = |inputs, outputs| Convolution::random(weights, inputs, outputs, 1, random);
        let encoder = [layer(from + values, from / 2 + latent), layer(from / 2 + latent, 2 * latent)];
        let wide = to / 2 + latent;
        let (first, second) = (layer(latent, 2 * latent), layer(2 * latent, wide));
        let decoder = [first, second, Convolution::zero(weights, wide, to, 1)];
        Self { encoder, decoder, variance: weights.fixed(&[to, 1, 1], vec![1.0; to]), channels: to }
    }

    /// The squared error of each channel of `target`.
    fn error<O: Ops>(
        &self,
        ops: &mut O,
        source: &O::Value,
        target: &O::Value,
        encoding: &O::Value,
        shared: Convolution,
    ) -> Result<O::Value> {
        let mut x = ops.join(&[source, encoding])?;
        for layer in self.encoder {
            x = ops.convolution(&x, layer)?;
            x = ops.relu(&x)?;
        }
        x = ops.convolution(&x, shared)?;
        let [first, second, last] = self.decoder;
        for layer in [first, second] {
            x = ops.convolution(&x, layer)?;
            x = ops.relu(&x)?;
        }
        x = ops.convolution(&x, last)?;
        let difference = ops.subtract(target, &x)?;
        ops.multiply(&difference, &difference)
    }

    /// Half the mean over the channels of the error, divided by its mean over good images.
    fn score<O: Ops>(&self, ops: &mut O, error: &O::Value) -> Result<O::Value> {
        let variance = ops.weight(self.variance)?;
        let relative = ops.divide(error, &variance)?;
        let sum = ops.sum_channels(&relative)?;
        ops.scale(&sum, 0.5 / self.channels as f32)
    }
}

impl Pefm {
    /// A network for these planes, which lie on one grid.
    pub fn new(parameters: &Parameters, planes: &[Plane], weights: &mut Weights, random: &mut Random) -> Self {
        let latent = parameters.count("pefm.latent");
        let values = parameters.count("pefm.encoding").next_multiple_of(4);
        let mut pair = |planes: &[Plane]| {
            let [s, t] = *planes else { unreachable!("windows of two") };
            let (from, to, extents) = (s.channels, t.channels, (values, latent));
            Pair {
                plane: s,
                encoding: weights.fixed(&[values, s.rows, s.cols], encoding(values, s.rows, s.cols)),
                shared: Convolution::random(weights, 2 * latent, latent, 1, random),
                forward: Direction::new(weights, from, to, extents, random),
                backward: Direction::new(weights, to, from, extents, random),
            }
        };
        Self { pairs: planes.windows(2).map(&mut pair).collect() }
    }

    /// The squared errors of t and s for each pair.
    fn errors<O: Ops>(&self, ops: &mut O, taps: &[O::Value]) -> Result<Vec<[O::Value; 2]>> {
        let pairs = self.pairs.iter().zip(taps.windows(2));
        pairs
            .map(|(Pair { encoding, forward, backward, shared, .. }, taps)| {
                let (encoding, [s, t]) = (ops.weight(*encoding)?, [&taps[0], &taps[1]]);
                Ok([forward.error(ops, s, t, &encoding, *shared)?, backward.error(ops, t, s, &encoding, *shared)?])
            })
            .collect()
    }
}

impl Network for Pefm {
    fn loss(&self, tape: &Tape, taps: &[Tensor]) -> Result<Tensor> {
        let errors = self.errors(&mut &*tape, taps)?;
        let means = errors.iter().flatten().map(|error| error.mean_all().map_err(failed));
        total(&means.collect::<Result<Vec<_>>>()?)
    }

    fn scores<O: Ops>(&self, ops: &mut O, taps: &[O::Value]) -> Result<Vec<Scores<O::Value>>> {
        let errors = self.errors(ops, taps)?;
        let pairs = self.pairs.iter().zip(&errors);
        pairs
            .map(|(pair, [of_t, of_s])| {
                let (of_t, of_s) = (pair.forward.score(ops, of_t)?, pair.backward.score(ops, of_s)?);
                let square = ops.add(&of_t, &of_s)?;
                Ok(Scores { map: ops.sqrt(&square)?, latent: None })
            })
            .collect()
    }

    fn measured(&self, tape: &Tape, taps: &[Tensor]) -> Result<Vec<Measured>> {
        let errors = self.errors(&mut &*tape, taps)?;
        let pairs = self.pairs.iter().zip(errors);
        let measured = pairs.flat_map(|(pair, [of_t, of_s])| {
            let measured = |weight, map| Measured { weight, measure: Measure::Mean, map };
            [measured(pair.forward.variance, of_t), measured(pair.backward.variance, of_s)]
        });
        Ok(measured.collect())
    }

    fn planes(&self) -> Vec<Plane> {
        self.pairs.iter().map(|pair| pair.plane).collect()
    }
}
