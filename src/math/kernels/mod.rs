//! The inner loops, for several instruction sets.
//!
//! Most are written once over fixed-size lanes: the compiler turns `[f32; 16]` into one AVX-512, two AVX2 or four NEON
//! registers, and [`dispatch`] compiles the body for each. Where that is not enough, a kernel is a folder with a file of
//! intrinsics for each instruction set. The [`Level`] is chosen at run time. Sums run in a fixed order, so results are the same
//! from run to run on processors with the same level, and agree between levels to rounding.

mod halves;
mod level;
mod matmul;
mod scatter;
mod whiten;

pub use halves::{narrow, widen};
pub use level::{Level, Set};
pub(crate) use level::{dispatch, fma};
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
