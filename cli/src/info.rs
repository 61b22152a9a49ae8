//! `npad info`.

use std::path::PathBuf;

use clap::Args;

use super::RunOptions;
use crate::terminal::print_line;
use npad::error::{Error, Result, Status};
use npad::model::{self, Model, OptionInfo};

#[derive(Args)]
pub struct Arguments {
    /// Model file written by `npad fit`; without one, all options are listed
    model: Option<PathBuf>,
    /// Show the calibration card: the images, the threshold and how it was derived, the settings and the backbone
    #[arg(long, requires = "model")]
    card: bool,
    #[command(flatten)]
    run: RunOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let options = arguments.run.options()?;
    let Some(path) = &arguments.model else {
        for OptionInfo { name, default, range, help, .. } in model::options() {
            print_line(&format!("{name} = {default}\n    {help}; {range}"))?;
        }
        return Ok(());
    };
    let model = Model::load(path, &options)?;
    if arguments.card {
        return print_line(model.card().trim_end());
    }
    let text = serde_json::to_string_pretty(&model.info());
    print_line(&text.map_err(|e| Error::new(Status::Internal, e.to_string()))?)
}
