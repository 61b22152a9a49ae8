//! AVX2, FMA and F16C.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_add_ps, _mm256_broadcast_ss, _mm256_cvtph_ps, _mm256_fmadd_ps,
    _mm256_setzero_ps, _mm256_storeu_ps,
};

use half::f16;

use super::BLOCK;

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
