//! The table of devices: what a name stands for, which execution providers of ONNX Runtime serve it and with which options.

use std::path::Path;

use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{CUDA, DirectML, ExecutionProviderDispatch, OpenVINO, TensorRT};

use super::{Device, Unit};

/// A kind of device.
pub struct Provider {
    pub name: &'static str,
    /// The name that ONNX Runtime lists the execution provider by.
    pub runtime_name: &'static str,
    pub units: Units,
    /// The execution providers, the first one preferred; none for the CPU, which is built in.
    pub dispatch: fn(&Device, &Setup<'_>) -> Vec<ExecutionProviderDispatch>,
    /// Whether a session runs one call at a time.
    pub one_at_a_time: bool,
    /// Whether ONNX Runtime may leave nothing of a network to the CPU. A provider that registers without its device would
    /// leave all.
    pub whole_network: bool,
    pub remedy: &'static str,
}

/// What can follow the name of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Units {
    /// Nothing.
    None,
    /// A number.
    Index,
    /// A device of OpenVINO.
    OpenVino,
}

/// What a session is opened with.
pub struct Setup<'a> {
    pub threads: usize,
    /// The folder for what the provider builds for this network.
    pub cache: Option<&'a Path>,
}

/// The CPU's place in [`PROVIDERS`].
pub const CPU: usize = 0;

/// The supported kinds of devices.
pub const PROVIDERS: &[Provider] = &[
    Provider {
        name: "cpu",
        runtime_name: "CPUExecutionProvider",
        units: Units::None,
        dispatch: |_, _| Vec::new(),
        one_at_a_time: false,
        whole_network: false,
        remedy: "",
    },
    Provider {
        name: "cuda",
        runtime_name: "CUDAExecutionProvider",
        units: Units::Index,
        dispatch: |device, _| vec![cuda(device)],
        one_at_a_time: false,
        // Arithmetic on shapes runs on the CPU by design.
        whole_network: false,
        remedy: "CUDA needs an NVIDIA GPU with its driver, CUDA and cuDNN of the versions that ONNX Runtime was built for, \
                 and ONNX Runtime's GPU build (PyPI: onnxruntime-gpu) with its provider libraries beside it; device 'cpu' \
                 always works",
    },
    Provider {
        name: "tensorrt",
        runtime_name: "TensorrtExecutionProvider",
        units: Units::Index,
        // What TensorRT does not take runs on CUDA.
        dispatch: |device, setup| vec![tensorrt(device, setup), cuda(device)],
        one_at_a_time: false,
        whole_network: false,
        remedy: "TensorRT needs all that device 'cuda' needs, and the libraries of TensorRT (libnvinfer) of the version that \
                 ONNX Runtime was built for; device 'cuda' needs no TensorRT, 'cpu' always works",
    },
    Provider {
        name: "openvino",
        runtime_name: "OpenVINOExecutionProvider",
        units: Units::OpenVino,
        dispatch: |device, setup| vec![openvino(device, setup)],
        one_at_a_time: false,
        whole_network: true,
        remedy: "OpenVINO needs an Intel GPU or NPU with its driver, or any x86-64 CPU for 'openvino:CPU', and ONNX Runtime's \
                 OpenVINO build (PyPI: onnxruntime-openvino) with all its libraries beside it; device 'cpu' always works",
    },
    Provider {
        name: "directml",
        runtime_name: "DmlExecutionProvider",
        units: Units::Index,
        dispatch: |device, _| vec![DirectML::default().with_device_id(device.index()).build().error_on_failure()],
        one_at_a_time: true,
        whole_network: false,
        remedy: "DirectML needs Windows, a GPU with a driver for DirectX 12, and ONNX Runtime's DirectML build (PyPI: \
                 onnxruntime-directml) with DirectML.dll beside it; device 'cpu' always works",
    },
];

/// CUDA. TensorFloat-32 would change scores; a search for the fastest convolution would change them from run to run.
fn cuda(device: &Device) -> ExecutionProviderDispatch {
    let provider = CUDA::default().with_device_id(device.index()).with_tf32(false);
    provider.with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic).build().error_on_failure()
}

fn tensorrt(device: &Device, setup: &Setup<'_>) -> ExecutionProviderDispatch {
    let mut provider = TensorRT::default().with_device_id(device.index());
    if let Some(folder) = setup.cache {
        let folder = folder.display().to_string();
        provider = provider.with_engine_cache(true).with_engine_cache_path(&folder);
        provider = provider.with_timing_cache(true).with_timing_cache_path(folder);
    }
    provider.build().error_on_failure()
}

/// OpenVINO. On processors with bfloat16 it would use that unasked; NPUs have half precision only.
fn openvino(device: &Device, setup: &Setup<'_>) -> ExecutionProviderDispatch {
    let precision = if matches!(device.unit, Unit::OpenVino("NPU", _)) { "FP16" } else { "FP32" };
    let mut provider = OpenVINO::default().with_device_type(device.unit).with_precision(precision);
    provider = provider.with_num_threads(setup.threads).with_num_streams(1);
    if let Some(folder) = setup.cache {
        provider = provider.with_cache_dir(folder.display());
    }
    provider.build().error_on_failure()
}
