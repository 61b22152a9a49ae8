//! Estimates Gaussians from statistics: shrinkage, ridge, and the whitener of the regularised covariance.

use nalgebra::DMatrix;

use super::Moments;
use crate::error::Result;
use crate::math::kernels::{pack_whitener, padded};
use crate::math::linalg::{cholesky, invert_lower, try_zeros};

/// Shrinkage target of a covariance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The multiple of the identity that has the same trace.
    Identity,
    /// The mean covariance of all positions.
    Pooled,
}

/// Amount of shrinkage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// A share, 0 (none) to 1.
    Fixed(f64),
    /// Estimated: towards the identity by the oracle approximating estimate (Chen, Wiesel, Eldar, Hero 2010, eq. 23),
    /// towards the pooled covariance by Ledoit and Wolf's optimal share for Gaussian samples.
    Estimated,
}

/// Regularisation of a covariance before it is inverted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regularisation {
    /// Target of the shrinkage.
    pub target: Target,
    /// Amount of the shrinkage.
    pub share: Share,
    /// Ridge that is added to the diagonal after the shrinkage.
    pub ridge: f64,
}

/// The shrinkage of the oracle approximating estimate, from the traces of a covariance and its square.
fn oas_share(dimension: usize, samples: f64, trace: f64, trace_of_square: f64) -> f64 {
    let p = dimension as f64;
    let above = (1.0 - 2.0 / p) * trace_of_square + trace * trace;
    let below = (samples + 1.0 - 2.0 / p) * (trace_of_square - trace * trace / p);
    if below > 0.0 { (above / below).clamp(0.0, 1.0) } else { 1.0 }
}

/// The share that minimises the expected squared error of `(1 - share) S + share T` (Ledoit and Wolf 2004): the variance
/// of S, which for Gaussian samples is `(tr(S)^2 + tr(S^2)) / n`, over its squared distance from T.
fn pooled_share(samples: f64, trace: f64, trace_of_square: f64, distance: f64) -> f64 {
    let variance = (trace * trace + trace_of_square) / samples;
    if distance > 0.0 { (variance / distance).clamp(0.0, 1.0) } else { 1.0 }
}

/// Means and whitener of one block. `W (x - mean)` has the squared length `(x - mean)' C^-1 (x - mean)`.
pub struct Gaussian<'a> {
    /// `padded(dimension)` values for each position of the block.
    pub means: &'a mut [f32],
    /// The blocked lower triangle of W, see [`crate::math::kernels::blocked_len`].
    pub whitener: &'a mut [f32],
    /// The share of the sample covariance that shrinkage kept.
    pub kept: &'a mut f32,
}

/// Reusable memory for [`Estimator::estimate`].
pub struct Estimator<'a> {
    covariance: DMatrix<f64>,
    whitener: DMatrix<f64>,
    pooled: &'a DMatrix<f64>,
}

impl<'a> Estimator<'a> {
    /// Allocates memory for the dimension of `pooled`, the lower triangle of the covariance of [`Target::Pooled`], see
    /// [`Moments::pooled`].
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn new(pooled: &'a DMatrix<f64>) -> Result<Self> {
        let d = pooled.nrows();
        Ok(Self { covariance: try_zeros(d)?, whitener: try_zeros(d)?, pooled })
    }

    /// The squared Frobenius norm of the covariance minus the pooled one.
    fn distance_from_pooled(&self) -> f64 {
        let d = self.pooled.nrows();
        let square = |i: usize, j: usize| (self.covariance[(i, j)] - self.pooled[(i, j)]).powi(2);
        (0..d).map(|j| square(j, j) + 2.0 * (j + 1..d).map(|i| square(i, j)).sum::<f64>()).sum()
    }

    /// The last estimate's whitener in full precision; zero above the diagonal.
    pub fn whitener(&self) -> &DMatrix<f64> {
        &self.whitener
    }

    /// Estimates the Gaussians of block `b` from statistics of `images` images.
    ///
    /// Returns false when the covariance is nearly singular; a larger ridge prevents that.
    pub fn estimate(
        &mut self,
        moments: &Moments,
        b: usize,
        images: usize,
        regularisation: Regularisation,
        out: Gaussian<'_>,
    ) -> bool {
        let (d, row_len) = (moments.dimension, padded(moments.dimension));
        for (p, means) in moments.block(b).zip(out.means.chunks_exact_mut(row_len)) {
            let sums = &moments.sum[p * row_len..];
            means.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = (sum / moments.weight[p]) as f32);
        }
        let (mut trace, mut trace_of_square) = (0.0, 0.0);
        moments.covariance(b, |i, j, value| {
            self.covariance[(i, j)] = value;
            trace += if i == j { value } else { 0.0 };
            trace_of_square += if i == j { value * value } else { 2.0 * value * value };
        });
        let samples = images as f64;
        let share = match (regularisation.share, regularisation.target) {
            (Share::Fixed(share), _) => share,
            (Share::Estimated, Target::Identity) => oas_share(d, samples, trace, trace_of_square),
            (Share::Estimated, Target::Pooled) => {
                pooled_share(samples, trace, trace_of_square, self.distance_from_pooled())
            }
        };
        self.covariance *= 1.0 - share;
        match regularisation.target {
            Target::Identity => (0..d).for_each(|i| self.covariance[(i, i)] += share * trace / d as f64),
            Target::Pooled => self.covariance.zip_apply(self.pooled, |c, target| *c += share * target),
        }
        (0..d).for_each(|i| self.covariance[(i, i)] += regularisation.ridge);
        *out.kept = (1.0 - share) as f32;
        if !cholesky(&mut self.covariance) {
            self.covariance = DMatrix::zeros(d, d);
            return false;
        }
        invert_lower(&self.covariance, &mut self.whitener);
        pack_whitener(self.whitener.as_slice(), d, out.whitener);
        true
    }
}
