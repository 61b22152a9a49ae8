//! Scoring into the caller's memory takes no memory of its own once it is warm. (What ONNX Runtime does inside its library does
//! not go through this allocator.)

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Gray, fit, good_images, options};
use npad::model::MapBuffer;

/// Counts what the process asks of the heap.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as asked.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as asked.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_warm_score_allocates_nothing() {
    // Five shifts take runs of two images and of one.
    for shifts in ["1", "5"] {
        let model = fit(&options(&[("npad.shifts", shifts)]), &good_images(10)).unwrap();
        let image = Gray::scratched(160, 120, 50, (60, 50));
        let mut map = vec![0.0; 160 * 120];
        let mut score = || {
            let (width, height) = (image.width, image.height);
            let buffer = MapBuffer { values: &mut map, width, height, stride: width };
            model.score_into(&image.view(), buffer, |_| ()).unwrap();
        };
        (0..50).for_each(|_| score());
        let before = COUNT.load(Ordering::Relaxed);
        (0..100).for_each(|_| score());
        let count = COUNT.load(Ordering::Relaxed) - before;
        assert_eq!(count, 0, "allocations for a hundred images at {shifts} shifts");
    }
}
