//! A panic inside npad prints nothing; one elsewhere reaches the hook that the host had set. Since the hook is one for the
//! whole process, the panics happen in a process of their own: this program once more, with one test.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use npad::exec::{Threads, quiet};

const CHILD: &str = "NPAD_TEST_PANICS";

fn caught(work: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(work)).expect_err("a panic");
    panic.downcast_ref::<&str>().copied().unwrap_or("another payload").to_owned()
}

#[test]
fn only_panics_outside_reach_the_hook() {
    if std::env::var_os(CHILD).is_some() {
        return panics();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "only_panics_outside_reach_the_hook", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    assert_eq!(printed.lines().collect::<Vec<_>>(), ["hook: outside", "hook: after"]);
}

fn panics() {
    std::panic::set_hook(Box::new(|info| {
        eprintln!("hook: {}", info.payload_as_str().unwrap_or("another payload"));
    }));
    assert_eq!(caught(|| quiet(|| panic!("guarded"))), "guarded");
    assert_eq!(caught(|| quiet(|| quiet(|| panic!("guarded twice")))), "guarded twice");
    // The hook is in place, and this thread runs npad's code no more.
    assert_eq!(caught(|| panic!("outside")), "outside");

    let threads = Threads::new(3).unwrap();
    threads.start().unwrap();
    let loops = || threads.chunks(&mut [0; 64], 1, |_, _| panic!("in a loop"));
    assert_eq!(caught(|| quiet(loops)), "in a loop");
    assert_eq!(caught(|| threads.run(|| panic!("in a fit"))), "in a fit");
    assert_eq!(caught(|| panic!("after")), "after");
}
