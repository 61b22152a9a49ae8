use std::ffi::{CString, c_char, c_void};
use std::sync::{PoisonError, RwLock};

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::error::npad_error;
use super::{UserData, guard};
use crate::error::{Error, Status};

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum npad_log_level {
    /// Something failed.
    Error = 1,
    /// Something works, but perhaps not as wanted: few images for a threshold, say.
    Warning = 2,
    /// What npad does, a line for each fit or load.
    Info = 3,
    /// Details.
    Debug = 4,
}

/// Receives messages for people: `level` is one of npad_log_level, `message` UTF-8 that lives for the call. Called from any
/// thread, also several at once; it must not call npad.
pub type npad_log_callback = Option<unsafe extern "C" fn(level: i32, message: *const c_char, user_data: *mut c_void)>;

type Receiver = (unsafe extern "C" fn(i32, *const c_char, *mut c_void), UserData);

/// Hands messages to the callback.
struct Dispatcher(RwLock<Option<Receiver>>);

static DISPATCHER: Dispatcher = Dispatcher(RwLock::new(None));

impl Log for Dispatcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("npad")
    }

    fn log(&self, record: &Record<'_>) {
        // Not held during the callback, which takes its time.
        let receiver = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some((callback, user_data)) = receiver.filter(|_| self.enabled(record.metadata())) else { return };
        let level = match record.level() {
            Level::Error => npad_log_level::Error,
            Level::Warn => npad_log_level::Warning,
            Level::Info => npad_log_level::Info,
            Level::Debug | Level::Trace => npad_log_level::Debug,
        };
        let message = CString::new(record.args().to_string()).unwrap_or_default();
        // SAFETY: whoever set the callback promised that it may be called with its data.
        unsafe { callback(level as i32, message.as_ptr(), user_data.get()) };
    }

    fn flush(&self) {}
}

/// Sets who receives npad's messages, for the whole process. By default nobody does: npad never writes to the standard
/// streams.
///
/// @param callback   null for nobody
/// @param user_data  given to the callback; must be valid until another one is set and calls under way have ended
/// @param level      the least important messages that are wanted, one of npad_log_level
/// @param error      receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT for another level
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_log_set(
    callback: npad_log_callback,
    user_data: *mut c_void,
    level: i32,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let filter = [LevelFilter::Error, LevelFilter::Warn, LevelFilter::Info, LevelFilter::Debug]
                .get(usize::try_from(level).unwrap_or(0).wrapping_sub(1))
                .ok_or_else(|| {
                    let message = format!("the log level is {level}, but must be 1 to 4 (npad_log_level)");
                    Error::new(Status::InvalidArgument, message)
                })?;
            *DISPATCHER.0.write().unwrap_or_else(PoisonError::into_inner) =
                callback.map(|callback| (callback, UserData(user_data)));
            // Fails where it is set already, by an earlier call, or by a Rust program with a logger of its own.
            let _ = log::set_logger(&DISPATCHER);
            log::set_max_level(*filter);
            Ok(())
        })
    }
}
