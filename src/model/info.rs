//! The facts of a model, and of what it runs on here, for programs.

use serde::Serialize;

use super::{Metadata, Model};
use crate::backbone::{ChosenDevice, runtime_in_use};
use crate::math::kernels::Level;

/// The facts of a model, to be written as an object: the metadata, the public key that it is "signed_by", or null, and in "machine" what the model runs on in this process: the
/// "device", the "device_requested" (which may be "auto") and, for "auto", the better devices that were "passed_over" and the
/// "cause", what scores there ("scoring": "kernels" or "graph"), the instruction set of npad's "kernels", and "version" and "file" of "onnxruntime" where it is loaded.
#[derive(Serialize)]
pub struct Info<'a> {
    #[serde(flatten)]
    metadata: &'a Metadata,
    signed_by: Option<String>,
    machine: Machine,
}

/// What the model runs on in this process.
#[derive(Serialize)]
struct Machine {
    device: String,
    device_requested: String,
    passed_over: Vec<PassedOver>,
    /// What scores the features: "kernels" or "graph".
    scoring: &'static str,
    /// The instruction set of npad's kernels.
    kernels: String,
    onnxruntime: Option<Runtime>,
}

/// A device that `auto` found unusable.
#[derive(Serialize)]
struct PassedOver {
    device: String,
    cause: String,
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
        let ChosenDevice { requested, device, passed_over } = &self.core.device;
        let passed_over = passed_over.iter().cloned();
        let machine = Machine {
            device: device.to_string(),
            device_requested: requested.to_string(),
            passed_over: passed_over.map(|(device, cause)| PassedOver { device: device.to_string(), cause }).collect(),
            scoring: self.core.scoring_in_use(),
            kernels: Level::best().to_string(),
            onnxruntime,
        };
        Info { metadata: self.metadata(), signed_by: self.signer().map(|key| key.to_string()), machine }
    }
}
