//! AVX2 and FMA.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    _CMP_LT_OQ, _mm256_blendv_ps, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_fmadd_ps,
    _mm256_fnmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_storeu_ps, _mm256_storeu_si256,
};

use super::{Best, LANES, Panels, multiply_body, nearest_body};

/// Number of points that are processed together. Six times two registers of sums leave room for the operands.
const POINTS: usize = 6;
/// Values of a register.
const HALF: usize = LANES / 2;

#[target_feature(enable = "avx2,fma")]
pub fn multiply(x: &[f32], panels: &Panels, out: &mut [f32]) {
    multiply_body(x, panels, out, |rows, weights| products(rows, weights));
}

#[target_feature(enable = "avx2,fma")]
pub fn nearest(x: &[f32], points: &Panels, index: &mut [u32], distance: &mut [f32]) {
    let keep = |product: &_, squares: &_, panel, best: &mut _| keep_nearer(product, squares, panel, best);
    nearest_body(x, points, (index, distance), |rows, weights| products(rows, weights), keep);
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn keep_nearer(product: &[f32; LANES], squares: &[f32; LANES], panel: u32, best: &mut Best) {
    for half in [0, HALF] {
        // SAFETY: two registers of eight lanes, sixteen values.
        unsafe {
            let (value, at) = (best.value.as_mut_ptr().add(half), best.panel.as_mut_ptr().add(half).cast());
            let (product, squares) =
                (_mm256_loadu_ps(product.as_ptr().add(half)), _mm256_loadu_ps(squares.as_ptr().add(half)));
            let candidate = _mm256_fnmadd_ps(_mm256_set1_ps(2.0), product, squares);
            let before = _mm256_loadu_ps(value);
            let nearer = _mm256_cmp_ps::<_CMP_LT_OQ>(candidate, before);
            _mm256_storeu_ps(value, _mm256_blendv_ps(before, candidate, nearer));
            let (before, panel) = (_mm256_loadu_si256(at), _mm256_set1_epi32(panel as i32));
            let chosen = _mm256_blendv_ps(_mm256_castsi256_ps(before), _mm256_castsi256_ps(panel), nearer);
            _mm256_storeu_si256(at, _mm256_castps_si256(chosen));
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn products(rows: [&[f32]; POINTS], weights: &[f32]) -> [[f32; LANES]; POINTS] {
    let inputs = weights.len() / LANES;
    assert!(rows.iter().all(|row| row.len() == inputs));
    let mut sums = [[_mm256_setzero_ps(); 2]; POINTS];
    for i in 0..inputs {
        // SAFETY: `weights` has LANES values and each row one for each of the inputs.
        unsafe {
            let at = weights.as_ptr().add(i * LANES);
            let (low, high) = (_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(HALF)));
            for (sum, row) in sums.iter_mut().zip(&rows) {
                let value = _mm256_set1_ps(*row.get_unchecked(i));
                *sum = [_mm256_fmadd_ps(low, value, sum[0]), _mm256_fmadd_ps(high, value, sum[1])];
            }
        }
    }
    let mut out = [[0.0; LANES]; POINTS];
    for (out, [low, high]) in out.iter_mut().zip(sums) {
        // SAFETY: two registers of eight lanes, sixteen values.
        unsafe {
            _mm256_storeu_ps(out.as_mut_ptr(), low);
            _mm256_storeu_ps(out.as_mut_ptr().add(HALF), high);
        }
    }
    out
}
