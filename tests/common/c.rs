//! Building and running C and C++ programs against this build's library.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const ADDRESS_SANITIZER: &str = "-fsanitize=address";

/// The folder of this build's shared library.
pub fn library_folder() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// The repository. The tests of the command-line tool share this file, one folder further down.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|folder| folder.join("include/npad.h").is_file()).expect("the repository")
}

/// The sanitizer that `make check` built the library with, as compilers name it. Its programs then need the same.
pub fn sanitizer() -> Option<String> {
    std::env::var("NPAD_TEST_SANITIZER").ok()
}

/// Compiles a program to `folder/output`, with the compiler and standard that its ending asks for and every warning an
/// error; `flags` are added.
pub fn build(source: &Path, folder: &Path, output: &str, flags: &[&str]) -> PathBuf {
    let program = folder.join(output);
    let cpp = source.extension().is_some_and(|e| e == "cpp");
    let (compiler, standard) = if cpp { ("c++", "-std=c++17") } else { ("cc", "-std=c99") };
    let output = Command::new(compiler)
        .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1", "-o"])
        .arg(&program)
        .arg(source)
        .arg("-I")
        .arg(root().join("include"))
        .args(sanitizer().map(|name| format!("-fsanitize={name}")))
        .args(flags)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// Compiles a program against the headers and the shared library, which it finds in `folder`.
pub fn compile(source: &Path, folder: &Path, flags: &[&str]) -> PathBuf {
    let version = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    for name in ["libnpad.so".to_owned(), format!("libnpad.so.{version}")] {
        let link = folder.join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(library_folder().join("libnpad.so"), link).unwrap();
        }
    }
    let (search, rpath) = (format!("-L{}", folder.display()), format!("-Wl,-rpath,{}", folder.display()));
    build(source, folder, "program", &[&[&search, "-lnpad", "-lm", "-lpthread", &rpath], flags].concat())
}

/// Builds the plug-ins that `tests/c/plugins.c` loads: the example, one for each lie, and one that is loaded by several threads.
pub fn build_plugins(folder: &Path) {
    let library = ["-shared", "-fPIC", "-lm"];
    build(&root().join("examples/c/plugin.c"), folder, "diagonal.so", &library);
    let liar = |output: &str, defines: &[&str]| {
        build(&root().join("tests/c/lying_plugin.c"), folder, output, &[&library[..], defines].concat());
    };
    (0..=28).for_each(|lie| liar(&format!("liar-{lie}.so"), &[&format!("-DLIE={lie}")]));
    liar("twin.so", &["-DLIE=0", "-DNAME_OF(lie)=\"twin\""]);
}

/// A command in `folder`. Cargo's own library path, which may lead to another build, must not reach the program.
pub fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_remove("LD_LIBRARY_PATH");
    command
}

/// What a program printed; it must have succeeded.
pub fn text(output: &Output) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}
