//! Finding and loading ONNX Runtime's shared library, once per process.
//!
//! Search order: the path given to [`open`], the environment variable `NPAD_ONNXRUNTIME`, the folder of this library
//! and the `lib` folder beside it (where the library was found by a link, also those of the file itself), the system's
//! loader. The first two are explicit choices of the user, so an unusable library there is an error and the search ends.
//!
//! On Windows, the folders of `PATH` stand in for the system's loader, which would prefer the ONNX Runtime that Windows has
//! for itself.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::logging::LogLevel;

use super::location::{is_mapped, loaded_elsewhere, module_file, own_directories, stay_loaded};
use super::{ending, library_file};
use crate::error::{Error, Result, Status, with_causes};
use crate::exec::memory::try_reserve;
use crate::exec::{busy, check_process};

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
    check_process()?;
    let (_busy, mut loaded) = (busy(), lock());
    let found = chosen(path).map_err(|what| {
        let wanted = format!("give the path of ONNX Runtime's library ({FILE_NAME}) or of the folder that holds it");
        Error::new(Status::NotFound, format!("{what}; {wanted}"))
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
    check_memory()?;
    *loaded = Some(load(&found).map_err(|cause| failed(&[format!("{}: {cause}", found.display())]))?);
    Ok(())
}

/// Whether two paths refer to the same file.
fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The process-wide environment. The first call loads ONNX Runtime by the search order.
pub(super) fn environment() -> Result<Environment> {
    check_process()?;
    let (_busy, mut loaded) = (busy(), lock());
    if loaded.is_none() {
        check_memory()?;
        *loaded = Some(search()?);
    }
    loaded.as_ref().map(|l| l.environment.clone()).ok_or_else(|| Error::new(Status::Internal, "no environment"))
}

/// Whether ONNX Runtime is loaded, or another thread is loading it.
pub fn is_loaded() -> bool {
    !matches!(LOADED.try_lock().as_deref(), Ok(None))
}

/// File and version of the ONNX Runtime that is loaded; none in a child process that cannot use it.
pub fn in_use() -> Option<(PathBuf, String)> {
    check_process().ok()?;
    lock().as_ref().map(|loaded| (loaded.path.clone(), loaded.version.clone()))
}

/// The library that providers share, if the process has that of another ONNX Runtime: the system's loader gives a library to all that
/// ask for one of its name, whichever folder they are in.
pub(super) fn foreign_providers() -> Option<PathBuf> {
    let (file, _) = in_use()?;
    if OWN_PROVIDERS.load(Ordering::Relaxed) {
        return None;
    }
    loaded_elsewhere(SHARED_PROVIDERS, &file)
}

/// Remembers, after an attempt to load a provider, that the library that its like share was loaded before that of another ONNX Runtime.
pub(super) fn note_providers() {
    OWN_PROVIDERS.fetch_or(is_mapped(SHARED_PROVIDERS), Ordering::Relaxed);
}

const SHARED_PROVIDERS: &str = "libonnxruntime_providers_shared.so";

static OWN_PROVIDERS: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// What ONNX Runtime says on this thread, while someone listens.
    static SAID: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Receives what ONNX Runtime would write to its log.
fn record(level: LogLevel, _: &str, _: &str, _: &str, message: &str) {
    if level >= LogLevel::Error {
        // Of a thread that ends, nothing is kept.
        let _ = SAID.try_with(|said| {
            said.try_borrow_mut().map(|mut said| {
                if let Some(said) = said.as_mut() {
                    said.push(message.to_owned());
                }
            })
        });
    }
}

/// Runs `work`, and returns the errors that ONNX Runtime logs on this thread meanwhile: a provider may log a cause that its
/// error lacks.
pub(super) fn recorded<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    SAID.with_borrow_mut(|said| *said = Some(Vec::new()));
    let result = work();
    (result, SAID.take().unwrap_or_default())
}

/// The execution providers that the loaded ONNX Runtime was built with. Their own libraries may be missing.
#[allow(unsafe_code)]
pub(super) fn providers() -> ort::Result<Vec<String>> {
    let (mut names, mut count) = (std::ptr::null_mut(), 0);
    // SAFETY: ONNX Runtime is loaded, or `ort` panics; it writes a list of that many texts, which is given back below.
    unsafe {
        ort::Error::result_from_status((ort::api().GetAvailableProviders)(&raw mut names, &raw mut count))?;
        let all = (0..usize::try_from(count).unwrap_or(0))
            .map(|at| std::ffi::CStr::from_ptr(*names.add(at)).to_string_lossy().into_owned())
            .collect();
        ort::Error::result_from_status((ort::api().ReleaseAvailableProviders)(names, count))?;
        Ok(all)
    }
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
            let path = Path::new(&value);
            return chosen(path).and_then(|file| load(&file)).map_err(|cause| {
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
        let found = libraries_in(&folder);
        if found.is_empty() {
            tried.push(format!("beside this library, {}: no {FILE_NAME} there", folder.display()));
        }
        for path in found {
            match load(&path) {
                Ok(loaded) => return Ok(loaded),
                Err(cause) => tried.push(format!("beside this library, {}: {cause}", path.display())),
            }
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

/// The library at a path that the user chose, a file or a folder.
fn chosen(path: &Path) -> std::result::Result<PathBuf, String> {
    libraries_in(path).into_iter().next().ok_or_else(|| {
        if path.as_os_str().is_empty() {
            "the path is empty".to_owned()
        } else if !path.is_dir() {
            format!("there is no {}", path.display())
        } else if let Err(cause) = path.read_dir() {
            format!("the folder {} cannot be read: {cause}", path.display())
        } else {
            format!("there is no {FILE_NAME} in {}", path.display())
        }
    })
}

/// `path` itself if it is a file, else the libraries in that folder: that of the plain name, then those with a version, the
/// newest first.
fn libraries_in(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut found: Vec<_> =
        entries.filter_map(|entry| Some((version_in(entry.file_name().to_str()?)?, entry.path()))).collect();
    found.retain(|(_, file)| file.is_file());
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, file)| file).collect()
}

/// The version in the name of ONNX Runtime's library, `libonnxruntime.so.1.28.0` on Linux, `libonnxruntime.1.28.0.dylib` on
/// macOS; none for another file, and the highest for the plain name, which whoever installs it chooses.
fn version_in(name: &str) -> Option<Vec<u32>> {
    if name == FILE_NAME || (cfg!(windows) && name.eq_ignore_ascii_case(FILE_NAME)) {
        return Some(vec![u32::MAX]);
    }
    let (stem, ending) = FILE_NAME.rsplit_once('.')?;
    let version = if cfg!(target_os = "macos") {
        name.strip_prefix(stem)?.strip_suffix(ending)?.strip_suffix('.')?
    } else {
        name.strip_prefix(FILE_NAME)?
    };
    version.strip_prefix('.')?.split('.').map(|number| number.parse().ok()).collect()
}

fn load(path: &Path) -> std::result::Result<Loaded, String> {
    // A name alone is for the system's loader.
    let file = if path == Path::new(FILE_NAME) { path.to_owned() } else { library_file::check(path)? };
    // Held until `ort` has loaded the same library, which is initialised once.
    let (_library, found, version) = asked(&file)?;
    // `exit` waits before it destroys what the library has now. What it makes while it starts would still be destroyed before that.
    ending::prepare();
    let _inside = ending::enter().map_err(|e| with_causes(&e))?;
    // Only the system's loader knows which file it found, and `ort` would look beside the program first.
    let file = if file.is_absolute() { file } else { found.unwrap_or(file) };
    let builder = ort::init_from(file).map_err(|e| match &e {
        // `ort` does not report the cause as the error's source.
        LoadDynamicError::Dlopen { error, .. } => with_causes(error),
        _ => with_causes(&e),
    })?;
    // Failures are returned as errors; npad does not write to the host's standard error.
    let builder = builder.with_name("npad").with_telemetry(false).with_logger(Arc::new(record));
    let environment = builder.build().map_err(|e| with_causes(&e))?;
    environment.set_log_level(LogLevel::Error);
    stay_loaded();
    ending::prepare();
    let path = module_file(std::ptr::from_ref(ort::api()).cast()).unwrap_or_else(|| path.to_owned());
    log::info!("loaded ONNX Runtime {version} from {}", path.display());
    if reports_its_use(&version) && std::env::var_os("ORT_DISABLE_TELEMETRY").is_none() {
        log::warn!(
            "ONNX Runtime {version} reports its use over the network and writes to the user's home folder: set the environment \
             variable ORT_DISABLE_TELEMETRY to 1 before the program starts, or use an ONNX Runtime before 1.29"
        );
    }
    Ok(Loaded { environment, path, version })
}

/// ONNX Runtime may end the process, or stay unusable, where memory runs out while it is loaded.
fn check_memory() -> Result<()> {
    const NEEDED: usize = 96 << 20;
    try_reserve(&mut Vec::<u8>::new(), NEEDED).map_err(|e| e.context("ONNX Runtime is not loaded"))?;
    // The C library loads what exceptions need when the first one is thrown, and ends the process where memory has run out by then.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: there is room for one address.
    unsafe {
        libc::backtrace([std::ptr::null_mut(); 1].as_mut_ptr(), 1);
    }
    Ok(())
}

/// Whether a build of this version may send telemetry that `with_telemetry` does not prevent, since it begins with the environment.
fn reports_its_use(version: &str) -> bool {
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    !cfg!(windows) && minor.is_none_or(|minor| minor >= 29)
}

/// Loads a library, and asks it for its version and for the interface that `ort` uses: `ort` itself would keep a library that lacks
/// it for the rest of the process, and panic. Returns also the file that the loader found.
#[allow(unsafe_code)]
fn asked(file: &Path) -> std::result::Result<(libloading::Library, Option<PathBuf>, String), String> {
    type ApiBase = unsafe extern "system" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: the user chose the library, whose initialisation may do what it likes.
    let library = unsafe { libloading::Library::new(file) }.map_err(|error| with_causes(&error))?;
    let base = {
        // SAFETY: the type of ONNX Runtime's only entry point.
        let entry = unsafe { library.get::<ApiBase>(b"OrtGetApiBase\0") }
            .map_err(|_| "it is not ONNX Runtime: it has no function OrtGetApiBase")?;
        // SAFETY: as above; what it points to is static.
        unsafe { entry().as_ref() }.ok_or("its function OrtGetApiBase returned null")?
    };
    // SAFETY: as above.
    let text = unsafe { (base.GetVersionString)() };
    if text.is_null() {
        return Err("it does not tell its version".to_owned());
    }
    // SAFETY: not null, and by its type a text that ends with a zero byte.
    let version = unsafe { std::ffi::CStr::from_ptr(text) }.to_string_lossy().into_owned();
    let minor = version.split('.').nth(1).and_then(|number| number.parse::<u32>().ok());
    // An older one would write to standard error that it lacks the interface.
    // SAFETY: as above.
    if minor.is_none_or(|minor| minor < ort::MINOR_VERSION) || unsafe { (base.GetApi)(ort::MINOR_VERSION) }.is_null() {
        let wanted = format!("the interface of version 1.{}, which npad needs", ort::MINOR_VERSION);
        return Err(format!("it is ONNX Runtime of version '{version}' and lacks {wanted}"));
    }
    let found = module_file(std::ptr::from_ref(base).cast());
    Ok((library, found, version))
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
    fn the_newest_library_is_told_from_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let found = || {
            let name = |file: PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
            libraries_in(folder.path()).into_iter().map(name).collect::<Vec<_>>()
        };
        for name in
            ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.32.0", "libonnxruntime.so.1.32.0-old", "onnxruntime.dll"]
        {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::write(folder.path().join("libonnxruntime_providers_shared.so"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("libonnxruntime.so")).unwrap();
        assert_eq!(found(), ["libonnxruntime.so.1.32.0", "libonnxruntime.so.1.9.0"]);
        std::fs::remove_file(folder.path().join("libonnxruntime.so")).unwrap();
        std::fs::write(folder.path().join("libonnxruntime.so"), "").unwrap();
        assert_eq!(found()[0], "libonnxruntime.so");
    }
}
