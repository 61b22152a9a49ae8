//! Finding and loading ONNX Runtime's shared library, once per process.
//!
//! Search order: the path given to [`open`], the environment variable `NPAD_ONNXRUNTIME`, the folder of this library
//! and the `lib` folder beside it (where the library was found by a link, also those of the file itself), the system's
//! loader. The first two are explicit choices of the user, so an unusable library there is an error and the search ends.
//!
//! On Windows, the folders of `PATH` stand in for the system's loader, which would prefer the ONNX Runtime that Windows has
//! for itself.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::logging::LogLevel;

use super::location::{module_file, own_directories, stay_loaded};
use crate::error::{Error, Result, Status, with_causes};

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
    version: String,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// Loads ONNX Runtime from `path`, a file or the folder that contains it. Needed only if the search does not find it.
/// Does nothing if that file is already loaded.
///
/// # Errors
/// [`Status::NotFound`] when there is no such file, or no ONNX Runtime in the folder; [`Status::Runtime`] when it cannot be
/// loaded or is too old; [`Status::WrongState`] when another one is in use.
pub fn open(path: &Path) -> Result<()> {
    let mut loaded = lock();
    let found = library_in(path).ok_or_else(|| {
        let there = if path.is_dir() { format!("there is no {FILE_NAME} in") } else { "there is no".to_owned() };
        let message = format!(
            "{there} {}; give the path of ONNX Runtime's library ({FILE_NAME}) or of the folder that holds it",
            path.display()
        );
        Error::new(Status::NotFound, message)
    })?;
    if let Some(loaded) = loaded.as_ref() {
        if same_file(&loaded.path, &found) {
            return Ok(());
        }
        return Err(Error::new(
            Status::WrongState,
            format!(
                "ONNX Runtime is already loaded from {}; a process can use only one. Open {} before any other call",
                loaded.path.display(),
                found.display()
            ),
        ));
    }
    *loaded = Some(load(&found).map_err(|cause| failed(&[format!("{}: {cause}", found.display())]))?);
    Ok(())
}

/// Whether two paths refer to the same file.
fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The process-wide environment. The first call loads ONNX Runtime by the search order.
pub(super) fn environment() -> Result<Environment> {
    let mut loaded = lock();
    if loaded.is_none() {
        *loaded = Some(search()?);
    }
    loaded.as_ref().map(|l| l.environment.clone()).ok_or_else(|| Error::new(Status::Internal, "no environment"))
}

/// Whether ONNX Runtime is loaded, or another thread is loading it.
pub fn is_loaded() -> bool {
    !matches!(LOADED.try_lock().as_deref(), Ok(None))
}

/// File and version of the ONNX Runtime that is loaded.
pub fn in_use() -> Option<(PathBuf, String)> {
    lock().as_ref().map(|loaded| (loaded.path.clone(), loaded.version.clone()))
}

/// Loads ONNX Runtime in advance, if it is found.
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
    let own = own_directories();
    if own.is_empty() {
        tried.push("beside this library: its folder is unknown".to_owned());
    }
    // A tool in bin has its libraries in lib.
    for folder in own.iter().flat_map(|own| [own.clone(), own.join("..").join("lib")]) {
        match library_in(&folder) {
            Some(path) => match load(&path) {
                Ok(loaded) => return Ok(loaded),
                Err(cause) => tried.push(format!("beside this library, {}: {cause}", path.display())),
            },
            None => tried.push(format!("beside this library, {}: no {FILE_NAME} there", folder.display())),
        }
    }
    search_system(&mut tried).ok_or_else(|| failed(&tried))
}

/// Asks the system's loader.
#[cfg(not(target_os = "windows"))]
fn search_system(tried: &mut Vec<String>) -> Option<Loaded> {
    load(Path::new(FILE_NAME)).map_err(|cause| tried.push(format!("the system's loader, {FILE_NAME}: {cause}"))).ok()
}

/// Searches the folders of `PATH`, but for those of Windows itself.
#[cfg(target_os = "windows")]
fn search_system(tried: &mut Vec<String>) -> Option<Loaded> {
    let windows = std::env::var_os("SystemRoot").map(PathBuf::from).and_then(|folder| folder.canonicalize().ok());
    let of_windows =
        |file: &Path| matches!((file.canonicalize(), &windows), (Ok(file), Some(windows)) if file.starts_with(windows));
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let before = tried.len();
    for file in
        std::env::split_paths(&folders).filter(|folder| folder.is_absolute()).map(|folder| folder.join(FILE_NAME))
    {
        if !file.is_file() {
            continue;
        }
        if of_windows(&file) {
            tried.push(format!("PATH, {}: a part of Windows, for its own use; it is not loaded", file.display()));
            continue;
        }
        match load(&file) {
            Ok(loaded) => return Some(loaded),
            Err(cause) => tried.push(format!("PATH, {}: {cause}", file.display())),
        }
    }
    if tried.len() == before {
        tried.push(format!("PATH: no {FILE_NAME} in its folders"));
    }
    None
}

/// `path` itself if it is a file, else the library in that folder, by its plain name or with a version suffix.
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
    // `ort` resolves a relative path against the program's folder first.
    let absolute = if path.is_file() {
        std::path::absolute(path).map_err(|e| with_causes(&e))?
    } else if cfg!(windows) {
        return Err("there is no such file".to_owned());
    } else {
        path.to_owned()
    };
    let builder = ort::init_from(absolute).map_err(|e| match &e {
        // `ort` does not report the cause as the error's source.
        LoadDynamicError::Dlopen { error, .. } => with_causes(error),
        _ => with_causes(&e),
    })?;
    let environment = builder.with_name("npad").with_telemetry(false).build().map_err(|e| with_causes(&e))?;
    // Failures are returned as errors; npad does not write to the host's standard error.
    environment.set_log_level(LogLevel::Fatal);
    stay_loaded();
    // Only the system's loader knows which file it found.
    let path = module_file(std::ptr::from_ref(ort::api()).cast()).unwrap_or_else(|| path.to_owned());
    let version = version_of(&path).unwrap_or_else(|| "unknown".to_owned());
    log::info!("loaded ONNX Runtime {version} from {}", path.display());
    Ok(Loaded { environment, path, version })
}

/// The version that a loaded library says it has.
#[allow(unsafe_code)]
fn version_of(path: &Path) -> Option<String> {
    type ApiBase = unsafe extern "system" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: the library is loaded already, so this runs none of its code; it stays loaded.
    let library = unsafe { libloading::Library::new(path) }.ok()?;
    // SAFETY: the type of ONNX Runtime's only entry point; its text is static.
    unsafe {
        let base = library.get::<ApiBase>(b"OrtGetApiBase\0").ok()?();
        let text = ((*base).GetVersionString)();
        Some(std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}

fn failed(tried: &[String]) -> Error {
    Error::new(
        Status::Runtime,
        format!(
            "ONNX Runtime could not be loaded. Searched:\n  {}\nInstall ONNX Runtime 1.{} or newer (its releases, or \
             the {FILE_NAME}* inside PyPI's onnxruntime wheel) in one of these places: a path given to \
             npad_runtime_open, the environment variable {VARIABLE} (file or folder), the folder of the npad library, \
             the folder lib beside that one, or {}",
            tried.join("\n  "),
            ort::MINOR_VERSION,
            if cfg!(windows) { "a folder of PATH" } else { "the search path of the system's loader" }
        ),
    )
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
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
