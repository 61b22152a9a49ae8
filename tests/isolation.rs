//! npad and its host: what npad leaves alone, and hosts that do what most do not. The programs are in `tests/c`: what each one
//! does stands at its beginning.
#![cfg(target_os = "linux")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::c::{build, build_plugins, command, library_folder, root, text};
use common::network;
use tempfile::TempDir;

/// Features of the host's own, which are fast, and those of ONNX Runtime.
const FEATURES: [&str; 2] = ["own", "builtin"];

/// A program of `tests/c` in a folder of its own, which has an empty folder `here` to run in.
struct Program {
    folder: TempDir,
    file: PathBuf,
}

impl Program {
    fn new(source: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("here")).unwrap();
        // The program's own functions come before those of libraries.
        let file = common::c::compile(&root().join("tests/c").join(source), folder.path(), &["-ldl", "-rdynamic"]);
        Self { folder, file }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// The program with arguments. It writes its files to its own folder and runs in another one.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.file, &self.folder.path().join("here"));
        command.args(arguments);
        command
    }

    /// Runs it: all must be as documented.
    fn run(&self, arguments: &[&str]) {
        documented(&self.command(arguments).output().unwrap(), &arguments);
    }

    /// Runs it with each kind of features.
    fn run_both(&self, mode: &str) {
        FEATURES.iter().for_each(|features| self.run(&[mode, features, &self.path("")]));
    }
}

fn documented(output: &Output, what: &dyn std::fmt::Debug) {
    assert!(output.status.success(), "{what:?}: {}: {}", output.status, text_of(output));
    assert_eq!(text(output), "all as documented\n", "{what:?}");
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The ONNX Runtime of the other tests: a file or a folder.
fn runtime() -> PathBuf {
    PathBuf::from(std::env::var_os("NPAD_ONNXRUNTIME").expect("NPAD_ONNXRUNTIME is set"))
}

/// The library of ONNX Runtime at a path.
fn runtime_file(path: &Path) -> PathBuf {
    if path.is_file() {
        return path.to_owned();
    }
    let files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let named = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().starts_with("libonnxruntime.so");
    files.filter(named).min().expect("ONNX Runtime")
}

/// Another version of ONNX Runtime, if there is one.
fn other_runtime() -> Option<PathBuf> {
    let names = ["NPAD_TEST_ONNXRUNTIME_OPENVINO", "NPAD_TEST_ONNXRUNTIME_GPU"];
    let found = names.iter().find_map(std::env::var_os).map(|folder| runtime_file(Path::new(&folder)));
    if found.is_none() {
        println!("skipped: {names:?} name no other ONNX Runtime (`make test` fetches them)");
    }
    found
}

#[test]
fn what_belongs_to_the_host_stays_as_it_was() {
    Program::new("isolation.c").run_both("state");
}

#[test]
fn nothing_is_written_to_the_standard_streams() {
    let program = Program::new("isolation.c");
    program.run_both("silence");
    let arguments = ["silence", "builtin", &program.path("")];
    let missing = program.command(&arguments).env("NPAD_ONNXRUNTIME", "/none").output().unwrap();
    documented(&missing, &"without ONNX Runtime");
}

/// While a model lives, and while threads score and load.
#[test]
fn the_process_ends_with_the_hosts_exit_code() {
    let program = Program::new("isolation.c");
    for features in FEATURES {
        for how in ["living", "freeing", "scoring", "loading", "loading", "loading", "loading"] {
            let output = program.command(&["exit", features, how]).output().unwrap();
            assert_eq!(output.status.code(), Some(7), "{features}, {how}: {} {}", output.status, text_of(&output));
            assert_eq!(text_of(&output), "", "{features}, {how}");
        }
    }
}

/// Runs a program under strace, and returns its system calls. None where the system allows no tracing.
fn traced(program: &Program, arguments: &[&str], variables: &[(&str, &str)]) -> Option<Vec<String>> {
    let log = program.path("trace");
    // A question mark stands before those that some processors do not have.
    let calls = "trace=network,execve,execveat,?fork,?vfork,clone,clone3,?open,openat,openat2,?creat,truncate,?mkdir,mkdirat,\
                 ?mknod,mknodat,?rename,?renameat,renameat2,?link,linkat,?symlink,symlinkat,?unlink,unlinkat,?rmdir,?chmod,\
                 fchmodat,kill,tkill,tgkill,ptrace";
    let here = program.folder.path().join("here");
    let mut strace = command(Path::new("strace"), &here);
    // Nothing in the environment may switch off what must not happen, and what is written to the user's home must be seen.
    let path = std::env::var_os("PATH").unwrap_or_default();
    strace.env_clear().env("PATH", path).env("HOME", &here).env("NPAD_ONNXRUNTIME", runtime());
    strace.args(["-f", "-qq", "-s", "4096", "-o", log.as_str(), "-e", calls]).arg(&program.file).args(arguments);
    let output = strace.envs(variables.iter().copied()).output().expect("strace");
    if text_of(&output).contains("ptrace") {
        println!("skipped: the system allows no tracing: {}", text_of(&output));
        return None;
    }
    assert!(output.status.success() && text_of(&output).contains("all as documented"), "{}", text_of(&output));
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned();
    // PID CALL; what another thread interrupts stands on two lines, of which the first one has the arguments.
    let call = |line: &str| line.split_once(' ').map(|(_, call)| call.trim_start().to_owned());
    Some(text.lines().filter_map(call).filter(|call| !call.starts_with("<...")).collect())
}

/// The name of a system call.
fn name(call: &str) -> &str {
    call.split('(').next().unwrap_or(call)
}

/// What in a list of system calls a library must not do. It may write to `folder` alone.
fn forbidden<'a>(calls: &'a [String], folder: &str) -> Vec<&'a String> {
    let within = |call: &str| {
        let paths: Vec<&str> = call.split('"').skip(1).step_by(2).collect();
        !paths.is_empty() && paths.iter().all(|path| path.starts_with(folder) && !path.contains("/here"))
    };
    let wrong = |call: &&String| match name(call) {
        "open" | "openat" | "openat2" => {
            ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| call.contains(flag)) && !within(call)
        }
        "clone" | "clone3" => !call.contains("CLONE_THREAD"),
        // The program itself is started by one.
        "execve" => !call.contains("/program\""),
        "rename" | "renameat" | "renameat2" | "unlink" | "unlinkat" | "chmod" | "fchmodat" | "linkat" | "link" => {
            !within(call)
        }
        "creat" | "truncate" => !within(call),
        name => !name.starts_with("+++") && !name.starts_with("---"),
    };
    calls.iter().filter(wrong).collect()
}

#[test]
fn no_network_no_process_and_no_file_but_the_models() {
    let program = Program::new("isolation.c");
    for features in FEATURES {
        let folder = program.path("");
        let Some(calls) = traced(&program, &["life", features, &folder], &[]) else { return };
        assert!(calls.iter().any(|call| call.contains("CLONE_THREAD")), "npad's threads are seen");
        assert!(calls.iter().any(|call| call.starts_with("rename") && call.contains("/model.npad")), "so is the model");
        assert_eq!(forbidden(&calls, &folder), [""; 0], "{features}");
    }
    assert_eq!(std::fs::read_dir(program.path("here")).unwrap().count(), 0, "the working directory stays empty");
}

/// Otherwise the tests above would prove nothing.
#[test]
fn a_library_that_misbehaves_is_noticed() {
    let program = Program::new("isolation.c");
    let rude = build(&root().join("tests/c/rude.c"), program.folder.path(), "rude.so", &["-shared", "-fPIC", "-ldl"]);
    let rude = rude.to_str().unwrap();
    let folder = program.path("");
    let run = |mode: &str, how: &str| {
        let mut command = program.command(&[mode, "own", if mode == "exit" { "living" } else { &folder }]);
        command.env("LD_PRELOAD", rude).env("RUDE", how).output().unwrap()
    };
    documented(&run("state", "nothing"), &"nothing");
    let mut rudenesses =
        vec!["handler", "blocked", "locale", "thread-locale", "rounding", "environment", "folder", "mask"];
    rudenesses.extend(["limit", "descriptor"]);
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
        rudenesses.push("cores");
    }
    for how in rudenesses {
        let output = run("state", how);
        assert!(
            output.status.code() == Some(1) && text_of(&output).contains("that was"),
            "{how}: {}",
            text_of(&output)
        );
    }
    for (how, found) in [("stdout", "5 bytes on stdout"), ("stderr", "and 5 on stderr")] {
        let output = run("silence", how);
        assert!(output.status.code() == Some(1) && text_of(&output).contains(found), "{how}: {}", text_of(&output));
    }
    assert_eq!(run("exit", "exit").status.code(), Some(0));
    for (how, call) in
        [("network", "socket(AF_INET"), ("file", "\"rude\", O_WRONLY"), ("process", "execve(\"/bin/sh\"")]
    {
        let variables = [("LD_PRELOAD", rude), ("RUDE", how)];
        let Some(calls) = traced(&program, &["life", "own", &folder], &variables) else { return };
        assert!(forbidden(&calls, &folder).iter().any(|found| found.contains(call)), "{how}");
    }
}

#[test]
fn two_copies_of_the_library_work_side_by_side() {
    let program = Program::new("copies.c");
    let copies = ["one", "the other"].map(|name| {
        let copy = program.folder.path().join(name).join("libnpad.so");
        std::fs::create_dir(copy.parent().unwrap()).unwrap();
        std::fs::copy(library_folder().join("libnpad.so"), &copy).unwrap();
        copy.to_str().unwrap().to_owned()
    });
    program.run(&["npad", &copies[0], &copies[1]]);
    if let Some(other) = other_runtime() {
        let own = runtime();
        program.run(&["npad", &copies[0], &copies[1], own.to_str().unwrap(), other.to_str().unwrap()]);
    }
}

#[test]
fn a_hosts_own_onnx_runtime_stays_apart() {
    let Some(other) = other_runtime() else { return };
    let program = Program::new("copies.c");
    let library = library_folder().join("libnpad.so");
    for binding in ["local", "global"] {
        program.run(&["host", binding, library.to_str().unwrap(), other.to_str().unwrap()]);
    }
}

#[test]
fn a_host_may_have_functions_of_any_name_and_its_own_allocator() {
    let program = Program::new("names.c");
    FEATURES.iter().for_each(|features| program.run(&[features, &program.path("")]));
}

#[test]
fn a_child_process_is_refused_what_needs_its_parents_threads() {
    let program = Program::new("hosts.c");
    program.run_both("fork");
    // With threads=1, which makes no workers.
    program.run_both("fork-alone");
    let runtime = runtime_file(&runtime());
    program.run(&["fork-loading", "own", &program.path(""), runtime.to_str().unwrap()]);
}

#[test]
fn numbers_have_points_where_the_host_has_commas() {
    let program = Program::new("locale.cpp");
    let german = program.path("de_DE.UTF-8");
    // Warnings about the sources of locales are common; what counts is the locale.
    let made = Command::new("localedef")
        .args(["-c", "-i", "de_DE", "-f", "UTF-8", german.as_str()])
        .output()
        .expect("localedef");
    assert!(Path::new(&german).join("LC_NUMERIC").is_file(), "{}", text_of(&made));
    for features in FEATURES {
        let mut host = program.command(&[features, &program.path(""), "de_DE.UTF-8"]);
        documented(&host.env("LOCPATH", program.path("")).env_remove("LC_ALL").output().unwrap(), &features);
    }
}

#[test]
fn paths_may_have_spaces_and_letters_of_any_alphabet() {
    let program = Program::new("hosts.c");
    let folder = program.folder.path().join("Teile für Prüfstand №7, 検査");
    std::fs::create_dir(&folder).unwrap();
    build_plugins(&folder);
    let plugin = folder.join("Verfahren ü.so");
    std::fs::rename(folder.join("diagonal.so"), &plugin).unwrap();
    let library = runtime_file(&runtime());
    std::os::unix::fs::symlink(&library, folder.join(library.file_name().unwrap())).unwrap();
    std::fs::write(folder.join("Rückgrat 背骨.onnx"), network::pyramid(&[4, 8])).unwrap();
    let folder = folder.to_str().unwrap();
    program.run(&["places", "builtin", folder, folder, plugin.to_str().unwrap()]);
}

#[test]
fn the_working_directory_need_not_be_writable_nor_exist() {
    Program::new("hosts.c").run_both("nowhere");
}

#[test]
fn a_system_may_refuse_any_thread() {
    let program = Program::new("no_threads.c");
    FEATURES.iter().for_each(|features| program.run(&[features, &program.path("")]));
}

#[test]
fn many_threads_run_on_one_core() {
    Program::new("hosts.c").run_both("core");
}

#[test]
fn a_thread_with_a_small_stack_may_score() {
    Program::new("hosts.c").run_both("stack");
}
