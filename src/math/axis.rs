//! Linear maps along the axes of a plane: resizing, shifting, smoothing, and compositions of these.
//!
//! All steps between the grid and the anomaly map are linear and separable, so their composition is two small banded
//! matrices, computed once for a model. A plane then costs a few multiplications per pixel; separate steps took ten
//! times as long.

use super::filters::bilinear_axis;
use super::kernels::{dispatch, fma};
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::try_resize;

/// A linear map along one axis: each output is a weighted sum of neighbouring inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    inputs: usize,
    /// Number of weights per output.
    taps: usize,
    /// First input of each output.
    start: Vec<usize>,
    /// `taps` for each output.
    weights: Vec<f32>,
}

impl Axis {
    /// Builds the map from pairs of an input and its weight for each output; weights of the same input are added.
    pub fn new(inputs: usize, outputs: impl Iterator<Item = Vec<(usize, f64)>>) -> Self {
        let rows: Vec<(usize, Vec<f64>)> = outputs
            .map(|pairs| {
                let first = pairs.iter().map(|(input, _)| *input).min().unwrap_or(0);
                let last = pairs.iter().map(|(input, _)| *input).max().unwrap_or(0);
                let mut weights = vec![0.0; last - first + 1];
                pairs.iter().for_each(|(input, weight)| weights[input - first] += weight);
                (first, weights)
            })
            .collect();
        let taps = rows.iter().map(|(_, weights)| weights.len()).max().unwrap_or(1);
        let mut axis = Self { inputs, taps, start: Vec::new(), weights: vec![0.0; rows.len() * taps] };
        for ((first, from), to) in rows.iter().zip(axis.weights.chunks_exact_mut(taps)) {
            let start = (*first).min(inputs - taps);
            to[first - start..][..from.len()].iter_mut().zip(from).for_each(|(to, from)| *to = *from as f32);
            axis.start.push(start);
        }
        axis
    }

    /// Bilinear resizing: half-pixel centres, edges clamped.
    pub fn bilinear(inputs: usize, outputs: usize) -> Self {
        Self::new(
            inputs,
            (0..outputs).map(|at| {
                let sample = bilinear_axis(at, inputs, outputs);
                let weight = f64::from(sample.weight);
                vec![(sample.low, 1.0 - weight), (sample.high, weight)]
            }),
        )
    }

    /// Resizing by a triangle filter, widened to cover all inputs when there are fewer outputs; Pillow's `BILINEAR`.
    pub fn triangle(inputs: usize, outputs: usize) -> Self {
        let scale = inputs as f64 / outputs as f64;
        let support = scale.max(1.0);
        Self::new(
            inputs,
            (0..outputs).map(|at| {
                let centre = (at as f64 + 0.5) * scale;
                let first = (centre - support + 0.5).max(0.0) as usize;
                let last = ((centre + support + 0.5) as usize).min(inputs);
                let weight = |i: usize| (1.0 - ((i as f64 + 0.5 - centre) / support).abs()).max(0.0);
                let total: f64 = (first..last).map(weight).sum();
                (first..last).map(|i| (i, weight(i) / total)).filter(|(_, weight)| *weight > 0.0).collect()
            }),
        )
    }

    /// `out[i] = in[i + by]`, edges replicated.
    pub fn shift(length: usize, by: isize) -> Self {
        Self::new(length, (0..length).map(|at| vec![(at.saturating_add_signed(by).min(length - 1), 1.0)]))
    }

    /// A Gaussian of standard deviation `sigma`, cut at four sigma, edges reflected (`d c b a | a b c d | d c b a`). A sigma
    /// of zero changes nothing.
    pub fn gaussian(length: usize, sigma: f64) -> Self {
        let radius = (4.0 * sigma + 0.5) as isize;
        let weight = |i: isize| if i == 0 { 1.0 } else { (-0.5 * (i as f64 / sigma).powi(2)).exp() };
        let total: f64 = (-radius..=radius).map(weight).sum();
        let weights: Vec<f64> = (-radius..=radius).map(|i| weight(i) / total).collect();
        let around = |at: usize| (-radius..).zip(&weights).map(move |(i, w)| (reflect(at as isize + i, length), *w));
        Self::new(length, (0..length).map(|at| around(at).collect()))
    }

    /// The mean of `k` inputs around each one, edges replicated; `k` is odd.
    pub fn mean(length: usize, k: usize) -> Self {
        let window =
            move |at: usize| (at..at + k).map(move |i| (i.saturating_sub(k / 2).min(length - 1), 1.0 / k as f64));
        Self::new(length, (0..length).map(|at| window(at).collect()))
    }

    /// The composition of this map and then `next`.
    pub fn then(&self, next: &Self) -> Self {
        Self::new(
            self.inputs,
            (0..next.start.len()).map(|output| {
                let through = next.of(output);
                through.flat_map(|(at, outer)| self.of(at).map(move |(input, inner)| (input, inner * outer))).collect()
            }),
        )
    }

    /// The same map times a factor.
    pub fn scaled(mut self, factor: f64) -> Self {
        self.weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * factor) as f32);
        self
    }

    /// Whether this is the identity.
    pub fn is_identity(&self) -> bool {
        let in_place = self.inputs == self.start.len() && self.start.iter().copied().eq(0..self.inputs);
        in_place && self.taps == 1 && self.weights.iter().all(|weight| *weight == 1.0)
    }

    /// The first input of an output and the weights from it on; trailing weights may be zero.
    pub fn output(&self, output: usize) -> (usize, &[f32]) {
        (self.start[output], &self.weights[output * self.taps..][..self.taps])
    }

    /// Inputs of one output, with their weights.
    fn of(&self, output: usize) -> impl Iterator<Item = (usize, f64)> {
        let (start, weights) = self.output(output);
        (start..).zip(weights).filter(|(_, weight)| **weight != 0.0).map(|(at, w)| (at, f64::from(*w)))
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.start.len()
    }

    /// The values of the map as a matrix with a row for each output, or of its transpose, by rows.
    pub fn dense(&self, transpose: bool) -> impl Iterator<Item = f32> {
        let (inputs, outputs) = (self.inputs, self.outputs());
        (0..inputs * outputs).map(move |at| {
            let (output, input) = if transpose { (at % outputs, at / outputs) } else { (at / inputs, at % inputs) };
            let (start, weights) = self.output(output);
            input.checked_sub(start).and_then(|at| weights.get(at).copied()).unwrap_or(0.0)
        })
    }
}

fn reflect(at: isize, length: usize) -> usize {
    let period = 2 * length as isize;
    let at = at.rem_euclid(period);
    (if at < length as isize { at } else { period - 1 - at }) as usize
}

/// A linear map of planes: one along the rows, one along the columns.
pub struct Separable {
    across: Axis,
    down: Axis,
    lines: Vec<f32>,
}

/// Number of output rows per task.
const ROWS: usize = 16;

/// A plane that has been mapped along its rows, from which single output rows are computed.
pub struct Lines<'a> {
    down: &'a Axis,
    lines: &'a [f32],
    cols: usize,
}

impl Lines<'_> {
    /// Adds output row `y` to `out`.
    pub fn add_row(&self, y: usize, out: &mut [f32]) {
        let (start, weights) = self.down.output(y);
        add_lines(&self.lines[start * self.cols..], weights, &mut out[..self.cols]);
    }
}

impl Separable {
    /// `down` maps rows to rows, `across` columns to columns.
    pub fn new(down: Axis, across: Axis) -> Self {
        Self { across, down, lines: Vec::new() }
    }

    /// Maps the rows of `plane`.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory).
    pub fn across(&mut self, plane: &[f32], threads: &Threads) -> Result<Lines<'_>> {
        let Self { across, down, lines } = self;
        let cols = across.outputs();
        try_resize(lines, down.inputs * cols, 0.0)?;
        threads.chunks(lines, cols, |y, line| {
            let row = &plane[y * across.inputs..][..across.inputs];
            for (x, out) in line.iter_mut().enumerate() {
                let (start, weights) = across.output(x);
                *out = row[start..].iter().zip(weights).map(|(value, weight)| value * weight).sum();
            }
        });
        Ok(Lines { down, lines, cols })
    }

    /// Maps `plane` and adds the result to `out`; the rows of both are contiguous.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory).
    pub fn add(&mut self, plane: &[f32], out: &mut [f32], threads: &Threads) -> Result<()> {
        let lines = self.across(plane, threads)?;
        threads.chunks(out, ROWS * lines.cols, |block, rows| {
            (block * ROWS..).zip(rows.chunks_exact_mut(lines.cols)).for_each(|(y, row)| lines.add_row(y, row));
        });
        Ok(())
    }
}

/// Adds the weighted sum of lines to `out`: one line per weight, each as long as `out`.
pub fn add_lines(lines: &[f32], weights: &[f32], out: &mut [f32]) {
    dispatch!(add_lines_body(lines: &[f32], weights: &[f32], out: &mut [f32]))
}

#[inline(always)]
fn add_lines_body<const FMA: bool>(lines: &[f32], weights: &[f32], out: &mut [f32]) {
    const LANES: usize = 64;
    let cols = out.len();
    let mut blocks = out.chunks_exact_mut(LANES);
    for (block, out) in blocks.by_ref().enumerate() {
        let mut sums = [0.0f32; LANES];
        sums.copy_from_slice(out);
        for (line, weight) in lines.chunks(cols).zip(weights) {
            let line = &line[block * LANES..][..LANES];
            // Closures might not be inlined and would then lose the instruction set.
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum = fma::<FMA>(*value, *weight, *sum);
            }
        }
        out.copy_from_slice(&sums);
    }
    let rest = blocks.into_remainder();
    let first = cols - rest.len();
    for (line, weight) in lines.chunks(cols).zip(weights) {
        for (out, value) in rest.iter_mut().zip(&line[first..]) {
            *out = fma::<FMA>(*value, *weight, *out);
        }
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

    fn apply(axis: &Axis, values: &[f32]) -> Vec<f32> {
        (0..axis.outputs()).map(|i| axis.of(i).map(|(at, w)| f64::from(values[at]) * w).sum::<f64>() as f32).collect()
    }

    #[test]
    fn each_map_does_what_it_says() {
        assert_eq!(apply(&Axis::bilinear(2, 4), &[0.0, 4.0]), [0.0, 1.0, 3.0, 4.0]);
        assert_eq!(apply(&Axis::bilinear(1, 3), &[5.0]), [5.0; 3]);
        assert_eq!(apply(&Axis::shift(3, 1), &[1.0, 2.0, 3.0]), [2.0, 3.0, 3.0]);
        assert_eq!(apply(&Axis::shift(3, -5), &[1.0, 2.0, 3.0]), [1.0; 3]);
        assert_eq!(apply(&Axis::mean(3, 3), &[3.0, 6.0, 0.0]), [4.0, 3.0, 2.0]);
        assert_eq!([0, 1, -1].map(|by| Axis::shift(3, by).is_identity()), [true, false, false]);
        let dense = |transpose| Axis::shift(3, 1).dense(transpose).collect::<Vec<_>>();
        assert_eq!(dense(false), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
        assert_eq!(dense(true), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(apply(&Axis::gaussian(3, 0.0), &[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
        assert_eq!(apply(&Axis::shift(2, 0).scaled(0.5), &[1.0, 2.0]), [0.5, 1.0]);
    }

    proptest! {
        #[test]
        fn a_gaussian_equals_the_definition(length in 1usize..30, sigma in 0.2f64..5.0, seed in any::<u64>()) {
            let values = plane(length, seed);
            let radius = (4.0 * sigma + 0.5) as isize;
            let weight = |i: isize| (-0.5 * (i as f64 / sigma).powi(2)).exp();
            let total: f64 = (-radius..=radius).map(weight).sum();
            for (at, got) in apply(&Axis::gaussian(length, sigma), &values).into_iter().enumerate() {
                let expected: f64 = (-radius..=radius)
                    .map(|i| weight(i) / total * f64::from(values[reflect(at as isize + i, length)]))
                    .sum();
                prop_assert!((f64::from(got) - expected).abs() < 1e-5);
            }
        }

        #[test]
        fn a_chain_equals_its_steps(
            inputs in 1usize..12, outputs in 1usize..90, by in -4isize..5, sigma in 0.0f64..4.0, seed in any::<u64>(),
        ) {
            let steps = [Axis::bilinear(inputs, outputs), Axis::shift(outputs, by), Axis::gaussian(outputs, sigma)];
            let values = plane(inputs, seed);
            let chain = steps[0].then(&steps[1]).then(&steps[2]);
            let expected = steps.iter().fold(values.clone(), |values, step| apply(step, &values));
            for (got, expected) in apply(&chain, &values).into_iter().zip(expected) {
                prop_assert!((got - expected).abs() < 1e-5);
            }
        }

        #[test]
        fn a_plane_is_mapped_along_both_axes(
            rows in 1usize..7, cols in 1usize..7, rows_out in 1usize..40, cols_out in 1usize..150, seed in any::<u64>(),
        ) {
            let values = plane(rows * cols, seed);
            let (down, across) = (Axis::bilinear(rows, rows_out), Axis::bilinear(cols, cols_out));
            let mut out = vec![1.0; rows_out * cols_out];
            let mut map = Separable::new(down.clone(), across.clone());
            map.add(&values, &mut out, &Threads::new(2).unwrap()).unwrap();
            for y in 0..rows_out {
                for x in 0..cols_out {
                    let row = |v: usize| across.of(x).map(|(u, w)| w * f64::from(values[v * cols + u])).sum::<f64>();
                    let expected = 1.0 + down.of(y).map(|(v, w)| w * row(v)).sum::<f64>();
                    prop_assert!((f64::from(out[y * cols_out + x]) - expected).abs() < 1e-5);
                }
            }
        }
    }
}
