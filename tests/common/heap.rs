//! The heap of a whole process, followed block by block.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much of the heap is in use.
static IN_USE: AtomicUsize = AtomicUsize::new(0);
pub static MOST_IN_USE: AtomicUsize = AtomicUsize::new(0);
/// The largest piece that has been asked for, and what was in use before.
pub static LARGEST: AtomicUsize = AtomicUsize::new(0);
pub static BEFORE: AtomicUsize = AtomicUsize::new(0);

// The program's functions stand before those of the C library, which do the work under other names.
unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
    fn __libc_free(block: *mut c_void);
    fn malloc_usable_size(block: *mut c_void) -> usize;
}

/// Counts a new block, of which `asked` bytes were asked for.
unsafe fn counted(block: *mut c_void, asked: usize) -> *mut c_void {
    // SAFETY: null, or a block of the C library.
    let size = unsafe { malloc_usable_size(block) };
    let before = IN_USE.fetch_add(size, Ordering::Relaxed);
    if LARGEST.fetch_max(asked, Ordering::Relaxed) < asked {
        BEFORE.store(before, Ordering::Relaxed);
        MOST_IN_USE.store(before, Ordering::Relaxed);
    } else {
        MOST_IN_USE.fetch_max(before + size, Ordering::Relaxed);
    }
    block
}

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    unsafe { counted(__libc_malloc(size), size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    unsafe { counted(__libc_calloc(count, size), count.saturating_mul(size)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    unsafe {
        let before = malloc_usable_size(block);
        let moved = __libc_realloc(block, size);
        if !moved.is_null() {
            IN_USE.fetch_sub(before, Ordering::Relaxed);
            counted(moved, size);
        }
        moved
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(block: *mut *mut c_void, alignment: usize, size: usize) -> c_int {
    unsafe {
        *block = counted(__libc_memalign(alignment, size), size);
        if (*block).is_null() { 12 } else { 0 }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(block: *mut c_void) {
    unsafe {
        IN_USE.fetch_sub(malloc_usable_size(block), Ordering::Relaxed);
        __libc_free(block);
    }
}
