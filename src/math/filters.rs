//! Filters of planes and feature maps: sampling positions for resizing, shifts, neighbourhood means. [`super::axis`]
//! has those of anomaly maps.

use ndarray::{ArrayView3, ArrayViewMut3, s};

use super::kernels::dispatch;
use crate::exec::Threads;

/// Position of an output coordinate between two input coordinates: `(1 - weight) * low + weight * high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interpolation {
    /// The lower input coordinate.
    pub low: usize,
    /// The upper input coordinate, equal to `low` at the edge.
    pub high: usize,
    /// The weight of `high`.
    pub weight: f32,
}

/// Output coordinate `at` of `length_out` on an axis of `length_in`: half-pixel centres, edges clamped.
pub fn bilinear_axis(at: usize, length_in: usize, length_out: usize) -> Interpolation {
    let position = (at as f64 + 0.5) * length_in as f64 / length_out as f64 - 0.5;
    let position = position.clamp(0.0, (length_in - 1) as f64);
    let low = position as usize;
    Interpolation { low, high: (low + 1).min(length_in - 1), weight: (position - low as f64) as f32 }
}

/// Writes `planes` (planes x rows x columns) shifted by `(dy, dx)` to `out`, edges replicated: `out[n, y, x] =
/// planes[n, y + dy, x + dx]`. Both arrays are in standard layout.
pub fn shift(planes: ArrayView3<'_, f32>, (dy, dx): (isize, isize), threads: &Threads, out: ArrayViewMut3<'_, f32>) {
    let (_, rows, cols) = planes.dim();
    let clamp = |at: usize, by: isize, length: usize| at.saturating_add_signed(by).min(length - 1);
    // The part inside a row, between its replicated ends.
    let inside = clamp(0, dx, cols)..clamp(cols - 1, dx, cols) + 1;
    let before = dx.min(0).unsigned_abs().min(cols - 1);
    threads.chunks(out.into_slice().expect(ORDER), cols, |index, out| {
        let row = planes.slice(s![index / rows, clamp(index % rows, dy, rows), ..]);
        let row = row.to_slice().expect(ORDER);
        let (start, rest) = out.split_at_mut(before);
        let (middle, end) = rest.split_at_mut(inside.len());
        start.fill(row[0]);
        middle.copy_from_slice(&row[inside.clone()]);
        end.fill(row[cols - 1]);
    });
}

/// Writes the `k` x `k` neighbourhood mean of a map (rows x columns x channels) to `out`, edges replicated; `k` is odd. Both
/// arrays have the same shape and are in standard layout.
pub fn box_mean(map: ArrayView3<'_, f32>, k: usize, threads: &Threads, out: ArrayViewMut3<'_, f32>) {
    assert_eq!(map.dim(), out.dim(), "a mean for each position and channel");
    let (rows, cols, channels) = map.dim();
    let map = map.to_slice().expect(ORDER);
    threads.chunks(out.into_slice().expect(ORDER), cols * channels, |y, row| {
        box_mean_row(map, rows, cols, channels, k, y, row);
    });
}

/// Requirements of the kernels.
const ORDER: &str = "an array in standard layout";

/// Row `y` of the mean; `stride` is the number of channels.
fn box_mean_row(map: &[f32], rows: usize, cols: usize, stride: usize, k: usize, y: usize, out: &mut [f32]) {
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
    use ndarray::{Array3, Axis, concatenate};
    use proptest::prelude::*;

    /// The array with `by` copies of its first and of its last slice before and after it along an axis.
    fn replicate(array: &Array3<f32>, axis: Axis, by: usize) -> Array3<f32> {
        let (first, last) = (array.index_axis(axis, 0), array.index_axis(axis, array.len_of(axis) - 1));
        let (first, last) = (first.insert_axis(axis), last.insert_axis(axis));
        let parts: Vec<_> = (0..by).map(|_| first).chain([array.view()]).chain((0..by).map(|_| last)).collect();
        concatenate(axis, &parts).unwrap()
    }

    #[test]
    fn shifting_replicates_the_edge() {
        const MOST: isize = 5;
        let planes = Array3::from_shape_fn((2, 3, 4), |(n, y, x)| (n * 100 + y * 10 + x) as f32);
        let wide = replicate(&replicate(&planes, Axis(1), MOST as usize), Axis(2), MOST as usize);
        let (threads, mut out) = (Threads::new(2).unwrap(), Array3::zeros(planes.dim()));
        for dy in -MOST..=MOST {
            for dx in -MOST..=MOST {
                shift(planes.view(), (dy, dx), &threads, out.view_mut());
                let (y, x) = (MOST + dy, MOST + dx);
                assert_eq!(out, wide.slice(s![.., y..y + 3, x..x + 4]), "({dy}, {dx})");
            }
        }
    }

    proptest! {
        #[test]
        fn box_mean_equals_the_definition(rows in 1usize..6, cols in 1usize..6, half in 0usize..3, seed in any::<u64>()) {
            let k = 2 * half + 1;
            let mut random = crate::math::random::Random::new(seed);
            let map = Array3::from_shape_simple_fn((rows, cols, 3), || random.below(1000) as f32 / 1000.0);
            let wide = replicate(&replicate(&map, Axis(0), half), Axis(1), half);
            let mut out = Array3::zeros(map.dim());
            box_mean(map.view(), k, &Threads::new(2).unwrap(), out.view_mut());
            for ((y, x, c), got) in out.indexed_iter() {
                let expected = wide.slice(s![y..y + k, x..x + k, c]).mean().unwrap();
                prop_assert!((got - expected).abs() < 1e-5);
            }
        }
    }
}
