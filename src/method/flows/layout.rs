//! The features of each tap on its own grid.

use std::ops::Range;

use super::super::State;
use super::super::state::unfit;
use super::super::{Array, check_shape};
use crate::backbone::{FeatureMap, Tap};
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::try_resize;
use crate::math::axis::Axis;
use crate::onnx::{Value, Writer};

/// The features of one tap: rows x columns x channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plane {
    /// Rows of the tap's grid.
    pub rows: usize,
    /// Columns of the tap's grid.
    pub cols: usize,
    /// Values per position.
    pub channels: usize,
    /// Number of positions of the feature map, along an axis, that a position of the tap covers.
    pub step: usize,
}

impl Plane {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.rows * self.cols * self.channels
    }
}

/// Where the features of each tap are in a feature map, and how they are taken from it: as means over the cells that a
/// position of the tap covers.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    shape: (usize, usize, usize),
    planes: Vec<Plane>,
}

impl Layout {
    /// The layout for maps of this shape with these taps.
    pub fn new(shape: (usize, usize, usize), taps: &[Tap]) -> Self {
        let plane = |tap: &Tap| Plane {
            rows: shape.0.div_ceil(tap.step),
            cols: shape.1.div_ceil(tap.step),
            channels: tap.channels,
            step: tap.step,
        };
        Self { shape, planes: taps.iter().map(plane).collect() }
    }

    /// The shape of the feature maps: rows, columns, channels.
    pub fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    /// The planes, in the order of the channels.
    #[cfg(feature = "flows")]
    pub fn planes(&self) -> &[Plane] {
        &self.planes
    }

    /// Number of values of all planes.
    pub fn len(&self) -> usize {
        self.planes.iter().map(Plane::len).sum()
    }

    /// Writes the features of the planes, one after the other, to `out`.
    ///
    /// # Errors
    /// [`crate::error::Status::Backbone`] when the map has another shape; [`crate::error::Status::OutOfMemory`].
    pub fn split(&self, features: &FeatureMap, threads: &Threads, out: &mut Vec<f32>) -> Result<()> {
        check_shape(self.shape, features)?;
        try_resize(out, self.len(), 0.0)?;
        let (mut rest, mut first) = (&mut out[..], 0);
        for plane in &self.planes {
            let values;
            (values, rest) = rest.split_at_mut(plane.len());
            threads.chunks(values, plane.cols * plane.channels, |y, row| {
                for (x, out) in row.chunks_exact_mut(plane.channels).enumerate() {
                    cell_mean(features, (y * plane.step, x * plane.step), plane.step, first, out);
                }
            });
            first += plane.channels;
        }
        Ok(())
    }

    /// [`Layout::split`] in a graph, of the features of one image in planes: 1 x 1 x 1 x all values.
    pub fn write(&self, writer: &mut Writer, features: &Value) -> Value {
        let (rows, cols, _) = self.shape;
        let cells = |length: usize, step: usize| {
            let cell = move |first: usize| first..(first + step).min(length);
            let mean = move |range: Range<usize>| range.clone().map(|i| (i, 1.0 / range.len() as f64)).collect();
            Axis::new(length, (0..length).step_by(step).map(cell).map(mean))
        };
        let mut first = 0;
        let parts: Vec<Value> = self
            .planes
            .iter()
            .map(|plane| {
                let planes = writer.part(features, 1, first, first + plane.channels);
                first += plane.channels;
                let means = writer.mapped(&planes, &cells(rows, plane.step), &cells(cols, plane.step));
                let vectors = writer.transposed(&means, &[0, 2, 3, 1]);
                writer.reshaped(&vectors, &[1, 1, 1, plane.len() as i64])
            })
            .collect();
        writer.joined(&parts.iter().collect::<Vec<_>>(), 3)
    }

    /// Adds the layout to a state.
    pub fn save(&self, state: &mut State) {
        let (rows, cols, channels) = self.shape;
        state.put("shape", Array::U32(vec![3], [rows, cols, channels].map(|n| n as u32).to_vec()));
        let taps: Vec<u32> = self.planes.iter().flat_map(|plane| [plane.channels as u32, plane.step as u32]).collect();
        state.put("taps", Array::U32(vec![self.planes.len(), 2], taps));
    }

    /// Takes a layout from a state.
    ///
    /// # Errors
    /// [`crate::error::Status::InvalidModel`] when it is missing or inconsistent.
    pub fn load(state: &mut State) -> Result<Self> {
        /// No grid of a usable network has more positions along an axis.
        const MOST: u32 = 1 << 16;
        let [rows @ 1..=MOST, cols @ 1..=MOST, channels @ 1..=MOST] = state.take_u32("shape")?[..] else {
            return Err(unfit("shape"));
        };
        let taps: Vec<Tap> = state
            .take_u32("taps")?
            .chunks(2)
            .map(|tap| match *tap {
                [channels @ 1..=MOST, step @ 1..=MOST] => Ok(Tap { channels: channels as usize, step: step as usize }),
                _ => Err(unfit("taps")),
            })
            .collect::<Result<_>>()?;
        if taps.iter().map(|tap| tap.channels).sum::<usize>() != channels as usize {
            return Err(unfit("taps"));
        }
        Ok(Self::new((rows as usize, cols as usize, channels as usize), &taps))
    }
}

/// Writes the mean of the cell of `step` x `step` positions at `(y, x)`, of as many channels as `out` has from `first` on.
/// Cells at the lower and right edge may be smaller.
fn cell_mean(features: &FeatureMap, (y, x): (usize, usize), step: usize, first: usize, out: &mut [f32]) {
    let (rows, cols, _) = features.shape();
    let channels = first..first + out.len();
    if step == 1 {
        out.copy_from_slice(&features.at(y * cols + x)[channels]);
        return;
    }
    let (bottom, right) = ((y + step).min(rows), (x + step).min(cols));
    out.fill(0.0);
    for v in y..bottom {
        for u in x..right {
            let values = &features.at(v * cols + u)[channels.clone()];
            out.iter_mut().zip(values).for_each(|(out, value)| *out += value);
        }
    }
    let share = 1.0 / ((bottom - y) * (right - x)) as f32;
    out.iter_mut().for_each(|out| *out *= share);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    fn layout() -> Layout {
        Layout::new((3, 5, 3), &[Tap { channels: 1, step: 1 }, Tap { channels: 2, step: 2 }])
    }

    #[test]
    fn taps_are_averaged_over_their_cells() {
        let map = FeatureMap::from(Array3::from_shape_fn((3, 5, 3), |(y, x, c)| (100 * c + 10 * y + x) as f32));
        let mut out = Vec::new();
        layout().split(&map, &Threads::new(2).unwrap(), &mut out).unwrap();
        assert_eq!(out.len(), 3 * 5 + 2 * 3 * 2);
        assert_eq!(out[..6], [0.0, 1.0, 2.0, 3.0, 4.0, 10.0]);
        let coarse = &out[15..];
        assert_eq!(coarse[..2], [105.5, 205.5], "the mean of 0, 1, 10 and 11");
        assert_eq!(coarse[4..6], [109.0, 209.0], "the right edge has one column");
        assert_eq!(coarse[10..], [124.0, 224.0], "the corner has one position");
        let other = FeatureMap::from(Array3::zeros((3, 4, 3)));
        assert!(layout().split(&other, &Threads::new(1).unwrap(), &mut out).is_err());
    }

    #[test]
    fn a_layout_survives_saving_and_damage_is_refused() {
        let mut state = State::default();
        layout().save(&mut state);
        assert_eq!(Layout::load(&mut state.clone()).unwrap(), layout());
        for taps in [vec![1, 1, 1, 2], vec![1, 0, 2, 2], vec![1, 1, 2], vec![3, 1 << 20], vec![]] {
            state.put("taps", Array::U32(vec![taps.len()], taps));
            assert!(Layout::load(&mut state.clone()).is_err());
        }
    }
}
