//! A training runs on the threads that the options allow and starts no others, and concurrent calls share the threads of
//! the network that it makes. The test counts the process's threads, so it has a process of its own.
#![cfg(all(target_os = "linux", feature = "flows"))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{FLOWS, fit, good_images, options};
use npad::exec::Threads;
use npad::exec::progress::Progress;

fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn a_network_has_its_threads_and_no_others() {
    let images = good_images(20);
    for method in FLOWS {
        let (before, during) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (statistics, training) = (before.clone(), during.clone());
        let mut options = options(&[("method", method), ("threads", "3"), ("max_calls", "2")]);
        options.set_progress(Progress::new(move |step| {
            match step.stage {
                "statistics" => statistics.fetch_max(thread_count(), Ordering::Relaxed),
                stage if stage.starts_with("training") => training.fetch_max(thread_count(), Ordering::Relaxed),
                _ => 0,
            };
            true
        }));
        let model = fit(&options, &images).unwrap();
        let [before, during] = [before, during].map(|count| count.load(Ordering::Relaxed));
        assert!(during > 1 && during <= before, "{method}: {during} threads instead of {before}");

        let (before, calls) = (thread_count(), Threads::resolve(0).min(2));
        model.warm_up(160, 120).unwrap();
        let backbones = 2 * (calls - 1);
        assert_eq!(thread_count(), before + backbones, "{method}: each call has a session of the backbone alone");
    }
}
