//! How much memory training takes.
//!
//! candle, and the writing of the network, allocate in ways that end the process when there is no memory. So as much as a fit
//! needs is asked for once before it starts, in a way that can fail, and given back. That helps where the system refuses
//! memory, as with a limit for the process or on Windows, not where it promises more than there is.

use half::f16;

use super::super::layout::Plane;
use super::network::Network;
use super::ops::Ops;
use super::weights::{Convolution, Weight, Weights};
use crate::error::{Error, Result, Status};
use crate::exec::memory::try_reserve;

/// The values of one image with the parts of its gradient that exist at a time, and what is lost between blocks of memory,
/// as a multiple of the values.
const WITH_GRADIENT: f64 = 1.5;
/// Copies of the trained values: those of candle and of the state before, after and best, two moments twice, a sum, and
/// what is lost between blocks.
const COPIES: usize = 10;
/// What working memory of candle's matrix product takes at most on each thread.
const PRODUCT: usize = 8 << 20;

/// Bytes for each value of the covariances of latent values: their statistics, whiteners, and these as part of a file that
/// exists in pieces and as a whole.
const COVARIANCE: usize = 12;
/// Most bytes of a file that ONNX Runtime reads, less what is small in it.
const LARGEST_FILE: usize = (1 << 31) - (1 << 26);

/// Fails if the memory for a training on this number of threads, and for what is written after it, is not there.
///
/// # Errors
/// [`Status::OutOfMemory`]; [`Status::InvalidOption`] when the network could not be written.
pub fn check<N: Network>(network: &N, weights: &Weights, planes: &[Plane], threads: usize) -> Result<()> {
    let mut meter = Meter { weights, values: 0 };
    let taps: Vec<Shape> = planes.iter().map(|plane| [plane.channels, plane.rows, plane.cols]).collect();
    let latents = network.scores(&mut meter, &taps)?.into_iter().filter_map(|scores| scores.latent);
    let covariances = latents.fold(0usize, |sum, [channels, rows, cols]| {
        sum.saturating_add(rows.saturating_mul(cols).saturating_mul(channels * channels))
    });
    if covariances.saturating_mul(size_of::<f16>()) > LARGEST_FILE {
        let message = "the feature maps have so many positions and channels that the network would be larger than the 2 GiB \
                       that ONNX Runtime reads; use a smaller size, a larger grid_step, or a backbone with fewer channels";
        return Err(Error::new(Status::InvalidOption, message));
    }
    let fixed: usize = weights.entries().iter().map(|entry| entry.values.len()).sum();
    let trained = weights.trained_values().count();
    let of_image = ((WITH_GRADIENT * meter.values as f64) as usize).saturating_add(2 * trained);
    let values = threads.saturating_mul(of_image).saturating_add(COPIES * trained + fixed);
    let mut probe: Vec<u8> = Vec::new();
    let training = values.saturating_mul(size_of::<f32>()).saturating_add(threads.saturating_mul(PRODUCT));
    let writing = covariances.saturating_mul(COVARIANCE).saturating_add(4 * size_of::<f32>() * (fixed + trained));
    try_reserve(&mut probe, training.max(writing))
}

/// Channels, rows and columns.
type Shape = [usize; 3];

/// Counts the values that computing a network keeps for the gradient.
struct Meter<'a> {
    weights: &'a Weights,
    values: usize,
}

impl Meter<'_> {
    fn of(&mut self, shape: Shape) -> Result<Shape> {
        let count = shape.iter().fold(1usize, |count, extent| count.saturating_mul(*extent));
        self.values = self.values.saturating_add(count);
        Ok(shape)
    }

    /// The result of an elementwise operation in which extents of 1 are repeated.
    fn elementwise(&mut self, a: Shape, b: Shape) -> Result<Shape> {
        self.of(std::array::from_fn(|axis| a[axis].max(b[axis])))
    }
}

impl Ops for Meter<'_> {
    type Value = Shape;

    fn weight(&mut self, weight: Weight) -> Result<Shape> {
        let shape = &self.weights.entries()[Weights::index(weight)].shape;
        Ok([shape[0], shape[1], shape[2]])
    }

    fn convolution(&mut self, x: &Shape, convolution: Convolution) -> Result<Shape> {
        let kernel = &self.weights.entries()[Weights::index(convolution.weight)].shape;
        let [_, rows, cols] = *x;
        // The unfolded input, the product, and the sum with the bias.
        self.of([kernel[1] * kernel[2] * kernel[3], rows, cols])?;
        self.of([kernel[0], rows, cols])?;
        self.of([kernel[0], rows, cols])
    }

    fn channels(&mut self, x: &Shape, _: usize, count: usize) -> Result<Shape> {
        self.of([count, x[1], x[2]])
    }

    fn join(&mut self, parts: &[&Shape]) -> Result<Shape> {
        self.of([parts.iter().map(|part| part[0]).sum(), parts[0][1], parts[0][2]])
    }

    fn permute(&mut self, x: &Shape, _: &[usize]) -> Result<Shape> {
        self.of(*x)
    }

    fn relu(&mut self, x: &Shape) -> Result<Shape> {
        self.of(*x)
    }

    fn tanh(&mut self, x: &Shape) -> Result<Shape> {
        self.of(*x)
    }

    fn exp(&mut self, x: &Shape) -> Result<Shape> {
        self.of(*x)
    }

    fn add(&mut self, a: &Shape, b: &Shape) -> Result<Shape> {
        self.elementwise(*a, *b)
    }

    fn subtract(&mut self, a: &Shape, b: &Shape) -> Result<Shape> {
        self.elementwise(*a, *b)
    }

    fn multiply(&mut self, a: &Shape, b: &Shape) -> Result<Shape> {
        self.elementwise(*a, *b)
    }

    fn divide(&mut self, a: &Shape, b: &Shape) -> Result<Shape> {
        self.elementwise(*a, *b)
    }

    fn sqrt(&mut self, x: &Shape) -> Result<Shape> {
        self.of(*x)
    }

    fn scale(&mut self, x: &Shape, _: f32) -> Result<Shape> {
        self.of(*x)
    }

    fn sum_channels(&mut self, x: &Shape) -> Result<Shape> {
        self.of([1, x[1], x[2]])
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::super::Parameters;
    use super::super::super::FASTFLOW;
    use super::super::fastflow;
    use super::*;
    use crate::math::random::Random;

    #[test]
    fn more_than_there_can_be_is_an_error() {
        let (parameters, mut weights) = (Parameters::new(FASTFLOW.parameters), Weights::default());
        let mut plane = Plane { rows: 4, cols: 4, channels: 8, step: 1 };
        let network = fastflow::network(&parameters, &[plane], &mut weights, &mut Random::new(0));
        check(&network, &weights, &[plane], 2).unwrap();
        // Too large for a file, whatever the memory.
        for side in [1 << 13, 1 << 24, 1 << 40] {
            (plane.rows, plane.cols) = (side, side);
            let error = check(&network, &weights, &[plane], 2).unwrap_err();
            assert!(error.status() == Status::InvalidOption && error.message().contains("grid_step"), "{error}");
        }
        (plane.rows, plane.cols) = (4, 4);
        assert_eq!(check(&network, &weights, &[plane], 1 << 50).unwrap_err().status(), Status::OutOfMemory);
    }
}
