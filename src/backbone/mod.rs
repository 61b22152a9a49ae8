//! The backbone: a network that turns an image into feature maps at several strides ("taps"), and their assembly into
//! one map on the finest tap's grid. This is the only module that names `ort`.

mod device;
mod location;
mod onnx;
mod runtime;
mod source;
mod tiles;

pub use device::Device;
pub use onnx::{BUILTIN, OnnxBackbone};
pub use runtime::{open as open_runtime, warm_up};
pub use source::Source;
pub use tiles::Tiled;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result, Status};
use crate::math::filters::{Sample, bilinear_axis};
use crate::pool::Pool;
use crate::preprocess::{InputSize, Normalisation};
use crate::threads::Threads;

/// What the identity of a host's own feature extractor starts with, before its name.
pub const HOST: &str = "host/";

/// One output of a backbone for one image: `channels` planes of `rows * cols` values.
#[derive(Debug, Clone, Copy)]
pub struct TapMap<'a> {
    /// Planes.
    pub channels: usize,
    /// Rows of each plane.
    pub rows: usize,
    /// Columns of each plane.
    pub cols: usize,
    /// Plane after plane, row after row.
    pub data: &'a [f32],
}

/// Something that turns a normalised image into feature maps. May be called from several threads at once.
pub trait FeatureExtractor: Send + Sync {
    /// Runs on `input` (three planes of `size`) and hands all taps' maps to `consume`, once.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the network fails; whatever `consume` returns.
    fn extract(
        &self,
        input: &[f32],
        size: InputSize,
        consume: &mut dyn FnMut(&[TapMap<'_>]) -> Result<()>,
    ) -> Result<()>;

    /// How pixel values become the network's input.
    fn normalisation(&self) -> Normalisation;

    /// A name and checksum (of a host's own extractor: [`HOST`] and its name) that tell whether two backbones are the same.
    fn identity(&self) -> &str;
}

/// The features of one image, `channels` values per grid position, position after position.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeatureMap {
    /// Grid rows.
    pub rows: usize,
    /// Grid columns.
    pub cols: usize,
    /// Values per position.
    pub channels: usize,
    /// `rows * cols * channels` values.
    pub data: Vec<f32>,
}

impl FeatureMap {
    /// The values of grid position `p`, counted row by row.
    pub fn at(&self, p: usize) -> &[f32] {
        &self.data[p * self.channels..][..self.channels]
    }

    /// Grid positions.
    pub fn positions(&self) -> usize {
        self.rows * self.cols
    }

    /// Whether `other` has the same grid and channels.
    pub fn same_shape(&self, other: &Self) -> bool {
        (self.rows, self.cols, self.channels) == (other.rows, other.cols, other.channels)
    }
}

/// Joins taps on one grid: that of the finest tap, or one coarser by a whole step.
///
/// Coarser taps are resized bilinearly (half-pixel centres, edges clamped), finer ones averaged over cells. A coarser grid
/// costs a scorer a quarter of the positions and loses little, since a cell still averages all that it covers.
pub struct Assembler {
    step: usize,
    scratch: Pool<Vec<f32>>,
}

impl Assembler {
    /// For a grid of cells of `step` x `step` positions of the finest tap.
    pub fn new(step: usize) -> Self {
        Self { step, scratch: Pool::default() }
    }

    /// Writes the taps' joint features to `out`, channels in the taps' order.
    ///
    /// # Errors
    /// [`Status::Backbone`] when a value is not finite: nothing downstream could be trusted.
    pub fn run(&self, taps: &[TapMap<'_>], threads: &Threads, out: &mut FeatureMap) -> Result<()> {
        let (rows, cols) = taps.iter().map(|t| (t.rows, t.cols)).max_by_key(|(r, c)| r * c).unwrap_or((0, 0));
        let (rows, cols) = (rows.div_ceil(self.step), cols.div_ceil(self.step));
        let channels: usize = taps.iter().map(|t| t.channels).sum();
        (out.rows, out.cols, out.channels) = (rows, cols, channels);
        out.data.resize(rows * cols * channels, 0.0);
        let widest = taps.iter().map(|t| t.channels * t.cols).max().unwrap_or(0);
        let finite = AtomicBool::new(true);
        threads.chunks(&mut out.data, cols * channels, |y, row| {
            self.scratch.with(Vec::new, |scratch| {
                scratch.resize(widest, 0.0);
                let mut offset = 0;
                for tap in taps {
                    let scratch = &mut scratch[..tap.channels * tap.cols];
                    down(tap, y, rows, scratch);
                    across(tap, scratch, cols, row, channels, offset);
                    offset += tap.channels;
                }
            });
            // A loop without a way out vectorises where a search does not.
            if row.iter().fold(false, |any, v| any | !v.is_finite()) {
                finite.store(false, Ordering::Relaxed);
            }
        });
        if finite.into_inner() {
            return Ok(());
        }
        Err(Error::new(Status::Backbone, "the backbone produced values that are not finite (NaN or infinity)"))
    }
}

/// The positions of `length` that cell `at` of fewer `cells` covers: whole steps where they fill the cells, as for the finest
/// tap, else all that it touches.
fn covered(at: usize, length: usize, cells: usize) -> Range<usize> {
    let step = length.div_ceil(cells);
    if length.div_ceil(step) == cells {
        return at * step..length.min((at + 1) * step);
    }
    at * length / cells..((at + 1) * length).div_ceil(cells)
}

/// Row `y` of `rows` of a tap, each still with the tap's own columns; `out` is position-major.
fn down(tap: &TapMap<'_>, y: usize, rows: usize, out: &mut [f32]) {
    let line = |c: usize, row: usize| &tap.data[(c * tap.rows + row) * tap.cols..][..tap.cols];
    if tap.rows > rows {
        let covered = covered(y, tap.rows, rows);
        let scale = 1.0 / covered.len() as f32;
        for c in 0..tap.channels {
            for x in 0..tap.cols {
                out[x * tap.channels + c] = covered.clone().map(|row| line(c, row)[x]).sum::<f32>() * scale;
            }
        }
        return;
    }
    let Sample { low, high, weight } = bilinear_axis(y, tap.rows, rows);
    for c in 0..tap.channels {
        let (a, b) = (line(c, low), line(c, high));
        for x in 0..tap.cols {
            out[x * tap.channels + c] = a[x] * (1.0 - weight) + b[x] * weight;
        }
    }
}

/// The tap's channels of one row of the joint map, from what [`down`] left.
fn across(tap: &TapMap<'_>, line: &[f32], cols: usize, row: &mut [f32], channels: usize, offset: usize) {
    let at = |x: usize| &line[x * tap.channels..][..tap.channels];
    for (x, out) in row.chunks_exact_mut(channels).enumerate() {
        let out = &mut out[offset..][..tap.channels];
        if tap.cols > cols {
            let covered = covered(x, tap.cols, cols);
            let scale = 1.0 / covered.len() as f32;
            out.fill(0.0);
            covered.for_each(|u| out.iter_mut().zip(at(u)).for_each(|(out, v)| *out += v * scale));
        } else {
            let Sample { low, high, weight } = bilinear_axis(x, tap.cols, cols);
            for ((out, a), b) in out.iter_mut().zip(at(low)).zip(at(high)) {
                *out = a * (1.0 - weight) + b * weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_are_joined_on_the_finest_grid() {
        let fine: Vec<f32> = (0..16).map(|v| v as f32).collect();
        let coarse = [0.0, 4.0, 8.0, 12.0];
        let taps = [
            TapMap { channels: 1, rows: 4, cols: 4, data: &fine },
            TapMap { channels: 1, rows: 2, cols: 2, data: &coarse },
        ];
        let mut out = FeatureMap::default();
        Assembler::new(1).run(&taps, &Threads::new(2).unwrap(), &mut out).unwrap();
        assert_eq!((out.rows, out.cols, out.channels), (4, 4, 2));
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
        Assembler::new(2).run(&taps, &Threads::new(1).unwrap(), &mut out).unwrap();
        assert_eq!((out.rows, out.cols, out.channels), (3, 3, 2));
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
            Assembler::new(step).run(&taps, &Threads::new(1).unwrap(), &mut out).unwrap();
            assert_eq!((out.rows, out.cols), (80usize.div_ceil(step), 48usize.div_ceil(step)));
            assert!(out.data.iter().all(|v| (v - 3.0).abs() < 1e-5), "step {step}");
        }
        for (length, cells) in [(40, 27), (5, 3), (7, 2), (9, 9), (64, 8)] {
            let ranges: Vec<Range<usize>> = (0..cells).map(|at| covered(at, length, cells)).collect();
            assert!(ranges.iter().all(|range| !range.is_empty()), "{length} in {cells}: {ranges:?}");
            assert!((0..length).all(|i| ranges.iter().any(|range| range.contains(&i))), "{length} in {cells}");
        }
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        for bad in [f32::NAN, f32::INFINITY] {
            let data = [1.0, bad, 3.0, 4.0];
            let taps = [TapMap { channels: 1, rows: 2, cols: 2, data: &data }];
            let error = Assembler::new(1).run(&taps, &Threads::new(1).unwrap(), &mut FeatureMap::default());
            assert_eq!(error.unwrap_err().status(), Status::Backbone);
        }
    }
}
