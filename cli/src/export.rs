//! `npad export`.

use std::path::PathBuf;

use clap::Args;

use super::{RunOptions, set_given};
use crate::output::check_not_read;
use crate::terminal::note;
use npad::error::Result;
use npad::model::Model;

#[derive(Args)]
pub struct Arguments {
    /// Model file written by `npad fit`
    model: PathBuf,
    /// ONNX file to write; a description in JSON is written beside it, with the ending .json
    #[arg(short, long, value_name = "FILE.onnx")]
    output: PathBuf,
    /// Version of ONNX's operators, 13 to 22 [default: 17, or the backbone's own]
    #[arg(long)]
    opset: Option<String>,
    /// Number of images of a run, or any [default: any]
    #[arg(long, value_name = "any|N")]
    batch: Option<String>,
    /// Size of the images: that of the network's input, or HxW, from which the network resizes [default: input]
    #[arg(long, value_name = "input|HxW")]
    size: Option<String>,
    #[command(flatten)]
    run: RunOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { model, output, opset, batch, size, run } = arguments;
    let mut options = run.options()?;
    set_given(&mut options, &[("export_opset", opset), ("export_batch", batch), ("export_size", size)])?;
    for path in [output, &output.with_extension("json")] {
        check_not_read("the export", path, std::iter::once(model).chain(&run.plugin))?;
    }
    let model = Model::load(model, &options)?;
    let description = model.export_to(output, &options)?;
    note(&format!("wrote {} and {}", output.display(), description.display()));
    Ok(())
}
