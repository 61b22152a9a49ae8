//! Opening ONNX Runtime by hand: a process has one, so this has a process of its own, and one test.
#![cfg(any(target_os = "linux", windows))]

use std::path::{Path, PathBuf};

use npad::backbone::open_runtime;
use npad::error::Status;
use npad::model::{Options, Trainer};

const NAME: &str = if cfg!(windows) { "onnxruntime.dll" } else { "libonnxruntime.so" };

/// The library in the folder that the other tests use.
fn library() -> PathBuf {
    let given = PathBuf::from(std::env::var_os("NPAD_ONNXRUNTIME").expect("NPAD_ONNXRUNTIME is set"));
    if given.is_file() {
        return given;
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(given).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.file_name().unwrap().to_str().unwrap().starts_with(NAME));
    files.sort();
    files.swap_remove(0)
}

#[test]
fn one_library_has_many_names_and_another_is_refused() {
    let status = |path: &Path| open_runtime(path).map_err(|error| error.status());
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.so");
    assert_eq!(status(&missing), Err(Status::NotFound));
    let error = open_runtime(folder.path()).unwrap_err();
    assert!(error.status() == Status::NotFound && error.message().contains(&format!("no {NAME} in")), "{error}");
    let text = folder.path().join(NAME);
    std::fs::write(&text, "no library").unwrap();
    let error = open_runtime(&text).unwrap_err();
    let cause = if cfg!(windows) { "it is not a DLL" } else { "it is not a shared library" };
    assert!(error.status() == Status::Runtime && error.message().contains(cause), "{error}");
    if cfg!(target_os = "linux") {
        // Headers without contents. What the system's loader says is part of the message.
        let mut headers = std::fs::read(library()).unwrap()[..64].to_vec();
        headers[56..58].fill(0);
        headers[60..62].fill(0);
        headers[32..48].fill(0);
        std::fs::write(&text, headers).unwrap();
        let error = open_runtime(&text).unwrap_err();
        assert!(error.status() == Status::Runtime && error.message().contains("loadable segments"), "{error}");
        std::fs::write(&text, "no library").unwrap();
    }

    // Found by the environment variable.
    Trainer::new(&Options::default()).unwrap();
    let library = library().canonicalize().unwrap();
    let (parent, name) = (library.parent().unwrap(), library.file_name().unwrap());
    let around = parent.join("..").join(parent.file_name().unwrap()).join(".").join(name);
    std::env::set_current_dir(parent).unwrap();
    for path in [&library, parent, &around, Path::new(name), &Path::new(".").join(name), Path::new(".")] {
        open_runtime(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    #[cfg(unix)]
    {
        let link = folder.path().join("link.so");
        std::os::unix::fs::symlink(&library, &link).unwrap();
        open_runtime(&link).unwrap();
    }
    let error = open_runtime(&text).unwrap_err();
    assert!(error.status() == Status::WrongState && error.message().contains("already loaded from"), "{error}");
    assert_eq!(status(&missing), Err(Status::NotFound));
}
