//! The crate's error type: a status code and a message.

use std::fmt;

use safer_ffi::prelude::*;

/// Status codes. The numbers are part of the C ABI and are never reused.
#[derive_ReprC]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Success.
    Ok = 0,
    /// An argument is outside its documented range (a null pointer, a size of zero, an index too large).
    InvalidArgument = 1,
    /// An image cannot be used: its size, stride or pixel format is wrong.
    InvalidImage = 2,
    /// An option's name is unknown or its value is not acceptable.
    InvalidOption = 3,
    /// Too few good images for a fit, or good images that hardly vary.
    NotEnoughImages = 4,
    /// A file could not be read or written.
    Io = 5,
    /// A model file is truncated, corrupted, or no npad model at all.
    InvalidModel = 6,
    /// A model file was written by a newer npad or needs a feature, plug-in or extractor that is not available.
    UnsupportedModel = 7,
    /// ONNX Runtime's shared library is missing, too old or unusable.
    Runtime = 8,
    /// The requested device cannot be used.
    Device = 9,
    /// The backbone network cannot be used or failed.
    Backbone = 10,
    /// Internal error: a defect of npad. Please report it.
    Internal = 11,
    /// The call was cancelled by the progress callback or by npad_cancellation_cancel().
    Cancelled = 12,
    /// A plug-in or a feature extractor of the host is invalid, has another interface version, failed, or returned
    /// invalid values.
    Plugin = 13,
    /// Memory could not be allocated.
    OutOfMemory = 14,
    /// A file, a folder or an option name does not exist.
    NotFound = 15,
    /// The call is not allowed in the current state of its handle or of the process.
    WrongState = 16,
    /// The call could not start within the time that the option "call_timeout" allows.
    TimedOut = 17,
    /// A model is not signed with a trusted key, or contains a backbone of its own although those are to be refused.
    UntrustedModel = 18,
}

/// An error with a status and a message that says what was wrong, what was expected and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    status: Status,
    message: String,
}

/// The text of an error of another library with all its causes.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        // Some errors repeat their cause.
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Creates an error.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Converts an I/O error; `what` describes the failed operation.
    pub fn io(what: impl fmt::Display, cause: &std::io::Error) -> Self {
        let status = match cause.kind() {
            std::io::ErrorKind::NotFound => Status::NotFound,
            std::io::ErrorKind::OutOfMemory => Status::OutOfMemory,
            _ => Status::Io,
        };
        Self::new(status, format!("{what}: {cause}"))
    }

    /// The status code.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Puts the place of the failure before the message.
    #[must_use]
    pub fn context(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
