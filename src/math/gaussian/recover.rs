//! From Gaussians back to statistics, so that a fit can go on from a model.

use rayon::prelude::*;

use super::{Moments, Regularisation, Target};
use crate::math::kernels::{blocked_index, blocked_len, padded};
use crate::math::linalg::invert_lower;

/// A share of the sample covariance below this is lost in rounding; the target of the shrinkage then stands for it.
const LEAST_KEPT: f64 = 1e-3;

/// The Gaussians of all positions, as [`super::Estimator`] made them.
pub struct FittedGaussians<'a> {
    /// Values per sample.
    pub dimension: usize,
    /// `padded(dimension)` values a position.
    pub mean: Vec<f32>,
    /// The blocked lower triangles of the whiteners.
    pub whitener: &'a [f32],
    /// The share of each sample covariance that shrinkage kept.
    pub kept: &'a [f32],
    /// The weight of all samples of each position.
    pub weight: &'a [f32],
    /// What pooled shrinkage drew towards: the lower triangle, row-major.
    pub pooled: &'a [f32],
}

impl Moments {
    /// The statistics that give these Gaussians again with the same regularisation.
    ///
    /// A whitener W is stored for scoring, and `inverse(W' W) = (1 - share) S + share T + ridge I` is undone for S. What
    /// rounding of W does to S is of the order of what it does to scores: the regularised covariance comes back as it is.
    pub fn recover(fitted: FittedGaussians<'_>, regularisation: Regularisation) -> Self {
        let FittedGaussians { dimension: d, mean, whitener, kept, weight, pooled } = fitted;
        let (triangle, row_len) = (blocked_len(d), padded(d));
        let mut moments = Self::new(d, mean);
        assert_eq!(moments.centre.len(), kept.len() * row_len, "one mean a position");
        moments.weight.copy_from_slice(weight);
        moments
            .scatter
            .par_chunks_exact_mut(triangle)
            .zip(whitener.par_chunks_exact(triangle))
            .zip(kept.par_iter().zip(weight))
            .for_each_init(
                || (vec![0.0; d * d], vec![0.0; d * d], vec![0.0; d * d]),
                |(lower, factor, covariance), ((scatter, whitener), (kept, weight))| {
                    for i in 0..d {
                        (0..=i).for_each(|j| lower[i * d + j] = f64::from(whitener[blocked_index(i, j)]));
                    }
                    invert_lower(lower, d, factor);
                    for i in 0..d {
                        for j in 0..=i {
                            let (a, b) = (&factor[i * d..=i * d + j], &factor[j * d..=j * d + j]);
                            covariance[i * d + j] = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                        }
                        covariance[i * d + i] -= regularisation.ridge;
                    }
                    let trace: f64 = (0..d).map(|i| covariance[i * d + i]).sum();
                    let target = |i: usize, j: usize| match regularisation.target {
                        Target::Pooled => f64::from(pooled[i * d + j]),
                        // Drawing towards the mean variance leaves the trace as it is.
                        Target::Identity if i == j => trace / d as f64,
                        Target::Identity => 0.0,
                    };
                    let kept = f64::from(*kept);
                    for i in 0..d {
                        for j in 0..=i {
                            let value = if kept < LEAST_KEPT {
                                target(i, j)
                            } else {
                                (covariance[i * d + j] - (1.0 - kept) * target(i, j)) / kept
                            };
                            scatter[blocked_index(i, j)] = (value * f64::from(*weight)) as f32;
                        }
                    }
                },
            );
        moments
    }
}
