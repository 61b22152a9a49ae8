//! Weighted Gaussians, one per grid position: sufficient statistics, shrinkage, and held-out distances.
//!
//! The statistics (weight, weighted sum, weighted second moment) are additive over images, so a fit can stream, resume
//! and merge. Moments are taken about a fixed centre near the mean, since raw second moments in f32 would lose small
//! variances.

mod estimate;
mod leave_out;
mod recover;
#[cfg(test)]
mod tests;

pub use estimate::{Estimator, Gaussian, Regularisation, Share, Target};
pub use leave_out::{Estimate, LeaveOut, MAX_GROUP};
pub use recover::FittedGaussians;

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::kernels::{blocked_index, blocked_len, padded, scatter_add};
use super::linalg::try_zeros;
use crate::error::Result;
use crate::exec::memory::try_vec;

/// Sufficient statistics of one Gaussian per position: a commutative monoid under [`Moments::merge`].
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    dimension: usize,
    centre: Vec<f32>,
    weight: Vec<f32>,
    sum: Vec<f32>,
    scatter: Vec<f32>,
}

/// The statistics of one position, open for adding samples.
pub struct Position<'a> {
    dimension: usize,
    /// The centre that is subtracted from samples; `padded(dimension)` values.
    pub centre: &'a [f32],
    weight: &'a mut f32,
    sum: &'a mut [f32],
    scatter: &'a mut [f32],
}

impl Position<'_> {
    /// Adds samples: each row holds `sqrt(weight) * (sample - centre)`, padded with zeros, `roots` the `sqrt(weight)`.
    pub fn add(&mut self, rows: &[f32], roots: &[f32]) {
        for (row, &root) in rows.chunks_exact(padded(self.dimension)).zip(roots) {
            *self.weight += root * root;
            self.sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += root * x);
        }
        scatter_add(rows, self.dimension, self.scatter);
    }
}

impl Moments {
    /// Empty statistics about `centre` (`padded(dimension)` values per position, with zero padding).
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn new(dimension: usize, centre: Vec<f32>) -> Result<Self> {
        let positions = centre.len() / padded(dimension);
        Ok(Self {
            dimension,
            weight: try_vec(positions, 0.0)?,
            sum: try_vec(centre.len(), 0.0)?,
            scatter: try_vec(positions * blocked_len(dimension), 0.0)?,
            centre,
        })
    }

    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.weight.len()
    }

    /// Values per sample.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The sum of the weights of all samples, for each position.
    pub fn weights(&self) -> &[f32] {
        &self.weight
    }

    /// The statistics of position `p`.
    pub fn position_mut(&mut self, p: usize) -> Position<'_> {
        let (row_len, triangle) = (padded(self.dimension), blocked_len(self.dimension));
        Position {
            dimension: self.dimension,
            centre: &self.centre[p * row_len..][..row_len],
            weight: &mut self.weight[p],
            sum: &mut self.sum[p * row_len..][..row_len],
            scatter: &mut self.scatter[p * triangle..][..triangle],
        }
    }

    /// The statistics of all positions, for parallel loops in [`crate::exec::Threads::run`].
    pub fn positions_mut(&mut self) -> impl IndexedParallelIterator<Item = Position<'_>> {
        let (dimension, row_len, triangle) = (self.dimension, padded(self.dimension), blocked_len(self.dimension));
        self.centre
            .par_chunks_exact(row_len)
            .zip(self.weight.par_iter_mut())
            .zip(self.sum.par_chunks_exact_mut(row_len))
            .zip(self.scatter.par_chunks_exact_mut(triangle))
            .map(move |(((centre, weight), sum), scatter)| Position { dimension, centre, weight, sum, scatter })
    }

    /// The mean of all positions' covariances: the lower triangle.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn pooled(&self) -> Result<DMatrix<f64>> {
        let (d, row_len, triangle) = (self.dimension, padded(self.dimension), blocked_len(self.dimension));
        let share = 1.0 / self.positions() as f64;
        let mut pooled = try_zeros(d)?;
        for p in 0..self.positions() {
            let weight = f64::from(self.weight[p]);
            let (sum, scatter) = (&self.sum[p * row_len..], &self.scatter[p * triangle..]);
            for j in 0..d {
                for i in j..d {
                    let mean_product = f64::from(sum[i]) * f64::from(sum[j]) / (weight * weight);
                    pooled[(i, j)] += share * (f64::from(scatter[blocked_index(i, j)]) / weight - mean_product);
                }
            }
        }
        Ok(pooled)
    }

    /// Adds the statistics of other images; their centre may differ.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!((self.dimension, self.positions()), (other.dimension, other.positions()), "statistics of one kind");
        let (d, row_len, triangle) = (self.dimension, padded(self.dimension), blocked_len(self.dimension));
        for p in 0..self.positions() {
            let row = p * row_len..p * row_len + row_len;
            let moved: Vec<f32> =
                other.centre[row.clone()].iter().zip(&self.centre[row.clone()]).map(|(a, b)| a - b).collect();
            let (weight, sum) = (other.weight[p], &other.sum[row.clone()]);
            let scatter = &mut self.scatter[p * triangle..][..triangle];
            for i in 0..d {
                for j in 0..d.min(padded(i + 1)) {
                    let at = blocked_index(i, j);
                    scatter[at] += other.scatter[p * triangle + at]
                        + sum[i] * moved[j]
                        + moved[i] * sum[j]
                        + weight * moved[i] * moved[j];
                }
            }
            self.weight[p] += weight;
            for ((out, sum), moved) in self.sum[row].iter_mut().zip(sum).zip(&moved) {
                *out += sum + weight * moved;
            }
        }
    }
}
