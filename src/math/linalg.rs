//! Cholesky factor and triangular inverse of small symmetric matrices, in f64, by nalgebra.
//!
//! One such pair per grid position turns a covariance into a whitener, 900 of 100 x 100 in a default fit. On two
//! threads nalgebra takes 156 ms for these where a hand-written loop over rows took 117 (`benches/kernels.rs`), 3 % of
//! a fit; it is compiled for one instruction set only, so whiteners are the same on every processor. The inverse is
//! solved for column by column below the diagonal, since nalgebra's inverse of a triangular matrix does not skip the
//! zeros above it and takes twice as long.
//!
//! Matrices are symmetric or lower triangular: only their lower triangle is read and written.

use nalgebra::DMatrix;

use crate::error::Result;
use crate::exec::memory::try_vec;

/// A matrix of zeros of `n` rows and columns.
///
/// # Errors
/// [`crate::error::Status::OutOfMemory`].
pub fn try_zeros(n: usize) -> Result<DMatrix<f64>> {
    Ok(DMatrix::from_vec(n, n, try_vec(n * n, 0.0)?))
}

/// Replaces the lower triangle of `matrix` with its Cholesky factor L, `matrix = L L'`, in its own memory.
///
/// Returns false and leaves `matrix` empty when it is not positive definite or contains a NaN.
pub fn cholesky(matrix: &mut DMatrix<f64>) -> bool {
    let Some(factor) = std::mem::take(matrix).cholesky() else { return false };
    *matrix = factor.unpack_dirty();
    true
}

/// Writes the inverse of the lower triangular `factor` to the lower triangle of `inverse`, of the same dimension.
pub fn invert_lower(factor: &DMatrix<f64>, inverse: &mut DMatrix<f64>) {
    let n = factor.nrows();
    for j in 0..n {
        let mut column = inverse.view_mut((j, j), (n - j, 1));
        column.fill(0.0);
        column[0] = 1.0;
        factor.view((j, j), (n - j, n - j)).solve_lower_triangular_mut(&mut column);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_inverse_of_the_factor_whitens(n in 1usize..40, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            let x = DMatrix::from_fn(n, n, |_, _| random.below(2001) as f64 / 1000.0 - 1.0);
            let covariance = &x * x.transpose() + DMatrix::identity(n, n) * 0.1;
            let mut factor = covariance.clone();
            prop_assert!(cholesky(&mut factor));
            let mut whitener = DMatrix::zeros(n, n);
            invert_lower(&factor, &mut whitener);
            let white = &whitener * &covariance * whitener.transpose();
            prop_assert!((white - DMatrix::identity(n, n)).amax() < 1e-6);
            // W' W is the inverse covariance, whose eigenvalues are the inverse of those of the covariance.
            let mut inverse = (whitener.transpose() * &whitener).symmetric_eigenvalues().as_slice().to_vec();
            let mut expected: Vec<f64> = covariance.symmetric_eigenvalues().iter().map(|value| 1.0 / value).collect();
            inverse.sort_by(f64::total_cmp);
            expected.sort_by(f64::total_cmp);
            for (inverse, expected) in inverse.iter().zip(&expected) {
                prop_assert!((inverse / expected - 1.0).abs() < 1e-6, "{inverse} instead of {expected}");
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        let refused = |n: usize, values: &[f64]| !cholesky(&mut DMatrix::from_row_slice(n, n, values));
        assert!(refused(2, &[1.0, 0.0, 2.0, 1.0]));
        assert!(refused(1, &[f64::NAN]));
        assert!(refused(1, &[0.0]));
    }

    #[test]
    fn only_lower_triangles_are_read_and_written() {
        let mut factor = DMatrix::from_row_slice(2, 2, &[4.0, f64::NAN, 2.0, 10.0]);
        assert!(cholesky(&mut factor));
        assert_eq!((factor[(0, 0)], factor[(1, 0)], factor[(1, 1)]), (2.0, 1.0, 3.0));
        let mut inverse = DMatrix::from_element(2, 2, 7.0);
        invert_lower(&factor, &mut inverse);
        assert_eq!(inverse, DMatrix::from_row_slice(2, 2, &[0.5, 7.0, -1.0 / 6.0, 1.0 / 3.0]));
    }
}
