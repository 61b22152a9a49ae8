//! Rank-k update of a symmetric matrix: the inner loop of fitting.
//!
//! Adding one outer product at a time is bound by memory traffic, since every sample rewrites the whole triangle.
//! Samples are therefore added in groups, and each tile of the triangle stays in registers for the whole group.

use super::{BLOCK, dispatch, padded};

/// Adds `sum over k of x_k x_k'` to the blocked lower triangle `triangle` (see [`super::blocked_len`]).
///
/// `samples` holds `count` rows of `padded(dimension)` values; the padding must be zero. Where all products and sums are
/// representable, which is for the caller to see to, the result is exact and so does not depend on the order of the samples.
pub fn scatter_add(samples: &[f64], dimension: usize, triangle: &mut [f64]) {
    dispatch!(scatter_body(samples: &[f64], dimension: usize, triangle: &mut [f64]))
}

#[inline(always)]
fn scatter_body<const FMA: bool>(samples: &[f64], dimension: usize, triangle: &mut [f64]) {
    let row_len = padded(dimension);
    let mut rest = triangle;
    for block in 0..row_len / BLOCK {
        let (rows, after) = rest.split_at_mut(BLOCK * BLOCK * (block + 1));
        tiles::<FMA>(samples, row_len, block, rows);
        rest = after;
    }
}

/// Updates the rows of `block`, four columns at a time.
#[inline(always)]
fn tiles<const FMA: bool>(samples: &[f64], row_len: usize, block: usize, out: &mut [f64]) {
    const COLUMNS: usize = 4;
    for (tile_number, out) in out.chunks_exact_mut(COLUMNS * BLOCK).enumerate() {
        let column = tile_number * COLUMNS;
        let mut tile = [[0.0f64; BLOCK]; COLUMNS];
        for sample in samples.chunks_exact(row_len) {
            let rows: &[f64; BLOCK] = sample[BLOCK * block..][..BLOCK].try_into().expect("BLOCK values");
            let columns: &[f64; COLUMNS] = sample[column..][..COLUMNS].try_into().expect("COLUMNS values");
            for c in 0..COLUMNS {
                for r in 0..BLOCK {
                    tile[c][r] = fma::<FMA>(rows[r], columns[c], tile[c][r]);
                }
            }
        }
        out.iter_mut().zip(tile.as_flattened()).for_each(|(out, sum)| *out += sum);
    }
}

/// `a * b + c`, fused where the instruction set has it.
#[inline(always)]
fn fma<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

#[cfg(test)]
mod tests {
    use super::super::{blocked_index, blocked_len};
    use super::*;
    use proptest::prelude::*;

    /// The definition, entry by entry.
    fn reference(samples: &[f64], dimension: usize, i: usize, j: usize) -> f64 {
        samples.chunks(padded(dimension)).map(|x| x[i] * x[j]).sum()
    }

    proptest! {
        #[test]
        fn equals_the_definition(dimension in 1usize..50, count in 0usize..20, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            let mut samples = vec![0.0; count * padded(dimension)];
            for row in samples.chunks_mut(padded(dimension)) {
                row[..dimension].iter_mut().for_each(|x| *x = (random.below(20_001) as f64 - 10_000.0) / 1024.0);
            }
            let mut triangle = vec![1.0; blocked_len(dimension)];
            scatter_add(&samples, dimension, &mut triangle);
            let mut baseline = vec![1.0; blocked_len(dimension)];
            scatter_body::<false>(&samples, dimension, &mut baseline);
            for i in 0..dimension {
                for j in 0..=i {
                    let expected = 1.0 + reference(&samples, dimension, i, j);
                    for triangle in [&triangle, &baseline] {
                        prop_assert_eq!(triangle[blocked_index(i, j)], expected, "exact, since all sums are representable");
                    }
                }
            }
        }
    }
}
