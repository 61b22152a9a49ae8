//! Feature maps in half precision.

use std::ops::Range;
use std::sync::Arc;

use half::f16;

use crate::backbone::{FeatureMap, Tap};
use crate::error::Result;
use crate::exec::memory::try_vec;
use crate::math::kernels::{narrow, widen};

/// A feature map in f16. Parts of its channels share its memory.
#[derive(Debug, Clone)]
pub struct HalfMap {
    shape: (usize, usize, usize),
    taps: Vec<Tap>,
    values: Arc<Vec<f16>>,
    /// Number of channels in `values`, and those of this map.
    stored: usize,
    channels: Range<usize>,
}

impl HalfMap {
    /// A copy of `map`, rounded.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn new(map: &FeatureMap) -> Result<Self> {
        let mut values = try_vec(map.as_slice().len(), f16::ZERO)?;
        narrow(map.as_slice(), &mut values);
        let channels = map.channels();
        Ok(Self {
            shape: map.shape(),
            taps: map.taps().to_vec(),
            values: Arc::new(values),
            stored: channels,
            channels: 0..channels,
        })
    }

    /// A map of all of `values`, which are the channels of one position after another.
    pub(super) fn of(shape: (usize, usize, usize), taps: Vec<Tap>, values: Vec<f16>) -> Self {
        let channels = shape.2;
        Self { shape, taps, values: Arc::new(values), stored: channels, channels: 0..channels }
    }

    /// Rows, columns and channels.
    pub fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    /// The taps that the channels come from.
    pub(super) fn taps(&self) -> &[Tap] {
        &self.taps
    }

    /// The values of a map that is not a part of another.
    pub(super) fn values(&self) -> &[f16] {
        &self.values
    }

    /// Part `index` of `parts` equal parts of the channels.
    pub(super) fn part(&self, index: usize, parts: usize) -> Self {
        let (rows, cols, channels) = self.shape;
        let (own, taps) = (channels / parts, self.taps.len() / parts);
        let first = self.channels.start + index * own;
        Self {
            shape: (rows, cols, own),
            taps: self.taps[index * taps..][..taps].to_vec(),
            values: self.values.clone(),
            stored: self.stored,
            channels: first..first + own,
        }
    }

    /// Adds shape and values to a checksum.
    pub fn add_to(&self, hasher: &mut blake3::Hasher) {
        let (rows, cols, channels) = self.shape;
        hasher.update(format!("{rows} {cols} {channels} {:?}", self.taps).as_bytes());
        for position in self.values.chunks_exact(self.stored) {
            position[self.channels.clone()].iter().for_each(|value| {
                hasher.update(&value.to_le_bytes());
            });
        }
    }

    /// Writes it to `out` in f32.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn read(&self, out: &mut FeatureMap) -> Result<()> {
        out.reshape(self.shape)?;
        out.set_taps(self.taps.iter().copied());
        if self.channels.len() == self.stored {
            widen(&self.values, out.as_mut_slice());
            return Ok(());
        }
        let positions = self.values.chunks_exact(self.stored).zip(out.as_mut_slice().chunks_exact_mut(self.shape.2));
        positions.for_each(|(stored, out)| widen(&stored[self.channels.clone()], out));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_survive_the_round_trip_to_f16() {
        let mut map = FeatureMap::from(ndarray::array![[[0.1, -7.5], [1000.0, 0.0]]]);
        map.set_taps([Tap { channels: 1, step: 1 }, Tap { channels: 1, step: 2 }]);
        let mut back = FeatureMap::default();
        HalfMap::new(&map).unwrap().read(&mut back).unwrap();
        assert_eq!((map.shape(), map.taps()), (back.shape(), back.taps()));
        for (a, b) in map.as_slice().iter().zip(back.as_slice()) {
            assert!((a - b).abs() <= a.abs() * 5e-4);
        }
        let (mut part, mut expected) = (FeatureMap::default(), FeatureMap::default());
        HalfMap::new(&map).unwrap().part(1, 2).read(&mut part).unwrap();
        back.part(1, 2, &mut expected).unwrap();
        assert_eq!(part, expected);
    }
}
