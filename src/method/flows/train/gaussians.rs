//! The Gaussian of each position's latent values, from which the image score is computed.
//!
//! A flow is the same at all positions but for its condition, so that positions whose good features vary more than others
//! have longer latent vectors. The distance that PaDiM takes (Defard et al. 2021), with a mean and a covariance for each
//! position, makes them alike; here it is taken of latent values instead of features.

use candle_core::Tensor;
use half::f16;
use rayon::prelude::*;

use super::super::layout::Plane;
use super::network::Network;
use super::tape::{Tape, values};
use super::weights::Weights;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::try_vec;
use crate::math::gaussian::{Estimator, Gaussian, Moments, Regularisation, Share, Target};
use crate::math::kernels::{blocked_index, blocked_len, padded};
use crate::onnx::{Setting, Value, Writer};

/// Share of the mean covariance of all positions in each covariance.
const SHARE: f64 = 0.1;
/// What is added to the diagonal of each covariance, as a multiple of the mean variance of all channels and positions.
const RIDGE: f64 = 1e-4;

/// The Gaussians of the positions of a plane.
pub struct Gaussians {
    plane: Plane,
    /// The mean of each value, position after position.
    means: Vec<f32>,
    /// For each position the inverse Cholesky factor of its covariance, row by row.
    whiteners: Vec<f16>,
}

impl Gaussians {
    /// Those of each part of a network, from the features of good images; none for a network without latent values.
    ///
    /// # Errors
    /// [`Status::NotEnoughImages`] when the latent values do not vary, [`Status::OutOfMemory`], and those of the network.
    pub fn new<N: Network>(
        network: &N,
        weights: &Weights,
        images: impl Iterator<Item = Result<Vec<Tensor>>>,
        threads: &Threads,
    ) -> Result<Vec<Self>> {
        let (tape, mut moments) = (Tape::new(weights)?, Vec::new());
        let mut count = 0;
        for taps in images {
            let taps = taps?;
            let scores = threads.run(|| network.scores(&mut &tape, &taps))?;
            let latents: Vec<Tensor> = scores.into_iter().filter_map(|scores| scores.latent).collect();
            for (index, (latent, plane)) in latents.iter().zip(network.planes()).enumerate() {
                if index == moments.len() {
                    moments.push(empty(&plane)?);
                }
                add(&mut moments[index], &values(latent)?, threads)?;
            }
            count += 1;
        }
        let planes = network.planes();
        planes.iter().zip(&moments).map(|(plane, moments)| Self::estimate(*plane, moments, count, threads)).collect()
    }

    fn estimate(plane: Plane, moments: &Moments, images: usize, threads: &Threads) -> Result<Self> {
        let channels = plane.channels;
        let (pooled, triangle) = (moments.pooled()?, blocked_len(channels));
        let ridge = RIDGE * pooled.trace() / channels as f64;
        let regularisation = Regularisation { target: Target::Pooled, share: Share::Fixed(SHARE), ridge };
        let (mut means, mut whiteners) = (try_vec(plane.len(), 0.0f32)?, try_vec(plane.len() * channels, f16::ZERO)?);
        let regular = threads.run(|| {
            let scratch = || Ok((Estimator::new(&pooled)?, try_vec(padded(channels), 0.0)?, try_vec(triangle, 0.0)?));
            let position =
                means.par_chunks_exact_mut(channels).zip(whiteners.par_chunks_exact_mut(channels * channels));
            let estimate = |scratch: &mut Result<(Estimator<'_>, Vec<f32>, Vec<f32>)>,
                            (position, (means, whitener))| {
                let (estimator, padded, packed) = scratch.as_mut().map_err(|error: &mut Error| error.clone())?;
                let (means, whitener): (&mut [f32], &mut [f16]) = (means, whitener);
                let out = Gaussian { means: padded, whitener: packed, kept: &mut 0.0 };
                let regular = estimator.estimate(moments, position, images, regularisation, out);
                means.copy_from_slice(&padded[..channels]);
                for (row, whitener) in whitener.chunks_exact_mut(channels).enumerate() {
                    (0..=row).for_each(|col| whitener[col] = f16::from_f32(packed[blocked_index(row, col)]));
                }
                Ok(regular && whitener.iter().all(|w| w.is_finite()))
            };
            position.enumerate().map_init(scratch, estimate).try_reduce(|| true, |a, b| Ok(a & b))
        })?;
        if !regular {
            let message = "the good images hardly vary, so the covariances of latent values cannot be estimated; add more \
                           varied images";
            return Err(Error::new(Status::NotEnoughImages, message));
        }
        Ok(Self { plane, means, whiteners })
    }

    /// Writes the Mahalanobis distance of each position, divided by the root of the number of channels:
    /// from 1 x channels x rows x columns to 1 x 1 x rows x columns.
    pub fn write(&self, writer: &mut Writer, latent: &Value) -> Value {
        let Plane { rows, cols, channels, .. } = self.plane;
        let last = writer.node("Transpose", &[latent], &[("perm", Setting::Ints(&[0, 2, 3, 1]))]);
        let shape = writer.integers(&[rows * cols, channels, 1].map(|n| n as i64));
        let vectors = writer.node("Reshape", &[&last, &shape], &[]);
        let means = writer.constant(&[rows * cols, channels, 1], &self.means);
        let relative = writer.node("Sub", &[&vectors, &means], &[]);
        let whiteners = writer.half_constant(&[rows * cols, channels, channels], &self.whiteners);
        let white = writer.node("MatMul", &[&whiteners, &relative], &[]);
        let length = writer.node("ReduceL2", &[&white], &[("axes", Setting::Ints(&[1]))]);
        let share = writer.constant(&[1], &[1.0 / (channels as f32).sqrt()]);
        let distance = writer.node("Mul", &[&length, &share], &[]);
        let shape = writer.integers(&[1, 1, rows as i64, cols as i64]);
        writer.node("Reshape", &[&distance, &shape], &[])
    }
}

/// Empty statistics, with a covariance for each position.
fn empty(plane: &Plane) -> Result<Moments> {
    Moments::new(plane.channels, (0..=plane.rows * plane.cols).collect())
}

/// Adds the latent values of an image, channels x positions.
fn add(moments: &mut Moments, latent: &[f32], threads: &Threads) -> Result<()> {
    let (channels, positions) = (moments.dimension(), moments.positions());
    let blocks = moments.blocks_mut()?;
    threads.run(|| {
        blocks.enumerate().for_each_init(
            || vec![0.0; padded(channels)],
            |row, (position, mut block)| {
                let values = latent.iter().skip(position).step_by(positions);
                row.iter_mut().zip(values).for_each(|(row, value)| *row = f64::from(*value));
                block.add(row, &[1.0], &[0]);
            },
        );
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};

    use super::super::super::super::Parameters;
    use super::super::super::FASTFLOW;
    use super::super::naive::{draw, uniform};
    use super::super::{fastflow, tape::tensor};
    use super::*;
    use crate::backbone::{Device, Head};
    use crate::math::random::Random;

    const PLANE: Plane = Plane { rows: 2, cols: 3, channels: 5, step: 1 };

    /// The distance of each position from the definition, for latent values of channels x positions.
    fn naive(images: &[Vec<f32>], latent: &[f32]) -> Vec<f64> {
        let (positions, count) = (PLANE.rows * PLANE.cols, images.len() as f64);
        let at =
            |values: &[f32], p: usize| DVector::from_fn(PLANE.channels, |c, _| f64::from(values[c * positions + p]));
        let means: Vec<DVector<f64>> =
            (0..positions).map(|p| images.iter().map(|image| at(image, p)).sum::<DVector<f64>>() / count).collect();
        let covariance = |p: usize| {
            let product = |image: &Vec<f32>| (at(image, p) - &means[p]) * (at(image, p) - &means[p]).transpose();
            images.iter().map(product).sum::<DMatrix<f64>>() / count
        };
        let pooled = (0..positions).map(covariance).sum::<DMatrix<f64>>() / positions as f64;
        let ridge =
            DMatrix::identity(PLANE.channels, PLANE.channels) * (RIDGE * pooled.trace() / PLANE.channels as f64);
        let distance = |p: usize| {
            let regular = covariance(p) * (1.0 - SHARE) + &pooled * SHARE + &ridge;
            let relative = at(latent, p) - &means[p];
            (relative.dot(&(regular.try_inverse().unwrap() * &relative)) / PLANE.channels as f64).sqrt()
        };
        (0..positions).map(distance).collect()
    }

    #[test]
    fn the_written_distance_is_that_of_the_definition() {
        let (mut weights, mut random) = (Weights::default(), Random::new(8));
        let network = fastflow::network(&Parameters::new(FASTFLOW.parameters), &[PLANE], &mut weights, &mut random);
        draw(&mut weights, 0.4, &mut random);
        let images: Vec<Tensor> = (0..9)
            .map(|_| {
                tensor(&uniform(PLANE.len(), 2.0, &mut random), &[PLANE.channels, PLANE.rows, PLANE.cols]).unwrap()
            })
            .collect();
        let threads = Threads::new(2).unwrap();
        let own = images[..8].iter().map(|image| Ok(vec![image.clone()]));
        let gaussians = Gaussians::new(&network, &weights, own, &threads).unwrap();

        let latent = |image: &Tensor| {
            let scores = network.scores(&mut &Tape::new(&weights).unwrap(), std::slice::from_ref(image)).unwrap();
            values(scores[0].latent.as_ref().unwrap()).unwrap()
        };
        let latents: Vec<Vec<f32>> = images.iter().map(latent).collect();
        let mut writer = Writer::default();
        let input = writer.input(&[1, 1, 1, PLANE.len()]);
        let shape = writer.integers(&[1, PLANE.channels, PLANE.rows, PLANE.cols].map(|n| n as i64));
        let map = writer.node("Reshape", &[&input, &shape], &[]);
        let distance = gaussians[0].write(&mut writer, &map);
        writer.output(&distance, &[1, 1, PLANE.rows, PLANE.cols]);
        let head = Head::open(
            writer.finish("distance").unwrap(),
            PLANE.len(),
            (PLANE.rows, PLANE.cols),
            &Device::default(),
            1,
        )
        .unwrap();
        let (mut found, mut none) = (Vec::new(), vec![1.0]);
        // A learnt image and another.
        for latent in [&latents[0], &latents[8]] {
            head.run(latent, &mut found, &mut none).unwrap();
            assert!(none.is_empty(), "there is one channel");
            for (found, expected) in found.iter().zip(naive(&latents[..8], latent)) {
                assert!((f64::from(*found) - expected).abs() < 2e-3 * expected, "{found} instead of {expected}");
            }
        }
    }
}
