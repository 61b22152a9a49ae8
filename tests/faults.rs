//! Faults around the library: disks that fail or are full, processes that end while they save, files that are no ONNX
//! Runtime, and callbacks that use npad themselves. The system's calls are watched as they are on x86-64.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::c::{ADDRESS_SANITIZER, build, command, compile, library_folder, root, text};

/// Runs a program of `tests/c`, which must find all as documented.
fn run(command: &mut Command) {
    let output = text(&command.output().unwrap());
    assert!(output.ends_with("all as documented\n"), "{output}");
    print!("{output}");
}

fn save(mode: &str) {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(&root().join("tests/c/saving.c"), folder.path(), &[]);
    run(command(&program, folder.path()).arg(mode));
}

#[test]
fn a_save_that_fails_leaves_the_old_file_and_nothing_else() {
    save("refused");
}

#[test]
fn a_save_is_on_the_disk_before_it_has_the_name() {
    save("order");
}

#[test]
fn a_save_does_not_take_the_place_of_a_closed_stream() {
    save("streams");
}

#[test]
fn an_export_is_whole_or_not_there() {
    save("exports");
}

#[test]
fn paths_that_cannot_be_written_are_told() {
    save("targets");
}

#[test]
fn a_full_or_read_only_file_system_is_told() {
    save("full");
}

#[test]
fn a_process_that_is_killed_while_it_saves_leaves_a_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(&root().join("tests/c/killed.c"), folder.path(), &[]);
    run(&mut command(&program, folder.path()));
}

/// The library of ONNX Runtime in the folder that the other tests use.
fn onnx_runtime() -> PathBuf {
    let given = PathBuf::from(std::env::var_os("NPAD_ONNXRUNTIME").expect("NPAD_ONNXRUNTIME is set"));
    if given.is_file() {
        return given;
    }
    let named = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().starts_with("libonnxruntime.so");
    let mut files = std::fs::read_dir(given).unwrap().map(|entry| entry.unwrap().path());
    files.find(named).expect("libonnxruntime.so")
}

/// Builds a stand-in for ONNX Runtime with the fault of that number.
fn fake_runtime(fake: usize, folder: &Path, name: &str) {
    let source = root().join("tests/c/fake_runtime.c");
    build(&source, folder, name, &["-shared", "-fPIC", &format!("-DFAKE={fake}")]);
}

#[test]
fn files_that_are_no_onnx_runtime_are_told_and_may_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    (1..=6).for_each(|fake| fake_runtime(fake, folder.path(), &format!("fake-{fake}.so")));
    let program = compile(&root().join("tests/c/runtimes.c"), folder.path(), &[]);
    run(command(&program, folder.path()).arg(folder.path()).arg(onnx_runtime()));
}

#[test]
fn without_onnx_runtime_the_error_names_all_places() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(&root().join("tests/c/runtimes.c"), folder.path(), &[]);
    // A copy, beside which there is none.
    let copy = |name: &Path| {
        std::fs::remove_file(name).unwrap();
        std::fs::copy(library_folder().join("libnpad.so"), name).unwrap();
    };
    let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_symlink()).for_each(|link| copy(&link));
    // Beside the program is none of the places.
    let elsewhere = folder.path().join("bin");
    std::fs::create_dir(&elsewhere).unwrap();
    fake_runtime(1, &elsewhere, "libonnxruntime.so");
    let moved = elsewhere.join("program");
    std::fs::rename(&program, &moved).unwrap();
    run(command(&moved, folder.path()).arg("missing").arg(onnx_runtime()));
}

/// Plainly and, with these arguments, under AddressSanitizer, which takes several times as long.
fn run_sanitized(source: &str, arguments: &[&str], sanitized: &[&str]) {
    for (flags, arguments) in [(vec![], arguments), (vec![ADDRESS_SANITIZER], sanitized)] {
        let folder = tempfile::tempdir().unwrap();
        let program = compile(&root().join(source), folder.path(), &flags);
        run(command(&program, folder.path()).args(arguments));
    }
}

#[test]
fn callbacks_may_use_npad_but_not_the_model_of_their_call() {
    run_sanitized("tests/c/reentry.c", &[], &[]);
}

#[test]
fn plug_ins_may_use_npad_but_not_the_objects_of_their_call() {
    let folder = tempfile::tempdir().unwrap();
    let source = root().join("tests/c/calling_plugin.c");
    let plugin = build(&source, folder.path(), "calling.so", &["-shared", "-fPIC", "-lm"]);
    let arguments = [plugin.to_str().unwrap()];
    run_sanitized("tests/c/calls_of_plugins.c", &arguments, &arguments);
}

#[test]
fn a_fit_that_is_cancelled_anywhere_can_go_on() {
    let methods = ["npad", "padim", "patchcore", "spade"];
    let all: Vec<&str> = methods.iter().chain(common::FLOWS).copied().collect();
    run_sanitized("tests/c/cancelling.c", &all, &methods);
}
