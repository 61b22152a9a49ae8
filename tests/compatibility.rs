//! A program that was compiled against the header of npad 0.1 does not run with this library by mistake: docs/abi.md.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::c::{ADDRESS_SANITIZER, build, command, library_folder, root, text};

/// What the program sees of a library of 0.1 when it is linked: its name, and the functions that the program calls.
fn library_of_0_1(client: &str, folder: &Path) -> PathBuf {
    let calls = client.match_indices('(').filter_map(|(at, _)| {
        let name = client[..at].rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        name.starts_with("npad_").then_some(name)
    });
    let functions: BTreeSet<&str> = calls.collect();
    assert!(functions.len() > 10, "{functions:?}");
    let source = folder.join("library.c");
    let code: String = functions.iter().map(|name| format!("void {name}(void) {{}}\n")).collect();
    std::fs::write(&source, code).unwrap();
    build(&source, folder, "libnpad-0.1.so", &["-shared", "-fPIC", "-Wl,-soname,libnpad.so.0.1"])
}

fn compile(folder: &Path) -> PathBuf {
    let source = root().join("tests/abi/client-0.1.c");
    let library = library_of_0_1(&std::fs::read_to_string(&source).unwrap(), folder);
    let rpath = format!("-Wl,-rpath,{}", folder.join("lib").display());
    build(&source, folder, "client", &[library.to_str().unwrap(), &rpath, ADDRESS_SANITIZER])
}

fn run(program: &Path, folder: &Path, arguments: &[&str]) -> (Output, String) {
    let output = command(program, folder).args(arguments).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, message)
}

#[test]
fn a_program_of_0_1_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path());
    let libraries = folder.path().join("lib");
    std::fs::create_dir(&libraries).unwrap();
    let version = concat!("libnpad.so.", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    let library = library_folder().join("libnpad.so");
    // As `make install` puts it there: the loader does not take it for the library of 0.1.
    symlink(&library, libraries.join("libnpad.so")).unwrap();
    symlink(&library, libraries.join(version)).unwrap();
    let (output, message) = run(&program, folder.path(), &[]);
    assert!(
        !output.status.success() && message.contains("libnpad.so.0.1: cannot open shared object file"),
        "{message}"
    );
    // Under the name of 0.1, as dlopen would give it to a program: the versions differ.
    symlink(&library, libraries.join("libnpad.so.0.1")).unwrap();
    let (output, message) = run(&program, folder.path(), &[]);
    let expected = concat!("needs npad 0.1, but the library is npad ", env!("CARGO_PKG_VERSION"));
    assert!(output.status.code() == Some(3) && message.contains(expected), "{message}");
    // A program that does not compare them learns it from the first struct.
    let model = root().join("tests/fixtures/model-0.1.0.npad");
    let (output, _) = run(&program, folder.path(), &[model.to_str().unwrap(), "unchecked"]);
    assert_eq!(text(&output), "all as documented\n");
}
