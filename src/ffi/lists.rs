use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char};
use std::sync::{Mutex, PoisonError};

use super::error::npad_error;
use super::{guard, guard_value, string};
use crate::backbone::{check_device, device_names};
use crate::error::Status;
use crate::method::methods;
use crate::model::{OptionKind, options};

/// Returns a static copy of `text`. Equal texts share one copy, so that repeated calls do not use more memory.
fn lasting(text: &str) -> *const c_char {
    static TEXTS: Mutex<BTreeSet<&'static CStr>> = Mutex::new(BTreeSet::new());
    let text = CString::new(text).unwrap_or_default();
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = texts.get(&*text) {
        return known.as_ptr();
    }
    let text: &'static CStr = Box::leak(text.into_boxed_c_str());
    texts.insert(text);
    text.as_ptr()
}

fn text_of<T>(list: impl FnOnce() -> Vec<T>, index: usize, text: for<'a> fn(&'a T) -> &'a str) -> *const c_char {
    guard_value(std::ptr::null(), || list().get(index).map_or(std::ptr::null(), |entry| lasting(text(entry))))
}

/// Returns the number of options that npad_options_set() takes: first the general options, then the parameters of all
/// methods, including those of loaded plug-ins. Loading a plug-in appends its parameters. May be called from any
/// thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_option_count() -> usize {
    guard_value(0, || options().len())
}

/// Returns the name of an option; null if `index` is npad_option_count() or more. The string is static. May be called
/// from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_option_name(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(options, index, |option| option.name))
}

/// Returns the type of an option's value; NPAD_OPTION_TYPE_TEXT if `index` is npad_option_count() or more. May be
/// called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_option_get_type(index: usize) -> OptionKind {
    guard_value(OptionKind::Text, || options().get(index).map_or(OptionKind::Text, |option| option.kind))
}

/// Returns the default value of an option as text, which may be empty; null if `index` is npad_option_count() or more.
/// The string is static. May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_option_default(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(options, index, |option| option.default))
}

/// Returns the range of an option's values in words, such as "a whole number from 1 to 8"; null if `index` is
/// npad_option_count() or more. The string is static. May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_option_range(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(options, index, |option| &option.range))
}

/// Returns what an option does, in one line; null if `index` is npad_option_count() or more. The string is static. May
/// be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_option_help(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(options, index, |option| option.help))
}

/// Returns the number of detection methods, including those of loaded plug-ins. The option "method" takes their names.
/// May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_method_count() -> usize {
    guard_value(0, || methods().len())
}

/// Returns the name of a method; null if `index` is npad_method_count() or more. The string is static. May be called
/// from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_method_name(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(methods, index, |method| method.name()))
}

/// Returns what a method does, in one line; null if `index` is npad_method_count() or more. The string is static. May
/// be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_method_help(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(methods, index, |method| method.help()))
}

/// Returns the number of device types that the option "device" takes. May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_device_count() -> usize {
    guard_value(0, || device_names().len())
}

/// Returns the name of a device type, "cpu", "cuda", "tensorrt", "openvino", "directml" or "auto"; null if `index` is
/// npad_device_count() or more. "cuda" is the first CUDA device, "cuda:1" the second; "openvino" is OpenVINO on the CPU,
/// "openvino:GPU" and "openvino:NPU" are its other devices; "auto" is the best usable one. The list does not depend on the
/// machine: npad_device_check() tells what can be used. The string is static. May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_device_name(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(device_names, index, |name| name))
}

/// Checks that a fit or a load can use a device, by running a tiny network on it. May take seconds. May be called from any
/// thread.
///
/// @param device  a value of the option "device", such as "cuda:0"
/// @param error   receives the error, or null; may itself be null. Its message has the cause and what to do
/// @return NPAD_STATUS_OK when the device can be used; NPAD_STATUS_DEVICE when it cannot; NPAD_STATUS_RUNTIME when ONNX
///         Runtime is missing or unusable; NPAD_STATUS_INVALID_OPTION when there is no device of that name
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_device_check(device: *const c_char, error: *mut *mut npad_error) -> Status {
    unsafe { guard(error, || check_device(string(device, "device")?)) }
}
