//! Scaling of feature vectors before their Euclidean distances are taken.
//!
//! Channels and taps of a backbone differ in scale by orders of magnitude, so raw distances mostly measure the few
//! channels of largest variance.

use ndarray::{Array2, ArrayView2};

use super::state::unfit;
use super::whitening::{Transform, Whitening};
use super::{Array, Kind, State};
use crate::backbone::Tap;
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::{try_reserve, try_resize};
use crate::math::rows::{as_slice, from_vec};
use crate::onnx::{Value, Writer};

/// The values of a parameter that selects the scaling.
pub const SCALINGS: Kind = Kind::Choice(&["unit", "whitened", "none"]);
/// Number of vectors per task.
const CHUNK: usize = 60;

/// What is done to each feature vector.
#[derive(Clone)]
pub enum Scaling {
    /// Nothing.
    None,
    /// The channels of each tap are divided by their length. The values are the taps' numbers of channels.
    Unit(Vec<usize>),
    /// Whitening with one global covariance.
    Whitened(Whitening),
}

impl Scaling {
    /// Creates the scaling of that name for features with these taps. A whitening is estimated from `rows`.
    ///
    /// # Errors
    /// As [`Whitening::new`].
    pub fn new(name: &str, taps: &[Tap], rows: ArrayView2<'_, f32>) -> Result<Self> {
        match name {
            "unit" => Ok(Self::Unit(taps.iter().map(|tap| tap.channels).collect())),
            "whitened" => Whitening::new(rows).map(Self::Whitened),
            _ => Ok(Self::None),
        }
    }

    /// Scales rows on all threads.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn apply_all(&self, rows: ArrayView2<'_, f32>, threads: &Threads) -> Result<Array2<f32>> {
        let mut out = Vec::new();
        self.apply_into(rows, threads, &mut Vec::new(), &mut out)?;
        Ok(from_vec(out, rows.ncols()))
    }

    /// As [`Scaling::apply_all`], into `out` and with each thread's working memory in `relative`: both are kept between calls.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn apply_into(
        &self,
        rows: ArrayView2<'_, f32>,
        threads: &Threads,
        relative: &mut Vec<Vec<f32>>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let channels = rows.ncols();
        let rows = as_slice(rows);
        out.clear();
        try_resize(out, rows.len(), 0.0)?;
        let prepare = |relative: &mut Vec<f32>| {
            relative.clear();
            try_reserve(relative, CHUNK * channels)
        };
        threads.chunks_with(out, CHUNK * channels, relative, prepare, |relative, chunk, out| {
            self.apply(&rows[chunk * CHUNK * channels..][..out.len()], relative, out);
        })
    }

    /// Adds it to a graph, for the rows of a matrix.
    pub fn write(&self, writer: &mut Writer, rows: &Value) -> Value {
        match self {
            Self::None => rows.clone(),
            Self::Unit(taps) => {
                let mut first = 0;
                let parts: Vec<Value> = taps
                    .iter()
                    .map(|channels| {
                        let tap = writer.part(rows, 1, first, first + channels);
                        first += channels;
                        let square = writer.squares(&tap, 1);
                        let length = writer.apply("Sqrt", &[&square]);
                        let length = writer.at_least(&length, f32::MIN_POSITIVE);
                        writer.apply("Div", &[&tap, &length])
                    })
                    .collect();
                writer.joined(&parts.iter().collect::<Vec<_>>(), 1)
            }
            Self::Whitened(whitening) => whitening.write(writer, rows),
        }
    }

    /// Adds it to a state.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn save(&self, state: &mut State) -> Result<()> {
        match self {
            Self::None => {}
            Self::Unit(taps) => {
                state.put("taps", Array::U32(vec![taps.len()], taps.iter().map(|n| *n as u32).collect()));
            }
            Self::Whitened(whitening) => whitening.save("whitening", state)?,
        }
        Ok(())
    }

    /// Loads what [`Scaling::save`] saved for the scaling of that name. A state of npad 0.1, which knew no taps, has a
    /// whitening.
    ///
    /// # Errors
    /// [`crate::error::Status::InvalidModel`] when arrays are missing or inconsistent.
    pub fn load(name: &str, channels: usize, state: &mut State) -> Result<Self> {
        if name == "none" {
            return Ok(Self::None);
        }
        if name == "unit" && !state.shape("taps").is_empty() {
            let taps: Vec<usize> = state.take_u32("taps")?.into_iter().map(|n| n as usize).collect();
            let consistent = taps.iter().sum::<usize>() == channels && !taps.contains(&0);
            return if consistent { Ok(Self::Unit(taps)) } else { Err(unfit("taps")) };
        }
        Whitening::load("whitening", channels, state).map(Self::Whitened)
    }
}

impl Transform for Scaling {
    fn apply(&self, rows: &[f32], relative: &mut Vec<f32>, out: &mut [f32]) {
        match self {
            Self::None => out.copy_from_slice(rows),
            Self::Unit(taps) => to_unit_length(rows, taps, out),
            Self::Whitened(whitening) => whitening.apply(rows, relative, out),
        }
    }
}

/// Divides the channels of each tap by their length. A tap of zeros remains zero.
fn to_unit_length(rows: &[f32], taps: &[usize], out: &mut [f32]) {
    let (mut rows, mut out) = (rows, out);
    for &channels in taps.iter().cycle() {
        if rows.is_empty() {
            return;
        }
        let (tap, others) = rows.split_at(channels);
        let (scaled, remaining) = out.split_at_mut(channels);
        // In double precision, neither large nor small values leave the range.
        let square: f64 = tap.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
        let factor = if square > 0.0 { square.sqrt().recip() } else { 0.0 };
        scaled.iter_mut().zip(tap).for_each(|(out, v)| *out = (f64::from(*v) * factor) as f32);
        (rows, out) = (others, remaining);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tap_has_unit_length() {
        let rows = [3.0, 4.0, 0.0, -2.0, 0.0, 0.0, 5.0, 0.0, 1e-30, 1e-30, 1e30, 1e30];
        let mut out = [f32::NAN; 12];
        Scaling::Unit(vec![2, 1, 1]).apply(&rows, &mut Vec::new(), &mut out);
        let half = 0.5f32.sqrt();
        let expected = [0.6, 0.8, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, half, half, 1.0, 1.0];
        assert!(out.iter().zip(&expected).all(|(out, expected)| (out - expected).abs() < 1e-6), "{out:?}");
    }

    #[test]
    fn every_scaling_survives_a_state() {
        let rows = Array2::from_shape_fn((20, 4), |(i, j)| ((i * (j + 3) * 7 + j * i * i) % 11) as f32);
        for name in ["unit", "whitened", "none"] {
            let scaling = Scaling::new(name, &[1, 3].map(|channels| Tap { channels, step: 1 }), rows.view()).unwrap();
            let mut state = State::default();
            scaling.save(&mut state).unwrap();
            let loaded = Scaling::load(name, 4, &mut state).unwrap();
            let threads = Threads::new(2).unwrap();
            let scaled = scaling.apply_all(rows.view(), &threads).unwrap();
            assert_eq!(scaled, loaded.apply_all(rows.view(), &threads).unwrap());
            assert_eq!(scaled == rows, name == "none");
        }
    }

    #[test]
    fn inconsistent_taps_are_refused() {
        for taps in [vec![1, 2], vec![4, 0], vec![]] {
            let mut state = State::default();
            state.put("taps", Array::U32(vec![taps.len()], taps));
            assert!(Scaling::load("unit", 4, &mut state).is_err());
        }
        assert!(Scaling::load("unit", 4, &mut State::default()).is_err());
    }
}
