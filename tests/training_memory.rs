//! What a training asks for before it starts is as much as it then takes: candle ends the process when there is no memory.
//!
//! Without the test harness, whose own thread allocates when it likes.

mod common;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[path = "common/heap.rs"]
mod heap;

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() {
    println!("skipped: the heap is followed on Linux with glibc");
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn main() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use common::{FLOWS, fit, good_images, options};
    use heap::{BEFORE, LARGEST, MOST_IN_USE};
    use npad::exec::progress::Progress;

    // What else the process does, ONNX Runtime among it, is counted as well; it takes nothing while a network is trained.
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
