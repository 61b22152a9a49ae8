//! Fallible allocation for buffers whose size follows from images and models.
//!
//! The standard library aborts the process when an allocation fails. Large buffers are therefore reserved first, so
//! that a failure becomes [`Status::OutOfMemory`]. For small blocks there is a reserve (`exec/reserve.rs`).

use super::reserve;
use crate::error::{Error, Result, Status};

/// A vector of `length` copies of `value`.
///
/// # Errors
/// [`Status::OutOfMemory`] when the memory cannot be allocated.
pub fn try_vec<T: Clone>(length: usize, value: T) -> Result<Vec<T>> {
    let mut values = Vec::new();
    try_resize(&mut values, length, value)?;
    Ok(values)
}

/// A copy of `values`.
///
/// # Errors
/// [`Status::OutOfMemory`] when the memory cannot be allocated.
pub fn try_copy<T: Copy>(values: &[T]) -> Result<Vec<T>> {
    let mut copy = Vec::new();
    try_reserve(&mut copy, values.len())?;
    copy.extend_from_slice(values);
    Ok(copy)
}

/// The values of an iterator.
///
/// # Errors
/// [`Status::OutOfMemory`] when the memory cannot be allocated.
pub fn try_collect<T>(values: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    try_reserve(&mut all, values.len())?;
    all.extend(values);
    Ok(all)
}

/// Resizes a vector, with new elements set to `value`.
///
/// # Errors
/// [`Status::OutOfMemory`] when the memory cannot be allocated; the vector is unchanged.
pub fn try_resize<T: Clone>(values: &mut Vec<T>, length: usize, value: T) -> Result<()> {
    try_reserve(values, length.saturating_sub(values.len()))?;
    values.resize(length, value);
    Ok(())
}

/// Reserves room for `additional` more values.
///
/// # Errors
/// [`Status::OutOfMemory`] when the memory cannot be allocated; the vector is unchanged.
pub fn try_reserve<T>(values: &mut Vec<T>, additional: usize) -> Result<()> {
    let reserved = reserve::without(|| values.try_reserve_exact(additional));
    reserved.map_err(|_| out_of_memory::<T>(values.len(), additional))
}

/// Reserves room for `additional` more values and, as `Vec::push` does, for later ones: for vectors that grow in small steps.
///
/// # Errors
/// [`Status::OutOfMemory`] when the memory cannot be allocated; the vector is unchanged.
pub fn try_grow<T>(values: &mut Vec<T>, additional: usize) -> Result<()> {
    let reserved = reserve::without(|| values.try_reserve(additional));
    reserved.map_err(|_| out_of_memory::<T>(values.len(), additional))
}

/// Checks that the system still has small blocks: the standard library takes those for a thread from it, not from the reserve, and ends
/// the process where there is none.
///
/// # Errors
/// [`Status::OutOfMemory`].
pub fn check_small_blocks() -> Result<()> {
    const MANY: usize = 64 << 10;
    try_reserve(&mut Vec::<u8>::new(), MANY)
}

fn out_of_memory<T>(length: usize, additional: usize) -> Error {
    let bytes = (length as u128 + additional as u128) * size_of::<T>() as u128;
    let message = format!(
        "out of memory: a buffer of {bytes} bytes could not be allocated; use smaller images or a smaller size, or \
         close other programs"
    );
    Error::new(Status::OutOfMemory, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_given_and_what_does_not_is_an_error() {
        assert_eq!(try_vec(3, 7u8).unwrap(), [7; 3]);
        assert_eq!(try_copy(&[1, 2]).unwrap(), [1, 2]);
        assert_eq!(try_collect([1, 2].iter().map(|v| v + 1)).unwrap(), [2, 3]);
        let mut values = vec![1u64];
        for length in [usize::MAX, isize::MAX as usize / 8, 1 << 60] {
            let error = try_resize(&mut values, length, 0).unwrap_err();
            assert_eq!(error.status(), Status::OutOfMemory, "{error}");
            assert_eq!(try_grow(&mut values, length).unwrap_err().status(), Status::OutOfMemory);
            assert_eq!(values, [1]);
        }
    }
}
