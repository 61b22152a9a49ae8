//! `npad sign`.

use std::path::PathBuf;

use clap::Args;

use crate::key;
use crate::output::check_not_read;
use crate::terminal::note;
use npad::error::{Error, Result};
use npad::model::{sign, write_file};

#[derive(Args)]
pub struct Arguments {
    /// Model file to sign
    model: PathBuf,
    /// File of the secret key that `npad key --new` made
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File to write [default: the model itself]
    #[arg(short, long, value_name = "MODEL")]
    output: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { model, key, output } = arguments;
    let output = output.as_ref().unwrap_or(model);
    check_not_read("the signed model", output, std::iter::once(key))?;
    let key = key::read(key)?;
    let signed = sign(model, &key)?;
    write_file(output, &signed).map_err(|e| Error::io(format_args!("cannot write {}", output.display()), &e))?;
    note(&format!("signed {} with the key {}", output.display(), key.public()));
    Ok(())
}
