//! Callback types and their arguments.

use std::ffi::{c_char, c_void};

use safer_ffi::prelude::*;

/// Size in bytes of a callback's error message, including the terminating zero byte.
pub const NPAD_CALLBACK_MESSAGE_SIZE: usize = 512;

/// Receives the error message of a callback that fails. npad creates it and passes a pointer to it; later versions may
/// append fields.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_callback_error {
    /// Error message: UTF-8, terminated by a zero byte. Empty when the callback is called.
    pub message: [c_char; NPAD_CALLBACK_MESSAGE_SIZE],
}

/// Severity of a log message.
#[derive_ReprC]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum npad_log_level {
    /// A call failed.
    Error = 1,
    /// A call succeeded, but its result may be poor: for example, too few images for a reliable threshold.
    Warning = 2,
    /// One line for each fit and each load.
    Info = 3,
    /// Details for debugging.
    Debug = 4,
}

/// Log callback. `level` is one of npad_log_level; `message` is UTF-8 and valid during the call. Called from any thread, also
/// from several at once. It should not call npad: messages that npad would log during the callback are dropped, and
/// npad_log_set() returns NPAD_STATUS_WRONG_STATE.
pub type npad_log_callback = Option<unsafe extern "C" fn(level: i32, message: *const c_char, user_data: *mut c_void)>;

/// Progress callback. Return true to continue, false to cancel the call. `stage` is "learning",
/// "known defects", "statistics", "centroids", "held-out scores" or, where a network is trained, "measuring" or
/// "training (loss L)" with the least loss L of the held-out images so far, or, on a device other than the CPU, also of a load,
/// "preparing the device"; `done` of `total` steps are complete, and
/// `total` is 0 while it is unknown. Training may end before its last step. Called on the thread that called npad. It must
/// not use the trainer of the call.
pub type npad_progress_callback =
    Option<unsafe extern "C" fn(stage: *const c_char, done: usize, total: usize, user_data: *mut c_void) -> bool>;

/// Frees `user_data`. Called once, from any thread, after the last use of the callbacks that receive it.
pub type npad_free_callback = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// Write callback. Appends `size` bytes to the saved scorer. May be called any number of times.
pub type npad_write_callback = Option<unsafe extern "C" fn(sink: *mut c_void, data: *const u8, size: usize)>;
