//! Leave-one-out distances in closed form.

use nalgebra::{DMatrix, DVectorViewMut};

use crate::math::kernels::{dispatch, padded, whiten};
use crate::math::linalg::cholesky;
use crate::math::vector;

/// Leave-one-out distances: those of an image from Gaussians estimated without it, in closed form.
///
/// An image contributes a few weighted samples to a position's statistics. Removing them is a low-rank change of the
/// covariance, so by the Woodbury identity the changed inverse follows from the existing whitener at the cost of a few
/// whitenings. Cross-validation would need a decomposition per fold and would overstate the distances, since it
/// estimates from fewer images than the model. The share of the shrinkage target and the ridge
/// grow by the factor by which the weight of the remaining images is smaller, which few images make noticeable.
#[derive(Default)]
pub struct LeaveOut {
    rows: Vec<f32>,
    white: Vec<f32>,
    /// What each removed row is multiplied by, squared and without the common scale.
    factors: Vec<f64>,
    /// The removed row of each position that is its shift, and the queries' share of it.
    shifts: Vec<(usize, f32)>,
    gram: DMatrix<f64>,
}

/// The Gaussians of a block that [`LeaveOut::distances`] starts from.
#[derive(Clone, Copy)]
pub struct Estimate<'a> {
    /// Values per sample.
    pub dimension: usize,
    /// `padded(dimension)` values for each position.
    pub means: &'a [f32],
    /// The blocked lower triangle of W.
    pub whitener: &'a [f32],
    /// The share of the sample covariance that shrinkage kept.
    pub kept: f32,
    /// The weight of all samples of each position.
    pub weights: &'a [f32],
}

/// An image's samples in a block, position after position.
#[derive(Clone, Copy)]
pub struct Samples<'a> {
    /// Rows of `padded(dimension)` values with zero padding.
    pub rows: &'a [f32],
    /// A weight for each row.
    pub weights: &'a [f32],
    /// Number of samples of each position.
    pub counts: &'a [usize],
}

impl LeaveOut {
    /// The Mahalanobis distances of `queries` from `gaussian` without the image whose samples are given.
    ///
    /// `queries` holds rows like those of the samples, equally many for each position, position after position.
    pub fn distances(&mut self, gaussian: Estimate<'_>, samples: Samples<'_>, queries: &[f32], out: &mut [f32]) {
        leave_out(self, gaussian, samples, queries, out);
    }

    #[inline(always)]
    fn distances_body<const FMA: bool>(
        &mut self,
        gaussian: Estimate<'_>,
        samples: Samples<'_>,
        queries: &[f32],
        out: &mut [f32],
    ) {
        let row_len = padded(gaussian.dimension);
        let total: f64 = gaussian.weights.iter().map(|w| f64::from(*w)).sum();
        let taken: f64 = samples.weights.iter().map(|w| f64::from(*w)).sum();
        let subtract = |row: &mut [f32], from: &[f32]| row.iter_mut().zip(from).for_each(|(x, m)| *x -= m);
        let means = || gaussian.means.chunks_exact(row_len);
        self.rows.clear();
        self.factors.clear();
        self.shifts.clear();
        // Removed rows of each position: the samples about their own mean, and that mean about the position's.
        let (mut rows, mut weights) = (samples.rows, samples.weights);
        for ((mean, whole), count) in means().zip(gaussian.weights).zip(samples.counts) {
            let (own, own_weights);
            (own, rows) = rows.split_at(count * row_len);
            (own_weights, weights) = weights.split_at(*count);
            let (weight, whole) = (own_weights.iter().map(|w| f64::from(*w)).sum::<f64>(), f64::from(*whole));
            let start = self.rows.len();
            self.rows.resize(start + row_len, 0.0);
            for (row, sample_weight) in own.chunks_exact(row_len).zip(own_weights) {
                let share = sample_weight / weight as f32;
                self.rows[start..].iter_mut().zip(row).for_each(|(s, x)| *s += share * x);
            }
            self.shifts.push((self.factors.len(), (weight / (whole - weight)) as f32));
            self.factors.push(whole * weight / (whole - weight));
            // A single sample is its own mean.
            if *count > 1 {
                self.rows.extend_from_slice(own);
                let (shift, own) = self.rows[start..].split_at_mut(row_len);
                own.chunks_exact_mut(row_len).for_each(|row| subtract(row, shift));
                self.factors.extend(own_weights.iter().map(|w| f64::from(*w)));
            }
            subtract(&mut self.rows[start..start + row_len], mean);
        }
        let count = self.factors.len();
        self.rows.extend_from_slice(queries);
        let per_position = queries.len() / gaussian.means.len();
        let own_queries = self.rows[count * row_len..].chunks_exact_mut(per_position * row_len);
        for (queries, mean) in own_queries.zip(means()) {
            queries.chunks_exact_mut(row_len).for_each(|row| subtract(row, mean));
        }
        self.white.resize(self.rows.len(), 0.0);
        whiten(gaussian.whitener, gaussian.dimension, &self.rows, &mut self.white);
        let (removed, queries) = self.white.split_at_mut(count * row_len);
        for (queries, (shift, pull)) in queries.chunks_exact_mut(per_position * row_len).zip(&self.shifts) {
            let shift = &removed[shift * row_len..][..row_len];
            for query in queries.chunks_exact_mut(row_len) {
                query.iter_mut().zip(shift).for_each(|(q, s)| *q += pull * s);
            }
        }
        let scale = f64::from(gaussian.kept) / total;
        for (row, factor) in removed.chunks_exact_mut(row_len).zip(&self.factors) {
            let factor = (scale * factor).sqrt() as f32;
            row.iter_mut().for_each(|v| *v *= factor);
        }
        self.solve::<FMA>(count, row_len, (total - taken) / total, out);
    }

    /// With V the removed rows and z a query, both whitened: `|z|^2 + (V z)' (I - V V')^-1 (V z)`, scaled.
    #[inline(always)]
    fn solve<const FMA: bool>(&mut self, count: usize, row_len: usize, scale: f64, out: &mut [f32]) {
        let (removed, queries) = self.white.split_at(count * row_len);
        let row = |k: usize| &removed[k * row_len..][..row_len];
        if self.gram.nrows() != count {
            self.gram = DMatrix::zeros(count, count);
        }
        for j in 0..count {
            for i in j..count {
                self.gram[(i, j)] = -dot::<FMA>(row(i), row(j));
            }
            self.gram[(j, j)] += 1.0 + ROUNDING;
        }
        let definite = cholesky(&mut self.gram);
        for (z, out) in queries.chunks_exact(row_len).zip(out) {
            let mut square = dot::<FMA>(z, z);
            if definite {
                let mut solved = [0.0f64; MAX_GROUP];
                // A closure might not be inlined, and lose the instruction set.
                for (row, solved) in removed.chunks_exact(row_len).zip(&mut solved) {
                    *solved = dot::<FMA>(row, z);
                }
                let mut solved = DVectorViewMut::from_slice(&mut solved, count);
                self.gram.solve_lower_triangular_mut(&mut solved);
                square += solved.norm_squared();
            } else {
                // The variance in some direction comes from this image alone: the distance is at its maximum.
                square /= ROUNDING;
            }
            *out = (square * scale).max(0.0).sqrt() as f32;
        }
    }
}

/// Rounding error of the remaining variance in a direction.
const ROUNDING: f64 = 1e-6;

/// Maximum number of samples of an image at a position, those of a 7 x 7 neighbourhood, and one for their mean.
pub const MAX_GROUP: usize = 50;

/// [`LeaveOut::distances`] for the best instruction set of this processor.
fn leave_out(state: &mut LeaveOut, gaussian: Estimate<'_>, samples: Samples<'_>, queries: &[f32], out: &mut [f32]) {
    #[inline(always)]
    fn body<const FMA: bool>(
        state: &mut LeaveOut,
        gaussian: Estimate<'_>,
        samples: Samples<'_>,
        queries: &[f32],
        out: &mut [f32],
    ) {
        state.distances_body::<FMA>(gaussian, samples, queries, out);
    }
    dispatch!(body(
        state: &mut LeaveOut, gaussian: Estimate<'_>, samples: Samples<'_>, queries: &[f32], out: &mut [f32]
    ))
}

#[inline(always)]
fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f64 {
    vector::dot::<16, FMA, f64>(a, b)
}
