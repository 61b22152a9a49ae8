//! Lower triangular matrix times vectors: the inner loops of scoring and of held-out scoring.
//!
//! Scoring reads every position's whitener once per image, so it is bound by memory traffic: f16 halves it compared
//! with f32, and rounding changes distances by less than 1e-3. Leave-one-out distances divide by the variance that
//! remains without an image, which may be small, so they need f32; there several vectors share one pass over the
//! matrix.

use half::f16;

use super::{BLOCK, blocked_index, blocked_len, dispatch, fma, padded};

/// Stores the lower triangle of `matrix` (`dimension` x `dimension`, column after column) in blocks.
pub fn pack_whitener(matrix: &[f64], dimension: usize, out: &mut [f32]) {
    out[..blocked_len(dimension)].fill(0.0);
    for (j, column) in matrix.chunks_exact(dimension).enumerate() {
        for (i, value) in column.iter().enumerate().skip(j) {
            out[blocked_index(i, j)] = *value as f32;
        }
    }
}

/// `z_n = W y_n` for the blocked lower triangle `whitener` and each row of `y`.
///
/// `y` and `z` hold the same number of rows of `padded(dimension)` values. The padding of `y` must be finite, that of
/// `z` becomes zero.
pub fn whiten(whitener: &[f32], dimension: usize, y: &[f32], z: &mut [f32]) {
    let row_len = padded(dimension);
    assert!(whitener.len() == blocked_len(dimension) && y.len() == z.len() && y.len().is_multiple_of(row_len));
    whiten_rows(whitener, row_len, y, z);
}

fn whiten_rows(whitener: &[f32], row_len: usize, y: &[f32], z: &mut [f32]) {
    dispatch!(whiten_body(whitener: &[f32], row_len: usize, y: &[f32], z: &mut [f32]))
}

#[inline(always)]
fn whiten_body<const FMA: bool>(whitener: &[f32], row_len: usize, y: &[f32], z: &mut [f32]) {
    const GROUP: usize = 4;
    for (y, z) in y.chunks(GROUP * row_len).zip(z.chunks_mut(GROUP * row_len)) {
        match y.len() / row_len {
            1 => whiten_group::<FMA, 1>(whitener, row_len, y, z),
            2 => whiten_group::<FMA, 2>(whitener, row_len, y, z),
            3 => whiten_group::<FMA, 3>(whitener, row_len, y, z),
            _ => whiten_group::<FMA, GROUP>(whitener, row_len, y, z),
        }
    }
}

/// `N` vectors, with two sums for each so that additions overlap.
#[inline(always)]
fn whiten_group<const FMA: bool, const N: usize>(whitener: &[f32], row_len: usize, y: &[f32], z: &mut [f32]) {
    let rows: [&[f32]; N] = std::array::from_fn(|n| &y[n * row_len..][..row_len]);
    let mut rest = whitener;
    for block in 0..row_len / BLOCK {
        let (columns, after) = rest.split_at(BLOCK * BLOCK * (block + 1));
        let mut sums = [[[0.0f32; BLOCK]; 2]; N];
        for (pair, weights) in columns.chunks_exact(2 * BLOCK).enumerate() {
            for n in 0..N {
                for half in 0..2 {
                    let value = rows[n][2 * pair + half];
                    for l in 0..BLOCK {
                        sums[n][half][l] = fma::<FMA>(weights[half * BLOCK + l], value, sums[n][half][l]);
                    }
                }
            }
        }
        for n in 0..N {
            let out = &mut z[n * row_len + block * BLOCK..][..BLOCK];
            (0..BLOCK).for_each(|l| out[l] = sums[n][0][l] + sums[n][1][l]);
        }
        rest = after;
    }
}

/// `|W y|^2` for each row of `y`: the squared Mahalanobis distances of vectors relative to their means. `y` has a row of
/// `padded(dimension)` values for each value of `out`; the padding must be finite. Each pass over the whitener serves up to
/// four rows.
pub fn squared_mahalanobis(whitener: &[f16], dimension: usize, y: &[f32], out: &mut [f32]) {
    let row_len = padded(dimension);
    assert!(whitener.len() == blocked_len(dimension) && y.len() == out.len() * row_len);
    #[cfg(target_arch = "x86_64")]
    if super::level() != super::Level::Baseline {
        for (y, out) in y.chunks(x86::ROWS * row_len).zip(out.chunks_mut(x86::ROWS)) {
            #[allow(unsafe_code)]
            // SAFETY: the processor has AVX2, FMA and F16C; the lengths have been checked above.
            unsafe {
                match out.len() {
                    1 => x86::squared_mahalanobis::<1, 8>(whitener, row_len, y, out),
                    2 => x86::squared_mahalanobis::<2, 4>(whitener, row_len, y, out),
                    3 => x86::squared_mahalanobis::<3, 2>(whitener, row_len, y, out),
                    _ => x86::squared_mahalanobis::<{ x86::ROWS }, 2>(whitener, row_len, y, out),
                }
            }
        }
        return;
    }
    y.chunks_exact(row_len).zip(out).for_each(|(y, out)| *out = squared_mahalanobis_baseline(whitener, y));
}

fn squared_mahalanobis_baseline(whitener: &[f16], y: &[f32]) -> f32 {
    let (mut rest, mut square) = (whitener, 0.0);
    for block in 0..y.len() / BLOCK {
        let (columns, after) = rest.split_at(BLOCK * BLOCK * (block + 1));
        let mut sums = [0.0f32; BLOCK];
        for (column, &y) in columns.chunks_exact(BLOCK).zip(y) {
            for (sum, w) in sums.iter_mut().zip(column) {
                *sum += w.to_f32() * y;
            }
        }
        square += sums.iter().map(|z| z * z).sum::<f32>();
        rest = after;
    }
    square
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use std::arch::x86_64::{
        _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_add_ps, _mm256_broadcast_ss, _mm256_cvtph_ps,
        _mm256_fmadd_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    };

    use half::f16;

    use super::BLOCK;

    /// Rows that share a pass over the whitener.
    pub const ROWS: usize = 4;
    /// Values between what is used and what is fetched: two pages, where the processor's own fetching stops at one's end.
    const AHEAD: usize = 4096;

    /// `N` rows with `U` sums each: a fused multiply-add takes four cycles and two start in each, so eight are independent.
    ///
    /// # Safety
    /// AVX2, FMA and F16C; `whitener` of the blocked length for `row_len`, `N` rows in `y`, `N` values in `out`.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub unsafe fn squared_mahalanobis<const N: usize, const U: usize>(
        whitener: &[f16],
        row_len: usize,
        y: &[f32],
        out: &mut [f32],
    ) {
        let mut w = whitener.as_ptr();
        let mut squares = [_mm256_setzero_ps(); N];
        for block in 0..row_len / BLOCK {
            let mut sums = [[_mm256_setzero_ps(); U]; N];
            for column in (0..BLOCK * (block + 1)).step_by(U) {
                _mm_prefetch::<_MM_HINT_T0>(w.wrapping_add(AHEAD).cast());
                if U == 8 {
                    _mm_prefetch::<_MM_HINT_T0>(w.wrapping_add(AHEAD + 32).cast());
                }
                for u in 0..U {
                    // SAFETY: `w` walks through the blocks' columns in order; each row has a value for each column.
                    unsafe {
                        let weights = _mm256_cvtph_ps(_mm_loadu_si128(w.cast()));
                        for (n, sums) in sums.iter_mut().enumerate() {
                            let value = _mm256_broadcast_ss(y.get_unchecked(n * row_len + column + u));
                            sums[u] = _mm256_fmadd_ps(weights, value, sums[u]);
                        }
                        w = w.add(BLOCK);
                    }
                }
            }
            for (square, sums) in squares.iter_mut().zip(sums) {
                let mut z = sums[0];
                for sum in &sums[1..] {
                    z = _mm256_add_ps(z, *sum);
                }
                *square = _mm256_fmadd_ps(z, z, *square);
            }
        }
        for (square, out) in squares.into_iter().zip(out) {
            let mut lanes = [0.0f32; BLOCK];
            // SAFETY: eight lanes, eight values.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), square) };
            *out = lanes.iter().sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::slice::HalfFloatSliceExt;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_the_definition(dimension in 1usize..50, count in 1usize..10, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            // Multiples of 1/512 within 1 are exact in f16, so both kernels see the same matrix.
            let mut value = || random.below(1025) as f32 / 512.0 - 1.0;
            let matrix: Vec<f64> = (0..dimension * dimension).map(|_| f64::from(value())).collect();
            let y: Vec<f32> = (0..count * padded(dimension)).map(|_| value()).collect();
            let mut packed = vec![9.0; blocked_len(dimension)];
            pack_whitener(&matrix, dimension, &mut packed);
            let mut halves = vec![f16::ZERO; packed.len()];
            halves.convert_from_f32_slice(&packed);
            let (mut z, mut baseline) = (vec![9.0; y.len()], vec![9.0; y.len()]);
            whiten(&packed, dimension, &y, &mut z);
            let mut distances = vec![9.0; count];
            squared_mahalanobis(&halves, dimension, &y, &mut distances);
            whiten_body::<false>(&packed, padded(dimension), &y, &mut baseline);
            for (n, y) in y.chunks(padded(dimension)).enumerate() {
                let mut square = 0.0;
                for i in 0..padded(dimension) {
                    let expected: f64 = (0..=i).filter(|_| i < dimension)
                        .map(|j| matrix[j * dimension + i] * f64::from(y[j])).sum();
                    square += expected * expected;
                    for z in [&z, &baseline] {
                        prop_assert!((f64::from(z[n * padded(dimension) + i]) - expected).abs() < 1e-4);
                    }
                }
                for distance in [distances[n], squared_mahalanobis_baseline(&halves, y)] {
                    prop_assert!((f64::from(distance) - square).abs() < 1e-4 * (1.0 + square));
                }
            }
        }
    }
}
