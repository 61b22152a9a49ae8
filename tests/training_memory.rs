//! What a training asks for before it starts is as much as it then takes: candle ends the process when there is no memory.
//!
//! Without the test harness, whose own thread allocates when it likes.
#![cfg(feature = "flows")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{FLOWS, fit, good_images, options};
use npad::exec::progress::Progress;

/// Follows how much of the heap is in use.
struct Following;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST_IN_USE: AtomicUsize = AtomicUsize::new(0);
/// The largest piece that has been asked for, and what was in use before.
static LARGEST: AtomicUsize = AtomicUsize::new(0);
static BEFORE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Following {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let before = IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        if LARGEST.fetch_max(layout.size(), Ordering::Relaxed) < layout.size() {
            BEFORE.store(before, Ordering::Relaxed);
            MOST_IN_USE.store(before, Ordering::Relaxed);
        } else {
            MOST_IN_USE.fetch_max(before + layout.size(), Ordering::Relaxed);
        }
        // SAFETY: as asked.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as asked.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Following = Following;

fn main() {
    let images = good_images(14);
    for method in FLOWS {
        for (size, threads) in [("96", "1"), ("224", "1"), ("224", "3")] {
            LARGEST.store(0, Ordering::Relaxed);
            let checks = Arc::new(AtomicUsize::new(0));
            let counted = checks.clone();
            let mut options = options(&[("method", method), ("size", size), ("threads", threads)]);
            options.set_progress(Progress::new(move |step| {
                if step.stage == "held-out scores" && step.done == 0 {
                    counted.fetch_add(1, Ordering::Relaxed);
                    let asked = LARGEST.load(Ordering::Relaxed);
                    let taken = MOST_IN_USE.load(Ordering::Relaxed) - BEFORE.load(Ordering::Relaxed);
                    let what = format!("{method} at {size} on {threads}: asked for {asked} bytes, took {taken}");
                    assert!(taken < asked, "{what}");
                    // Several threads need not be in the same place.
                    assert!(threads != "1" || asked < 4 * taken, "{what}");
                }
                true
            }));
            fit(&options, &images).unwrap();
            assert_eq!(checks.load(Ordering::Relaxed), 1);
        }
    }
}
