//! Devices: names for ONNX Runtime's execution providers.

mod check;
mod choice;
mod provider;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

pub use self::check::{DeviceReport, check_device, device_reports};
pub use self::choice::{ChosenDevice, DeviceChoice};
pub(super) use self::provider::Setup;
use self::provider::{CPU, PROVIDERS, Provider, Units};
use crate::error::{Error, Result, Status};

/// The word for the best usable device.
const AUTO: &str = "auto";
/// Kinds of OpenVINO's devices; the first one is the default.
const OPENVINO: [&str; 3] = ["CPU", "GPU", "NPU"];

/// What the option `device` takes, for messages and help.
pub const DEVICE_FORM: &str = "cpu, cuda[:N], tensorrt[:N], openvino[:CPU, :GPU, :GPU.N or :NPU], directml[:N] or auto";

/// Names of the kinds of devices that the option `device` takes, and `auto`. The machine need not have them.
pub fn device_names() -> Vec<&'static str> {
    PROVIDERS.iter().map(|provider| provider.name).chain([AUTO]).collect()
}

/// A device, such as `cpu`, `cuda:1` or `openvino:GPU`, and the folder in which it keeps what it has built.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Device {
    provider: usize,
    unit: Unit,
    cache: Option<Arc<Path>>,
}

/// Which one of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Only,
    Index(u16),
    OpenVino(&'static str, Option<u16>),
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => Ok(()),
            Self::Index(index) => write!(f, "{index}"),
            Self::OpenVino(kind, None) => f.write_str(kind),
            Self::OpenVino(kind, Some(index)) => write!(f, "{kind}.{index}"),
        }
    }
}

impl Unit {
    /// The unit from what follows the colon, if anything does.
    fn parse(units: Units, text: Option<&str>) -> Option<Self> {
        match (units, text) {
            (Units::None, None) => Some(Self::Only),
            (Units::None, Some(_)) => None,
            (Units::Index, None) => Some(Self::Index(0)),
            (Units::Index, Some(text)) => number(text).map(Self::Index),
            (Units::OpenVino, None) => Some(Self::OpenVino(OPENVINO[0], None)),
            (Units::OpenVino, Some(text)) => {
                let (kind, index) = text.split_once('.').map_or((text, None), |(kind, index)| (kind, Some(index)));
                let kind = OPENVINO.into_iter().find(|known| *known == kind)?;
                match index {
                    None => Some(Self::OpenVino(kind, None)),
                    Some(_) if kind == OPENVINO[0] => None,
                    Some(index) => Some(Self::OpenVino(kind, Some(number(index)?))),
                }
            }
        }
    }
}

/// A number of digits alone.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl Default for Device {
    fn default() -> Self {
        Self::CPU
    }
}

impl Device {
    /// The CPU.
    pub const CPU: Self = Self { provider: CPU, unit: Unit::Only, cache: None };

    /// Whether it is the CPU, run by ONNX Runtime itself.
    pub fn is_cpu(&self) -> bool {
        self.provider == CPU
    }

    /// Whether it computes on this machine's processor and memory, whoever does.
    pub fn is_host(&self) -> bool {
        self.is_cpu() || self.unit == Unit::OpenVino(OPENVINO[0], None)
    }

    /// The same device with a folder for what it builds.
    #[must_use]
    pub fn with_cache(self, folder: Option<PathBuf>) -> Self {
        Self { cache: folder.map(Arc::from), ..self }
    }

    /// The first of each kind, and the others that OpenVINO may have.
    fn all() -> impl Iterator<Item = Self> {
        PROVIDERS.iter().enumerate().flat_map(|(provider, Provider { units, .. })| {
            let units = match units {
                Units::None => vec![Unit::Only],
                Units::Index => vec![Unit::Index(0)],
                Units::OpenVino => OPENVINO.map(|kind| Unit::OpenVino(kind, None)).to_vec(),
            };
            units.into_iter().map(move |unit| Self { provider, unit, cache: None })
        })
    }

    fn index(&self) -> i32 {
        if let Unit::Index(index) = self.unit { index.into() } else { 0 }
    }

    pub(super) fn provider(&self) -> &'static Provider {
        &PROVIDERS[self.provider]
    }

    pub(super) fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    /// The error for a device that ONNX Runtime cannot use.
    pub(super) fn unusable(&self, cause: impl fmt::Display) -> Error {
        let remedy = self.provider().remedy;
        Error::new(Status::Device, format!("device '{self}' cannot be used: {cause}. What to do: {remedy}"))
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, unit) = text.split_once(':').map_or((text, None), |(name, unit)| (name, Some(unit)));
        let found = PROVIDERS.iter().position(|provider| provider.name == name);
        let device = found.and_then(|provider| {
            Some(Self { provider, unit: Unit::parse(PROVIDERS[provider].units, unit)?, cache: None })
        });
        device.ok_or_else(|| {
            Error::new(Status::InvalidOption, format!("device is '{text}', but must be one of {DEVICE_FORM}"))
        })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.provider().name)?;
        if self.unit == Unit::Only { Ok(()) } else { write!(f, ":{}", self.unit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_print() {
        for (text, printed) in [
            ("cpu", "cpu"),
            ("cuda", "cuda:0"),
            ("cuda:3", "cuda:3"),
            ("tensorrt", "tensorrt:0"),
            ("openvino", "openvino:CPU"),
            ("openvino:GPU", "openvino:GPU"),
            ("openvino:GPU.1", "openvino:GPU.1"),
            ("openvino:NPU", "openvino:NPU"),
            ("directml:1", "directml:1"),
        ] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), printed);
        }
        for bad in [
            "",
            "gpu",
            "cpu:1",
            "cuda:",
            "cuda:x",
            "cuda:-1",
            "cuda:+1",
            "CUDA",
            "openvino:",
            "openvino:gpu",
            "openvino:FOO",
            "openvino:CPU.1",
            "openvino:GPU.",
            "openvino:AUTO",
            "directml:GPU",
            "cuda:70000",
        ] {
            let error = bad.parse::<Device>().unwrap_err();
            assert_eq!(error.status(), Status::InvalidOption);
            assert!(error.message().contains("cpu, cuda[:N]"), "{error}");
        }
    }

    #[test]
    fn the_caches_of_a_device_are_told_apart() {
        let device: Device = "tensorrt".parse().unwrap();
        let cached = device.clone().with_cache(Some("folder".into()));
        assert!(device != cached && cached.to_string() == device.to_string());
    }
}
