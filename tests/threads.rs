//! All models of a process share their worker threads and their backbone's sessions. The test counts the process's threads,
//! so it has a process of its own.
#![cfg(target_os = "linux")]

mod common;

use std::time::{Duration, Instant};

use common::{Gray, fit, good_images, options};
use npad::model::Model;

fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Waits until the process has no more threads than that: the system takes a while to remove those that have ended.
fn wait_for(count: usize) {
    let start = Instant::now();
    while thread_count() > count {
        assert!(start.elapsed() < Duration::from_secs(60), "{} threads instead of {count}", thread_count());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn five_models_have_the_threads_of_one_and_take_them_along() {
    let settings = options(&[("threads", "6")]);
    let model = fit(&options(&[]), &good_images(10)).unwrap();
    let expected = model.score(&Gray::scratched(160, 120, 50, (60, 50)).view()).unwrap();
    let bytes = model.to_bytes().unwrap();
    drop(model);
    // ONNX Runtime is loaded now, and the fit's threads are gone.
    let mut before = thread_count();
    for _ in 0..1000 {
        std::thread::sleep(Duration::from_millis(1));
        before = before.min(thread_count());
    }

    let load = || Model::from_bytes(&bytes, &settings).unwrap();
    let first = load();
    let with_one = thread_count();
    assert_eq!(with_one, before + 5 + 5, "npad's and ONNX Runtime's, each beside the caller");
    let others: Vec<Model> = (0..4).map(|_| load()).collect();
    assert_eq!(thread_count(), with_one);
    for model in others.iter().chain([&first]) {
        assert_eq!(model.score(&Gray::scratched(160, 120, 50, (60, 50)).view()).unwrap(), expected);
    }
    assert_eq!(thread_count(), with_one);
    drop(first);
    assert_eq!(thread_count(), with_one, "the others go on with them");
    drop(others);
    wait_for(before);
}
