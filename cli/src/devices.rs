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
    let Some(name) = &arguments.device else {
        device_reports()?.iter().try_for_each(|report| print(arguments.json, report))?;
        return print_auto(arguments.json);
    };
    let choice: DeviceChoice = name.parse()?;
    let checked = check_device(name);
    if choice == DeviceChoice::Auto && checked.is_ok() {
        return print_auto(arguments.json);
    }
    if let DeviceChoice::Fixed(device) = &choice
        && (arguments.json || checked.is_ok())
    {
        print(arguments.json, &DeviceReport::of(device))?;
    }
    checked
}

fn print_auto(as_json: bool) -> Result<()> {
    let ChosenDevice { requested, device, .. } = DeviceChoice::Auto.choose(None);
    let (auto, device) = (requested.to_string(), device.to_string());
    if as_json {
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
