//! The one error type of the crate: a status that programs branch on and a message that people act on.

use std::fmt;

use safer_ffi::prelude::*;

/// What went wrong, in the classes a caller can react to. The numbers are part of the C ABI: they are never reused.
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
    /// Too few good images to learn from.
    NotEnoughImages = 4,
    /// A file could not be read or written.
    Io = 5,
    /// A model file is truncated, corrupted, or no npad model at all.
    InvalidModel = 6,
    /// A model file was written by a newer npad or needs something this build does not have.
    UnsupportedModel = 7,
    /// ONNX Runtime's shared library is missing, too old or unusable.
    Runtime = 8,
    /// The requested device cannot be used.
    Device = 9,
    /// The backbone network cannot be used or failed.
    Backbone = 10,
    /// A defect of npad itself: please report it.
    Internal = 11,
    /// The progress callback asked to stop.
    Cancelled = 12,
    /// A plug-in cannot be used: it is not one, speaks another version of the interface, failed, or gave results that
    /// cannot be trusted.
    Plugin = 13,
    /// There is not enough memory for what was asked.
    OutOfMemory = 14,
    /// A file, a folder or a name does not exist.
    NotFound = 15,
    /// The call does not fit the state of its handle or of the process.
    WrongState = 16,
    /// The call waited for its turn as long as it may.
    TimedOut = 17,
}

/// An error with a status and a message that says what was wrong, what was expected and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    status: Status,
    message: String,
}

/// The crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of the given class.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The error of an access to a file: `what` says what was tried.
    pub fn io(what: impl fmt::Display, cause: &std::io::Error) -> Self {
        let status = match cause.kind() {
            std::io::ErrorKind::NotFound => Status::NotFound,
            std::io::ErrorKind::OutOfMemory => Status::OutOfMemory,
            _ => Status::Io,
        };
        Self::new(status, format!("{what}: {cause}"))
    }

    /// The class of the error.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error with where it happened put before the message.
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
