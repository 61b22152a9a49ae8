//! `npad eval`: fit on a data set's good images, score its test images, and measure.

mod charts;
mod defects;
mod evaluation;
mod report;
mod thumbnail;

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::FitOptions;
use crate::dataset::Dataset;
use crate::output::{check_writable, write};
use crate::picture;
use crate::terminal::print_line;
use evaluation::Evaluation;
use npad::error::{Error, Result, Status};
use npad::preprocess::Geometry;

#[derive(Args)]
#[command(after_help = picture::HELP)]
pub struct Arguments {
    /// Data sets in MVTec AD's layout
    #[arg(required = true)]
    datasets: Vec<PathBuf>,
    /// Detection methods [default: npad]
    #[arg(long, value_delimiter = ',', default_value = "npad")]
    method: Vec<String>,
    /// Fit to only N of the good images, chosen at random by the seed
    #[arg(long, value_name = "N")]
    shots: Option<usize>,
    /// Size of the maps for pixel metrics, instead of the image's size
    #[arg(long, value_name = "HxW")]
    eval_size: Option<String>,
    /// Also write the results to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write an HTML report with tables, charts and pictures of wrong decisions
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Also measure what N known defects bring: draws N of the defective test images 20 times and measures the operating
    /// points on the others
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    defects: Vec<usize>,
    #[command(flatten)]
    fit: FitOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let eval_size = match arguments.eval_size.as_deref().map(str::parse).transpose()? {
        None => None,
        Some(Geometry::Fixed(size)) => Some(size),
        Some(_) => {
            let message = "--eval-size takes height x width ('224x224'); the images' own size is the default";
            return Err(Error::new(Status::InvalidOption, message));
        }
    };
    for (what, path) in [("the results", &arguments.json), ("the report", &arguments.report)] {
        path.as_ref().map_or(Ok(()), |path| check_writable(what, path))?;
    }
    let datasets = arguments.datasets.iter().map(|root| Dataset::open(root)).collect::<Result<Vec<_>>>()?;
    let mut options = arguments.fit.options()?;
    defects::check(&arguments.defects, &datasets, &options)?;
    let keep = arguments.report.is_some();
    let mut evaluations = Vec::new();
    for dataset in &datasets {
        for method in &arguments.method {
            options.set("method", method)?;
            evaluations.push(Evaluation::run(dataset, &options, arguments.shots, eval_size, &arguments.defects, keep)?);
        }
    }
    let results: Vec<Value> = evaluations.iter().map(Evaluation::to_json).collect();
    let text = serde_json::to_string_pretty(&results).map_err(|e| Error::new(Status::Internal, e.to_string()))?;
    // Files first, since the program ends when standard output is a closed pipe.
    let files = write_files(arguments, &evaluations, &text);
    print_line(&text)?;
    files
}

fn write_files(arguments: &Arguments, evaluations: &[Evaluation], text: &str) -> Result<()> {
    if let Some(path) = &arguments.json {
        write(path, format!("{text}\n").as_bytes())?;
    }
    if let Some(path) = &arguments.report {
        write(path, report::page(evaluations)?.as_bytes())?;
    }
    Ok(())
}
