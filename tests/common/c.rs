//! Building and running C programs against this build's library.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of this build's shared library.
pub fn library_folder() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// Compiles a C (or, by its ending, C++) program against the headers and the shared library, which it finds in `folder`.
pub fn compile(source: &Path, folder: &Path) -> PathBuf {
    let library = library_folder().join("libnpad.so");
    let version = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    for name in ["libnpad.so".to_owned(), format!("libnpad.so.{version}")] {
        std::os::unix::fs::symlink(&library, folder.join(name)).unwrap();
    }
    let program = folder.join("program");
    let (compiler, standard) =
        if source.extension().is_some_and(|e| e == "cpp") { ("c++", "-std=c++17") } else { ("cc", "-std=c99") };
    let output = Command::new(compiler)
        .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1", "-o"])
        .arg(&program)
        .arg(source)
        .arg("-I")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
        .arg("-L")
        .arg(folder)
        .arg("-lnpad")
        .arg(format!("-Wl,-rpath,{}", folder.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// A command in `folder`. Cargo's own library path, which may lead to another build, must not reach the program.
pub fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_remove("LD_LIBRARY_PATH");
    command
}
