//! Memory for a model's large arrays.

/// An empty vector with room for `length` values, in huge pages where the system has them.
///
/// The system maps memory page by page on first access. With pages of 4 KB that takes longer than reading a model's
/// file, and even longer while ONNX Runtime is loaded at the same time. Scoring, which reads the whole model, would
/// also cause many TLB misses.
pub fn with_capacity<T>(length: usize) -> Vec<T> {
    let values = Vec::with_capacity(length);
    #[cfg(target_os = "linux")]
    advise(values.as_ptr() as usize, length * size_of::<T>());
    values
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
            let mut values = with_capacity::<u8>(length);
            assert!(values.is_empty() && values.capacity() >= length);
            values.extend((0..length).map(|i| i as u8));
            assert!(values.iter().enumerate().all(|(i, v)| *v == i as u8));
        }
    }
}
