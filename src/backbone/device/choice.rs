//! The choice of a device by the option `device`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::check::usable;
use super::{AUTO, Device};
use crate::backbone::open::OpenError;
use crate::backbone::runtime;
use crate::error::{Error, Result, Status};

/// What `auto` tries before the CPU, from the best. TensorRT is not among them, since it builds engines for minutes.
const PREFERRED: [&str; 3] = ["cuda", "directml", "openvino:GPU"];

/// The value of the option `device`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The best usable device.
    Auto,
    /// This device, usable or not.
    Fixed(Device),
}

/// The device in use, and how it came about.
#[derive(Debug, Clone)]
pub struct ChosenDevice {
    /// What was asked for.
    pub requested: DeviceChoice,
    /// The device in use.
    pub device: Device,
    /// Better devices that `auto` found unusable, and why.
    pub passed_over: Vec<(Device, String)>,
}

impl DeviceChoice {
    /// Chooses the device, which keeps what it builds in the folder `cache`. For `auto`, tries the devices one after the
    /// other; without ONNX Runtime it is the CPU.
    pub fn choose(&self, cache: Option<PathBuf>) -> ChosenDevice {
        let requested = self.clone();
        let (device, passed_over) = match self {
            Self::Fixed(device) => (device.clone(), Vec::new()),
            Self::Auto if runtime::environment().is_err() => (Device::CPU, Vec::new()),
            Self::Auto => first(PREFERRED.iter().filter_map(|name| name.parse().ok()), usable),
        };
        if *self == Self::Auto {
            let over: String = passed_over.iter().map(|(over, cause)| format!("; not {over}: {cause}")).collect();
            log::info!("device auto is {device}{over}");
        }
        ChosenDevice { requested, device: device.with_cache(cache), passed_over }
    }
}

impl ChosenDevice {
    /// Opens something on the device. Where `auto` chose it, and it does not take that, it is passed over for the CPU.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn open<T>(&mut self, open: impl Fn(&Self) -> Result<T>) -> Result<T> {
        let may_change = self.requested == DeviceChoice::Auto && !self.device.is_cpu();
        match open(self) {
            Err(error) if error.status() == Status::Device && may_change => {
                log::warn!("device auto is the CPU now: {error}");
                let passed_over = std::mem::replace(&mut self.device, Device::CPU);
                self.passed_over.push((passed_over, error.message().to_owned()));
                open(self)
            }
            result => result,
        }
    }
}

/// The first usable one, or the CPU, and those before it.
fn first(
    devices: impl Iterator<Item = Device>,
    usable: impl Fn(&Device) -> std::result::Result<(), OpenError>,
) -> (Device, Vec<(Device, String)>) {
    let mut passed_over = Vec::new();
    for device in devices {
        match usable(&device) {
            Ok(()) => return (device, passed_over),
            Err(error) => passed_over.push((device, error.into_cause())),
        }
    }
    (Device::CPU, passed_over)
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == AUTO { Ok(Self::Auto) } else { text.parse().map(Self::Fixed) }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str(AUTO),
            Self::Fixed(device) => device.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_auto_chose_is_passed_over_when_it_does_not_take_a_network() {
        let open = |chosen: &ChosenDevice| {
            if chosen.device.is_cpu() { Ok(1) } else { Err(Error::new(Status::Device, "an operator is unknown")) }
        };
        for (requested, taken) in [(DeviceChoice::Auto, true), (DeviceChoice::Fixed("cuda".parse().unwrap()), false)] {
            let device: Device = "cuda".parse().unwrap();
            let mut chosen = ChosenDevice { requested, device: device.clone(), passed_over: Vec::new() };
            assert_eq!(chosen.open(open).is_ok(), taken);
            assert_eq!(chosen.device.is_cpu(), taken);
            let over = taken.then(|| (device, "an operator is unknown".to_owned()));
            assert_eq!(chosen.passed_over, over.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_usable_device_is_taken() {
        let chosen = |usable: &str| {
            let devices = PREFERRED.iter().map(|name| name.parse::<Device>().unwrap());
            let (device, over) = first(devices, |device| {
                if device.to_string() == usable { Ok(()) } else { Err(OpenError::Device(format!("no {device}"))) }
            });
            (device.to_string(), over.into_iter().map(|(_, cause)| cause).collect::<Vec<_>>())
        };
        let none = ["no cuda:0", "no directml:0", "no openvino:GPU"];
        for (usable, count) in [("cuda:0", 0), ("directml:0", 1), ("openvino:GPU", 2)] {
            assert_eq!(
                chosen(usable),
                (usable.to_owned(), none[..count].iter().map(|cause| (*cause).to_owned()).collect())
            );
        }
        assert_eq!(chosen("tensorrt:0"), ("cpu".to_owned(), none.map(str::to_owned).to_vec()));
    }
}
