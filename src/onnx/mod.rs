//! ONNX files: writing networks, and checking them when they come back.

mod check;
mod messages;
mod shapes;
#[cfg_attr(not(feature = "flows"), allow(dead_code))]
mod writer;

pub use check::check;
#[cfg(feature = "flows")]
pub use messages::Setting;
#[cfg(feature = "flows")]
pub use writer::Value;
pub use writer::Writer;
