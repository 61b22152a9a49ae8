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
        let mut step = |side| {
            let mut order: Vec<usize> = (0..channels).collect();
            random.shuffle(&mut order, channels);
            Coupling {
                order,
                hidden: Convolution::random(weights, first + condition, hidden, side, random),
                output: Convolution::zero(weights, hidden, 2 * second, side),
            }
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

#[cfg(test)]
mod tests {
    use nalgebra::DMatrix;
    use ndarray::Array3;

    use super::super::naive::{Naive, draw, uniform};
    use super::*;

    impl Flow {
        /// The map that the flow makes `z` of.
        fn inverse<O: Ops>(&self, ops: &mut O, z: &O::Value, condition: Option<&O::Value>) -> O::Value {
            let (first, second) = halves(self.shape.channels);
            self.steps.iter().rev().fold(z.clone(), |z, Coupling { order, hidden, output }| {
                let (x1, y2) = (ops.channels(&z, 0, first).unwrap(), ops.channels(&z, first, second).unwrap());
                let input = condition.map_or(x1.clone(), |condition| ops.join(&[&x1, condition]).unwrap());
                let between = ops.convolution(&input, *hidden).unwrap();
                let between = ops.relu(&between).unwrap();
                let a = ops.convolution(&between, *output).unwrap();
                let (s, t) = (ops.channels(&a, 0, second).unwrap(), ops.channels(&a, second, second).unwrap());
                let s = ops.scale(&s, 0.1).unwrap();
                let s = ops.tanh(&s).unwrap();
                let s = ops.scale(&s, self.shape.clamp).unwrap();
                let (factor, moved) = (ops.exp(&s).unwrap(), ops.subtract(&y2, &t).unwrap());
                let x2 = ops.divide(&moved, &factor).unwrap();
                let permuted = ops.join(&[&x1, &x2]).unwrap();
                let mut places = vec![0; order.len()];
                order.iter().enumerate().for_each(|(place, channel)| places[*channel] = place);
                ops.permute(&permuted, &places).unwrap()
            })
        }
    }

    /// Calls `check` with flows of several shapes with random weights, a map, and a condition where they take one.
    fn flows(mut check: impl FnMut(&Flow, &Weights, &Array3<f64>, Option<&Array3<f64>>)) {
        let mut random = Random::new(4);
        for sides in [[1, 1, 1], [3, 3, 3], [3, 1, 3]] {
            for condition in [0, 2] {
                for (channels, rows, cols) in [(1, 2, 2), (2, 1, 1), (3, 1, 3), (4, 3, 2), (5, 2, 2)] {
                    let mut weights = Weights::default();
                    let shape = Shape { channels, condition, clamp: 1.9 };
                    let flow = Flow::new(&mut weights, shape, sides.into_iter(), 6, &mut random);
                    draw(&mut weights, 1.0, &mut random);
                    let mut map = |channels| {
                        let values = uniform(channels * rows * cols, 1.5, &mut random).into_iter().map(f64::from);
                        Array3::from_shape_vec((channels, rows, cols), values.collect()).unwrap()
                    };
                    let (x, of_position) = (map(channels), map(condition));
                    check(&flow, &weights, &x, (condition > 0).then_some(&of_position));
                }
            }
        }
    }

    #[test]
    fn the_sum_of_log_scales_is_the_log_determinant_of_the_jacobian() {
        const STEP: f64 = 1e-6;
        let mut largest = 0f64;
        flows(|flow, weights, x, condition| {
            let run = |x: &Array3<f64>| flow.run(&mut Naive { weights, change: None }, x, condition).unwrap();
            let column = |input: usize| {
                let [less, more] = [-STEP, STEP].map(|step| {
                    let mut x = x.clone();
                    x.as_slice_mut().unwrap()[input] += step;
                    run(&x).z
                });
                ((more - less) / (2.0 * STEP)).into_iter()
            };
            let jacobian = DMatrix::from_iterator(x.len(), x.len(), (0..x.len()).flat_map(column));
            let numeric = jacobian.determinant().abs().ln();
            let sum: f64 = run(x).log_scales.iter().map(|s| s.sum()).sum();
            assert!((sum - numeric).abs() < 1e-4, "{sum} instead of {numeric} for {:?}", x.dim());
            largest = largest.max(sum.abs());
        });
        assert!(largest > 1.0, "the scales matter");
    }

    #[test]
    fn flows_are_inverted() {
        flows(|flow, weights, x, condition| {
            let mut ops = Naive { weights, change: None };
            let z = flow.run(&mut ops, x, condition).unwrap().z;
            let difference = flow.inverse(&mut ops, &z, condition) - x;
            assert!(difference.iter().all(|difference| difference.abs() < 1e-9), "{:?}", x.dim());
            assert!(
                x.dim().0 == 1 || (z - x).iter().any(|difference| difference.abs() > 0.1),
                "the flow does something"
            );
        });
    }
}
