//! Conversion between f32 and f16.
//!
//! The crate `half` knows F16C, and of aarch64 the extension for arithmetic in f16, which processors of the first
//! generation lack; conversion is in NEON itself.

#[cfg(target_arch = "aarch64")]
pub(super) mod neon;

use half::f16;
use half::slice::HalfFloatSliceExt;

/// Converts to f32, exactly.
///
/// # Panics
/// When the lengths differ.
pub fn widen(halves: &[f16], out: &mut [f32]) {
    assert_eq!(halves.len(), out.len(), "as many values");
    #[cfg(target_arch = "aarch64")]
    if super::Level::best().set() == super::Set::Neon {
        // SAFETY: every aarch64 processor has NEON.
        #[allow(unsafe_code)]
        return unsafe { neon::widen(halves, out) };
    }
    halves.convert_to_f32_slice(out);
}

/// Converts to the nearest f16, to even ones where two are equally near; beyond its range to infinity.
///
/// # Panics
/// When the lengths differ.
pub fn narrow(values: &[f32], out: &mut [f16]) {
    assert_eq!(values.len(), out.len(), "as many values");
    #[cfg(target_arch = "aarch64")]
    if super::Level::best().set() == super::Set::Neon {
        // SAFETY: every aarch64 processor has NEON.
        #[allow(unsafe_code)]
        return unsafe { neon::narrow(values, out) };
    }
    out.convert_from_f32_slice(values);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All halves, then values around and between them, at lengths that no register divides.
    #[test]
    fn conversions_are_those_of_one_value() {
        let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let mut wide = vec![0.0; halves.len()];
        widen(&halves, &mut wide);
        for (half, wide) in halves.iter().zip(&wide) {
            assert!(half.to_f32().to_bits() == wide.to_bits() || (half.is_nan() && wide.is_nan()), "{half}");
        }
        let between = wide.iter().filter(|value| value.is_finite()).flat_map(|value| {
            let bits = value.to_bits();
            [0, 1, 0xfff, 0x1000, 0x1001].map(|more| f32::from_bits(bits + more))
        });
        let values: Vec<f32> = between.chain([f32::MAX, f32::MIN, f32::INFINITY, 1e-30]).collect();
        for length in [values.len(), 1, 2, 3, 5, 7, 0] {
            let mut narrowed = vec![f16::ZERO; length];
            narrow(&values[..length], &mut narrowed);
            for (value, half) in values.iter().zip(&narrowed) {
                assert_eq!(half.to_bits(), f16::from_f32(*value).to_bits(), "{value}");
            }
        }
    }
}
