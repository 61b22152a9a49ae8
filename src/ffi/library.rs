use std::ffi::{CStr, c_char};
use std::path::PathBuf;

use super::error::npad_error;
use super::{guard, guard_value, path};
use crate::backbone::open_runtime;
use crate::error::Status;
use crate::plugin::method::load as load_plugin;

/// Incompatible changes of this interface raise it.
pub const NPAD_VERSION_MAJOR: u32 = 0;
/// Additions raise it (while the major version is 0, incompatible changes do too).
pub const NPAD_VERSION_MINOR: u32 = 2;
/// Corrections raise it.
pub const NPAD_VERSION_PATCH: u32 = 0;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version without zero bytes"),
};

/// The library's version as text, "MAJOR.MINOR.PATCH". Static: never freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_version_string() -> *const c_char {
    guard_value(VERSION.as_ptr(), || VERSION.as_ptr())
}

/// The library's version as a number: MAJOR * 1000000 + MINOR * 1000 + PATCH. Any thread.
///
/// Compare it with the header's NPAD_VERSION_MAJOR, NPAD_VERSION_MINOR and NPAD_VERSION_PATCH before anything else when
/// the library is loaded at run time.
#[unsafe(no_mangle)]
pub extern "C" fn npad_version_number() -> u32 {
    guard_value(0, || NPAD_VERSION_MAJOR * 1_000_000 + NPAD_VERSION_MINOR * 1_000 + NPAD_VERSION_PATCH)
}

/// Loads ONNX Runtime from a file, or from the folder that holds it.
///
/// Needed only where the search would not find it: npad looks at the environment variable NPAD_ONNXRUNTIME (a file or
/// folder), beside its own library, and where the system's loader looks, at the first call that needs it. A process uses
/// one ONNX Runtime only. Any thread.
///
/// @param path   path of the library or its folder; UTF-8 on Windows, any bytes elsewhere
/// @param error  receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_FOUND when the path leads to no library, NPAD_STATUS_RUNTIME when it cannot be loaded or is older
///         than 1.17, NPAD_STATUS_WRONG_STATE when another one is in use already
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_runtime_open(path: *const c_char, error: *mut *mut npad_error) -> Status {
    unsafe {
        guard(error, || {
            let path: PathBuf = self::path(path, "path")?.to_owned();
            open_runtime(&path)
        })
    }
}

/// Loads a plug-in: a shared library with a detection method, see npad_plugin. Its method can then be chosen by name, and
/// models that were fitted with it can be loaded. It stays loaded until the process ends. Any thread.
///
/// @param path   the shared library; UTF-8 on Windows, any bytes elsewhere
/// @param error  receives the error, or null; may itself be null
/// @return NPAD_STATUS_PLUGIN when it is no plug-in of this npad's interface, or there is a method of that name already
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_plugin_load(path: *const c_char, error: *mut *mut npad_error) -> Status {
    unsafe { guard(error, || load_plugin(self::path(path, "path")?)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_agree_with_the_package() {
        let text = format!("{NPAD_VERSION_MAJOR}.{NPAD_VERSION_MINOR}.{NPAD_VERSION_PATCH}");
        assert_eq!(text, env!("CARGO_PKG_VERSION"));
        assert_eq!(VERSION.to_str().unwrap(), text);
    }
}
