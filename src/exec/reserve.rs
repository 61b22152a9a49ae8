//! The library's allocator: the system's, with a reserve for small blocks.
//!
//! The standard library ends the process when the memory for a string, a box or a node of a map cannot be allocated. Such small
//! blocks then come from a reserve that is part of the library, so that the call that asked for them can go on to its next large
//! buffer, whose failure is an error ([`super::memory`]), and release what it has. Those buffers never come from the reserve.
//!
//! Without the feature `reserve`, the allocator is that of the program, and the standard library does as it does.
#![allow(unsafe_code)]
#![cfg_attr(not(feature = "reserve"), allow(dead_code))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::yield_now;

/// Size and alignment of the units in which the reserve is handed out.
const SLOT: usize = 256;
/// The reserve has 8 MB of address space. The system provides the memory only when it is first written.
const SLOTS: usize = 32 << 10;
/// The largest block that comes from the reserve. Memory that may be larger must be allocated fallibly.
const MAX_BLOCK: usize = 1 << 20;

/// The global allocator of programs that contain this library, and of the shared library.
struct Allocator;

#[cfg(feature = "reserve")]
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: every block comes from the system's allocator or from the reserve, and goes back to where it came from.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the system's.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() { RESERVE.take(layout) } else { block }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            return block;
        }
        let block = RESERVE.take(layout);
        if !block.is_null() {
            // SAFETY: the reserve has just handed out that many bytes.
            unsafe { ptr::write_bytes(block, 0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if RESERVE.owns(block) {
            RESERVE.give_back(block, layout.size());
        } else {
            // SAFETY: the block came from the system's allocator with this layout.
            unsafe { System.dealloc(block, layout) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !RESERVE.owns(block) {
            // SAFETY: the block came from the system's allocator with this layout.
            let moved = unsafe { System.realloc(block, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: the caller promises a size above 0 that does not overflow with this alignment. The new block is another one,
        // and both have as many bytes as are copied.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, size.min(layout.size()));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

thread_local! {
    /// Whether the thread does without the reserve.
    static WITHOUT: Cell<bool> = const { Cell::new(false) };
}

/// Whether half of the reserve is in use: too little is left for a call.
pub fn is_short() -> bool {
    RESERVE.used.load(Ordering::Relaxed) > SLOTS / 2
}

/// In a child process, which lacks the thread that may have had the lock.
pub fn unlock_in_child() {
    RESERVE.locked.store(false, Ordering::Release);
}

/// Runs `work`, which must not panic, with the system's memory alone.
pub fn without<T>(work: impl FnOnce() -> T) -> T {
    WITHOUT.set(true);
    let outcome = work();
    WITHOUT.set(false);
    outcome
}

#[repr(C, align(4096))]
struct Reserve {
    bytes: UnsafeCell<[u8; SLOT * SLOTS]>,
    locked: AtomicBool,
    /// Number of slots in use.
    used: AtomicUsize,
    /// One for each slot in use; behind the lock.
    taken: UnsafeCell<[bool; SLOTS]>,
}

static RESERVE: Reserve = Reserve {
    bytes: UnsafeCell::new([0; SLOT * SLOTS]),
    locked: AtomicBool::new(false),
    used: AtomicUsize::new(0),
    taken: UnsafeCell::new([false; SLOTS]),
};

// SAFETY: `taken` is used behind the lock, and each slot's bytes by the owner of the block that it belongs to.
unsafe impl Sync for Reserve {}

impl Reserve {
    fn owns(&self, block: *const u8) -> bool {
        (block as usize).wrapping_sub(self.bytes.get() as usize) < SLOT * SLOTS
    }

    /// A block, or null if it is too large or does not fit.
    fn take(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MAX_BLOCK || layout.align() > SLOT || WITHOUT.get() {
            return ptr::null_mut();
        }
        let slots = layout.size().div_ceil(SLOT);
        let first = self.locked(|taken| {
            let mut free = 0;
            let last = taken.iter().position(|taken| {
                free = if *taken { 0 } else { free + 1 };
                free == slots
            })?;
            let first = last + 1 - slots;
            taken[first..=last].fill(true);
            Some(first)
        });
        let Some(first) = first else { return ptr::null_mut() };
        self.used.fetch_add(slots, Ordering::Relaxed);
        self.bytes.get().cast::<u8>().wrapping_add(first * SLOT)
    }

    /// Releases a block of `size` bytes that [`Self::take`] has returned.
    fn give_back(&self, block: *const u8, size: usize) {
        let first = (block as usize - self.bytes.get() as usize) / SLOT;
        let slots = size.div_ceil(SLOT);
        self.locked(|taken| taken[first..first + slots].fill(false));
        self.used.fetch_sub(slots, Ordering::Relaxed);
    }

    /// Runs `work` while no other thread does. A mutex of the standard library may allocate.
    fn locked<T>(&self, work: impl FnOnce(&mut [bool; SLOTS]) -> T) -> T {
        while self.locked.swap(true, Ordering::Acquire) {
            // A thread of a lower priority may have it.
            yield_now();
        }
        // SAFETY: this thread has the lock.
        let outcome = work(unsafe { &mut *self.taken.get() });
        self.locked.store(false, Ordering::Release);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    fn reserve() -> Box<Reserve> {
        Box::new(Reserve {
            bytes: UnsafeCell::new([0; SLOT * SLOTS]),
            locked: AtomicBool::new(false),
            used: AtomicUsize::new(0),
            taken: UnsafeCell::new([false; SLOTS]),
        })
    }

    #[test]
    fn blocks_are_aligned_apart_and_reusable() {
        let reserve = reserve();
        let mut blocks: Vec<(usize, Layout)> = Vec::new();
        for turn in 0..3000usize {
            let layout = layout(1 + turn * 7919 % 5000, 1 << (turn % 9));
            let block = reserve.take(layout);
            if block.is_null() || turn % 3 == 2 {
                let (old, size) = blocks.swap_remove(turn * 31 % blocks.len());
                reserve.give_back(old as *const u8, size.size());
            }
            if !block.is_null() {
                assert!(reserve.owns(block) && (block as usize).is_multiple_of(layout.align()));
                blocks.push((block as usize, layout));
            }
        }
        blocks.sort_by_key(|(block, _)| *block);
        assert!(blocks.windows(2).all(|pair| pair[0].0 + pair[0].1.size() <= pair[1].0));
        blocks.iter().for_each(|(block, layout)| reserve.give_back(*block as *const u8, layout.size()));
        let all = (0..SLOTS * SLOT / MAX_BLOCK).filter(|_| !reserve.take(layout(MAX_BLOCK, 1)).is_null());
        assert_eq!(all.count(), SLOTS * SLOT / MAX_BLOCK, "nothing is lost");
        assert!(reserve.take(layout(1, 1)).is_null());
    }

    #[test]
    fn a_thread_may_do_without_it() {
        let reserve = reserve();
        assert!(without(|| reserve.take(layout(1, 1))).is_null());
        assert!(!reserve.take(layout(1, 1)).is_null());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let reserve = reserve();
        assert!(reserve.take(layout(MAX_BLOCK + 1, 1)).is_null());
        assert!(reserve.take(layout(1, SLOT * 2)).is_null());
        assert!(!reserve.owns(ptr::null()) && !reserve.owns((&raw const *reserve).wrapping_add(1).cast()));
    }
}
