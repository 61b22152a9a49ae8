//! ONNX files: writing networks, and checking them when they come back.

mod check;
mod messages;
mod shapes;
#[cfg(any(test, feature = "flows"))]
mod writer;

pub use check::check;
#[cfg(feature = "flows")]
pub use messages::Setting;
#[cfg(any(test, feature = "flows"))]
pub use writer::{Value, Writer};
