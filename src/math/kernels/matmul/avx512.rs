//! AVX-512 F.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    _CMP_LT_OQ, _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_epi32,
    _mm512_mask_storeu_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};

use super::{Best, LANES, Panels, multiply_body, nearest_body};

/// Number of points that are processed together. Twelve registers of sums read the panels half as often as AVX2's six.
const POINTS: usize = 12;

#[target_feature(enable = "avx512f")]
pub fn multiply(x: &[f32], panels: &Panels, out: &mut [f32]) {
    multiply_body(x, panels, out, |rows, weights| products(rows, weights));
}

#[target_feature(enable = "avx512f")]
pub fn nearest(x: &[f32], points: &Panels, index: &mut [u32], distance: &mut [f32]) {
    let keep = |product: &_, squares: &_, panel, best: &mut _| keep_nearer(product, squares, panel, best);
    nearest_body(x, points, (index, distance), |rows, weights| products(rows, weights), keep);
}

#[inline]
#[target_feature(enable = "avx512f")]
fn keep_nearer(product: &[f32; LANES], squares: &[f32; LANES], panel: u32, best: &mut Best) {
    // SAFETY: sixteen lanes, sixteen values.
    unsafe {
        let (product, squares) = (_mm512_loadu_ps(product.as_ptr()), _mm512_loadu_ps(squares.as_ptr()));
        let candidate = _mm512_fnmadd_ps(_mm512_set1_ps(2.0), product, squares);
        let nearer = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(candidate, _mm512_loadu_ps(best.value.as_ptr()));
        _mm512_mask_storeu_ps(best.value.as_mut_ptr(), nearer, candidate);
        _mm512_mask_storeu_epi32(best.panel.as_mut_ptr().cast(), nearer, _mm512_set1_epi32(panel as i32));
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn products(rows: [&[f32]; POINTS], weights: &[f32]) -> [[f32; LANES]; POINTS] {
    let inputs = weights.len() / LANES;
    assert!(rows.iter().all(|row| row.len() == inputs));
    let mut sums = [_mm512_setzero_ps(); POINTS];
    for i in 0..inputs {
        // SAFETY: `weights` has LANES values and each row one for each of the inputs.
        unsafe {
            let w = _mm512_loadu_ps(weights.as_ptr().add(i * LANES));
            for (sum, row) in sums.iter_mut().zip(&rows) {
                *sum = _mm512_fmadd_ps(w, _mm512_set1_ps(*row.get_unchecked(i)), *sum);
            }
        }
    }
    let mut out = [[0.0; LANES]; POINTS];
    for (out, sum) in out.iter_mut().zip(sums) {
        // SAFETY: sixteen lanes, sixteen values.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sum) };
    }
    out
}
