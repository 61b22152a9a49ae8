//! `npad devices`: which devices can be used here.

use clap::Args;
use serde_json::json;

use crate::terminal::print_line;
use npad::backbone::{ChosenDevice, DeviceChoice, DeviceReport, check_device, device_reports};
use npad::error::Result;

#[derive(Args)]
pub struct Arguments {
    /// Check this device alone; one that cannot be used is a failure
    device: Option<String>,
    /// Print one JSON object a device: device, usable, cause and remedy, and for auto the device it stands for
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    if let Some(device) = &arguments.device {
        check_device(device)?;
        return print(arguments.json, &DeviceReport { device: device.clone(), cause: None, remedy: None });
    }
    device_reports()?.iter().try_for_each(|report| print(arguments.json, report))?;
    let ChosenDevice { requested, device, .. } = DeviceChoice::Auto.choose(None);
    let (auto, device) = (requested.to_string(), device.to_string());
    if arguments.json {
        return print_line(&json!({ "device": auto, "usable": true, "is": device }).to_string());
    }
    print_line(&format!("{auto:14} is {device}"))
}

fn print(as_json: bool, DeviceReport { device, cause, remedy }: &DeviceReport) -> Result<()> {
    let usable = cause.is_none();
    if as_json {
        let report = json!({ "device": device, "usable": usable, "cause": cause, "remedy": remedy });
        return print_line(&report.to_string());
    }
    print_line(&format!("{device:14} {}", if usable { "yes" } else { "no" }))?;
    for (what, text) in [("cause", cause.as_deref()), ("remedy", *remedy)] {
        text.map_or(Ok(()), |text| print_line(&format!("    {what}: {text}")))?;
    }
    Ok(())
}
