//! ONNX files: writing networks, and checking them when they come back.

mod check;
#[cfg(feature = "flows")]
mod messages;
#[cfg(feature = "flows")]
mod writer;

pub use check::check;
#[cfg(feature = "flows")]
pub use writer::{Setting, Value, Writer};
