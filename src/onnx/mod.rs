//! ONNX files: writing networks, embedding one in another, and checking them when they come back.

mod check;
mod embed;
mod layers;
mod messages;
mod padding;
mod shapes;
mod writer;

pub use check::check;
pub use embed::{Embeddable, Embedded};
pub use messages::{OPSET, Setting};
pub use writer::{BATCH, Value, Writer};
