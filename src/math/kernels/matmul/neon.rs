//! NEON.
#![allow(unsafe_code)]

use std::arch::aarch64::{
    float32x4_t, vbslq_f32, vbslq_u32, vcltq_f32, vdupq_n_f32, vdupq_n_u32, vfmaq_n_f32, vfmsq_n_f32, vld1q_f32,
    vld1q_u32, vst1q_f32, vst1q_u32,
};

use super::{Best, LANES, Panels, multiply_body, nearest_body};

/// Number of points that are processed together. Of 32 registers, six times four of sums leave room for the operands.
const POINTS: usize = 6;
/// Values of a register.
const QUARTER: usize = LANES / 4;

#[target_feature(enable = "neon")]
pub fn multiply(x: &[f32], panels: &Panels, out: &mut [f32]) {
    multiply_body(x, panels, out, |rows, weights| products(rows, weights));
}

#[target_feature(enable = "neon")]
pub fn nearest(x: &[f32], points: &Panels, index: &mut [u32], distance: &mut [f32]) {
    let keep = |product: &_, squares: &_, panel, best: &mut _| keep_nearer(product, squares, panel, best);
    nearest_body(x, points, (index, distance), |rows, weights| products(rows, weights), keep);
}

#[inline]
#[target_feature(enable = "neon")]
fn keep_nearer(product: &[f32; LANES], squares: &[f32; LANES], panel: u32, best: &mut Best) {
    for quarter in (0..LANES).step_by(QUARTER) {
        // SAFETY: four registers of four lanes, sixteen values.
        unsafe {
            let (value, at) = (best.value.as_mut_ptr().add(quarter), best.panel.as_mut_ptr().add(quarter));
            let (product, squares) =
                (vld1q_f32(product.as_ptr().add(quarter)), vld1q_f32(squares.as_ptr().add(quarter)));
            let (candidate, before) = (vfmsq_n_f32(squares, product, 2.0), vld1q_f32(value));
            let nearer = vcltq_f32(candidate, before);
            vst1q_f32(value, vbslq_f32(nearer, candidate, before));
            vst1q_u32(at, vbslq_u32(nearer, vdupq_n_u32(panel), vld1q_u32(at)));
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn products(rows: [&[f32]; POINTS], weights: &[f32]) -> [[f32; LANES]; POINTS] {
    let inputs = weights.len() / LANES;
    assert!(rows.iter().all(|row| row.len() == inputs));
    let mut sums = [[vdupq_n_f32(0.0); 4]; POINTS];
    for i in 0..inputs {
        // SAFETY: `weights` has LANES values and each row one for each of the inputs.
        unsafe {
            let at = weights.as_ptr().add(i * LANES);
            let quarter = |q: usize| vld1q_f32(at.add(q * QUARTER));
            let w: [float32x4_t; 4] = [quarter(0), quarter(1), quarter(2), quarter(3)];
            for (sums, row) in sums.iter_mut().zip(&rows) {
                let value = *row.get_unchecked(i);
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = vfmaq_n_f32(*sum, w, value);
                }
            }
        }
    }
    let mut out = [[0.0; LANES]; POINTS];
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out.chunks_exact_mut(QUARTER).zip(sums) {
            // SAFETY: four lanes, four values.
            unsafe { vst1q_f32(out.as_mut_ptr(), sum) };
        }
    }
    out
}
