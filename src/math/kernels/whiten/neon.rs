//! NEON.
#![allow(unsafe_code)]

use std::arch::aarch64::{vaddq_f32, vaddvq_f32, vdupq_n_f32, vfmaq_f32, vfmaq_n_f32, vld1q_u16};

use half::f16;

use super::super::halves::neon::widened;
use super::BLOCK;

/// `N` rows with `U` sums of eight lanes each.
///
/// # Safety
/// NEON; `whitener` of the blocked length for `row_len`, `N` rows in `y`, `N` values in `out`.
#[target_feature(enable = "neon")]
pub unsafe fn squared_mahalanobis<const N: usize, const U: usize>(
    whitener: &[f16],
    row_len: usize,
    y: &[f32],
    out: &mut [f32],
) {
    let mut w: *const u16 = whitener.as_ptr().cast();
    let mut squares = [vdupq_n_f32(0.0); N];
    for block in 0..row_len / BLOCK {
        let mut sums = [[[vdupq_n_f32(0.0); 2]; U]; N];
        for column in (0..BLOCK * (block + 1)).step_by(U) {
            for u in 0..U {
                // SAFETY: `w` walks through the blocks' columns in order; each row has a value for each column.
                unsafe {
                    let [low, high] = widened(vld1q_u16(w));
                    for (n, sums) in sums.iter_mut().enumerate() {
                        let value = *y.get_unchecked(n * row_len + column + u);
                        let sum = &mut sums[u];
                        *sum = [vfmaq_n_f32(sum[0], low, value), vfmaq_n_f32(sum[1], high, value)];
                    }
                    w = w.add(BLOCK);
                }
            }
        }
        for (square, sums) in squares.iter_mut().zip(sums) {
            for half in 0..2 {
                let z = sums[1..].iter().fold(sums[0][half], |z, sum| vaddq_f32(z, sum[half]));
                *square = vfmaq_f32(*square, z, z);
            }
        }
    }
    for (square, out) in squares.into_iter().zip(out) {
        *out = vaddvq_f32(square);
    }
}
