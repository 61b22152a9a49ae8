//! A training runs on the threads that the options allow, and starts no others. The test counts the process's threads, so
//! it has a process of its own.
#![cfg(all(target_os = "linux", feature = "flows"))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{FLOWS, fit, good_images, options};
use npad::exec::progress::Progress;

fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn a_training_starts_no_threads() {
    let images = good_images(20);
    for method in FLOWS {
        let (before, during) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (statistics, training) = (before.clone(), during.clone());
        let mut options = options(&[("method", method), ("threads", "3")]);
        options.set_progress(Progress::new(move |step| {
            match step.stage {
                "statistics" => statistics.fetch_max(thread_count(), Ordering::Relaxed),
                stage if stage.starts_with("training") => training.fetch_max(thread_count(), Ordering::Relaxed),
                _ => 0,
            };
            true
        }));
        fit(&options, &images).unwrap();
        let [before, during] = [before, during].map(|count| count.load(Ordering::Relaxed));
        assert!(during > 1 && during <= before, "{method}: {during} threads instead of {before}");
    }
}
