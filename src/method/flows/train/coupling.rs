//! Affine coupling (Dinh et al. 2017), the step that FastFlow and CFLOW-AD consist of.
//!
//! The channels are permuted and split into x1 and x2; a subnet of x1, and of a condition where there is one, gives log
//! scales s and offsets t:
//!
//! ```text
//! s = clamp * tanh(a / 10)        y = (x1, x2 * exp(s) + t)        log |det dy/dx| = sum of s
//! ```

use super::ops::Ops;
use super::weights::{Convolution, Weights};
use crate::error::Result;
use crate::math::random::Random;

/// Extents and limits of a flow's steps.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Channels of the features.
    pub channels: usize,
    /// Channels of the condition.
    pub condition: usize,
    /// Largest magnitude of a log scale.
    pub clamp: f32,
}

/// One coupling step.
struct Coupling {
    order: Vec<usize>,
    /// The subnet: a convolution, a rectifier, and another convolution, which starts as zero.
    hidden: Convolution,
    output: Convolution,
}

/// A flow: several coupling steps.
pub struct Flow {
    shape: Shape,
    steps: Vec<Coupling>,
}

/// What a flow makes of a map.
pub struct Latent<V> {
    /// The latent values, as many channels as the features.
    pub z: V,
    /// The log scales of each step, whose sum is the logarithm of the determinant.
    pub log_scales: Vec<V>,
}

impl Flow {
    /// A flow whose steps have kernels of these sides and `hidden` channels between their convolutions. It starts as a
    /// permutation. Features of one channel pass through unchanged.
    pub fn new(
        weights: &mut Weights,
        shape: Shape,
        sides: impl Iterator<Item = usize>,
        hidden: usize,
        random: &mut Random,
    ) -> Self {
        let Shape { channels, condition, .. } = shape;
        let (first, second) = halves(channels);
        let mut step = |side| Coupling {
            order: random.choose(channels, channels),
            hidden: Convolution::random(weights, first + condition, hidden, side, random),
            output: Convolution::zero(weights, hidden, 2 * second, side),
        };
        let steps = if second > 0 { sides.map(&mut step).collect() } else { Vec::new() };
        Self { shape, steps }
    }

    /// Runs the flow on a map, with a condition if it has channels for one.
    pub fn run<O: Ops>(&self, ops: &mut O, x: &O::Value, condition: Option<&O::Value>) -> Result<Latent<O::Value>> {
        let (first, second) = halves(self.shape.channels);
        let (mut z, mut log_scales) = (x.clone(), Vec::new());
        for Coupling { order, hidden, output } in &self.steps {
            let permuted = ops.permute(&z, order)?;
            let x1 = ops.channels(&permuted, 0, first)?;
            let x2 = ops.channels(&permuted, first, second)?;
            let input = condition.map_or(Ok(x1.clone()), |condition| ops.join(&[&x1, condition]))?;
            let between = ops.convolution(&input, *hidden)?;
            let between = ops.relu(&between)?;
            let a = ops.convolution(&between, *output)?;
            let s = ops.channels(&a, 0, second)?;
            let s = ops.scale(&s, 0.1)?;
            let s = ops.tanh(&s)?;
            let s = ops.scale(&s, self.shape.clamp)?;
            let t = ops.channels(&a, second, second)?;
            let factor = ops.exp(&s)?;
            let scaled = ops.multiply(&x2, &factor)?;
            let moved = ops.add(&scaled, &t)?;
            z = ops.join(&[&x1, &moved])?;
            log_scales.push(s);
        }
        Ok(Latent { z, log_scales })
    }
}

/// The numbers of channels of x1 and x2.
fn halves(channels: usize) -> (usize, usize) {
    (channels - channels / 2, channels / 2)
}
