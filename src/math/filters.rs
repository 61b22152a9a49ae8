//! Filters of planes and feature maps: bilinear resize, Gaussian blur, neighbourhood mean.

use super::kernels::dispatch;

/// Where an output coordinate falls between two input coordinates: `(1 - weight) * low + weight * high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The lower input coordinate.
    pub low: usize,
    /// The one above, or the same at the edge.
    pub high: usize,
    /// The share of `high`.
    pub weight: f32,
}

/// Output coordinate `at` of `length_out` on an axis of `length_in`: half-pixel centres, edges clamped.
pub fn bilinear_axis(at: usize, length_in: usize, length_out: usize) -> Sample {
    let position = (at as f64 + 0.5) * length_in as f64 / length_out as f64 - 0.5;
    let position = position.clamp(0.0, (length_in - 1) as f64);
    let low = position as usize;
    Sample { low, high: (low + 1).min(length_in - 1), weight: (position - low as f64) as f32 }
}

/// Resizes a plane bilinearly. `out` holds `rows_out * cols_out` values.
pub fn resize(plane: &[f32], (rows, cols): (usize, usize), (rows_out, cols_out): (usize, usize), out: &mut [f32]) {
    let across: Vec<Sample> = (0..cols_out).map(|x| bilinear_axis(x, cols, cols_out)).collect();
    let mut line = vec![0.0; cols];
    for (y, out) in out.chunks_exact_mut(cols_out).take(rows_out).enumerate() {
        let Sample { low, high, weight } = bilinear_axis(y, rows, rows_out);
        let (up, down) = (1.0 - weight, weight);
        let (a, b) = (&plane[low * cols..][..cols], &plane[high * cols..][..cols]);
        line.iter_mut().zip(a).zip(b).for_each(|((line, a), b)| *line = a * up + b * down);
        for (out, s) in out.iter_mut().zip(&across) {
            *out = line[s.low] * (1.0 - s.weight) + line[s.high] * s.weight;
        }
    }
}

/// Blurs a plane in place with a Gaussian of standard deviation `sigma`, cut at four sigma, edges reflected
/// (`d c b a | a b c d | d c b a`). A sigma of zero leaves the plane as it is. `scratch` is memory to be used again.
pub fn gaussian_blur(plane: &mut [f32], rows: usize, cols: usize, sigma: f64, scratch: &mut Vec<f32>) {
    let radius = (4.0 * sigma + 0.5) as usize;
    if radius == 0 {
        return;
    }
    let weights: Vec<f64> = (0..=radius).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
    let total = 2.0 * weights.iter().sum::<f64>() - weights[0];
    let kernel: Vec<f32> = weights.iter().map(|w| (w / total) as f32).collect();
    scratch.resize(plane.len().max(cols + 2 * radius), 0.0);
    blur(plane, rows, cols, &kernel, scratch);
}

/// `kernel` holds the centre weight and those to one side.
fn blur(plane: &mut [f32], rows: usize, cols: usize, kernel: &[f32], scratch: &mut [f32]) {
    dispatch!(blur_body(plane: &mut [f32], rows: usize, cols: usize, kernel: &[f32], scratch: &mut [f32]))
}

#[inline(always)]
fn blur_body<const FMA: bool>(plane: &mut [f32], rows: usize, cols: usize, kernel: &[f32], scratch: &mut [f32]) {
    let radius = kernel.len() - 1;
    let line = &mut scratch[..cols + 2 * radius];
    for row in plane.chunks_exact_mut(cols) {
        for (i, value) in line.iter_mut().enumerate() {
            *value = row[reflect(i as isize - radius as isize, cols)];
        }
        weighted_sum(row, kernel, |side, distance| {
            let at = if side { radius + distance } else { radius - distance };
            &line[at..at + cols]
        });
    }
    let source = &mut scratch[..plane.len()];
    source.copy_from_slice(plane);
    for (y, row) in plane.chunks_exact_mut(cols).enumerate() {
        weighted_sum(row, kernel, |side, distance| {
            let at = if side { y as isize + distance as isize } else { y as isize - distance as isize };
            &source[reflect(at, rows) * cols..][..cols]
        });
    }
}

/// `out = kernel[0] * taps(_, 0) + sum over d of kernel[d] * (taps(false, d) + taps(true, d))`.
#[inline(always)]
fn weighted_sum<'a>(out: &mut [f32], kernel: &[f32], taps: impl Fn(bool, usize) -> &'a [f32]) {
    out.iter_mut().zip(taps(true, 0)).for_each(|(out, x)| *out = kernel[0] * x);
    for (distance, &weight) in kernel.iter().enumerate().skip(1) {
        for ((out, a), b) in out.iter_mut().zip(taps(false, distance)).zip(taps(true, distance)) {
            *out += weight * (a + b);
        }
    }
}

/// Writes `planes` (each `rows * cols`) moved by `(dy, dx)`, edges replicated: `out[y][x] = planes[y + dy][x + dx]`.
pub fn shift(planes: &[f32], rows: usize, cols: usize, (dy, dx): (isize, isize), out: &mut Vec<f32>) {
    let clamp = |at: usize, by: isize, length: usize| at.saturating_add_signed(by).min(length - 1);
    out.clear();
    for plane in planes.chunks_exact(rows * cols) {
        for y in 0..rows {
            let row = &plane[clamp(y, dy, rows) * cols..][..cols];
            out.extend((0..cols).map(|x| row[clamp(x, dx, cols)]));
        }
    }
}

fn reflect(at: isize, length: usize) -> usize {
    let period = 2 * length as isize;
    let at = at.rem_euclid(period);
    (if at < length as isize { at } else { period - 1 - at }) as usize
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
    fn resize_keeps_constants_and_interpolates() {
        let mut out = vec![0.0; 35];
        resize(&[3.0; 6], (2, 3), (5, 7), &mut out);
        assert!(out.iter().all(|v| (v - 3.0).abs() < 1e-6));
        let mut out = vec![0.0; 4];
        resize(&[0.0, 4.0], (1, 2), (1, 4), &mut out);
        assert_eq!(out, [0.0, 1.0, 3.0, 4.0]);
    }

    #[test]
    fn shifting_replicates_the_edge() {
        let mut out = Vec::new();
        shift(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3, (1, -1), &mut out);
        assert_eq!(out, [4.0, 4.0, 5.0, 4.0, 4.0, 5.0]);
    }

    proptest! {
        #[test]
        fn blur_equals_the_definition(rows in 1usize..12, cols in 1usize..12, sigma in 0.2f64..3.0, seed in any::<u64>()) {
            let source = plane(rows * cols, seed);
            let mut blurred = source.clone();
            gaussian_blur(&mut blurred, rows, cols, sigma, &mut Vec::new());
            let radius = (4.0 * sigma + 0.5) as isize;
            let weight = |i: isize| (-0.5 * (i as f64 / sigma).powi(2)).exp();
            let total: f64 = (-radius..=radius).map(weight).sum();
            for y in 0..rows {
                for x in 0..cols {
                    let mut expected = 0.0;
                    for dy in -radius..=radius {
                        for dx in -radius..=radius {
                            let at = reflect(y as isize + dy, rows) * cols + reflect(x as isize + dx, cols);
                            expected += weight(dy) * weight(dx) / (total * total) * f64::from(source[at]);
                        }
                    }
                    prop_assert!((f64::from(blurred[y * cols + x]) - expected).abs() < 1e-5);
                }
            }
        }

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
