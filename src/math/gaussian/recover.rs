//! Recovers statistics from Gaussians, so that the fit of a model can be resumed.

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::{Moments, Regularisation, Target};
use crate::error::{Error, Result};
use crate::exec::Threads;
use crate::math::kernels::{blocked_index, blocked_len, padded};
use crate::math::linalg::{invert_lower, try_zeros};

/// Below this share the sample covariance is lost in rounding, and the shrinkage target replaces it.
const LEAST_KEPT: f64 = 1e-3;

/// The Gaussians of all positions, as computed by [`super::Estimator`].
pub struct FittedGaussians<'a> {
    /// Values per sample.
    pub dimension: usize,
    /// `padded(dimension)` values a position.
    pub mean: &'a [f32],
    /// The first position of each block, and the number of positions.
    pub starts: &'a [usize],
    /// The blocked lower triangles of the blocks' whiteners.
    pub whitener: &'a [f32],
    /// The share of each block's sample covariance that shrinkage kept.
    pub kept: &'a [f32],
    /// The weight of all samples of each position.
    pub weight: &'a [f32],
    /// The target of pooled shrinkage: the lower triangle.
    pub pooled: &'a DMatrix<f64>,
}

/// A sum, rounded to a multiple of 2^-20, so that those of further images are added without rounding: see [`super::on_grid`].
fn on_grid(sum: f64) -> f64 {
    const STEPS: f64 = (1 << 20) as f64;
    (sum * STEPS).round_ties_even() / STEPS
}

impl Moments {
    /// The statistics that result in these Gaussians with the same regularisation.
    ///
    /// A whitener W is stored for scoring, and `inverse(W' W) = (1 - share) S + share T + ridge I` is undone for S. The
    /// effect of rounding W on S is of the order of its effect on scores: the regularised covariance is reproduced.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn recover(fitted: FittedGaussians<'_>, regularisation: Regularisation, threads: &Threads) -> Result<Self> {
        let FittedGaussians { dimension: d, mean, starts, whitener, kept, weight, pooled } = fitted;
        let triangle = blocked_len(d);
        let row_len = padded(d);
        let mut moments = Self::new(d, starts.to_vec())?;
        assert_eq!((moments.positions(), moments.blocks()), (weight.len(), kept.len()), "Gaussians of one kind");
        moments.weight.iter_mut().zip(weight).for_each(|(out, weight)| *out = on_grid(f64::from(*weight)));
        for ((sums, mean), weight) in
            moments.sum.chunks_exact_mut(row_len).zip(mean.chunks_exact(row_len)).zip(&moments.weight)
        {
            sums.iter_mut().zip(mean).for_each(|(sum, mean)| *sum = on_grid(f64::from(*mean) * weight));
        }
        let memory = || Ok((try_zeros(d)?, try_zeros(d)?, try_zeros(d)?));
        let (weights, at) = (&moments.weight, |p: usize, i: usize| f64::from(mean[p * row_len + i]));
        threads.run(|| {
            moments
                .scatter
                .par_chunks_exact_mut(triangle)
                .zip(whitener.par_chunks_exact(triangle))
                .zip(kept.par_iter().zip(starts.par_windows(2)))
                .map_init(memory, |memory, ((scatter, whitener), (kept, bounds))| {
                    let positions = bounds[0]..bounds[1];
                    let total: f64 = weights[positions.clone()].iter().sum();
                    let (lower, factor, covariance) = memory.as_mut().map_err(|error: &mut Error| error.clone())?;
                    for j in 0..d {
                        (j..d).for_each(|i| lower[(i, j)] = f64::from(whitener[blocked_index(i, j)]));
                    }
                    invert_lower(lower, factor);
                    covariance.gemm(1.0, factor, &factor.transpose(), 0.0);
                    (0..d).for_each(|i| covariance[(i, i)] -= regularisation.ridge);
                    let (kept, variance) = (f64::from(*kept), covariance.trace() / d as f64);
                    for j in 0..d {
                        for i in j..d {
                            let target = match regularisation.target {
                                Target::Pooled => pooled[(i, j)],
                                // Shrinkage towards the mean variance does not change the trace.
                                Target::Identity => {
                                    if i == j {
                                        variance
                                    } else {
                                        0.0
                                    }
                                }
                            };
                            let sample = (covariance[(i, j)] - (1.0 - kept) * target) / kept;
                            let value = if kept < LEAST_KEPT { target } else { sample };
                            let product = |p: usize| weights[p] * at(p, i) * at(p, j);
                            scatter[blocked_index(i, j)] =
                                on_grid(value * total + positions.clone().map(product).sum::<f64>());
                        }
                    }
                    Ok(())
                })
                .collect::<Result<()>>()
        })?;
        Ok(moments)
    }
}
