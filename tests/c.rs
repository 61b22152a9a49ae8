//! The C boundary, from C and C++ programs under AddressSanitizer: the examples and every documented error. With NPAD_TEST_VALGRIND,
//! as in `make check`, C programs also run under valgrind, which sees the library's own accesses and takes minutes.
#![cfg(unix)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::c::{ADDRESS_SANITIZER, build, command, root, sanitizer, text};
use common::{Gray, network};

/// Compiles a program of the repository.
fn compile(source: &str, folder: &Path) -> PathBuf {
    common::c::compile(&root().join(source), folder, &[])
}

/// The same under AddressSanitizer.
fn compile_sanitized(source: &str, folder: &Path) -> PathBuf {
    common::c::compile(&root().join(source), folder, &[ADDRESS_SANITIZER])
}

/// Whether there are runs under valgrind. A program with a sanitizer cannot run in it.
fn with_valgrind() -> bool {
    std::env::var_os("NPAD_TEST_VALGRIND").is_some() && sanitizer().is_none()
}

/// A program under valgrind, which makes it fail if there are errors or leaks, with a tiny backbone: the built-in one takes most of a
/// minute to load.
fn valgrind(program: &Path, folder: &Path) -> Command {
    let backbone = folder.join("tiny.onnx");
    std::fs::write(&backbone, network::pyramid(&[4, 8])).unwrap();
    let mut command = command(Path::new("valgrind"), folder);
    command
        .env("NPAD_TEST_BACKBONE", backbone)
        .args(["--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite", "--quiet"])
        .args(["--show-leak-kinds=definite", "--num-callers=40"])
        .arg(format!("--suppressions={}", root().join("tests/valgrind.supp").display()))
        .arg(program);
    command
}

fn write_images(folder: &Path) {
    std::fs::create_dir(folder.join("good")).unwrap();
    for seed in 0..8 {
        std::fs::write(folder.join(format!("good/{seed}.pgm")), Gray::good(80, 60, seed).pgm()).unwrap();
    }
    std::fs::write(folder.join("scratched.pgm"), Gray::scratched(80, 60, 90, (40, 20)).pgm()).unwrap();
    std::fs::write(folder.join("fine.pgm"), Gray::good(80, 60, 91).pgm()).unwrap();
}

const ARGUMENTS: [&str; 7] =
    ["good", "fine.pgm", "scratched.pgm", "size=64", "npad.channels=16", "threads=2", "date=none"];

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
    if with_valgrind() {
        let output = valgrind(&program, folder.path()).args(ARGUMENTS).arg("backbone=tiny.onnx").output().unwrap();
        assert!(text(&output).contains("scratched.pgm: "));
    }
    let sanitized = compile_sanitized("examples/c/inspect.c", folder.path());
    assert_eq!(text(&command(&sanitized, folder.path()).args(ARGUMENTS).output().unwrap()), plain);
}

#[test]
fn the_cpp_example_says_what_the_c_example_says() {
    let folder = tempfile::tempdir().unwrap();
    write_images(folder.path());
    let run = |source: &str| {
        let program = compile_sanitized(source, folder.path());
        let output = text(&command(&program, folder.path()).args(ARGUMENTS).output().unwrap());
        let verdicts = output.lines().filter(|line| line.contains("score"));
        verdicts.map(|line| line.split(", calibrated").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(run("examples/cpp/inspect.cpp"), run("examples/c/inspect.c"));
    let program = compile_sanitized("examples/cpp/inspect.cpp", folder.path());
    let output = command(&program, folder.path()).args(["good", "fine.pgm", "size=none"]).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && message.contains("size is 'none'") && message.contains("status 3"),
        "{message}"
    );
}

/// Builds and runs a test program in C++ under AddressSanitizer.
fn run_cpp(source: &str, flags: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let flags = [flags, &[ADDRESS_SANITIZER]].concat();
    let program = common::c::compile(&root().join(source), folder.path(), &flags);
    let output = text(&command(&program, folder.path()).output().unwrap());
    assert_eq!(output, "all as documented\n");
}

#[test]
fn the_cpp_header_does_what_it_says() {
    run_cpp("tests/c/wrapper.cpp", &[]);
}

/// The same in C++20, which adds the overloads with `std::span`.
#[test]
fn the_cpp_header_does_what_it_says_with_spans() {
    run_cpp("tests/c/wrapper.cpp", &["-std=c++20"]);
}

#[test]
fn callbacks_in_cpp_live_long_enough_and_their_exceptions_come_out_of_the_call() {
    run_cpp("tests/c/callbacks.cpp", &[]);
}

#[test]
fn exceptions_of_callbacks_in_cpp_cross_shared_libraries() {
    let folder = tempfile::tempdir().unwrap();
    let source = root().join("tests/c/libraries.cpp");
    let library = ["-shared", "-fPIC", "-fvisibility=hidden", "-DLIBRARY", ADDRESS_SANITIZER];
    let library = build(&source, folder.path(), "liboptions.so", &library);
    let flags = ["-fvisibility=hidden", library.to_str().unwrap(), ADDRESS_SANITIZER];
    let program = common::c::compile(&source, folder.path(), &flags);
    let output = text(&command(&program, folder.path()).output().unwrap());
    assert_eq!(output, "all as documented\n");
}

#[test]
fn a_library_of_another_version_is_refused_in_cpp() {
    run_cpp("tests/c/version.cpp", &[]);
}

#[test]
fn the_opencv_header_takes_and_gives_matrices() {
    let opencv = ["-isystem/usr/include/opencv4", "-lopencv_core", "-lopencv_imgproc"];
    run_cpp("tests/c/opencv.cpp", &opencv);
    run_cpp("tests/c/opencv.cpp", &[&opencv[..], &["-std=c++20"]].concat());
}

/// HALCON itself cannot be had here.
#[test]
fn the_halcon_header_works_with_a_stand_in_for_halcon() {
    let stand_in = format!("-I{}", root().join("tests/halcon").display());
    run_cpp("tests/c/halcon.cpp", &[&stand_in]);
}

/// In the compilers that are there, in both standards, twice in one program, with warnings that hosts turn on.
#[test]
fn the_cpp_headers_compile_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("twice.cpp");
    for header in ["npad.hpp", "npad_opencv.hpp", "npad_halcon.hpp"] {
        std::fs::write(&source, format!("#include \"{header}\"\n#include \"{header}\"\n")).unwrap();
        for standard in ["-std=c++17", "-std=c++20"] {
            for compiler in ["g++", "clang++"] {
                let warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wsign-conversion"];
                let mut compile = command(Path::new(compiler), folder.path());
                compile.args([standard, "-Werror", "-fsyntax-only", "-isystem/usr/include/opencv4"]).args(warnings);
                compile.arg(format!("-I{}", root().join("include").display()));
                // A stand-in for somebody else's header, whose warnings are not ours.
                compile.arg(format!("-isystem{}", root().join("tests/halcon").display())).arg(&source);
                match compile.output() {
                    Ok(output) => assert_eq!(text(&output), ""),
                    Err(error) => assert!(compiler == "clang++", "{compiler}: {error}"),
                }
            }
        }
    }
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

/// Runs a test program under AddressSanitizer, and where that is wanted under valgrind.
fn run_checked(source: &str, arguments: &[&str], folder: &Path) {
    let sanitized = compile_sanitized(source, folder);
    let output = text(&command(&sanitized, folder).args(arguments).output().unwrap());
    assert!(output.ends_with("all as documented\n"), "{output}");
    if with_valgrind() {
        text(&valgrind(&compile(source, folder), folder).args(arguments).output().unwrap());
    }
}

#[test]
fn misuse_gets_the_documented_error() {
    let folder = tempfile::tempdir().unwrap();
    run_checked("tests/c/misuse.c", &[], folder.path());
}

#[test]
fn masks_buffers_thresholds_callbacks_and_layouts_work_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    run_checked("tests/c/boundary.c", &[], folder.path());
}

#[test]
fn results_have_maps_regions_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    run_checked("tests/c/results.c", &[], folder.path());
}

#[test]
fn options_methods_devices_and_models_can_be_listed() {
    let folder = tempfile::tempdir().unwrap();
    run_checked("tests/c/lists.c", &[], folder.path());
}

#[test]
fn signed_models_are_known_and_foreign_backbones_may_be_refused() {
    let folder = tempfile::tempdir().unwrap();
    let backbone = folder.path().join("foreign.onnx");
    std::fs::write(&backbone, network::pyramid(&[4, 8])).unwrap();
    run_checked("tests/c/signature.c", &[backbone.to_str().unwrap()], folder.path());
}

#[test]
fn calls_wait_time_out_are_cancelled_and_share_a_matrix() {
    let folder = tempfile::tempdir().unwrap();
    run_checked("tests/c/waiting.c", &[], folder.path());
}

#[test]
fn log_callbacks_can_be_exchanged_at_any_time() {
    let folder = tempfile::tempdir().unwrap();
    run_checked("tests/c/log.c", &[], folder.path());
}

#[test]
fn plug_ins_work_and_lies_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    common::c::build_plugins(folder.path());
    run_checked("tests/c/plugins.c", &[folder.path().to_str().unwrap()], folder.path());
}

#[test]
fn a_host_with_its_own_extractor_needs_no_onnx_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile_sanitized("examples/c/extractor.c", folder.path());
    let run = command(&program, folder.path()).env("NPAD_ONNXRUNTIME", "/none").arg("own.npad").output().unwrap();
    assert_eq!(text(&run), "fine: good\nscratched: DEFECTIVE\nthe engine ran 23 times\n");
}

#[test]
fn many_threads_score_with_one_model() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile("tests/c/threads.c", folder.path());
    let output = text(&command(&program, folder.path()).output().unwrap());
    assert!(output.starts_with("all as documented\n"), "{output}");
}

#[test]
#[cfg(all(target_os = "linux", feature = "reserve"))]
fn running_out_of_memory_is_a_status_and_prints_nothing() {
    if sanitizer().is_some() {
        return eprintln!("skipped: a sanitizer's own memory exceeds every limit of address space");
    }
    let folder = tempfile::tempdir().unwrap();
    let program = compile("tests/c/oom.c", folder.path());
    let run = |command: &mut Command| assert_eq!(text(&command.output().unwrap()), "all as documented\n");
    run(&mut command(&program, folder.path()));
    // No thread can have such a stack.
    let stack = (1_u64 << 46).to_string();
    run(command(&program, folder.path()).arg("without-threads").env("RUST_MIN_STACK", stack));
    run(command(&program, folder.path()).arg("without-blocks"));
}

/// Whether a sanitizer has the heap for itself.
fn watches_the_heap() -> bool {
    sanitizer().inspect(|name| println!("skipped: the heap belongs to the {name} sanitizer")).is_some()
}

#[test]
#[cfg(target_os = "linux")]
fn warm_models_allocate_nothing() {
    if watches_the_heap() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = compile("tests/c/allocations.c", folder.path());
    assert_eq!(text(&command(&program, folder.path()).output().unwrap()), "all as documented\n");
}

/// Each block of a small fit, and blocks at distances that grow in a fit whose blocks are too large for the reserve.
#[test]
#[cfg(all(target_os = "linux", feature = "reserve"))]
fn a_refused_allocation_is_a_status_wherever_it_is() {
    if watches_the_heap() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = compile("tests/c/failing.c", folder.path());
    for arguments in [&["npad"][..], &["padim", "size", "384x384", "grid_step", "1"]] {
        let output = text(&command(&program, folder.path()).args(arguments).output().unwrap());
        assert!(output.ends_with("all as documented\n"), "{output}");
        let failed = |line: &str| line.contains("calls failed") && !line.contains(": 0 calls");
        assert!(output.lines().any(failed), "some blocks are too large for the reserve: {output}");
    }
}

/// Otherwise the runs under AddressSanitizer and valgrind would prove nothing.
#[test]
fn the_checkers_report_faults() {
    let folder = tempfile::tempdir().unwrap();
    let reports = |command: &mut Command, fault: &str, expected: &str| {
        let output = command.arg(fault).output().unwrap();
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && report.contains(expected), "{fault}: {report}");
    };
    let program = compile_sanitized("tests/c/faults.c", folder.path());
    let leak = "LeakSanitizer: detected memory leaks";
    let mut faults = vec![("leak", leak), ("leak-of-onnxruntime", leak)];
    if sanitizer().is_some() {
        // Accesses of the library that it is built to watch.
        faults.extend([("overflow", "heap-buffer-overflow"), ("use-after-free", "heap-use-after-free")]);
    }
    faults.iter().for_each(|(fault, expected)| reports(&mut command(&program, folder.path()), fault, expected));
    if with_valgrind() {
        let program = compile("tests/c/faults.c", folder.path());
        let (access, leak) = ("Invalid read", "definitely lost");
        let faults = [("overflow", access), ("use-after-free", access), ("leak", leak), ("leak-of-onnxruntime", leak)];
        faults.iter().for_each(|(fault, expected)| reports(&mut valgrind(&program, folder.path()), fault, expected));
    }
}
