//! Without intrinsics.

use half::f16;

use super::BLOCK;

pub fn squared_mahalanobis(whitener: &[f16], row_len: usize, y: &[f32], out: &mut [f32]) {
    y.chunks_exact(row_len).zip(out).for_each(|(y, out)| *out = of_row(whitener, y));
}

fn of_row(whitener: &[f16], y: &[f32]) -> f32 {
    let (mut rest, mut square) = (whitener, 0.0);
    for block in 0..y.len() / BLOCK {
        let (columns, after) = rest.split_at(BLOCK * BLOCK * (block + 1));
        let mut sums = [0.0f32; BLOCK];
        for (column, &y) in columns.chunks_exact(BLOCK).zip(y) {
            for (sum, w) in sums.iter_mut().zip(column) {
                *sum += w.to_f32() * y;
            }
        }
        square += sums.iter().map(|z| z * z).sum::<f32>();
        rest = after;
    }
    square
}
