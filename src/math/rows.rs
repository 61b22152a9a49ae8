//! Matrices with one vector per row and fallible allocation.

use ndarray::{Array2, ArrayView2};

use crate::error::Result;
use crate::exec::memory::{try_copy, try_vec};

/// `count` rows of `dimension` zeros.
///
/// # Errors
/// [`crate::error::Status::OutOfMemory`].
pub fn try_zeros(count: usize, dimension: usize) -> Result<Array2<f32>> {
    Ok(from_vec(try_vec(count * dimension, 0.0)?, dimension))
}

/// Converts values, row after row, to a matrix with rows of `dimension` values.
pub fn from_vec(values: Vec<f32>, dimension: usize) -> Array2<f32> {
    Array2::from_shape_vec((values.len() / dimension, dimension), values).expect("whole rows")
}

/// Values, row after row, as a matrix with rows of `dimension` values.
pub fn view(values: &[f32], dimension: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((values.len() / dimension, dimension), values).expect("whole rows")
}

/// A copy of contiguous rows.
///
/// # Errors
/// [`crate::error::Status::OutOfMemory`].
pub fn copied(rows: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
    Ok(from_vec(try_copy(as_slice(rows))?, rows.ncols()))
}

/// A copy of the rows with these indices, in their order.
///
/// # Errors
/// [`crate::error::Status::OutOfMemory`].
pub fn select(rows: ArrayView2<'_, f32>, indices: &[usize]) -> Result<Array2<f32>> {
    let mut selected = try_zeros(indices.len(), rows.ncols())?;
    for (mut to, &from) in selected.rows_mut().into_iter().zip(indices) {
        to.assign(&rows.row(from));
    }
    Ok(selected)
}

/// The values of contiguous rows.
pub fn as_slice<'a>(rows: ArrayView2<'a, f32>) -> &'a [f32] {
    rows.to_slice().expect("rows that stand one after the other")
}
