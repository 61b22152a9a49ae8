//! Whether a device can be used: a tiny network is opened on it and run.

use prost::bytes::Bytes;

use super::{Device, DeviceChoice};
use crate::backbone::open::{OpenError, open};
use crate::backbone::runtime;
use crate::backbone::session::BoundSession;
use crate::error::{Error, Result};
use crate::onnx::Writer;

/// Side of the tiny network's input and of its kernel.
const SIDE: usize = 8;
const KERNEL: usize = 3;

/// Whether a device can be used on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceReport {
    /// The device, as the option `device` names it.
    pub device: String,
    /// Why it cannot be used; none if it can.
    pub cause: Option<String>,
    /// What to do; none if it can be used.
    pub remedy: Option<&'static str>,
}

/// The first device of each kind, and the others that OpenVINO may have.
///
/// # Errors
/// [`Status::Runtime`](crate::error::Status::Runtime) without ONNX Runtime.
pub fn device_reports() -> Result<Vec<DeviceReport>> {
    runtime::environment()?;
    Ok(Device::all().map(|device| DeviceReport::of(&device)).collect())
}

impl DeviceReport {
    /// That of a device, with the ONNX Runtime that is loaded or found.
    pub fn of(device: &Device) -> Self {
        let cause = usable(device).err().map(OpenError::into_cause);
        let remedy = cause.is_some().then(|| device.provider().remedy).filter(|remedy| !remedy.is_empty());
        Self { device: device.to_string(), cause, remedy }
    }
}

/// Checks that a fit or a load can use a device, by running a tiny network on it.
///
/// # Errors
/// Those that a fit or a load on it would give: [`Status::InvalidOption`](crate::error::Status::InvalidOption) when there is no
/// device of that name, [`Status::Runtime`](crate::error::Status::Runtime) without ONNX Runtime,
/// [`Status::Device`](crate::error::Status::Device) when it cannot be used.
pub fn check_device(name: &str) -> Result<()> {
    let choice: DeviceChoice = name.parse()?;
    runtime::environment()?;
    match choice {
        // The CPU at least.
        DeviceChoice::Auto => usable(&Device::CPU).map_err(|cause| cause.on(&Device::CPU)),
        DeviceChoice::Fixed(device) => usable(&device).map_err(|cause| cause.on(&device)),
    }
}

/// Runs a tiny network on a device.
pub fn usable(device: &Device) -> std::result::Result<(), OpenError> {
    let session = open("a tiny network", &probe().map_err(OpenError::Other)?, device, 1)?;
    let failed = |e: ort::Error| OpenError::Device(format!("a tiny network failed on it: {e}"));
    let mut session = BoundSession::new(session).map_err(failed)?;
    let outputs = session.run([1, 1, SIDE, SIDE], &[1.0; SIDE * SIDE]).map_err(failed)?;
    let (_, values) = outputs[0].try_extract_tensor::<f32>().map_err(failed)?;
    let expected = (KERNEL * KERNEL) as f32;
    if values.iter().all(|value| (value - expected).abs() < 0.01) {
        return Ok(());
    }
    Err(OpenError::Device(format!("a tiny network computes {values:?} on it, but must compute {expected} everywhere")))
}

/// The network: the sum of each square of pixels, as a convolution, which needs all libraries of a device.
fn probe() -> Result<Bytes> {
    let mut writer = Writer::default();
    let input = writer.input(&[1, 1, SIDE, SIDE]);
    let kernel = writer.constant(&[1, 1, KERNEL, KERNEL], &[1.0; KERNEL * KERNEL]);
    let sums = writer.node("Conv", &[&input, &kernel], &[]);
    writer.output(&sums, &[1, 1, SIDE - KERNEL + 1, SIDE - KERNEL + 1]);
    writer.finish("probe")
}

impl OpenError {
    /// Why, without what to do.
    pub(super) fn into_cause(self) -> String {
        match self {
            Self::Device(cause) => cause,
            Self::Other(error) => error.message().to_owned(),
        }
    }

    /// The error for a device.
    pub fn on(self, device: &Device) -> Error {
        match self {
            Self::Device(cause) => device.unusable(cause),
            Self::Other(error) => error,
        }
    }
}
