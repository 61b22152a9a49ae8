//! `npad merge`.

use std::path::PathBuf;

use clap::Args;

use super::{RunOptions, set_pairs};
use crate::output::{check_not_read, check_writable, same_file};
use crate::terminal::{fit_progress, note};
use npad::error::{Error, Result, Status};
use npad::model::Trainer;

#[derive(Args)]
pub struct Arguments {
    /// States that `npad fit --state` or npad_trainer_save() wrote, of fits with the same options
    #[arg(required = true, value_name = "STATE")]
    states: Vec<PathBuf>,
    /// Model file to write
    #[arg(short, long, value_name = "MODEL", required_unless_present = "state")]
    output: Option<PathBuf>,
    /// State file to write, which can be merged again
    #[arg(long, value_name = "STATE")]
    state: Option<PathBuf>,
    /// Options of this machine by name, such as backbone or date; the others are those of the states
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    run: RunOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let mut options = arguments.run.options()?;
    set_pairs(&mut options, &arguments.set)?;
    let (output, state) = (arguments.output.as_deref(), arguments.state.as_deref());
    for (what, path) in [("the model", output), ("the state", state)] {
        let Some(path) = path else { continue };
        check_writable(what, path)?;
        check_not_read(what, path, &arguments.states)?;
    }
    if let (Some(output), Some(state)) = (output, state)
        && same_file(output, state)
    {
        let message =
            format!("the model and the state are both to be written to {}; give another path to one", state.display());
        return Err(Error::new(Status::InvalidOption, message));
    }
    options.set_progress(fit_progress());
    let (first, others) = arguments.states.split_first().expect("clap requires one");
    let mut trainer = Trainer::load(first, &options)?;
    others.iter().try_for_each(|path| trainer.merge_file(path))?;
    let images = trainer.images();
    state.map_or(Ok(()), |state| trainer.save(state))?;
    output.map_or(Ok(()), |output| trainer.finish()?.save(output))?;
    note(&format!("merged {} states of {images} good images", arguments.states.len()));
    Ok(())
}
