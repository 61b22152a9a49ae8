//! Programs that were built against today's header run with a library whose structs have grown.
//!
//! The library is built from a copy of the source in which every struct of `src/abi` has two fields more. That takes as long
//! as compiling the library itself, so `make test-growth` runs this apart from the other tests.
#![cfg(all(unix, target_pointer_width = "64"))]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::c::{ADDRESS_SANITIZER, command, compile, library_folder, root, text};

/// The name under which the grown library is built beside the ordinary one.
const NAME: &str = "npad_grown";

/// Appends fields to every struct of a source file of `src/abi`, and returns how many structs there are.
fn grow(source: &str) -> (String, usize) {
    let (mut grown, mut inside, mut count) = (String::new(), false, 0);
    for line in source.lines() {
        inside |= line.starts_with("pub struct npad_");
        if inside && line == "}" {
            grown += "    /// Fields of a later version.\n    pub later: [u64; 2],\n";
            (inside, count) = (false, count + 1);
        }
        grown += &format!("{line}\n");
    }
    (grown, count)
}

/// Copies a folder of sources with the structs of `abi` grown, and returns how many there are.
fn copy(from: &Path, to: &Path) -> usize {
    std::fs::create_dir_all(to).unwrap();
    // What an earlier copy has and the source no longer.
    for old in std::fs::read_dir(to).unwrap().map(|entry| entry.unwrap().path()) {
        let now = from.join(old.file_name().unwrap());
        if old.is_dir() && !now.is_dir() {
            std::fs::remove_dir_all(old).unwrap();
        } else if !now.exists() {
            std::fs::remove_file(old).unwrap();
        }
    }
    let mut structs = 0;
    for entry in std::fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            structs += copy(&from, &to);
            continue;
        }
        let mut source = std::fs::read_to_string(&from).unwrap();
        if from.parent().is_some_and(|folder| folder.ends_with("src/abi")) {
            let (grown, count) = grow(&source);
            (source, structs) = (grown, structs + count);
        }
        // A file that is as it was keeps its age, so that a second run has nothing to build.
        if std::fs::read_to_string(&to).ok().as_ref() != Some(&source) {
            std::fs::write(to, source).unwrap();
        }
    }
    structs
}

/// Builds the grown library. It shares the compiled dependencies of this build.
fn grown_library() -> PathBuf {
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("grown");
    let structs = copy(&root().join("src"), &tree.join("src"));
    let listed = include_str!("abi/layout.txt").lines().filter(|line| !line.contains('.')).count();
    assert_eq!(structs, listed, "structs in src/abi and in tests/abi/layout.txt");
    for name in ["assets", "benches", "build.rs", "cli", "tests", "Cargo.lock", "README.md"] {
        let link = tree.join(name);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(root().join(name), link).unwrap();
    }
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let renamed = manifest.replace("[lib]\n", &format!("[lib]\nname = \"{NAME}\"\n"));
    assert_ne!(manifest, renamed);
    std::fs::write(tree.join("Cargo.toml"), renamed).unwrap();
    let profile = library_folder().parent().unwrap().to_owned();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--lib", "--package", "npad", "--offline", "--locked", "--quiet", "--target-dir"]);
    cargo.arg(profile.parent().unwrap()).current_dir(&tree);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    text(&cargo.output().unwrap());
    profile.join(format!("lib{NAME}.so"))
}

#[test]
#[ignore = "compiles the library a second time: `make test-growth`"]
fn old_programs_run_with_a_library_whose_structs_have_grown() {
    let library = grown_library();
    let folder = tempfile::tempdir().unwrap();
    let version = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    for name in ["libnpad.so".to_owned(), format!("libnpad.so.{version}")] {
        std::os::unix::fs::symlink(&library, folder.path().join(name)).unwrap();
    }
    common::c::build_plugins(folder.path());
    for name in ["growth", "boundary", "results", "lists", "waiting", "misuse", "plugins"] {
        let source = root().join(format!("tests/c/{name}.c"));
        let program = compile(&source, folder.path(), &[ADDRESS_SANITIZER]);
        let output = command(&program, folder.path()).arg(folder.path()).output().unwrap();
        assert_eq!(text(&output), "all as documented\n", "{name}");
    }
}
