//! The C boundary, from C programs: the example, misuse, and both under valgrind.
#![cfg(unix)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

use common::Gray;
use common::c::command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compiles a C program of the repository.
fn compile(source: &str, folder: &Path) -> PathBuf {
    common::c::compile(&root().join(source), folder)
}

fn text(output: &Output) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}

/// Runs a program under valgrind, which must find neither errors nor leaks of ours; ONNX Runtime keeps its own globals.
fn valgrind(program: &Path, arguments: &[&str], folder: &Path) -> String {
    let output = command(Path::new("valgrind"), folder)
        .args(["--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite", "--quiet"])
        .arg(format!("--suppressions={}", root().join("tests/valgrind.supp").display()))
        .arg(program)
        .args(arguments)
        .output()
        .expect("valgrind");
    text(&output)
}

fn write_images(folder: &Path) {
    std::fs::create_dir(folder.join("good")).unwrap();
    for seed in 0..8 {
        std::fs::write(folder.join(format!("good/{seed}.pgm")), Gray::good(80, 60, seed).pgm()).unwrap();
    }
    std::fs::write(folder.join("scratched.pgm"), Gray::scratched(80, 60, 90, (40, 20)).pgm()).unwrap();
    std::fs::write(folder.join("fine.pgm"), Gray::good(80, 60, 91).pgm()).unwrap();
}

const ARGUMENTS: [&str; 6] = ["good", "fine.pgm", "scratched.pgm", "size=64", "npad.channels=16", "threads=2"];

#[test]
fn the_example_learns_saves_loads_and_inspects() {
    let folder = tempfile::tempdir().unwrap();
    write_images(folder.path());
    let program = compile("examples/c/inspect.c", folder.path());
    let run = command(&program, folder.path()).args(ARGUMENTS).output().unwrap();
    let plain = text(&run);
    let line = |name: &str| plain.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{name}: {plain}"));
    assert!(line("fine.pgm").contains("good"), "{plain}");
    assert!(line("scratched.pgm").contains("DEFECTIVE"), "{plain}");
    assert!(line("  region").contains("pixels, peak"));
    // The model that C wrote is the one that Rust writes from the same pixels.
    let options = common::options(&[("size", "64"), ("npad.channels", "16")]);
    let images: Vec<Gray> = (0..8).map(|seed| Gray::good(80, 60, seed)).collect();
    let model = common::fit(&options, &images).unwrap();
    assert!(model.to_bytes().unwrap() == std::fs::read(folder.path().join("inspect.npad")).unwrap());
    let score = model.score(&Gray::scratched(80, 60, 90, (40, 20)).view()).unwrap().score;
    let printed: f32 =
        line("scratched.pgm").split("score ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(printed.to_bits(), score.to_bits(), "to the last bit");
}

#[test]
fn the_cpp_example_finds_its_scratch_and_reports_errors() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile("examples/cpp/inspect.cpp", folder.path());
    let output = text(&command(&program, folder.path()).args(["size=128", "npad.channels=30"]).output().unwrap());
    assert!(output.contains("fine: good") && output.contains("scratched: DEFECTIVE"), "{output}");
    let output = command(&program, folder.path()).arg("size=none").output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && message.contains("size is 'none'") && message.contains("status 3"),
        "{message}"
    );
}

#[test]
fn the_library_is_loaded_at_run_time() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile("examples/c/dlopen.c", folder.path());
    let run = |library: &Path| command(&program, folder.path()).arg(library).output().unwrap();
    assert_eq!(text(&run(&folder.path().join("libnpad.so"))), "loaded at run time: good\n");
    let missing = run(Path::new("/none.so"));
    assert!(missing.status.code() == Some(1) && String::from_utf8_lossy(&missing.stderr).contains("/none.so"));
}

#[test]
fn the_example_runs_clean_under_valgrind() {
    let folder = tempfile::tempdir().unwrap();
    write_images(folder.path());
    let program = compile("examples/c/inspect.c", folder.path());
    let output = valgrind(&program, &ARGUMENTS, folder.path());
    assert!(output.contains("scratched.pgm: DEFECTIVE"), "{output}");
}

#[test]
fn misuse_gets_the_documented_error_under_valgrind_too() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile("tests/c/misuse.c", folder.path());
    let output = text(&command(&program, folder.path()).output().unwrap());
    assert!(output.ends_with("all as documented\n"), "{output}");
    valgrind(&program, &[], folder.path());
}
