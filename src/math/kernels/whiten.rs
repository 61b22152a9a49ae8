//! Lower triangular matrix times vectors, with the matrix in f16: the inner loop of scoring.
//!
//! Scoring reads every position's whitener once per image, so its size in memory is the cost: f16 halves it against
//! f32, and rounding moves distances by less than 1e-3. Several vectors may share one pass over the matrix.

use half::f16;

use super::{BLOCK, blocked_index, blocked_len, padded};

/// Stores the lower triangle of `matrix` (`dimension` x `dimension`, row-major) in blocks of f16.
///
/// Returns false when an entry is too large for f16 (65504).
pub fn pack_whitener(matrix: &[f64], dimension: usize, out: &mut [f16]) -> bool {
    out[..blocked_len(dimension)].fill(f16::ZERO);
    let mut fits = true;
    for i in 0..dimension {
        for j in 0..=i {
            let value = f16::from_f64(matrix[i * dimension + j]);
            fits &= value.is_finite();
            out[blocked_index(i, j)] = value;
        }
    }
    fits
}

/// `z_n = W y_n` for the blocked lower triangle `whitener` and each row of `y`.
///
/// `y` and `z` hold as many rows of `padded(dimension)` values; the padding of `y` must be finite, that of `z` comes out
/// as zero.
pub fn whiten(whitener: &[f16], dimension: usize, y: &[f32], z: &mut [f32]) {
    let row_len = padded(dimension);
    assert!(whitener.len() == blocked_len(dimension) && y.len() == z.len() && y.len().is_multiple_of(row_len));
    #[cfg(target_arch = "x86_64")]
    if super::level() != super::Level::Baseline {
        let many = y.len() / row_len / 4 * 4 * row_len;
        let (y_many, y_rest) = y.split_at(many);
        let (z_many, z_rest) = z.split_at_mut(many);
        #[allow(unsafe_code)]
        // SAFETY: the processor has AVX2, FMA and F16C; the lengths have been checked above.
        unsafe {
            for (y, z) in y_many.chunks_exact(4 * row_len).zip(z_many.chunks_exact_mut(4 * row_len)) {
                x86::whiten::<4>(whitener, row_len, y, z);
            }
            for (y, z) in y_rest.chunks_exact(row_len).zip(z_rest.chunks_exact_mut(row_len)) {
                x86::whiten::<1>(whitener, row_len, y, z);
            }
        }
        return;
    }
    for (y, z) in y.chunks_exact(row_len).zip(z.chunks_exact_mut(row_len)) {
        whiten_baseline(whitener, y, |block, sums| z[block * BLOCK..][..BLOCK].copy_from_slice(sums));
    }
}

/// `|W y|^2`: the squared Mahalanobis distance of `y`, given relative to the mean. The padding of `y` must be finite.
pub fn squared_distance(whitener: &[f16], dimension: usize, y: &[f32]) -> f32 {
    assert!(whitener.len() == blocked_len(dimension) && y.len() == padded(dimension));
    #[cfg(target_arch = "x86_64")]
    if super::level() != super::Level::Baseline {
        #[allow(unsafe_code)]
        // SAFETY: the processor has AVX2, FMA and F16C; the lengths have been checked above.
        return unsafe { x86::squared_distance(whitener, y) };
    }
    let mut square = 0.0;
    whiten_baseline(whitener, y, |_, sums| square += sums.iter().map(|z| z * z).sum::<f32>());
    square
}

fn whiten_baseline(whitener: &[f16], y: &[f32], mut consume: impl FnMut(usize, &[f32; BLOCK])) {
    let mut rest = whitener;
    for block in 0..y.len() / BLOCK {
        let (columns, after) = rest.split_at(BLOCK * BLOCK * (block + 1));
        let mut sums = [0.0f32; BLOCK];
        for (column, &y) in columns.chunks_exact(BLOCK).zip(y) {
            for (sum, w) in sums.iter_mut().zip(column) {
                *sum += w.to_f32() * y;
            }
        }
        consume(block, &sums);
        rest = after;
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use std::arch::x86_64::{
        __m256, _mm_loadu_si128, _mm256_add_ps, _mm256_broadcast_ss, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_setzero_ps,
        _mm256_storeu_ps,
    };

    use half::f16;

    use super::BLOCK;

    /// Independent sums per vector: a fused multiply-add takes four cycles, two start in each.
    const UNROLL: usize = 4;

    /// The products of one block of rows with `N` vectors, `row_len` values apart.
    ///
    /// # Safety
    /// AVX2, FMA and F16C; `w` points to the block's `BLOCK * BLOCK * (block + 1)` values, `y` to `N` rows.
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn block_products<const N: usize>(w: *const f16, block: usize, y: *const f32, row_len: usize) -> [__m256; N] {
        let mut sums: [[__m256; UNROLL]; N] = [[_mm256_setzero_ps(); UNROLL]; N];
        for column in (0..BLOCK * (block + 1)).step_by(UNROLL) {
            for u in 0..UNROLL {
                // SAFETY: column + u is one of the block's columns, and y has at least as many values a row.
                unsafe {
                    let weights = _mm256_cvtph_ps(_mm_loadu_si128(w.add((column + u) * BLOCK).cast()));
                    for n in 0..N {
                        let y = _mm256_broadcast_ss(&*y.add(n * row_len + column + u));
                        sums[n][u] = _mm256_fmadd_ps(weights, y, sums[n][u]);
                    }
                }
            }
        }
        sums.map(|[a, b, c, d]| _mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d)))
    }

    /// # Safety
    /// AVX2, FMA and F16C; `y` and `z` of `N * row_len`, `whitener` of the blocked length for `row_len`.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub unsafe fn whiten<const N: usize>(whitener: &[f16], row_len: usize, y: &[f32], z: &mut [f32]) {
        let mut w = whitener.as_ptr();
        for block in 0..row_len / BLOCK {
            // SAFETY: the lengths promised by the caller.
            unsafe {
                let products = block_products::<N>(w, block, y.as_ptr(), row_len);
                for (n, product) in products.into_iter().enumerate() {
                    _mm256_storeu_ps(z.as_mut_ptr().add(n * row_len + block * BLOCK), product);
                }
                w = w.add(BLOCK * BLOCK * (block + 1));
            }
        }
    }

    /// # Safety
    /// AVX2, FMA and F16C; `whitener` of the blocked length for `y.len()`.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub unsafe fn squared_distance(whitener: &[f16], y: &[f32]) -> f32 {
        let mut w = whitener.as_ptr();
        let mut square = _mm256_setzero_ps();
        for block in 0..y.len() / BLOCK {
            // SAFETY: the lengths promised by the caller.
            unsafe {
                let [z] = block_products::<1>(w, block, y.as_ptr(), y.len());
                square = _mm256_fmadd_ps(z, z, square);
                w = w.add(BLOCK * BLOCK * (block + 1));
            }
        }
        let mut lanes = [0.0f32; BLOCK];
        // SAFETY: eight lanes, eight values.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), square) };
        lanes.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_definition(dimension in 1usize..50, count in 1usize..10, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            let mut value = || random.below(2001) as f32 / 1000.0 - 1.0;
            let matrix: Vec<f64> = (0..dimension * dimension).map(|_| f64::from(value())).collect();
            let y: Vec<f32> = (0..count * padded(dimension)).map(|_| value()).collect();
            let mut packed = vec![f16::ZERO; blocked_len(dimension)];
            prop_assert!(pack_whitener(&matrix, dimension, &mut packed));
            let (mut z, mut baseline) = (vec![9.0; y.len()], vec![9.0; y.len()]);
            whiten(&packed, dimension, &y, &mut z);
            for (y, z) in y.chunks(padded(dimension)).zip(baseline.chunks_mut(padded(dimension))) {
                whiten_baseline(&packed, y, |block, sums| z[block * BLOCK..][..BLOCK].copy_from_slice(sums));
                let square: f32 = z.iter().map(|z| z * z).sum();
                prop_assert!((squared_distance(&packed, dimension, y) - square).abs() < 1e-3);
            }
            for (n, y) in y.chunks(padded(dimension)).enumerate() {
                for i in 0..padded(dimension) {
                    let expected: f64 = (0..=i).filter(|_| i < dimension)
                        .map(|j| f16::from_f64(matrix[i * dimension + j]).to_f64() * f64::from(y[j])).sum();
                    for z in [&z, &baseline] {
                        prop_assert!((f64::from(z[n * padded(dimension) + i]) - expected).abs() < 1e-4);
                    }
                }
            }
        }
    }

    #[test]
    fn what_f16_cannot_hold_is_told() {
        assert!(!pack_whitener(&[1e6], 1, &mut [f16::ZERO; 64]));
    }
}
