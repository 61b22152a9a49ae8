//! Building and running C programs against this build's library.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of this build's shared library.
pub fn library_folder() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// Compiles a C program against the header and the shared library.
pub fn compile(source: &Path, folder: &Path) -> PathBuf {
    let program = folder.join("program");
    let output = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1", "-o"])
        .arg(&program)
        .arg(source)
        .arg("-I")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
        .arg("-L")
        .arg(library_folder())
        .arg("-lnpad")
        .arg(format!("-Wl,-rpath,{}", library_folder().display()))
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
