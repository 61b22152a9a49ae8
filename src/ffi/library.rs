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

/// Returns the library's version as text, "MAJOR.MINOR.PATCH". The string is static. May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_version_string() -> *const c_char {
    guard_value(VERSION.as_ptr(), || VERSION.as_ptr())
}

/// Returns the library's version as a number: MAJOR * 1000000 + MINOR * 1000 + PATCH. May be called from any thread.
///
/// Programs that load the library at run time must compare it with NPAD_VERSION_NUMBER before any other call: while the
/// major version is 0, major and minor version must be equal.
#[unsafe(no_mangle)]
pub extern "C" fn npad_version_number() -> u32 {
    guard_value(0, || NPAD_VERSION_NUMBER)
}

/// Loads ONNX Runtime from a file or from the folder that contains it.
///
/// Needed only if the default search does not find it. The first call that needs ONNX Runtime searches the environment
/// variable NPAD_ONNXRUNTIME (a file or folder), the folder of the npad library, the folder `lib` beside that one, and the
/// search path of the system's loader (on Windows the folders of PATH but those of Windows itself), in this order. A process
/// can use only one ONNX Runtime. May be called from any thread.
///
/// @param path   path of the library or its folder; UTF-8 on Windows, any bytes elsewhere
/// @param error  receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_FOUND when there is no library at the path; NPAD_STATUS_RUNTIME when it cannot be loaded or
///         is older than 1.17; NPAD_STATUS_WRONG_STATE when another ONNX Runtime is already in use
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_runtime_open(path: *const c_char, error: *mut *mut npad_error) -> Status {
    unsafe {
        guard(error, || {
            let path: PathBuf = self::path(path, "path")?.to_owned();
            open_runtime(&path)
        })
    }
}

/// Loads a plug-in: a shared library with a detection method, see npad_plugin. The method can then be selected by name,
/// and models that were fitted with it can be loaded. The plug-in stays loaded until the process ends. May be called
/// from any thread.
///
/// @param path   the shared library; UTF-8 on Windows, any bytes elsewhere
/// @param error  receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_FOUND when the file does not exist; NPAD_STATUS_PLUGIN when it is not a plug-in, was built
///         for another NPAD_PLUGIN_ABI, or has the name of an existing method
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
