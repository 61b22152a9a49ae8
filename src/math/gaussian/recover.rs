//! Recovers statistics from Gaussians, so that the fit of a model can be resumed.

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::{Moments, Regularisation, Target};
use crate::error::{Error, Result};
use crate::exec::Threads;
use crate::math::kernels::{blocked_index, blocked_len};
use crate::math::linalg::{invert_lower, try_zeros};

/// Below this share the sample covariance is lost in rounding, and the shrinkage target replaces it.
const LEAST_KEPT: f64 = 1e-3;

/// The Gaussians of all positions, as computed by [`super::Estimator`].
pub struct FittedGaussians<'a> {
    /// Values per sample.
    pub dimension: usize,
    /// `padded(dimension)` values a position.
    pub mean: Vec<f32>,
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
        let mut moments = Self::new(d, mean, starts.to_vec())?;
        assert_eq!((moments.positions(), moments.blocks()), (weight.len(), kept.len()), "Gaussians of one kind");
        moments.weight.copy_from_slice(weight);
        let memory = || Ok((try_zeros(d)?, try_zeros(d)?, try_zeros(d)?));
        threads.run(|| {
            moments
                .scatter
                .par_chunks_exact_mut(triangle)
                .zip(whitener.par_chunks_exact(triangle))
                .zip(kept.par_iter().zip(starts.par_windows(2)))
                .map_init(memory, |memory, ((scatter, whitener), (kept, bounds))| {
                    let total: f64 = weight[bounds[0]..bounds[1]].iter().map(|weight| f64::from(*weight)).sum();
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
                            scatter[blocked_index(i, j)] = (value * total) as f32;
                        }
                    }
                    Ok(())
                })
                .collect::<Result<()>>()
        })?;
        Ok(moments)
    }
}
