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
/// estimates from fewer images than the model. The shrinkage share and the ridge are assumed to be unchanged.
#[derive(Default)]
pub struct LeaveOut {
    rows: Vec<f32>,
    white: Vec<f32>,
    gram: DMatrix<f64>,
}

/// The Gaussian that [`LeaveOut::distances`] starts from.
#[derive(Clone, Copy)]
pub struct Estimate<'a> {
    /// Values per sample.
    pub dimension: usize,
    /// `padded(dimension)` values.
    pub mean: &'a [f32],
    /// The blocked lower triangle of W.
    pub whitener: &'a [f32],
    /// The share of the sample covariance that shrinkage kept.
    pub kept: f32,
    /// The weight of all samples.
    pub weight: f32,
}

impl LeaveOut {
    /// The Mahalanobis distances of `queries` from `gaussian` without the image whose samples and weights are given.
    ///
    /// `samples` and `queries` hold rows of `padded(dimension)` values with zero padding.
    pub fn distances(
        &mut self,
        gaussian: Estimate<'_>,
        samples: &[f32],
        weights: &[f32],
        queries: &[f32],
        out: &mut [f32],
    ) {
        leave_out(self, gaussian, samples, weights, queries, out);
    }

    #[inline(always)]
    fn distances_body<const FMA: bool>(
        &mut self,
        gaussian: Estimate<'_>,
        samples: &[f32],
        weights: &[f32],
        queries: &[f32],
        out: &mut [f32],
    ) {
        let row_len = padded(gaussian.dimension);
        let (count, total) = (weights.len(), f64::from(gaussian.weight));
        let weight: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        let remaining = total - weight;
        // Rows: the samples about their own mean, that mean about the whole's, the queries about the whole's.
        self.rows.clear();
        self.rows.extend_from_slice(samples);
        self.rows.resize((count + 1) * row_len, 0.0);
        self.rows.extend_from_slice(queries);
        let (group, rest) = self.rows.split_at_mut(count * row_len);
        let (shift, queries) = rest.split_at_mut(row_len);
        for (row, sample_weight) in group.chunks_exact(row_len).zip(weights) {
            let share = sample_weight / weight as f32;
            shift.iter_mut().zip(row).for_each(|(s, x)| *s += share * x);
        }
        let subtract = |row: &mut [f32], from: &[f32]| row.iter_mut().zip(from).for_each(|(x, m)| *x -= m);
        group.chunks_exact_mut(row_len).for_each(|row| subtract(row, shift));
        queries.chunks_exact_mut(row_len).for_each(|row| subtract(row, gaussian.mean));
        subtract(shift, gaussian.mean);
        self.white.resize(self.rows.len(), 0.0);
        whiten(gaussian.whitener, gaussian.dimension, &self.rows, &mut self.white);
        let (removed, queries) = self.white.split_at_mut((count + 1) * row_len);
        let scale = f64::from(gaussian.kept) / total;
        let pull = (weight / remaining) as f32;
        for query in queries.chunks_exact_mut(row_len) {
            let shift = &removed[count * row_len..];
            query.iter_mut().zip(shift).for_each(|(q, s)| *q += pull * s);
        }
        for (k, row) in removed.chunks_exact_mut(row_len).enumerate() {
            let factor = if k < count { f64::from(weights[k]) } else { total * weight / remaining };
            let factor = (scale * factor).sqrt() as f32;
            row.iter_mut().for_each(|v| *v *= factor);
        }
        self.solve::<FMA>(count + 1, row_len, remaining / total, out);
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
fn leave_out(
    state: &mut LeaveOut,
    gaussian: Estimate<'_>,
    samples: &[f32],
    weights: &[f32],
    queries: &[f32],
    out: &mut [f32],
) {
    #[inline(always)]
    fn body<const FMA: bool>(
        state: &mut LeaveOut,
        gaussian: Estimate<'_>,
        samples: &[f32],
        weights: &[f32],
        queries: &[f32],
        out: &mut [f32],
    ) {
        state.distances_body::<FMA>(gaussian, samples, weights, queries, out);
    }
    dispatch!(body(
        state: &mut LeaveOut, gaussian: Estimate<'_>, samples: &[f32], weights: &[f32], queries: &[f32], out: &mut [f32]
    ))
}

#[inline(always)]
fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f64 {
    vector::dot::<16, FMA, f64>(a, b)
}
