//! Finding and loading ONNX Runtime's shared library, once per process.
//!
//! In order: the path given to [`open`], the environment variable `NPAD_ONNXRUNTIME`, the folder of this library and the
//! `lib` beside it, the system's loader. The first two are a user's explicit choice, so a library that is wrong there is an error and the
//! search does not go on behind the user's back.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ort::environment::Environment;
use ort::logging::LogLevel;

use super::location::{own_directory, stay_loaded};
use crate::error::{Error, Result, Status};

const VARIABLE: &str = "NPAD_ONNXRUNTIME";

#[cfg(target_os = "windows")]
const FILE_NAME: &str = "onnxruntime.dll";
#[cfg(any(target_os = "macos", target_os = "ios"))]
const FILE_NAME: &str = "libonnxruntime.dylib";
#[cfg(not(any(target_os = "windows", target_os = "macos", target_os = "ios")))]
const FILE_NAME: &str = "libonnxruntime.so";

struct Loaded {
    environment: Environment,
    path: PathBuf,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// Loads ONNX Runtime from `path`, a file or the folder that holds it. Needed only where the search would not find it.
///
/// # Errors
/// [`Status::Runtime`] when the library cannot be loaded, is too old, or another one is already in use.
pub fn open(path: &Path) -> Result<()> {
    let mut loaded = lock();
    let found = library_in(path).unwrap_or_else(|| path.to_owned());
    if let Some(loaded) = loaded.as_ref() {
        if loaded.path == found {
            return Ok(());
        }
        return Err(Error::new(
            Status::Runtime,
            format!(
                "ONNX Runtime is already loaded from {}; a process can use one only. Open {} before anything else",
                loaded.path.display(),
                found.display()
            ),
        ));
    }
    *loaded = Some(load(&found).map_err(|cause| failed(&[format!("{}: {cause}", found.display())]))?);
    Ok(())
}

/// The process-wide environment, loaded by the search order at the first call.
pub(super) fn environment() -> Result<Environment> {
    let mut loaded = lock();
    if loaded.is_none() {
        *loaded = Some(search()?);
    }
    loaded.as_ref().map(|l| l.environment.clone()).ok_or_else(|| Error::new(Status::Internal, "no environment"))
}

/// Loads ONNX Runtime ahead of its use, where it is to be found.
pub fn warm_up() {
    let _ = environment();
}

fn lock() -> std::sync::MutexGuard<'static, Option<Loaded>> {
    LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn search() -> Result<Loaded> {
    let mut tried = vec!["npad_runtime_open: not called".to_owned()];
    match std::env::var_os(VARIABLE).filter(|v| !v.is_empty()) {
        Some(value) => {
            let path = library_in(Path::new(&value)).unwrap_or_else(|| PathBuf::from(&value));
            return load(&path).map_err(|cause| {
                tried.push(format!("environment variable {VARIABLE} = {}: {cause}", path.display()));
                failed(&tried)
            });
        }
        None => tried.push(format!("environment variable {VARIABLE}: not set")),
    }
    let own = own_directory();
    if own.is_none() {
        tried.push("beside this library: its folder is unknown".to_owned());
    }
    // A tool in bin has its libraries in lib.
    for folder in own.iter().flat_map(|own| [own.clone(), own.join("../lib")]) {
        match library_in(&folder) {
            Some(path) => match load(&path) {
                Ok(loaded) => return Ok(loaded),
                Err(cause) => tried.push(format!("beside this library, {}: {cause}", path.display())),
            },
            None => tried.push(format!("beside this library, {}: no {FILE_NAME} there", folder.display())),
        }
    }
    load(Path::new(FILE_NAME)).map_err(|cause| {
        tried.push(format!("the system's loader, {FILE_NAME}: {cause}"));
        failed(&tried)
    })
}

/// `path` itself if it is a file, else the library in that folder: by its plain name or else with a version suffix.
fn library_in(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    let mut names: Vec<_> = std::fs::read_dir(path).ok()?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    names.retain(|name| name.to_str().is_some_and(is_runtime));
    names.sort();
    names.first().map(|name| path.join(name))
}

/// Whether a file is ONNX Runtime's library, with or without its version: `libonnxruntime.so.1.32.0` on Linux,
/// `libonnxruntime.1.32.0.dylib` on macOS.
fn is_runtime(name: &str) -> bool {
    let (stem, ending) = FILE_NAME.rsplit_once('.').unwrap_or((FILE_NAME, ""));
    name.starts_with(FILE_NAME)
        || name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(ending))
}

fn load(path: &Path) -> std::result::Result<Loaded, String> {
    let builder = ort::init_from(path).map_err(|e| e.to_string())?;
    let environment = builder.with_name("npad").with_telemetry(false).build().map_err(|e| e.to_string())?;
    // Failures come back as errors; a library does not write to its host's standard error.
    environment.set_log_level(LogLevel::Fatal);
    stay_loaded();
    log::info!("loaded ONNX Runtime from {}", path.display());
    Ok(Loaded { environment, path: path.to_owned() })
}

fn failed(tried: &[String]) -> Error {
    Error::new(
        Status::Runtime,
        format!(
            "ONNX Runtime could not be loaded. Looked at:\n  {}\nInstall ONNX Runtime 1.{} or newer (its releases, or the \
             {FILE_NAME}* inside PyPI's onnxruntime wheel) in one of these places: a path given to npad_runtime_open, the \
             environment variable {VARIABLE} (file or folder), beside the npad library, or where the system's loader looks",
            tried.join("\n  "),
            ort::MINOR_VERSION
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_library_is_told_from_its_providers() {
        for (name, expected) in [
            ("libonnxruntime.so", true),
            ("libonnxruntime.so.1.32.0", true),
            ("libonnxruntime_providers_shared.so", false),
            ("onnxruntime.dll", false),
        ] {
            assert_eq!(is_runtime(name), expected, "{name}");
        }
    }
}
