//! Rank-k update of a symmetric matrix: the inner loop of fitting.
//!
//! Adding one outer product at a time is bound by memory traffic, since every sample rewrites the whole triangle.
//! Samples are therefore added in groups, and each tile of the triangle stays in registers for the whole group.

use super::{BLOCK, dispatch, fma, padded};

/// Adds `sum over k of x_k x_k'` to the blocked lower triangle `triangle` (see [`super::blocked_len`]).
///
/// `samples` holds `count` rows of `padded(dimension)` values; the padding must be zero.
pub fn scatter_add(samples: &[f32], dimension: usize, triangle: &mut [f32]) {
    dispatch!(scatter_body(samples: &[f32], dimension: usize, triangle: &mut [f32]))
}

#[inline(always)]
fn scatter_body<const FMA: bool>(samples: &[f32], dimension: usize, triangle: &mut [f32]) {
    let row_len = padded(dimension);
    let blocks = row_len / BLOCK;
    let mut rest = triangle;
    let mut block = 0;
    while block < blocks {
        let len = BLOCK * BLOCK * (block + 1);
        let (first, after) = rest.split_at_mut(len);
        if block + 1 == blocks {
            tiles::<FMA, 8>(samples, row_len, block, first, &mut []);
            return;
        }
        let (second, after) = after.split_at_mut(len + BLOCK * BLOCK);
        tiles::<FMA, 16>(samples, row_len, block, first, second);
        rest = after;
        block += 2;
    }
}

/// Updates the rows of `block` (and of the next one where `ROWS` is 16), four columns at a time.
#[inline(always)]
fn tiles<const FMA: bool, const ROWS: usize>(
    samples: &[f32],
    row_len: usize,
    block: usize,
    first: &mut [f32],
    second: &mut [f32],
) {
    const COLUMNS: usize = 4;
    let end = BLOCK * block + ROWS;
    for column in (0..end).step_by(COLUMNS) {
        let mut tile = [[0.0f32; ROWS]; COLUMNS];
        for sample in samples.chunks_exact(row_len) {
            let rows: &[f32; ROWS] = sample[BLOCK * block..][..ROWS].try_into().expect("ROWS values");
            let columns: &[f32; COLUMNS] = sample[column..][..COLUMNS].try_into().expect("COLUMNS values");
            for c in 0..COLUMNS {
                for r in 0..ROWS {
                    tile[c][r] = fma::<FMA>(rows[r], columns[c], tile[c][r]);
                }
            }
        }
        for (c, sums) in tile.iter().enumerate() {
            let at = (column + c) * BLOCK;
            // The last tile of a pair lies right of the first block's triangle.
            if let Some(out) = first.get_mut(at..at + BLOCK) {
                out.iter_mut().zip(&sums[..BLOCK]).for_each(|(out, sum)| *out += sum);
            }
            if ROWS > BLOCK {
                second[at..at + BLOCK].iter_mut().zip(&sums[BLOCK..]).for_each(|(out, sum)| *out += sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{blocked_index, blocked_len};
    use super::*;
    use proptest::prelude::*;

    /// The definition, entry by entry.
    fn reference(samples: &[f32], dimension: usize, i: usize, j: usize) -> f64 {
        samples.chunks(padded(dimension)).map(|x| f64::from(x[i]) * f64::from(x[j])).sum()
    }

    proptest! {
        #[test]
        fn equals_the_definition(dimension in 1usize..50, count in 0usize..20, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            let mut samples = vec![0.0; count * padded(dimension)];
            for row in samples.chunks_mut(padded(dimension)) {
                row[..dimension].iter_mut().for_each(|x| *x = random.below(2001) as f32 / 1000.0 - 1.0);
            }
            let mut triangle = vec![1.0; blocked_len(dimension)];
            scatter_add(&samples, dimension, &mut triangle);
            let mut baseline = vec![1.0; blocked_len(dimension)];
            scatter_body::<false>(&samples, dimension, &mut baseline);
            for i in 0..dimension {
                for j in 0..=i {
                    let expected = 1.0 + reference(&samples, dimension, i, j);
                    for triangle in [&triangle, &baseline] {
                        let got = f64::from(triangle[blocked_index(i, j)]);
                        prop_assert!((got - expected).abs() < 1e-4, "({i}, {j}): {got} instead of {expected}");
                    }
                }
            }
        }
    }
}
