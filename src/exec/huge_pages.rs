//! Memory for a model's large arrays.

use super::memory::try_reserve;
use crate::error::Result;

/// An empty vector with room for `length` values, in huge pages where the system has them. Running out of memory is an
/// error.
///
/// The system maps memory page by page on first access. With pages of 4 KB that takes longer than reading a model's
/// file, and even longer while ONNX Runtime is loaded at the same time. Scoring, which reads the whole model, would
/// also cause many TLB misses.
///
/// # Errors
/// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory).
pub fn try_with_capacity<T>(length: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    try_reserve(&mut values, length)?;
    #[cfg(target_os = "linux")]
    advise(values.as_ptr() as usize, length * size_of::<T>());
    Ok(values)
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn advise(start: usize, length: usize) {
    const PAGE: usize = 4096;
    /// A smaller array hardly contains a whole huge page (2 MB).
    const LEAST: usize = 4 << 20;
    let (first, end) = (start.next_multiple_of(PAGE), (start + length) / PAGE * PAGE);
    if length >= LEAST && end > first {
        // SAFETY: whole pages inside memory that is the caller's; it is advice, which changes no value. Where the system does
        // not take it, nothing is lost.
        unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_any_length_have_their_room() {
        for length in [0, 1, 4095, (4 << 20) - 1, 4 << 20, (9 << 20) + 1] {
            let mut values = try_with_capacity::<u8>(length).unwrap();
            assert!(values.is_empty() && values.capacity() >= length);
            values.extend((0..length).map(|i| i as u8));
            assert!(values.iter().enumerate().all(|(i, v)| *v == i as u8));
        }
    }
}
