use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char};
use std::sync::{Mutex, PoisonError};

use super::guard_value;
use crate::backbone::device_names;
use crate::method::methods;
use crate::model::{OptionKind, options};

/// Text that lives until the process ends. Equal texts are one: however often a list is read, memory does not grow.
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

/// The number of options that npad_options_set() takes: first the general options, then the parameters of every method,
/// including those of plug-ins that are loaded. Loading a plug-in appends its parameters. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_option_count() -> usize {
    guard_value(0, || options().len())
}

/// The name of an option; null when `index` is npad_option_count() or more. Static: never freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_option_name(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(options, index, |option| option.name))
}

/// The type of an option's value; NPAD_OPTION_TYPE_TEXT when `index` is too large. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_option_get_type(index: usize) -> OptionKind {
    guard_value(OptionKind::Text, || options().get(index).map_or(OptionKind::Text, |option| option.kind))
}

/// The default of an option, as npad_options_set() takes it; may be an empty text. Null when `index` is too large. Static:
/// never freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_option_default(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(options, index, |option| option.default))
}

/// The values that an option takes, in words ("a whole number from 1 to 8"). Null when `index` is too large. Static: never
/// freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_option_range(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(options, index, |option| &option.range))
}

/// What an option does, in one line. Null when `index` is too large. Static: never freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_option_help(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(options, index, |option| option.help))
}

/// The number of detection methods, including those of plug-ins that are loaded; they are values of the option "method".
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_method_count() -> usize {
    guard_value(0, || methods().len())
}

/// The name of a method; null when `index` is npad_method_count() or more. Static: never freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_method_name(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(methods, index, |method| method.name()))
}

/// What a method does, in one line. Null when `index` is too large. Static: never freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_method_help(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(methods, index, |method| method.help()))
}

/// The number of kinds of device that the option "device" can name. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_device_count() -> usize {
    guard_value(0, || device_names().len())
}

/// The name of a kind of device: "cpu", or "cuda" (the first one; "cuda:1" is the second). Null when `index` is
/// npad_device_count() or more. That a name is listed does not mean that this machine has the device: opening a backbone on
/// one that cannot be used is NPAD_STATUS_DEVICE. Static: never freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn npad_device_name(index: usize) -> *const c_char {
    guard_value(std::ptr::null(), || text_of(device_names, index, |name| name))
}
