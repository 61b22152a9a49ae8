//! The soak of `make soak`, for a few seconds, and the faults that it must find.
// It counts handles and threads in /proc, and asks the C library how much memory is in use.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod common;

use std::process::Output;

use common::c::{ADDRESS_SANITIZER, command, compile, root, text};

fn soak(images: u32, flags: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(&root().join("tests/soak/soak.c"), folder.path(), flags);
    command(&program, folder.path()).args([images.to_string().as_str(), "8"]).output().unwrap()
}

#[test]
fn models_are_swapped_under_load() {
    for (images, flags) in [(2000, &[][..]), (500, &[ADDRESS_SANITIZER])] {
        let output = text(&soak(images, flags));
        assert!(output.contains("all as documented\n"), "{output}");
    }
}

#[test]
fn the_soak_finds_what_it_is_for() {
    let faults = [
        "not what one thread has found",
        "the number of handles grew",
        "the number of threads grew",
        "the heap grew",
        "the heap grew",
    ];
    for (number, expected) in (1..).zip(faults) {
        let output = soak(1000, &[&format!("-DPLANTED={number}")]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && message.contains(expected), "fault {number}: {message}");
    }
}
