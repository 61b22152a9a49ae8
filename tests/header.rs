//! The header is what the source says, compiles alone everywhere, and promises exactly what the library exports.

use std::collections::BTreeSet;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::path::PathBuf;
#[cfg(unix)]
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn header() -> String {
    std::fs::read_to_string(root().join("include/npad.h")).expect("include/npad.h")
}

/// Regenerate with `NPAD_WRITE_HEADER=1 cargo test --test header`.
#[test]
fn the_header_is_generated_from_the_source() {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    // The boundary with its submodules, and what it takes from below.
    let sources = [
        "src/error.rs",
        "src/image/format.rs",
        "src/image/view.rs",
        "src/model/decision.rs",
        "src/model/options/table.rs",
        "src/abi/mod.rs",
        "src/ffi/mod.rs",
    ]
    .map(|path| root().join(path));
    let builder = cbindgen::Builder::new().with_config(config);
    let bindings = sources.into_iter().fold(builder, cbindgen::Builder::with_src).generate().unwrap();
    let mut generated = Vec::new();
    bindings.write(&mut generated);
    let generated = String::from_utf8(generated).unwrap();
    if std::env::var_os("NPAD_WRITE_HEADER").is_some() {
        std::fs::write(root().join("include/npad.h"), generated).unwrap();
        return;
    }
    assert!(generated == header(), "include/npad.h is out of date: run `make header`");
}

#[cfg(unix)]
fn compile(compiler: &str, arguments: &[&str], source: &str) {
    let folder = tempfile::tempdir().unwrap();
    let name = if compiler == "cc" { "test.c" } else { "test.cpp" };
    std::fs::write(folder.path().join(name), source).unwrap();
    let output = Command::new(compiler)
        .args(arguments)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", "-o", "test.o", "-I"])
        .arg(root().join("include"))
        .arg(name)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[cfg(unix)]
fn the_header_compiles_alone_and_twice() {
    let once = "#include \"npad.h\"\nint use(void);\nint use(void) { return (int)npad_version_number(); }\n";
    let twice = format!("#include \"npad.h\"\n{once}");
    for source in [once, &twice] {
        compile("cc", &["-std=c99"], source);
        compile("c++", &["-std=c++17"], source);
    }
    compile("c++", &["-std=c++17"], "#include \"npad.hpp\"\n#include \"npad.hpp\"\n");
}

/// The functions that the header declares, once each.
fn declared() -> BTreeSet<String> {
    let header = header();
    let without_comments: String =
        header.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, code)| code)).collect();
    let calls = without_comments.match_indices('(').filter_map(|(at, _)| {
        let name = without_comments[..at].rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        name.starts_with("npad_").then(|| name.to_owned())
    });
    let mut names = BTreeSet::new();
    for name in calls {
        assert!(names.insert(name.clone()), "{name} is declared twice");
    }
    names
}

/// The shared library of this build.
#[cfg(target_os = "linux")]
fn library() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let folder = program.parent().unwrap().parent().unwrap();
    let name = format!("{}npad{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    [folder.join("deps").join(&name), folder.join(&name)].into_iter().find(|p| p.is_file()).expect("the shared library")
}

/// What every version so far exports: lines are added at the end and never removed.
const SYMBOLS: &str = include_str!("abi/symbols.txt");
/// Sizes of the public structs and offsets of their fields, where pointers have 64 bits.
const LAYOUT: &str = include_str!("abi/layout.txt");

#[test]
#[cfg(target_os = "linux")]
fn the_library_exports_exactly_the_header_and_the_symbol_list() {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library()).output().unwrap();
    let exported: BTreeSet<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| Some(line.split_whitespace().nth(2)?.to_owned()))
        .collect();
    assert!(declared().len() > 20);
    assert_eq!(exported, declared());
    let listed: BTreeSet<String> = SYMBOLS.lines().map(str::to_owned).collect();
    assert_eq!(listed.len(), SYMBOLS.lines().count(), "a symbol is listed twice");
    assert_eq!(exported, listed, "tests/abi/symbols.txt lists what is exported: add a line for each new function");
}

/// A kernel that loses its instruction set on the way calls a function for each fused multiply-add, and crawls.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn no_kernel_calls_a_function_for_a_multiplication() {
    let output = Command::new("objdump").args(["-d", "--no-show-raw-insn"]).arg(library()).output().unwrap();
    let code = String::from_utf8(output.stdout).unwrap();
    let (mut function, mut calls, mut ours) = ("", 0, BTreeSet::new());
    for line in code.lines() {
        if line.ends_with(">:") {
            function = line.split_once('<').map_or(line, |(_, name)| name);
        } else if line.contains("<fmaf>") || line.contains("<fmaf@") {
            calls += 1;
            // Other crates have bodies for processors without the instruction.
            if function.contains("4npad") {
                ours.insert(function);
            }
        }
    }
    assert!(code.contains("squared_distance"), "objdump lists what is in the library");
    assert!(ours.is_empty(), "{ours:?} of {calls} calls: see math::kernels");
}

#[test]
#[cfg(all(unix, target_pointer_width = "64"))]
fn the_header_lays_structs_out_as_the_library_does() {
    let checks = LAYOUT.lines().enumerate().map(|(number, line)| {
        let (what, value) = line.split_once(' ').unwrap();
        let found = match what.split_once('.') {
            Some((name, field)) => format!("offsetof({name}, {field})"),
            None => format!("sizeof({what})"),
        };
        format!("typedef char check_{number}[{found} == {value} ? 1 : -1];\n")
    });
    let source = format!("#include \"npad.h\"\n{}", checks.collect::<String>());
    assert!(source.lines().count() > 50);
    compile("cc", &["-std=c99"], &source);
    compile("c++", &["-std=c++17"], &source);
}

#[test]
fn every_export_is_guarded_and_documented() {
    let mut exports = 0;
    for entry in std::fs::read_dir(root().join("src/ffi")).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let parts: Vec<&str> = source.split("#[unsafe(no_mangle)]").collect();
        for (before, function) in parts.iter().zip(&parts[1..]) {
            let name = function.split("fn ").nth(1).unwrap().split('(').next().unwrap();
            let body = function.split_once('{').unwrap().1.trim_start();
            let body = body.strip_prefix("unsafe {").unwrap_or(body).trim_start();
            assert!(
                ["guard(", "guard_value(", "new_handle("].iter().any(|guard| body.starts_with(guard)),
                "{name} is not guarded"
            );
            assert!(
                before.trim_end().lines().last().unwrap().trim_start().starts_with("///"),
                "{name} has no documentation"
            );
            exports += 1;
        }
    }
    assert_eq!(exports, declared().len(), "exports in src/ffi and functions in the header");
}
