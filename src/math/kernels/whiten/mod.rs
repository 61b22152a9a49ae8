//! Lower triangular matrix times vectors: the inner loops of scoring and of held-out scoring.
//!
//! Scoring reads every position's whitener once per image, so it is bound by memory traffic: f16 halves it compared
//! with f32, and rounding changes distances by less than 1e-3. Leave-one-out distances divide by the variance that
//! remains without an image, which may be small, so they need f32; there several vectors share one pass over the
//! matrix.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use half::f16;

use super::{BLOCK, Level, Set, blocked_index, blocked_len, dispatch, fma, padded};

/// Rows that share a pass over the whitener.
const ROWS: usize = 4;

/// Stores the lower triangle of `matrix` (`dimension` x `dimension`, column after column) in blocks.
pub fn pack_whitener(matrix: &[f64], dimension: usize, out: &mut [f32]) {
    out[..blocked_len(dimension)].fill(0.0);
    for (j, column) in matrix.chunks_exact(dimension).enumerate() {
        for (i, value) in column.iter().enumerate().skip(j) {
            out[blocked_index(i, j)] = *value as f32;
        }
    }
}

/// `z_n = W y_n` for the blocked lower triangle `whitener` and each row of `y`.
///
/// `y` and `z` hold the same number of rows of `padded(dimension)` values. The padding of `y` must be finite, that of
/// `z` becomes zero.
pub fn whiten(whitener: &[f32], dimension: usize, y: &[f32], z: &mut [f32]) {
    let row_len = padded(dimension);
    assert!(whitener.len() == blocked_len(dimension) && y.len() == z.len() && y.len().is_multiple_of(row_len));
    whiten_rows(whitener, row_len, y, z);
}

fn whiten_rows(whitener: &[f32], row_len: usize, y: &[f32], z: &mut [f32]) {
    dispatch!(whiten_body(whitener: &[f32], row_len: usize, y: &[f32], z: &mut [f32]))
}

#[inline(always)]
fn whiten_body<const FMA: bool>(whitener: &[f32], row_len: usize, y: &[f32], z: &mut [f32]) {
    const GROUP: usize = 4;
    for (y, z) in y.chunks(GROUP * row_len).zip(z.chunks_mut(GROUP * row_len)) {
        match y.len() / row_len {
            1 => whiten_group::<FMA, 1>(whitener, row_len, y, z),
            2 => whiten_group::<FMA, 2>(whitener, row_len, y, z),
            3 => whiten_group::<FMA, 3>(whitener, row_len, y, z),
            _ => whiten_group::<FMA, GROUP>(whitener, row_len, y, z),
        }
    }
}

/// `N` vectors, with two sums for each so that additions overlap.
#[inline(always)]
fn whiten_group<const FMA: bool, const N: usize>(whitener: &[f32], row_len: usize, y: &[f32], z: &mut [f32]) {
    let rows: [&[f32]; N] = std::array::from_fn(|n| &y[n * row_len..][..row_len]);
    let mut rest = whitener;
    for block in 0..row_len / BLOCK {
        let (columns, after) = rest.split_at(BLOCK * BLOCK * (block + 1));
        let mut sums = [[[0.0f32; BLOCK]; 2]; N];
        for (pair, weights) in columns.chunks_exact(2 * BLOCK).enumerate() {
            for n in 0..N {
                for half in 0..2 {
                    let value = rows[n][2 * pair + half];
                    for l in 0..BLOCK {
                        sums[n][half][l] = fma::<FMA>(weights[half * BLOCK + l], value, sums[n][half][l]);
                    }
                }
            }
        }
        for n in 0..N {
            let out = &mut z[n * row_len + block * BLOCK..][..BLOCK];
            (0..BLOCK).for_each(|l| out[l] = sums[n][0][l] + sums[n][1][l]);
        }
        rest = after;
    }
}

/// `|W y|^2` for each row of `y`: the squared Mahalanobis distances of vectors relative to their means. `y` has a row of
/// `padded(dimension)` values for each value of `out`; the padding must be finite. Each pass over the whitener serves up to
/// four rows.
pub fn squared_mahalanobis(whitener: &[f16], dimension: usize, y: &[f32], out: &mut [f32]) {
    let row_len = padded(dimension);
    assert!(whitener.len() == blocked_len(dimension) && y.len() == out.len() * row_len);
    let body = implementation(Level::best());
    y.chunks(ROWS * row_len).zip(out.chunks_mut(ROWS)).for_each(|(y, out)| body(whitener, row_len, y, out));
}

/// The squared Mahalanobis distances of one to [`ROWS`] rows.
type Body = fn(&[f16], usize, &[f32], &mut [f32]);

fn implementation(level: Level) -> Body {
    /// A body of an instruction set for any number of rows, where each has the most sums that it needs to hide the latency of
    /// additions.
    macro_rules! of {
        ($module:ident) => {
            |whitener, row_len, y, out| {
                assert_eq!((whitener.len(), y.len()), (blocked_len(row_len), out.len() * row_len));
                // SAFETY: a level is one that the processor has; the lengths are those that the body needs.
                #[allow(unsafe_code)]
                unsafe {
                    match out.len() {
                        1 => $module::squared_mahalanobis::<1, 8>(whitener, row_len, y, out),
                        2 => $module::squared_mahalanobis::<2, 4>(whitener, row_len, y, out),
                        3 => $module::squared_mahalanobis::<3, 2>(whitener, row_len, y, out),
                        _ => $module::squared_mahalanobis::<ROWS, 2>(whitener, row_len, y, out),
                    }
                }
            }
        };
    }
    match level.set() {
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 | Set::Avx2 => of!(avx2),
        #[cfg(target_arch = "aarch64")]
        Set::Neon => of!(neon),
        Set::Portable => portable::squared_mahalanobis,
    }
}

#[cfg(test)]
mod tests {
    use super::super::narrow;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_the_definition(dimension in 1usize..50, count in 1usize..10, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            // Multiples of 1/512 within 1 are exact in f16, so both kernels see the same matrix.
            let mut value = || random.below(1025) as f32 / 512.0 - 1.0;
            let matrix: Vec<f64> = (0..dimension * dimension).map(|_| f64::from(value())).collect();
            let y: Vec<f32> = (0..count * padded(dimension)).map(|_| value()).collect();
            let mut packed = vec![9.0; blocked_len(dimension)];
            pack_whitener(&matrix, dimension, &mut packed);
            let mut halves = vec![f16::ZERO; packed.len()];
            narrow(&packed, &mut halves);
            let (mut z, mut rounded) = (vec![9.0; y.len()], vec![9.0; y.len()]);
            whiten(&packed, dimension, &y, &mut z);
            whiten_body::<false>(&packed, padded(dimension), &y, &mut rounded);
            let mut distances: Vec<Vec<f32>> = Level::all().map(|level| {
                let (row_len, mut out) = (padded(dimension), vec![9.0; count]);
                let groups = y.chunks(ROWS * row_len).zip(out.chunks_mut(ROWS));
                groups.for_each(|(y, out)| implementation(level)(&halves, row_len, y, out));
                out
            }).collect();
            let mut best = vec![9.0; count];
            squared_mahalanobis(&halves, dimension, &y, &mut best);
            distances.push(best);
            for (n, y) in y.chunks(padded(dimension)).enumerate() {
                let mut square = 0.0;
                for i in 0..padded(dimension) {
                    let expected: f64 = (0..=i).filter(|_| i < dimension)
                        .map(|j| matrix[j * dimension + i] * f64::from(y[j])).sum();
                    square += expected * expected;
                    for z in [&z, &rounded] {
                        prop_assert!((f64::from(z[n * padded(dimension) + i]) - expected).abs() < 1e-4);
                    }
                }
                for distances in &distances {
                    prop_assert!((f64::from(distances[n]) - square).abs() < 1e-4 * (1.0 + square));
                }
            }
        }
    }
}
