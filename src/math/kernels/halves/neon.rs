//! NEON. `std::arch` has these instructions since Rust 1.94 only, hence in assembly.
#![allow(unsafe_code)]

use std::arch::aarch64::{float32x4_t, uint16x8_t, vld1q_f32, vld1q_u16, vst1q_f32, vst1q_u16};
use std::arch::asm;

use half::f16;

/// Values of a register of halves.
const LANES: usize = 8;

/// The values of eight halves.
#[inline]
#[target_feature(enable = "neon")]
pub fn widened(halves: uint16x8_t) -> [float32x4_t; 2] {
    let (low, high);
    // SAFETY: the instructions read and write these registers alone.
    unsafe {
        asm!(
            "fcvtl {low:v}.4s, {halves:v}.4h",
            "fcvtl2 {high:v}.4s, {halves:v}.8h",
            low = out(vreg) low,
            high = lateout(vreg) high,
            halves = in(vreg) halves,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    [low, high]
}

/// The nearest halves of eight values.
#[inline]
#[target_feature(enable = "neon")]
fn narrowed([low, high]: [float32x4_t; 2]) -> uint16x8_t {
    let halves;
    // SAFETY: as above.
    unsafe {
        asm!(
            "fcvtn {halves:v}.4h, {low:v}.4s",
            "fcvtn2 {halves:v}.8h, {high:v}.4s",
            halves = out(vreg) halves,
            low = in(vreg) low,
            high = in(vreg) high,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    halves
}

#[target_feature(enable = "neon")]
pub fn widen(halves: &[f16], out: &mut [f32]) {
    let (mut halves, mut out) = (halves.chunks_exact(LANES), out.chunks_exact_mut(LANES));
    for (halves, out) in halves.by_ref().zip(out.by_ref()) {
        // SAFETY: eight values each; a half is two bytes.
        unsafe {
            let [low, high] = widened(vld1q_u16(halves.as_ptr().cast()));
            vst1q_f32(out.as_mut_ptr(), low);
            vst1q_f32(out.as_mut_ptr().add(LANES / 2), high);
        }
    }
    halves.remainder().iter().zip(out.into_remainder()).for_each(|(half, out)| *out = half.to_f32());
}

#[target_feature(enable = "neon")]
pub fn narrow(values: &[f32], out: &mut [f16]) {
    let (mut values, mut out) = (values.chunks_exact(LANES), out.chunks_exact_mut(LANES));
    for (values, out) in values.by_ref().zip(out.by_ref()) {
        // SAFETY: eight values each; a half is two bytes.
        unsafe {
            let halves = narrowed([vld1q_f32(values.as_ptr()), vld1q_f32(values.as_ptr().add(LANES / 2))]);
            vst1q_u16(out.as_mut_ptr().cast(), halves);
        }
    }
    values.remainder().iter().zip(out.into_remainder()).for_each(|(value, out)| *out = f16::from_f32(*value));
}
