//! Filters of planes and feature maps: where resizing samples, shifting, neighbourhood mean. Those of anomaly maps are
//! [`super::axis`]'s.

use super::kernels::dispatch;
use crate::exec::Threads;

/// Where an output coordinate falls between two input coordinates: `(1 - weight) * low + weight * high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interpolation {
    /// The lower input coordinate.
    pub low: usize,
    /// The one above, or the same at the edge.
    pub high: usize,
    /// The share of `high`.
    pub weight: f32,
}

/// Output coordinate `at` of `length_out` on an axis of `length_in`: half-pixel centres, edges clamped.
pub fn bilinear_axis(at: usize, length_in: usize, length_out: usize) -> Interpolation {
    let position = (at as f64 + 0.5) * length_in as f64 / length_out as f64 - 0.5;
    let position = position.clamp(0.0, (length_in - 1) as f64);
    let low = position as usize;
    Interpolation { low, high: (low + 1).min(length_in - 1), weight: (position - low as f64) as f32 }
}

/// Writes `planes` (each `rows * cols`) moved by `(dy, dx)`, edges replicated: `out[y][x] = planes[y + dy][x + dx]`.
pub fn shift(planes: &[f32], rows: usize, cols: usize, (dy, dx): (isize, isize), threads: &Threads, out: &mut [f32]) {
    let clamp = |at: usize, by: isize, length: usize| at.saturating_add_signed(by).min(length - 1);
    // What lies inside a row, between its replicated ends.
    let inside = clamp(0, dx, cols)..clamp(cols - 1, dx, cols) + 1;
    let before = dx.min(0).unsigned_abs().min(cols - 1);
    threads.chunks(out, cols, |index, out| {
        let row = &planes[(index / rows * rows + clamp(index % rows, dy, rows)) * cols..][..cols];
        let (start, rest) = out.split_at_mut(before);
        let (middle, end) = rest.split_at_mut(inside.len());
        start.fill(row[0]);
        middle.copy_from_slice(&row[inside.clone()]);
        end.fill(row[cols - 1]);
    });
}

/// Row `y` of the `k` x `k` neighbourhood mean of a position-major map, edges replicated; `k` is odd.
///
/// `stride` is the distance between positions, `out` one row of the result.
pub fn box_mean_row(map: &[f32], rows: usize, cols: usize, stride: usize, k: usize, y: usize, out: &mut [f32]) {
    dispatch!(box_mean_row_body(map: &[f32], rows: usize, cols: usize, stride: usize, k: usize, y: usize, out: &mut [f32]))
}

#[inline(always)]
fn box_mean_row_body<const FMA: bool>(
    map: &[f32],
    rows: usize,
    cols: usize,
    stride: usize,
    k: usize,
    y: usize,
    out: &mut [f32],
) {
    let radius = k / 2;
    let scale = 1.0 / (k * k) as f32;
    let window = |at: usize, length: usize| (at..at + k).map(move |i| i.saturating_sub(radius).min(length - 1));
    for (x, out) in out.chunks_exact_mut(stride).enumerate() {
        out.fill(0.0);
        for v in window(y, rows) {
            for u in window(x, cols) {
                let source = &map[(v * cols + u) * stride..][..stride];
                out.iter_mut().zip(source).for_each(|(out, x)| *out += x);
            }
        }
        out.iter_mut().for_each(|x| *x *= scale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plane(len: usize, seed: u64) -> Vec<f32> {
        let mut random = crate::math::random::Random::new(seed);
        (0..len).map(|_| random.below(1000) as f32 / 1000.0).collect()
    }

    #[test]
    fn shifting_replicates_the_edge() {
        let (rows, cols) = (3, 4);
        let planes: Vec<f32> = (0..2 * rows * cols).map(|v| v as f32).collect();
        let (threads, mut out) = (Threads::new(2).unwrap(), vec![0.0; planes.len()]);
        for dy in -5isize..=5 {
            for dx in -5isize..=5 {
                shift(&planes, rows, cols, (dy, dx), &threads, &mut out);
                let clamp =
                    |at: usize, by: isize, length: usize| (at as isize + by).clamp(0, length as isize - 1) as usize;
                let expected = (0..planes.len()).map(|i| {
                    let (plane, y, x) = (i / (rows * cols), i / cols % rows, i % cols);
                    planes[(plane * rows + clamp(y, dy, rows)) * cols + clamp(x, dx, cols)]
                });
                assert!(out.iter().copied().eq(expected), "({dy}, {dx}): {out:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn box_mean_equals_the_definition(rows in 1usize..6, cols in 1usize..6, half in 0usize..3, seed in any::<u64>()) {
            let (stride, k) = (3, 2 * half + 1);
            let map = plane(rows * cols * stride, seed);
            let mut out = vec![0.0; cols * stride];
            for y in 0..rows {
                box_mean_row(&map, rows, cols, stride, k, y, &mut out);
                for x in 0..cols {
                    for c in 0..stride {
                        let mut expected = 0.0;
                        for dy in 0..k {
                            for dx in 0..k {
                                let v = (y + dy).saturating_sub(half).min(rows - 1);
                                let u = (x + dx).saturating_sub(half).min(cols - 1);
                                expected += map[(v * cols + u) * stride + c] / (k * k) as f32;
                            }
                        }
                        prop_assert!((out[x * stride + c] - expected).abs() < 1e-5);
                    }
                }
            }
        }
    }
}
