//! Cholesky factor and triangular inverse of small symmetric matrices, in f64.
//!
//! One such pair per grid position turns a covariance into a whitener. Own code, because thousands of 100 x 100
//! problems run side by side on the caller's threads, in place and without allocation.

use super::kernels::dispatch;

/// Replaces the lower triangle of `a` (`n` x `n`, row-major) with its Cholesky factor L, `a = L L'`.
///
/// Returns false, leaving `a` half done, when `a` is not positive definite (or holds a NaN).
pub fn cholesky(a: &mut [f64], n: usize) -> bool {
    dispatch!(cholesky_body(a: &mut [f64], n: usize) -> bool)
}

/// Writes the inverse of the lower triangular `l` (`n` x `n`, row-major) to the lower triangle of `inverse`.
pub fn invert_lower(l: &[f64], n: usize, inverse: &mut [f64]) {
    dispatch!(invert_lower_body(l: &[f64], n: usize, inverse: &mut [f64]))
}

#[inline(always)]
fn cholesky_body<const FMA: bool>(a: &mut [f64], n: usize) -> bool {
    for i in 0..n {
        let (above, row) = a.split_at_mut(i * n);
        let row = &mut row[..n];
        for j in 0..i {
            let l = &above[j * n..][..=j];
            row[j] = (row[j] - dot::<FMA>(&row[..j], &l[..j])) / l[j];
        }
        let pivot = row[i] - dot::<FMA>(&row[..i], &row[..i]);
        if pivot.is_nan() || pivot <= 0.0 {
            return false;
        }
        row[i] = pivot.sqrt();
    }
    true
}

#[inline(always)]
fn invert_lower_body<const FMA: bool>(l: &[f64], n: usize, inverse: &mut [f64]) {
    for i in 0..n {
        let (above, row) = inverse.split_at_mut(i * n);
        let row = &mut row[..=i];
        row.fill(0.0);
        for k in 0..i {
            let factor = l[i * n + k];
            for (out, x) in row[..=k].iter_mut().zip(&above[k * n..][..=k]) {
                *out = if FMA { factor.mul_add(*x, *out) } else { *out + factor * x };
            }
        }
        let scale = 1.0 / l[i * n + i];
        row[..i].iter_mut().for_each(|x| *x *= -scale);
        row[i] = scale;
    }
}

#[inline(always)]
fn dot<const FMA: bool>(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 16;
    let mut lanes = [0.0; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for l in 0..LANES {
            lanes[l] = if FMA { x[l].mul_add(y[l], lanes[l]) } else { lanes[l] + x[l] * y[l] };
        }
    }
    tail + lanes.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whitener_times_factor_is_identity(n in 1usize..40, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            let x: Vec<f64> = (0..n * n).map(|_| random.below(2001) as f64 / 1000.0 - 1.0).collect();
            let matrix: Vec<f64> = (0..n * n)
                .map(|ij| (0..n).map(|k| x[ij / n * n + k] * x[ij % n * n + k]).sum::<f64>() + f64::from(u8::from(ij / n == ij % n)) * 0.1)
                .collect();
            let mut l = matrix.clone();
            prop_assert!(cholesky(&mut l, n));
            let mut inverse = vec![0.0; n * n];
            invert_lower(&l, n, &mut inverse);
            for i in 0..n {
                for j in 0..=i {
                    let product: f64 = (0..=j).map(|k| l[i * n + k] * l[j * n + k]).sum();
                    prop_assert!((product - matrix[i * n + j]).abs() < 1e-9 * n as f64);
                    let identity: f64 = (j..=i).map(|k| l[i * n + k] * inverse[k * n + j]).sum();
                    prop_assert!((identity - f64::from(u8::from(i == j))).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        assert!(!cholesky(&mut [1.0, 0.0, 2.0, 1.0], 2));
        assert!(!cholesky(&mut [f64::NAN], 1));
        assert!(!cholesky(&mut [0.0], 1));
    }
}
