//! The inner loops, each written once over fixed-size lanes and compiled for several instruction sets.
//!
//! The compiler turns `[f32; 16]` lanes into one AVX-512, two AVX2 or four NEON registers, so one body serves all of
//! them. Intrinsics are needed only where there is no portable form (f16, see [`whiten`]). The instruction set is
//! chosen at run time. Sums run in a fixed order, so results are the same from run to run on one machine, and agree
//! between instruction sets to rounding.

mod matmul;
mod scatter;
mod whiten;

pub use matmul::{Panels, multiply, nearest};
pub use scatter::scatter_add;
pub use whiten::{pack_whitener, squared_mahalanobis, whiten};

/// Rows of the symmetric and triangular matrices are stored in blocks of this many.
pub const BLOCK: usize = 8;

/// `dimension` rounded up to whole blocks.
pub fn padded(dimension: usize) -> usize {
    dimension.next_multiple_of(BLOCK)
}

/// Values in the blocked lower triangle of a matrix of the given dimension.
///
/// Block `b` holds rows `8 b .. 8 b + 8` and columns `0 .. 8 b + 8`, column after column, eight rows each. Entries
/// above the diagonal are zero in a whitener and those of the symmetric matrix in a scatter matrix; padding is zero.
pub fn blocked_len(dimension: usize) -> usize {
    let blocks = padded(dimension) / BLOCK;
    BLOCK * BLOCK * blocks * (blocks + 1) / 2
}

/// Index of entry (`row`, `column`), `column <= row`, in the blocked lower triangle.
pub fn blocked_index(row: usize, column: usize) -> usize {
    let block = row / BLOCK;
    BLOCK * BLOCK * block * (block + 1) / 2 + column * BLOCK + row % BLOCK
}

/// The instruction sets that bodies are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The baseline of the target.
    Baseline,
    /// AVX2, FMA and F16C (Intel since 2013, AMD since 2015).
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX2, FMA, F16C and AVX-512 F and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// The best instruction set of this processor.
pub fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx2") && has!("fma") && has!("f16c") {
            return if has!("avx512f") && has!("avx512vl") { Level::Avx512 } else { Level::Avx2 };
        }
    }
    Level::Baseline
}

/// Calls `body::<FMA>` compiled for the best instruction set of this processor.
macro_rules! dispatch {
    ($body:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)?) => {{
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        {
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2($($arg: $ty),*) $(-> $ret)? { $body::<true>($($arg),*) }
            #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
            fn avx512($($arg: $ty),*) $(-> $ret)? { $body::<true>($($arg),*) }
            // SAFETY: `level` has asked the processor for these features.
            match $crate::math::kernels::level() {
                $crate::math::kernels::Level::Avx512 => return unsafe { avx512($($arg),*) },
                $crate::math::kernels::Level::Avx2 => return unsafe { avx2($($arg),*) },
                $crate::math::kernels::Level::Baseline => {}
            }
        }
        $body::<{ cfg!(target_arch = "aarch64") }>($($arg),*)
    }};
}
pub(crate) use dispatch;

/// `a * b + c`, fused where the instruction set has it (elsewhere the fused form would be a library call).
#[inline(always)]
pub(crate) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}
