//! `npad info`.

use std::path::PathBuf;

use clap::Args;

use super::RunOptions;
use crate::terminal::print_line;
use npad::error::{Error, Result, Status};
use npad::method::methods;
use npad::model::{Model, OPTIONS};

#[derive(Args)]
pub struct Arguments {
    /// Model file written by `npad fit`; without one, all options are listed
    model: Option<PathBuf>,
    #[command(flatten)]
    run: RunOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let options = arguments.run.options()?;
    let Some(path) = &arguments.model else {
        for (name, default, help) in OPTIONS {
            print_line(&format!("{name} = {default}\n    {help}"))?;
        }
        for method in methods() {
            for parameter in method.parameters() {
                let (name, default, help) = (parameter.name, parameter.default, parameter.help);
                print_line(&format!("{name} = {default}\n    {help}; {}", parameter.kind))?;
            }
        }
        return Ok(());
    };
    let model = Model::load(path, &options)?;
    let text = serde_json::to_string_pretty(model.metadata());
    print_line(&text.map_err(|e| Error::new(Status::Internal, e.to_string()))?)
}
