use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::error::npad_error;
use super::guard;
use crate::abi::UserData;
use crate::abi::callbacks::{npad_log_callback, npad_log_level};
use crate::error::{Error, Result, Status};
use crate::exec::{check_process, is_forked};

/// A callback with its data. Each running call holds a reference, so that npad_log_set() can wait for them.
struct Receiver {
    callback: unsafe extern "C" fn(i32, *const c_char, *mut c_void),
    user_data: UserData,
}

/// Forwards messages to the callback.
struct Dispatcher {
    receiver: Mutex<Option<Arc<Receiver>>>,
    /// Notified when a callback has returned.
    returned: Condvar,
}

static DISPATCHER: Dispatcher = Dispatcher { receiver: Mutex::new(None), returned: Condvar::new() };

thread_local! {
    /// Whether this thread is running the callback.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

impl Dispatcher {
    /// None in a child process whose parent had the lock in another thread.
    fn lock(&self) -> Option<MutexGuard<'_, Option<Arc<Receiver>>>> {
        if is_forked() {
            return self.receiver.try_lock().ok();
        }
        Some(self.receiver.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the receiver and waits until no thread is running the old one's callback.
    fn replace(&self, receiver: Option<Receiver>) -> Result<()> {
        let Some(mut current) = self.lock() else { return check_process() };
        let old = std::mem::replace(&mut *current, receiver.map(Arc::new));
        let Some(old) = old else { return Ok(()) };
        // A child process has no other threads.
        while Arc::strong_count(&old) > 1 && !is_forked() {
            current = self.returned.wait(current).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }
}

impl Log for Dispatcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("npad")
    }

    fn log(&self, record: &Record<'_>) {
        if INSIDE.get() || !self.enabled(record.metadata()) {
            return;
        }
        let Some(receiver) = self.lock().and_then(|receiver| receiver.clone()) else { return };
        let level = match record.level() {
            Level::Error => npad_log_level::Error,
            Level::Warn => npad_log_level::Warning,
            Level::Info => npad_log_level::Info,
            Level::Debug | Level::Trace => npad_log_level::Debug,
        };
        let message = CString::new(record.args().to_string()).unwrap_or_default();
        INSIDE.set(true);
        // SAFETY: the host keeps the callback and its data valid until npad_log_set() has replaced it.
        unsafe { (receiver.callback)(level as i32, message.as_ptr(), receiver.user_data.get()) };
        INSIDE.set(false);
        // Under the lock, so that `replace` cannot miss it between its check and its wait.
        let lock = self.lock();
        drop(receiver);
        drop(lock);
        self.returned.notify_all();
    }

    fn flush(&self) {}
}

/// Sets the log callback of the process. There is none by default, and npad never writes to the standard streams.
///
/// Waits until running calls of the previous callback have returned; afterwards the previous `user_data` may be freed.
/// The caller must not hold a lock that the callback takes. May be called from any thread.
///
/// @param callback   the callback; null for none
/// @param user_data  passed to the callback
/// @param level      the least severe level to report, one of npad_log_level
/// @param error      receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when the level is not one of npad_log_level; NPAD_STATUS_WRONG_STATE when
///         called from the log callback
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_log_set(
    callback: npad_log_callback,
    user_data: *mut c_void,
    level: i32,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            if INSIDE.get() {
                let message = "npad_log_set was called inside the log callback, where it would deadlock; call it after \
                               the callback has returned";
                return Err(Error::new(Status::WrongState, message));
            }
            let filter = [LevelFilter::Error, LevelFilter::Warn, LevelFilter::Info, LevelFilter::Debug]
                .get(usize::try_from(level).unwrap_or(0).wrapping_sub(1))
                .ok_or_else(|| {
                    let message = format!("the log level is {level}, but must be 1 to 4 (npad_log_level)");
                    Error::new(Status::InvalidArgument, message)
                })?;
            DISPATCHER.replace(callback.map(|callback| Receiver { callback, user_data: UserData::new(user_data) }))?;
            // Fails if a logger is set already, by an earlier call or by a Rust host.
            let _ = log::set_logger(&DISPATCHER);
            log::set_max_level(*filter);
            Ok(())
        })
    }
}
