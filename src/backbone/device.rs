//! Devices: a table that maps a name to an ONNX Runtime execution provider.

use std::fmt;
use std::str::FromStr;

use ort::ep::{CUDA, ExecutionProviderDispatch};

use crate::error::{Error, Result, Status};

/// An execution provider that a device string can name.
struct Provider {
    name: &'static str,
    indexed: bool,
    dispatch: fn(i32) -> Option<ExecutionProviderDispatch>,
    remedy: &'static str,
}

/// The supported devices.
const PROVIDERS: &[Provider] = &[
    Provider { name: "cpu", indexed: false, dispatch: |_| None, remedy: "" },
    Provider {
        name: "cuda",
        indexed: true,
        dispatch: |index| Some(CUDA::default().with_device_id(index).build().error_on_failure()),
        remedy: "CUDA needs an NVIDIA GPU with its driver, CUDA and cuDNN, and ONNX Runtime's GPU build (PyPI: \
                 onnxruntime-gpu) beside its provider libraries; device 'cpu' always works",
    },
];

/// Names of the supported devices, without indices. The machine need not have them.
pub fn device_names() -> Vec<&'static str> {
    PROVIDERS.iter().map(|provider| provider.name).collect()
}

/// A device by name: `cpu`, `cuda` or `cuda:N`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    provider: usize,
    index: i32,
}

impl Device {
    /// The CPU.
    pub const CPU: Self = Self { provider: 0, index: 0 };

    /// The provider to register with a session; none for the CPU, which is built in.
    pub(super) fn dispatch(self) -> Option<ExecutionProviderDispatch> {
        (PROVIDERS[self.provider].dispatch)(self.index)
    }

    /// The error for a device that ONNX Runtime cannot use.
    pub(super) fn unusable(self, cause: &dyn fmt::Display) -> Error {
        let remedy = PROVIDERS[self.provider].remedy;
        Error::new(Status::Device, format!("device '{self}' cannot be used: {cause}. What to do: {remedy}"))
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, index) = text.split_once(':').map_or((text, None), |(name, index)| (name, Some(index)));
        let found = PROVIDERS.iter().position(|p| p.name == name && (p.indexed || index.is_none()));
        let index = index.map_or(Some(0), |digits| digits.parse::<u16>().ok()).map(i32::from);
        match (found, index) {
            (Some(provider), Some(index)) => Ok(Self { provider, index }),
            _ => {
                let known: Vec<_> =
                    PROVIDERS.iter().map(|p| format!("{}{}", p.name, if p.indexed { ":N" } else { "" })).collect();
                Err(Error::new(
                    Status::InvalidOption,
                    format!("device is '{text}', but must be one of {}", known.join(", ")),
                ))
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = &PROVIDERS[self.provider];
        f.write_str(provider.name)?;
        if provider.indexed { write!(f, ":{}", self.index) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_print() {
        for (text, printed) in [("cpu", "cpu"), ("cuda", "cuda:0"), ("cuda:3", "cuda:3")] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), printed);
        }
        for bad in ["", "gpu", "cpu:1", "cuda:", "cuda:x", "cuda:-1", "CUDA"] {
            let error = bad.parse::<Device>().unwrap_err();
            assert_eq!(error.status(), Status::InvalidOption);
            assert!(error.message().contains("cpu, cuda:N"), "{error}");
        }
    }
}
