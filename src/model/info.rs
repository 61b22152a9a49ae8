//! The facts of a model, and of what it runs on here, for programs.

use serde::Serialize;

use super::{Metadata, Model};
use crate::backbone::runtime_in_use;
use crate::math::kernels::Level;

/// The facts of a model, to be written as an object: the metadata, and in "machine" what the model runs on in this process: the
/// "device", the instruction set of npad's "kernels", and "version" and "file" of "onnxruntime" where it is loaded.
#[derive(Serialize)]
pub struct Info<'a> {
    #[serde(flatten)]
    metadata: &'a Metadata,
    machine: Machine,
}

/// What the model runs on in this process.
#[derive(Serialize)]
struct Machine {
    device: String,
    /// The instruction set of npad's kernels.
    kernels: String,
    onnxruntime: Option<Runtime>,
}

/// ONNX Runtime's library.
#[derive(Serialize)]
struct Runtime {
    version: String,
    file: String,
}

impl Model {
    /// Facts for programs.
    pub fn info(&self) -> Info<'_> {
        let runtime = runtime_in_use();
        let onnxruntime = runtime.map(|(file, version)| Runtime { version, file: file.display().to_string() });
        let (device, kernels) = (self.device().to_string(), Level::best().to_string());
        Info { metadata: self.metadata(), machine: Machine { device, kernels, onnxruntime } }
    }
}
