//! Weighted Gaussians with a mean per grid position and a covariance per block of positions: sufficient statistics,
//! shrinkage, and held-out distances.
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
pub use leave_out::{Estimate, LeaveOut, MAX_GROUP, Samples};
pub use recover::FittedGaussians;

use std::ops::Range;

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::kernels::{blocked_index, blocked_len, padded, scatter_add};
use super::linalg::try_zeros;
use crate::error::Result;
use crate::exec::memory::{try_reserve, try_vec};

/// Sufficient statistics of Gaussians with a mean for each position and a covariance for each block of consecutive
/// positions: a commutative monoid under [`Moments::merge`].
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    dimension: usize,
    /// The first position of each block, and the number of positions.
    starts: Vec<usize>,
    centre: Vec<f32>,
    weight: Vec<f32>,
    sum: Vec<f32>,
    /// About each position's centre, one for each block.
    scatter: Vec<f32>,
}

/// The statistics of a block, open for adding samples.
pub struct Block<'a> {
    dimension: usize,
    /// The centres that are subtracted from samples: `padded(dimension)` values for each position of the block.
    pub centres: &'a [f32],
    weights: &'a mut [f32],
    sums: &'a mut [f32],
    scatter: &'a mut [f32],
}

impl Block<'_> {
    /// Adds samples: each row holds `sqrt(weight) * (sample - centre)`, padded with zeros, `roots` the `sqrt(weight)`, and
    /// `owners` the number of the sample's position in the block.
    pub fn add(&mut self, rows: &[f32], roots: &[f32], owners: &[usize]) {
        let row_len = padded(self.dimension);
        for ((row, &root), &owner) in rows.chunks_exact(row_len).zip(roots).zip(owners) {
            self.weights[owner] += root * root;
            self.sums[owner * row_len..][..row_len].iter_mut().zip(row).for_each(|(sum, x)| *sum += root * x);
        }
        scatter_add(rows, self.dimension, self.scatter);
    }
}

impl Moments {
    /// Empty statistics about `centre` (`padded(dimension)` values per position, with zero padding). `starts` has the first
    /// position of each block and at the end the number of positions.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn new(dimension: usize, centre: Vec<f32>, starts: Vec<usize>) -> Result<Self> {
        let positions = centre.len() / padded(dimension);
        assert!(starts.first() == Some(&0) && starts.last() == Some(&positions) && starts.is_sorted());
        Ok(Self {
            dimension,
            weight: try_vec(positions, 0.0)?,
            sum: try_vec(centre.len(), 0.0)?,
            scatter: try_vec((starts.len() - 1) * blocked_len(dimension), 0.0)?,
            centre,
            starts,
        })
    }

    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.weight.len()
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.starts.len() - 1
    }

    /// The positions of block `b`.
    pub fn block(&self, b: usize) -> Range<usize> {
        self.starts[b]..self.starts[b + 1]
    }

    /// Values per sample.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The sum of the weights of all samples, for each position.
    pub fn weights(&self) -> &[f32] {
        &self.weight
    }

    /// The statistics of block `b`.
    pub fn block_mut(&mut self, b: usize) -> Block<'_> {
        let (row_len, triangle) = (padded(self.dimension), blocked_len(self.dimension));
        let positions = self.block(b);
        let values = positions.start * row_len..positions.end * row_len;
        Block {
            dimension: self.dimension,
            centres: &self.centre[values.clone()],
            weights: &mut self.weight[positions],
            sums: &mut self.sum[values],
            scatter: &mut self.scatter[b * triangle..][..triangle],
        }
    }

    /// The statistics of all blocks, for parallel loops in [`crate::exec::Threads::run`].
    ///
    /// # Errors
    /// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory).
    pub fn blocks_mut(&mut self) -> Result<impl IndexedParallelIterator<Item = Block<'_>>> {
        let (dimension, row_len) = (self.dimension, padded(self.dimension));
        let (mut centres, mut weights, mut sums) = (&self.centre[..], &mut self.weight[..], &mut self.sum[..]);
        let mut blocks = Vec::new();
        try_reserve(&mut blocks, self.starts.len())?;
        let scatters = self.scatter.chunks_exact_mut(blocked_len(dimension));
        for (bounds, scatter) in self.starts.windows(2).zip(scatters) {
            let count = bounds[1] - bounds[0];
            let (own_centres, own_weights, own_sums);
            (own_centres, centres) = centres.split_at(count * row_len);
            (own_weights, weights) = weights.split_at_mut(count);
            (own_sums, sums) = sums.split_at_mut(count * row_len);
            blocks.push(Block { dimension, centres: own_centres, weights: own_weights, sums: own_sums, scatter });
        }
        Ok(blocks.into_par_iter())
    }

    /// The covariance of block `b` about its positions' means: entries (`i`, `j`), `j <= i`, go to `entry`.
    fn covariance(&self, b: usize, mut entry: impl FnMut(usize, usize, f64)) {
        let (d, row_len, triangle) = (self.dimension, padded(self.dimension), blocked_len(self.dimension));
        let scatter = &self.scatter[b * triangle..][..triangle];
        let total: f64 = self.block(b).map(|p| f64::from(self.weight[p])).sum();
        // Columns of the positions' offsets from their centres, each times the root of its share of the weight.
        let offsets: Vec<Vec<f64>> = self
            .block(b)
            .map(|p| {
                let scale = 1.0 / (f64::from(self.weight[p]) * total).sqrt();
                self.sum[p * row_len..][..d].iter().map(|s| f64::from(*s) * scale).collect()
            })
            .collect();
        for j in 0..d {
            for i in j..d {
                let product: f64 = offsets.iter().map(|offset| offset[i] * offset[j]).sum();
                entry(i, j, f64::from(scatter[blocked_index(i, j)]) / total - product);
            }
        }
    }

    /// The mean of all positions' covariances: the lower triangle.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn pooled(&self) -> Result<DMatrix<f64>> {
        let mut pooled = try_zeros(self.dimension)?;
        for b in 0..self.blocks() {
            let share = self.block(b).len() as f64 / self.positions() as f64;
            self.covariance(b, |i, j, value| pooled[(i, j)] += share * value);
        }
        Ok(pooled)
    }

    /// Adds the statistics of other images; their centres may differ.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!((self.dimension, &self.starts), (other.dimension, &other.starts), "statistics of one kind");
        let (d, row_len, triangle) = (self.dimension, padded(self.dimension), blocked_len(self.dimension));
        for b in 0..self.blocks() {
            let scatter = &mut self.scatter[b * triangle..][..triangle];
            scatter.iter_mut().zip(&other.scatter[b * triangle..]).for_each(|(own, other)| *own += other);
            for p in self.starts[b]..self.starts[b + 1] {
                let row = p * row_len..p * row_len + row_len;
                let moved: Vec<f32> =
                    other.centre[row.clone()].iter().zip(&self.centre[row.clone()]).map(|(a, b)| a - b).collect();
                let (weight, sum) = (other.weight[p], &other.sum[row.clone()]);
                for i in 0..d {
                    for j in 0..d.min(padded(i + 1)) {
                        scatter[blocked_index(i, j)] +=
                            sum[i] * moved[j] + moved[i] * sum[j] + weight * moved[i] * moved[j];
                    }
                }
                self.weight[p] += weight;
                for ((out, sum), moved) in self.sum[row].iter_mut().zip(sum).zip(&moved) {
                    *out += sum + weight * moved;
                }
            }
        }
    }
}
