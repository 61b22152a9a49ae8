//! Maps of feature vectors.

use ndarray::{Array3, ArrayView2, ArrayView3, ArrayViewMut3};

use crate::error::Result;
use crate::exec::memory::try_resize;

/// An output of a backbone in a feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tap {
    /// Number of channels.
    pub channels: usize,
    /// Number of positions of the map, along an axis, that each position of the backbone's output covers: 1 if the output
    /// is as fine as the map or finer.
    pub step: usize,
}

/// A feature vector for each position of a grid: an array of rows x columns x channels.
///
/// It is always in standard layout, position after position, so that kernels can work on its values as a slice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeatureMap {
    values: Array3<f32>,
    /// In the order of the channels.
    taps: Vec<Tap>,
}

impl FeatureMap {
    /// Rows, columns and channels.
    pub fn shape(&self) -> (usize, usize, usize) {
        self.values.dim()
    }

    /// Grid rows.
    pub fn rows(&self) -> usize {
        self.shape().0
    }

    /// Grid columns.
    pub fn cols(&self) -> usize {
        self.shape().1
    }

    /// Values per position.
    pub fn channels(&self) -> usize {
        self.shape().2
    }

    /// Grid positions.
    pub fn positions(&self) -> usize {
        self.rows() * self.cols()
    }

    /// The values of grid position `p`, counted row by row.
    pub fn at(&self, p: usize) -> &[f32] {
        let channels = self.channels();
        &self.as_slice()[p * channels..][..channels]
    }

    /// All values, position after position.
    pub fn as_slice(&self) -> &[f32] {
        self.values.as_slice().expect(LAYOUT)
    }

    /// All values, position after position, mutable.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        self.values.as_slice_mut().expect(LAYOUT)
    }

    /// The array: rows x columns x channels.
    pub fn view(&self) -> ArrayView3<'_, f32> {
        self.values.view()
    }

    /// The array, mutable.
    pub fn view_mut(&mut self) -> ArrayViewMut3<'_, f32> {
        self.values.view_mut()
    }

    /// A matrix with one row per position and one column per channel.
    pub fn vectors(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.positions(), self.channels()), self.as_slice()).expect(LAYOUT)
    }

    /// The taps of the backbone, in the order of the channels. A map that no backbone has made has one tap.
    pub fn taps(&self) -> &[Tap] {
        &self.taps
    }

    /// Sets the taps.
    ///
    /// # Panics
    /// Where the sum of their channels is not the number of the map's.
    pub fn set_taps(&mut self, taps: impl IntoIterator<Item = Tap>) {
        self.taps.clear();
        self.taps.extend(taps);
        assert_eq!(
            self.taps.iter().map(|tap| tap.channels).sum::<usize>(),
            self.channels(),
            "every channel belongs to one tap"
        );
    }

    /// A copy.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn try_clone(&self) -> Result<Self> {
        let mut copy = Self::default();
        copy.reshape(self.shape())?;
        copy.set_taps(self.taps.iter().copied());
        copy.as_mut_slice().copy_from_slice(self.as_slice());
        Ok(copy)
    }

    /// Copies part `index` of `parts` equal parts of the channels to `out`.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn part(&self, index: usize, parts: usize, out: &mut Self) -> Result<()> {
        let (rows, cols, channels) = self.shape();
        let (own, taps) = (channels / parts, self.taps.len() / parts);
        out.reshape((rows, cols, own))?;
        if taps > 0 {
            out.set_taps(self.taps[index * taps..][..taps].iter().copied());
        }
        for (out, all) in out.as_mut_slice().chunks_exact_mut(own).zip(self.as_slice().chunks_exact(channels)) {
            out.copy_from_slice(&all[index * own..][..own]);
        }
        Ok(())
    }

    /// Changes the shape (rows, columns, channels) and reuses the memory if it suffices. The values are then undefined,
    /// and all channels belong to one tap.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`]; the map is then empty.
    pub fn reshape(&mut self, shape: (usize, usize, usize)) -> Result<()> {
        self.taps.clear();
        if self.shape() != shape {
            let (mut values, _) = std::mem::take(&mut self.values).into_raw_vec_and_offset();
            try_resize(&mut values, shape.0 * shape.1 * shape.2, 0.0)?;
            self.values = Array3::from_shape_vec(shape, values).expect(LAYOUT);
        }
        self.taps.push(Tap { channels: shape.2, step: 1 });
        Ok(())
    }
}

/// The invariant of every map.
const LAYOUT: &str = "a map in standard layout";

impl From<Array3<f32>> for FeatureMap {
    /// A map of rows x columns x channels.
    fn from(array: Array3<f32>) -> Self {
        let taps = vec![Tap { channels: array.dim().2, step: 1 }];
        let values = if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() };
        Self { values, taps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn any_array_becomes_a_map_position_after_position() {
        let array = array![[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]];
        let map = FeatureMap::from(array.clone());
        assert_eq!((map.shape(), map.at(2)), ((2, 2, 2), &[5.0, 6.0][..]));
        let turned = FeatureMap::from(array.permuted_axes([1, 0, 2]));
        assert_eq!((turned.at(1), turned.vectors().row(2).to_vec()), (&[5.0, 6.0][..], vec![3.0, 4.0]));
    }

    #[test]
    fn taps_divide_the_channels() {
        let mut map = FeatureMap::from(Array3::zeros((2, 2, 5)));
        let whole = [Tap { channels: 5, step: 1 }];
        assert_eq!(map.taps(), whole);
        let taps = [Tap { channels: 2, step: 1 }, Tap { channels: 3, step: 2 }];
        map.set_taps(taps);
        assert_eq!(map.taps(), taps);
        map.reshape((2, 2, 5)).unwrap();
        assert_eq!(map.taps(), whole, "they are undefined like the values");
    }

    #[test]
    fn parts_divide_channels_and_taps() {
        let mut map = FeatureMap::from(array![[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], [[7.0, 8.0, 9.0, 10.0, 11.0, 12.0]]]);
        let taps = [Tap { channels: 1, step: 1 }, Tap { channels: 2, step: 2 }];
        map.set_taps([taps, taps].concat());
        let mut part = FeatureMap::default();
        map.part(1, 2, &mut part).unwrap();
        assert_eq!((part.shape(), part.taps()), ((2, 1, 3), &taps[..]));
        assert_eq!(part.as_slice(), [4.0, 5.0, 6.0, 10.0, 11.0, 12.0]);
    }

    #[test]
    fn another_shape_keeps_the_memory() {
        let mut map = FeatureMap::from(Array3::zeros((4, 5, 6)));
        let memory = map.as_slice().as_ptr();
        for shape in [(2, 3, 4), (6, 5, 4), (0, 0, 0), (1, 1, 120)] {
            map.reshape(shape).unwrap();
            assert_eq!((map.shape(), map.as_slice().len()), (shape, shape.0 * shape.1 * shape.2));
        }
        assert_eq!(map.as_slice().as_ptr(), memory);
        assert!(map.reshape((1 << 20, 1 << 20, 1 << 20)).is_err() && map.shape() == (0, 0, 0));
    }
}
