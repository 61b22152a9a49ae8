//! Where this library lies on disk, to find ONNX Runtime beside it.
#![allow(unsafe_code)]

use std::path::PathBuf;

/// The folder of the shared library (or program) that contains this code.
#[cfg(unix)]
pub fn own_directory() -> Option<PathBuf> {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::ffi::OsStrExt;

    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: dladdr only reads the address, which lies in this module, and fills `info` when it returns non-zero;
    // the name it points to lives as long as the module.
    let path = unsafe {
        if libc::dladdr(own_directory as *const () as *const libc::c_void, info.as_mut_ptr()) == 0 {
            return None;
        }
        let info = info.assume_init();
        if info.dli_fname.is_null() {
            return None;
        }
        PathBuf::from(OsStr::from_bytes(CStr::from_ptr(info.dli_fname).to_bytes()))
    };
    // The main program is named as it was started, which may be without a folder.
    if path.components().count() < 2 { executable_directory() } else { Some(path.parent()?.to_owned()) }
}

/// The folder of the program; a DLL is usually installed beside it.
#[cfg(not(unix))]
pub fn own_directory() -> Option<PathBuf> {
    executable_directory()
}

fn executable_directory() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.to_owned())
}
