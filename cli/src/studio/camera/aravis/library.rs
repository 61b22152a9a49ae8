//! Aravis' shared library, which is loaded when it is there: its functions, its list of cameras and its objects.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulong, c_void};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libloading::Library;

use crate::studio::camera::{CameraInfo, not_found};
use npad::error::{Error, Result, Status};

/// The file's name, which the system's loader finds.
const LIBRARY: &str = "libaravis-0.8.so.0";

/// GLib's error.
#[repr(C)]
pub struct GError {
    domain: u32,
    code: c_int,
    message: *const c_char,
}

pub type Object = *mut c_void;
pub type Failure = *mut *mut GError;
type Callback = unsafe extern "C" fn(Object, *mut c_void);
type LogHandler = unsafe extern "C" fn(*const c_char, c_int, *const c_char, *mut c_void);

macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions of Aravis and of GLib below it.
        pub struct Functions { $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)* }

        impl Functions {
            /// # Safety
            /// The library must be Aravis 0.8 and must stay loaded.
            unsafe fn find(library: &Library) -> std::result::Result<Self, libloading::Error> {
                // SAFETY: the types are those of the headers of Aravis 0.8 and GLib 2.
                Ok(Self { $($name: *unsafe { library.get(stringify!($name)) }?,)* })
            }
        }
    };
}

functions! {
    g_error_free(*mut GError);
    g_log_set_default_handler(LogHandler, *mut c_void) -> *mut c_void;
    g_object_unref(Object);
    g_signal_connect_data(Object, *const c_char, Callback, *mut c_void, Callback, c_int) -> c_ulong;
    arv_enable_interface(*const c_char);
    arv_update_device_list();
    arv_get_n_devices() -> c_uint;
    arv_get_device_id(c_uint) -> *const c_char;
    arv_get_device_vendor(c_uint) -> *const c_char;
    arv_get_device_model(c_uint) -> *const c_char;
    arv_get_device_serial_nbr(c_uint) -> *const c_char;
    arv_camera_new(*const c_char, Failure) -> Object;
    arv_camera_get_device(Object) -> Object;
    arv_camera_is_feature_available(Object, *const c_char, Failure) -> c_int;
    arv_camera_set_acquisition_mode(Object, c_int, Failure);
    arv_camera_get_pixel_format(Object, Failure) -> u32;
    arv_camera_get_pixel_format_as_string(Object, Failure) -> *const c_char;
    arv_camera_get_payload(Object, Failure) -> c_uint;
    arv_camera_create_stream(Object, *const c_void, *mut c_void, Failure) -> Object;
    arv_camera_start_acquisition(Object, Failure);
    arv_camera_stop_acquisition(Object, Failure);
    arv_stream_push_buffer(Object, Object);
    arv_stream_timeout_pop_buffer(Object, u64) -> Object;
    arv_buffer_new(usize, *mut c_void) -> Object;
    arv_buffer_get_status(Object) -> c_int;
    arv_buffer_get_payload_type(Object) -> c_int;
    arv_buffer_get_data(Object, *mut usize) -> *const u8;
    arv_buffer_get_image_pixel_format(Object) -> u32;
    arv_buffer_get_image_width(Object) -> c_int;
    arv_buffer_get_image_height(Object) -> c_int;
    arv_buffer_get_image_padding(Object, *mut c_int, *mut c_int);
}

/// The library, unless it is not there. It stays loaded, since GLib cannot be unloaded.
fn load() -> Option<Result<&'static Functions>> {
    static FOUND: OnceLock<Result<Functions>> = OnceLock::new();
    let found = match FOUND.get() {
        Some(found) => found,
        // Not remembered where it is missing, so that it may be installed meanwhile.
        None => {
            // SAFETY: Aravis and what it depends on do nothing unusual when they are loaded.
            let library: &'static Library = Box::leak(Box::new(unsafe { Library::new(LIBRARY) }.ok()?));
            FOUND.get_or_init(|| {
                // SAFETY: the file has the name of Aravis 0.8, and its handle was leaked.
                let functions = unsafe { Functions::find(library) }.map_err(|e| {
                    let message =
                        format!("{LIBRARY} lacks a function that is needed: {e}: install Aravis 0.8.26 or newer");
                    Error::new(Status::Runtime, message)
                })?;
                // SAFETY: the handler ignores its arguments and is never removed.
                unsafe { (functions.g_log_set_default_handler)(ignore_log, null_mut()) };
                Ok(functions)
            })
        }
    };
    Some(found.as_ref().map_err(Error::clone))
}

/// Keeps GLib from printing.
unsafe extern "C" fn ignore_log(_: *const c_char, _: c_int, _: *const c_char, _: *mut c_void) {}

impl Functions {
    /// Guards the library's list of devices, whose texts are freed when it is made again.
    fn lock_list(&self) -> MutexGuard<'static, ()> {
        static LIST: Mutex<()> = Mutex::new(());
        let guard = LIST.lock().unwrap_or_else(PoisonError::into_inner);
        if std::env::var_os("NPAD_STUDIO_FAKE_CAMERA").is_some_and(|value| value == "1") {
            self.enable_fake();
        }
        guard
    }

    pub fn enable_fake(&self) {
        // SAFETY: the text ends with a zero.
        unsafe { (self.arv_enable_interface)(c"Fake".as_ptr()) }
    }

    /// Calls a function that may report an error.
    pub fn attempt<T>(&self, what: impl std::fmt::Display, call: impl FnOnce(Failure) -> T) -> Result<T> {
        let mut failure: *mut GError = null_mut();
        let result = call(&raw mut failure);
        if failure.is_null() {
            return Ok(result);
        }
        // SAFETY: the function set it to an error that is ours now, and that is not used after it was freed.
        let message = unsafe {
            let message = text((*failure).message);
            (self.g_error_free)(failure);
            message
        };
        let message = format!(
            "cannot {what}: {message}: check its power, its cable and the network, and that no other program uses it"
        );
        Err(Error::new(Status::Io, message))
    }
}

/// # Safety
/// The pointer must be null or point to a text that ends with a zero.
pub unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: as the caller assures.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// Whether the library is there.
pub fn is_available() -> bool {
    load().is_some()
}

/// The cameras that answer.
pub fn cameras() -> Result<Vec<CameraInfo>> {
    let Some(functions) = load() else { return Ok(Vec::new()) };
    let functions = functions?;
    let guard = functions.lock_list();
    // SAFETY: always allowed.
    unsafe { (functions.arv_update_device_list)() };
    Ok(listed(functions, &guard))
}

/// The cameras of the list as it is.
fn listed(functions: &Functions, _guard: &MutexGuard<'_, ()>) -> Vec<CameraInfo> {
    // SAFETY: always allowed.
    let n = unsafe { (functions.arv_get_n_devices)() };
    let camera = |i| {
        // SAFETY: the results are null or texts of the list, which the guard keeps as it is.
        let [id, vendor, model, serial] = unsafe {
            [
                text((functions.arv_get_device_id)(i)),
                text((functions.arv_get_device_vendor)(i)),
                text((functions.arv_get_device_model)(i)),
                text((functions.arv_get_device_serial_nbr)(i)),
            ]
        };
        let name = [vendor, model, serial].join(" ").trim().to_string();
        CameraInfo { name: if name.is_empty() { id.clone() } else { name }, id }
    };
    (0..n).map(camera).filter(|camera| !camera.id.is_empty()).collect()
}

/// A reference to one of the library's objects.
pub struct Owned {
    pub object: Object,
    pub functions: &'static Functions,
}

// SAFETY: GObject counts references atomically, and an object is used by one thread at a time, except a stream, whose
// functions may be called by several.
unsafe impl Send for Owned {}
// SAFETY: as above.
unsafe impl Sync for Owned {}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the reference is ours.
        unsafe { (self.functions.g_object_unref)(self.object) }
    }
}

impl Owned {
    /// # Safety
    /// The object must be null or a reference that becomes ours.
    pub unsafe fn new(object: Object, functions: &'static Functions, what: &str) -> Result<Self> {
        if object.is_null() {
            return Err(Error::new(Status::Io, format!("Aravis gave no {what} of the camera: open the camera again")));
        }
        Ok(Self { object, functions })
    }
}

/// Opens the camera of an id.
pub fn open(id: &str) -> Result<Owned> {
    let functions = load().ok_or_else(|| {
        let fault = format!("Aravis' library {LIBRARY} is not there (Debian's package is libaravis-0.8-0)");
        not_found(id).context(fault)
    })??;
    let name = CString::new(id).map_err(|_| not_found(id))?;
    let guard = functions.lock_list();
    let is_listed = || listed(functions, &guard).iter().any(|camera| camera.id == id);
    if !is_listed() {
        // SAFETY: always allowed.
        unsafe { (functions.arv_update_device_list)() };
        // Aravis would take an unknown name for a host's and ask the network for it.
        if !is_listed() {
            return Err(not_found(id));
        }
    }
    let open = |failure| {
        // SAFETY: the name ends with a zero.
        unsafe { (functions.arv_camera_new)(name.as_ptr(), failure) }
    };
    let camera = functions.attempt(format!("open the camera {id}"), open)?;
    // SAFETY: the reference is ours.
    unsafe { Owned::new(camera, functions, "handle") }
}

/// Adds the simulated camera to those of the list.
#[cfg(test)]
pub fn enable_fake() {
    load().unwrap().unwrap_or_else(|e| panic!("{e}")).enable_fake();
}
