use std::ffi::{CStr, c_char};
use std::path::PathBuf;

use super::error::npad_error;
use super::{guard, guard_value, path};
use crate::abi::version::NPAD_VERSION_NUMBER;
use crate::backbone::open_runtime;
use crate::error::Status;
use crate::plugin::method::load as load_plugin;

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
/// When the library is loaded at run time, compare it with the header's NPAD_VERSION_NUMBER before any other call: while the
/// major version is 0, the header's major and minor version must be the library's.
#[unsafe(no_mangle)]
pub extern "C" fn npad_version_number() -> u32 {
    guard_value(0, || NPAD_VERSION_NUMBER)
}

/// Loads ONNX Runtime from a file, or from the folder that contains it.
///
/// Needed only where the search would not find it: at the first call that needs it, npad searches the environment variable
/// NPAD_ONNXRUNTIME (a file or folder), the folder of its own library, and the places of the system's loader. A process uses
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

/// Loads a plug-in: a shared library with a detection method, see npad_plugin. The method can then be chosen by name, and
/// models that were fitted with it can be loaded. The plug-in stays loaded until the process ends. Any thread.
///
/// @param path   the shared library; UTF-8 on Windows, any bytes elsewhere
/// @param error  receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_FOUND when there is no such file, NPAD_STATUS_PLUGIN when it is not a plug-in for this npad's
///         interface or a method of that name exists already
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_plugin_load(path: *const c_char, error: *mut *mut npad_error) -> Status {
    unsafe { guard(error, || load_plugin(self::path(path, "path")?)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::version::{NPAD_VERSION_MAJOR, NPAD_VERSION_MINOR, NPAD_VERSION_PATCH};

    #[test]
    fn versions_agree_with_the_package() {
        let text = format!("{NPAD_VERSION_MAJOR}.{NPAD_VERSION_MINOR}.{NPAD_VERSION_PATCH}");
        assert_eq!(text, env!("CARGO_PKG_VERSION"));
        assert_eq!(VERSION.to_str().unwrap(), text);
    }
}
