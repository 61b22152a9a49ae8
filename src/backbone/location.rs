//! Paths of loaded shared libraries: this one, to find ONNX Runtime beside it, and ONNX Runtime itself.
#![allow(unsafe_code)]

use std::ffi::c_void;
#[cfg(target_os = "linux")]
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The folders of the shared library (or program) that contains this code: that of the name by which it was loaded, which may be a
/// link, and that of the file itself.
pub fn own_directories() -> Vec<PathBuf> {
    let address = own_directories as *const () as *const c_void;
    let name = module_file(address);
    let file = mapped_file(address).or_else(|| name.as_ref()?.canonicalize().ok().filter(|_| cfg!(unix)));
    // A relative name means another file once the current folder has changed, and that of a program is what its caller says.
    let name = name.filter(|name| name.is_absolute() && (file.is_none() || name.canonicalize().ok() == file));
    let mut folders: Vec<PathBuf> =
        [name, file].into_iter().flatten().filter_map(|file| Some(file.parent()?.to_owned())).collect();
    folders.dedup_by_key(|folder| folder.canonicalize().ok());
    folders
}

/// Of the files that are mapped, whatever they were called when they were loaded, the first one for which `chosen` is true.
#[cfg(target_os = "linux")]
fn mapped(chosen: impl Fn(&Range<usize>, &Path) -> bool) -> Option<PathBuf> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let maps = std::fs::read("/proc/self/maps").ok()?;
    maps.split(|byte| *byte == b'\n').find_map(|line| {
        // FIRST-LAST rights offset device inode        file
        let mut fields = line.splitn(6, |byte| *byte == b' ');
        let (first, last) = std::str::from_utf8(fields.next()?).ok()?.split_once('-')?;
        let range = usize::from_str_radix(first, 16).ok()?..usize::from_str_radix(last, 16).ok()?;
        let file = Path::new(OsStr::from_bytes(fields.nth(4)?.trim_ascii_start()));
        (file.is_absolute() && chosen(&range, file)).then(|| file.to_owned())
    })
}

/// The file that is mapped at an address.
#[cfg(target_os = "linux")]
fn mapped_file(address: *const c_void) -> Option<PathBuf> {
    mapped(|range, _| range.contains(&address.addr()))
}

/// A file of this name that the process has loaded from another folder than that of `beside`.
#[cfg(target_os = "linux")]
pub fn loaded_elsewhere(name: &str, beside: &Path) -> Option<PathBuf> {
    let own = [Some(beside.to_owned()), beside.canonicalize().ok()];
    let own: Vec<PathBuf> =
        own.into_iter().flatten().filter_map(|file| file.with_file_name(name).canonicalize().ok()).collect();
    mapped(|_, file| file.file_name().is_some_and(|of| of == name) && !own.iter().any(|own| own == file))
}

/// Whether the process has loaded a file of this name.
#[cfg(target_os = "linux")]
pub fn is_mapped(name: &str) -> bool {
    mapped(|_, file| file.file_name().is_some_and(|of| of == name)).is_some()
}

/// Not known on this system.
#[cfg(not(target_os = "linux"))]
pub fn is_mapped(_: &str) -> bool {
    false
}

/// Not known on this system.
#[cfg(not(target_os = "linux"))]
pub fn loaded_elsewhere(_: &str, _: &Path) -> Option<PathBuf> {
    None
}

#[cfg(not(target_os = "linux"))]
fn mapped_file(_: *const c_void) -> Option<PathBuf> {
    None
}

/// The file of the shared library (or program) that contains an address, as the loader knows it.
#[cfg(unix)]
pub fn module_file(address: *const c_void) -> Option<PathBuf> {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::ffi::OsStrExt;

    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: dladdr only compares the address, and fills `info` when it returns non-zero; the name that it points to lives
    // as long as the module.
    unsafe {
        if libc::dladdr(address, info.as_mut_ptr()) == 0 {
            return None;
        }
        let info = info.assume_init();
        if info.dli_fname.is_null() {
            return None;
        }
        Some(PathBuf::from(OsStr::from_bytes(CStr::from_ptr(info.dli_fname).to_bytes())))
    }
}

/// The file of the DLL (or program) that contains an address.
#[cfg(windows)]
pub fn module_file(address: *const c_void) -> Option<PathBuf> {
    use std::ffi::OsString;
    use std::os::windows::ffi::OsStringExt;

    /// Longer than any path on Windows.
    const LONGEST: usize = 32 * 1024;
    let module = windows::module(windows::UNCHANGED_COUNT, address)?;
    let mut name = vec![0u16; LONGEST];
    // SAFETY: `name` has the size that is given.
    let length = unsafe { windows::GetModuleFileNameW(module, name.as_mut_ptr(), LONGEST as u32) } as usize;
    (1..LONGEST).contains(&length).then(|| PathBuf::from(OsString::from_wide(&name[..length])))
}

/// Keeps this library loaded until the process ends, since ONNX Runtime cannot be unloaded.
#[cfg(windows)]
pub fn stay_loaded() {
    windows::module(windows::PIN, stay_loaded as *const () as *const c_void);
}

/// Keeps this library loaded until the process ends: on Linux its linker's flag does, elsewhere thread-local memory.
#[cfg(not(windows))]
pub fn stay_loaded() {}

#[cfg(windows)]
mod windows {
    use std::ffi::c_void;

    pub const PIN: u32 = 1;
    pub const UNCHANGED_COUNT: u32 = 2;
    const FROM_ADDRESS: u32 = 4;

    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn GetModuleHandleExW(flags: u32, address: *const c_void, module: *mut *mut c_void) -> i32;
        pub fn GetModuleFileNameW(module: *mut c_void, name: *mut u16, size: u32) -> u32;
    }

    /// The handle of the module that contains an address.
    pub fn module(flags: u32, address: *const c_void) -> Option<*mut c_void> {
        let mut module = std::ptr::null_mut();
        // SAFETY: the address is only compared; the handle is written where the call succeeds.
        let found = unsafe { GetModuleHandleExW(flags | FROM_ADDRESS, address, &raw mut module) };
        (found != 0).then_some(module)
    }
}
