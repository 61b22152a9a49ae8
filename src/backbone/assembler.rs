//! Assembly of a backbone's taps on one grid.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{FeatureMap, Tap, TapMap};
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::{try_reserve, try_resize};
use crate::math::axis::Axis;
use crate::math::filters::{Interpolation, bilinear_axis};
use crate::math::kernels::dispatch;

/// Assembles taps on one grid: that of the finest tap, or one coarser by an integer step.
///
/// Coarser taps are resized bilinearly (half-pixel centres, edges clamped), finer ones averaged over cells. A step of 2
/// leaves a quarter of the positions to score and loses little, since a cell averages all positions that it covers.
pub struct Assembler {
    step: usize,
    scales: usize,
    /// Samples of each tap for each column of the grid.
    columns: Vec<Weighting>,
    /// One row of a tap for each thread.
    scratch: Vec<Vec<f32>>,
}

impl Assembler {
    /// Creates the assembler for grid cells of `step` x `step` positions of the finest tap; of several scales, that of the
    /// first.
    pub fn new(step: usize, scales: usize) -> Self {
        Self { step, scales, columns: Vec::new(), scratch: Vec::new() }
    }

    /// Writes the features of all taps to `out`, with channels in the order of the taps.
    ///
    /// # Errors
    /// [`Status::Backbone`] when a value is not finite; [`Status::OutOfMemory`].
    pub fn run(&mut self, taps: &[TapMap<'_>], threads: &Threads, out: &mut FeatureMap) -> Result<()> {
        let first = &taps[..taps.len() / self.scales];
        let (rows, cols) = grid(first.iter().map(|t| (t.rows, t.cols)), self.step);
        let channels: usize = taps.iter().map(|t| t.channels).sum();
        out.reshape((rows, cols, channels))?;
        out.set_taps(taps.iter().map(|t| Tap { channels: t.channels, step: (rows / t.rows).max(1) }));
        let widest = taps.iter().map(|t| t.channels * t.cols).max().unwrap_or(0);
        let Self { columns, scratch, .. } = self;
        columns.clear();
        try_reserve(columns, taps.len() * cols)?;
        columns.extend(taps.iter().flat_map(|tap| (0..cols).map(|x| Weighting::of(x, tap.cols, cols))));
        let finite = AtomicBool::new(true);
        let row_of_tap = |values: &mut Vec<f32>| try_resize(values, widest, 0.0);
        threads.chunks_with(out.as_mut_slice(), cols * channels, scratch, row_of_tap, |values, y, row| {
            if !join_row(taps, (y, rows), columns, values, row) {
                finite.store(false, Ordering::Relaxed);
            }
        })?;
        if finite.into_inner() {
            return Ok(());
        }
        Err(Error::new(Status::Backbone, "the backbone produced values that are not finite (NaN or infinity)"))
    }
}

/// Rows and columns of the grid with cells of `step` x `step` positions of the finest tap, from those of the taps.
pub(super) fn grid(taps: impl Iterator<Item = (usize, usize)>, step: usize) -> (usize, usize) {
    let (rows, cols) = taps.max_by_key(|(rows, cols)| rows * cols).unwrap_or((0, 0));
    (rows.div_ceil(step), cols.div_ceil(step))
}

/// The map from an axis of a tap, of this length, to that of a grid.
pub(super) fn axis(length: usize, cells: usize) -> Axis {
    let samples = |at: usize| {
        let Weighting { range, first, rest } = Weighting::of(at, length, cells);
        let start = range.start;
        range.map(move |i| (i, f64::from(if i == start { first } else { rest }))).collect()
    };
    Axis::new(length, (0..cells).map(samples))
}

/// The samples of a tap for a position of the grid along one axis: the mean of a range, whose first element may have
/// another weight.
struct Weighting {
    range: Range<usize>,
    first: f32,
    rest: f32,
}

impl Weighting {
    /// The samples for cell `at` of `cells` on an axis of `length`: the mean of the covered positions if there are
    /// fewer cells, else the two positions around the cell's centre.
    fn of(at: usize, length: usize, cells: usize) -> Self {
        if length > cells {
            let range = covered(at, length, cells);
            let share = 1.0 / range.len() as f32;
            return Self { range, first: share, rest: share };
        }
        let Interpolation { low, high, weight } = bilinear_axis(at, length, cells);
        Self { range: low..high + 1, first: 1.0 - weight, rest: weight }
    }
}

/// The positions that cell `at` of `cells` covers on an axis of `length`: whole steps if these fill the cells, as for
/// the finest tap, else all positions that the cell touches.
fn covered(at: usize, length: usize, cells: usize) -> Range<usize> {
    let step = length.div_ceil(cells);
    if length.div_ceil(step) == cells {
        return at * step..length.min((at + 1) * step);
    }
    at * length / cells..((at + 1) * length).div_ceil(cells)
}

/// Block size for the transposition from planes to positions.
const BLOCK: usize = 8;

/// Assembles row `y` of `rows` of the grid and returns whether all values are finite. `columns` has the samples for
/// each column and tap.
fn join_row(
    taps: &[TapMap<'_>],
    at: (usize, usize),
    columns: &[Weighting],
    scratch: &mut [f32],
    row: &mut [f32],
) -> bool {
    dispatch!(join_row_body(
        taps: &[TapMap<'_>], at: (usize, usize), columns: &[Weighting], scratch: &mut [f32], row: &mut [f32]
    ) -> bool)
}

#[inline(always)]
fn join_row_body<const FMA: bool>(
    taps: &[TapMap<'_>],
    (y, rows): (usize, usize),
    columns: &[Weighting],
    scratch: &mut [f32],
    row: &mut [f32],
) -> bool {
    let cols = columns.len() / taps.len();
    let channels = row.len() / cols;
    let mut offset = 0;
    for (tap, columns) in taps.iter().zip(columns.chunks_exact(cols)) {
        let positions = &mut scratch[..tap.channels * tap.cols];
        down(tap, &Weighting::of(y, tap.rows, rows), positions);
        for (out, Weighting { range, first, rest }) in row.chunks_exact_mut(channels).zip(columns) {
            let out = &mut out[offset..][..tap.channels];
            let sources = &positions[range.start * tap.channels..range.end * tap.channels];
            let (start, sources) = sources.split_at(tap.channels);
            out.iter_mut().zip(start).for_each(|(out, v)| *out = first * v);
            for source in sources.chunks_exact(tap.channels) {
                out.iter_mut().zip(source).for_each(|(out, v)| *out += rest * v);
            }
        }
        offset += tap.channels;
    }
    // Without the sign bit, non-finite floats are the largest integers. A maximum vectorises, a search does not.
    row.iter().fold(0, |largest, v| (v.to_bits() & !(1 << 31)).max(largest)) < f32::INFINITY.to_bits()
}

/// Blends rows of a tap into one with the tap's columns, position after position.
#[inline(always)]
fn down(tap: &TapMap<'_>, weighting: &Weighting, out: &mut [f32]) {
    if tap.channels < BLOCK || tap.cols < BLOCK {
        return down_blocks::<1>(tap, weighting, out);
    }
    down_blocks::<BLOCK>(tap, weighting, out);
}

/// In blocks of `N` x `N`, of which the last may overlap the ones before.
#[inline(always)]
fn down_blocks<const N: usize>(tap: &TapMap<'_>, weighting: &Weighting, out: &mut [f32]) {
    for c in (0..tap.channels).step_by(N) {
        let c = c.min(tap.channels - N);
        for x in (0..tap.cols).step_by(N) {
            let x = x.min(tap.cols - N);
            let mut block = [[0.0; N]; N];
            for (l, columns) in block.iter_mut().enumerate() {
                *columns = blend(tap, weighting, c + l, x);
            }
            for i in 0..N {
                let out = &mut out[(x + i) * tap.channels + c..][..N];
                for (out, columns) in out.iter_mut().zip(&block) {
                    *out = columns[i];
                }
            }
        }
    }
}

/// `N` columns of channel `c` from `x` on, with blended rows.
#[inline(always)]
fn blend<const N: usize>(tap: &TapMap<'_>, weighting: &Weighting, c: usize, x: usize) -> [f32; N] {
    let Weighting { range, first, rest } = weighting;
    let mut sum = [0.0; N];
    for row in range.clone() {
        let weight = if row == range.start { *first } else { *rest };
        let values = &tap.data[(c * tap.rows + row) * tap.cols + x..][..N];
        for i in 0..N {
            sum[i] += weight * values[i];
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Axis;
    use proptest::prelude::*;

    #[test]
    fn taps_are_joined_on_the_finest_grid() {
        let fine: Vec<f32> = (0..16).map(|v| v as f32).collect();
        let coarse = [0.0, 4.0, 8.0, 12.0];
        let taps = [
            TapMap { channels: 1, rows: 4, cols: 4, data: &fine },
            TapMap { channels: 1, rows: 2, cols: 2, data: &coarse },
        ];
        let mut out = FeatureMap::default();
        Assembler::new(1, 1).run(&taps, &Threads::new(2).unwrap(), &mut out).unwrap();
        assert_eq!(
            (out.shape(), out.taps()),
            ((4, 4, 2), &[Tap { channels: 1, step: 1 }, Tap { channels: 1, step: 2 }][..])
        );
        assert_eq!(out.at(5), &[5.0, 3.0], "a quarter of the way down and across: 0 + 1 + 2");
        assert_eq!(out.at(0), &[0.0, 0.0]);
        assert_eq!(out.at(15), &[15.0, 12.0]);
    }

    #[test]
    fn a_step_averages_the_finest_tap() {
        let fine: Vec<f32> = (0..25).map(|v| v as f32).collect();
        let taps = [
            TapMap { channels: 1, rows: 5, cols: 5, data: &fine },
            TapMap { channels: 1, rows: 1, cols: 1, data: &[7.0] },
        ];
        let mut out = FeatureMap::default();
        Assembler::new(2, 1).run(&taps, &Threads::new(1).unwrap(), &mut out).unwrap();
        assert_eq!(out.shape(), (3, 3, 2));
        assert_eq!(out.at(0), &[3.0, 7.0], "the mean of 0, 1, 5 and 6");
        assert_eq!(out.at(8), &[24.0, 7.0], "what is left in the corner");
    }

    #[test]
    fn every_step_covers_every_tap() {
        let planes: Vec<Vec<f32>> = [(80, 48), (40, 24), (20, 12)].iter().map(|(r, c)| vec![3.0; r * c]).collect();
        let taps = [(80, 48), (40, 24), (20, 12)].iter().zip(&planes);
        let taps: Vec<TapMap<'_>> =
            taps.map(|((rows, cols), data)| TapMap { channels: 1, rows: *rows, cols: *cols, data }).collect();
        for step in 1..=8 {
            let mut out = FeatureMap::default();
            Assembler::new(step, 1).run(&taps, &Threads::new(1).unwrap(), &mut out).unwrap();
            assert_eq!(out.shape(), (80usize.div_ceil(step), 48usize.div_ceil(step), 3));
            assert!(out.as_slice().iter().all(|v| (v - 3.0).abs() < 1e-5), "step {step}");
        }
        for (length, cells) in [(40, 27), (5, 3), (7, 2), (9, 9), (64, 8)] {
            let ranges: Vec<Range<usize>> = (0..cells).map(|at| covered(at, length, cells)).collect();
            assert!(ranges.iter().all(|range| !range.is_empty()), "{length} in {cells}: {ranges:?}");
            assert!((0..length).all(|i| ranges.iter().any(|range| range.contains(&i))), "{length} in {cells}");
        }
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            shapes in prop::collection::vec((1usize..20, 1usize..24, 1usize..24), 1..4), step in 1usize..4, seed in any::<u64>(),
        ) {
            let mut random = crate::math::random::Random::new(seed);
            let planes: Vec<Vec<f32>> = shapes
                .iter()
                .map(|(c, rows, cols)| (0..c * rows * cols).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect())
                .collect();
            let taps: Vec<TapMap<'_>> = shapes
                .iter()
                .zip(&planes)
                .map(|(&(channels, rows, cols), data)| TapMap { channels, rows, cols, data })
                .collect();
            let mut out = FeatureMap::default();
            Assembler::new(step, 1).run(&taps, &Threads::new(2).unwrap(), &mut out).unwrap();
            let weights = |at: usize, length: usize, cells: usize| -> Vec<(usize, f64)> {
                if length > cells {
                    let covered = covered(at, length, cells);
                    return covered.clone().map(|i| (i, 1.0 / covered.len() as f64)).collect();
                }
                let Interpolation { low, high, weight } = bilinear_axis(at, length, cells);
                vec![(low, 1.0 - f64::from(weight)), (high, f64::from(weight))]
            };
            let views: Vec<_> = taps.iter().map(TapMap::view).collect();
            let planes = views.iter().flat_map(|view| view.outer_iter());
            for (plane, got) in planes.zip(out.view().axis_iter(Axis(2))) {
                for ((v, u), got) in got.indexed_iter() {
                    let (down, across) = (weights(v, plane.nrows(), out.rows()), weights(u, plane.ncols(), out.cols()));
                    let row = |y: usize| across.iter().map(|(x, w)| w * f64::from(plane[(y, *x)])).sum::<f64>();
                    let expected: f64 = down.iter().map(|(y, w)| w * row(*y)).sum();
                    prop_assert!((f64::from(*got) - expected).abs() < 1e-5, "{got} instead of {expected}");
                }
            }
        }
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        for bad in [f32::NAN, f32::INFINITY] {
            let data = [1.0, bad, 3.0, 4.0];
            let taps = [TapMap { channels: 1, rows: 2, cols: 2, data: &data }];
            let error = Assembler::new(1, 1).run(&taps, &Threads::new(1).unwrap(), &mut FeatureMap::default());
            assert_eq!(error.unwrap_err().status(), Status::Backbone);
        }
    }
}
