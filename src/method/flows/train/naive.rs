//! A direct implementation of the operations in double precision, for tests.

use ndarray::{Array3, Axis, concatenate, s};

use super::ops::Ops;
use super::weights::{Convolution, Entry, Weight, Weights};
use crate::error::Result;
use crate::math::random::Random;

/// Computes networks with these weights, of which one may be changed by a little.
pub struct Naive<'a> {
    pub weights: &'a Weights,
    /// The number of an array, the number of a value in it, and what is added to that value.
    pub change: Option<(usize, usize, f64)>,
}

impl Naive<'_> {
    fn values(&self, weight: Weight) -> (&[usize], Vec<f64>) {
        let Entry { shape, values, .. } = &self.weights.entries()[Weights::index(weight)];
        let mut values: Vec<f64> = values.iter().copied().map(f64::from).collect();
        if let Some((_, value, change)) = self.change.filter(|change| change.0 == Weights::index(weight)) {
            values[value] += change;
        }
        (shape, values)
    }
}

impl Ops for Naive<'_> {
    type Value = Array3<f64>;

    fn weight(&mut self, weight: Weight) -> Result<Array3<f64>> {
        let (shape, values) = self.values(weight);
        Ok(Array3::from_shape_vec((shape[0], shape[1], shape[2]), values).unwrap())
    }

    fn convolution(&mut self, x: &Array3<f64>, convolution: Convolution) -> Result<Array3<f64>> {
        let ((shape, kernel), (_, bias)) = (self.values(convolution.weight), self.values(convolution.bias));
        let ((inputs, rows, cols), side) = (x.dim(), shape[2]);
        let at = |c: usize, y: usize, x_: usize| {
            let (y, x_) = (y.checked_sub(side / 2)?, x_.checked_sub(side / 2)?);
            x.get((c, y, x_)).copied()
        };
        Ok(Array3::from_shape_fn((shape[0], rows, cols), |(output, y, x)| {
            let mut sum = bias[output];
            for c in 0..inputs {
                for dy in 0..side {
                    for dx in 0..side {
                        let weight = kernel[((output * inputs + c) * side + dy) * side + dx];
                        sum += weight * at(c, y + dy, x + dx).unwrap_or(0.0);
                    }
                }
            }
            sum
        }))
    }

    fn channels(&mut self, x: &Array3<f64>, first: usize, count: usize) -> Result<Array3<f64>> {
        Ok(x.slice(s![first..first + count, .., ..]).to_owned())
    }

    fn join(&mut self, parts: &[&Array3<f64>]) -> Result<Array3<f64>> {
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        Ok(concatenate(Axis(0), &views).unwrap())
    }

    fn permute(&mut self, x: &Array3<f64>, order: &[usize]) -> Result<Array3<f64>> {
        Ok(x.select(Axis(0), order))
    }

    fn relu(&mut self, x: &Array3<f64>) -> Result<Array3<f64>> {
        Ok(x.mapv(|x| x.max(0.0)))
    }

    fn tanh(&mut self, x: &Array3<f64>) -> Result<Array3<f64>> {
        Ok(x.mapv(f64::tanh))
    }

    fn exp(&mut self, x: &Array3<f64>) -> Result<Array3<f64>> {
        Ok(x.mapv(f64::exp))
    }

    fn add(&mut self, a: &Array3<f64>, b: &Array3<f64>) -> Result<Array3<f64>> {
        Ok(a + b)
    }

    fn subtract(&mut self, a: &Array3<f64>, b: &Array3<f64>) -> Result<Array3<f64>> {
        Ok(a - b)
    }

    fn multiply(&mut self, a: &Array3<f64>, b: &Array3<f64>) -> Result<Array3<f64>> {
        Ok(a * b)
    }

    fn divide(&mut self, a: &Array3<f64>, b: &Array3<f64>) -> Result<Array3<f64>> {
        Ok(a / b)
    }

    fn sqrt(&mut self, x: &Array3<f64>) -> Result<Array3<f64>> {
        Ok(x.mapv(f64::sqrt))
    }

    fn scale(&mut self, x: &Array3<f64>, factor: f32) -> Result<Array3<f64>> {
        Ok(x * f64::from(factor))
    }

    fn sum_channels(&mut self, x: &Array3<f64>) -> Result<Array3<f64>> {
        Ok(x.sum_axis(Axis(0)).insert_axis(Axis(0)))
    }
}

/// `count` numbers between minus and plus `bound`.
pub fn uniform(count: usize, bound: f32, random: &mut Random) -> Vec<f32> {
    (0..count).map(|_| (random.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0) * bound).collect()
}

/// Replaces all weights that training changes by numbers between minus and plus `bound`, so that no layer is zero.
pub fn draw(weights: &mut Weights, bound: f32, random: &mut Random) {
    let values = uniform(weights.trained_values().count(), bound, random);
    weights.set_trained_values(&values);
}
