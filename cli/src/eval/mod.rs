//! `npad eval`: fit on a data set's good images, score its test images, and measure.

mod charts;
mod defects;
mod evaluation;
mod measures;
mod report;
mod series;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::FitOptions;
use crate::dataset::Dataset;
use crate::output::{check_not_read, check_writable, same_file, write};
use crate::picture;
use crate::terminal::print_line;
#[cfg(feature = "studio")]
use evaluation::Evaluation;
use evaluation::Protocol;
use npad::error::{Error, Result, Status};
#[cfg(feature = "studio")]
use npad::model::Model;
use npad::preprocess::Geometry;
use series::Series;

/// What the metrics are; shown by `npad eval --help`.
const METRICS: &str = "\
Results, one JSON object for each data set and method; metrics in percent:
  image_auroc, average_precision  how well the scores rank defective above good images
  f1, balanced_accuracy,          decisions at the model's threshold, which comes from the training images
    false_alarms, misses
  misses_at_1, misses_at_5        misses at the lowest threshold that at most 1 or 5 % of the good test images exceed: what
                                  the ranking would allow if the threshold were known
  pixel_auroc, aupro              how well the maps rank defective above normal pixels; AUPRO up to 30 % false positives.
                                  Images of different sizes weigh the same; null without masks
  *_interval                      95 % intervals by bootstrap over the test images
With --seeds above 1 these are means over the fits, and 'std', 'spread' (largest less smallest) and 'runs' are added.";

#[derive(Args)]
#[command(after_help = picture::HELP, after_long_help = format!("{METRICS}\n\n{}", picture::HELP))]
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
    /// Fit N times, with the seed and the following ones, and report means, standard deviations and each fit's results
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Fit to the good images in a random order, drawn with this seed, instead of by name: no result may change, unless
    /// images have different proportions and the first one sets those of the network's input; --size HxW prevents that
    #[arg(long, value_name = "SEED")]
    shuffle: Option<u64>,
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

impl Arguments {
    /// The files to write, each with what it is.
    fn outputs(&self) -> Vec<(&'static str, &Path)> {
        let files = [("the results", &self.json), ("the report", &self.report)];
        files.into_iter().filter_map(|(what, path)| Some((what, path.as_deref()?))).collect()
    }
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
    let outputs = arguments.outputs();
    outputs.iter().try_for_each(|(what, path)| check_writable(what, path))?;
    if let [(_, json), (_, report)] = outputs[..]
        && same_file(json, report)
    {
        let message = format!("--json and --report are both {}: give each a file of its own", json.display());
        return Err(Error::new(Status::InvalidOption, message));
    }
    let mut options = arguments.fit.options()?;
    // All names are checked before the first fit, whose results a wrong one would lose.
    arguments.method.iter().try_for_each(|method| options.clone().set("method", method))?;
    defects::check_options(&arguments.defects, &options)?;
    if !options.get("checkpoint")?.is_empty() {
        let message = "an evaluation makes several fits, but the option checkpoint is for one: leave it out";
        return Err(Error::new(Status::InvalidOption, message));
    }
    let datasets = arguments.datasets.iter().map(|root| Dataset::open(root)).collect::<Result<Vec<_>>>()?;
    let files = arguments.fit.files(&options)?;
    for (what, path) in outputs {
        check_not_read(what, path, datasets.iter().flat_map(Dataset::files).chain(&files))?;
    }
    defects::check_counts(&arguments.defects, &datasets)?;
    let protocol = Protocol {
        shots: arguments.shots,
        shuffle: arguments.shuffle,
        known_defects: arguments.defects.clone(),
        eval_size,
    };
    let keep = arguments.report.is_some();
    let mut series = Vec::new();
    for dataset in &datasets {
        for method in &arguments.method {
            options.set("method", method)?;
            series.push(Series::run(dataset, &options, &protocol, arguments.seeds, keep)?);
        }
    }
    let results: Vec<Value> = series.iter().map(Series::to_json).collect();
    let text = serde_json::to_string_pretty(&results).map_err(|e| Error::new(Status::Internal, e.to_string()))?;
    // Files first, since the program ends when standard output is a closed pipe.
    let files = write_files(arguments, &series, &text);
    print_line(&text)?;
    files
}

/// The report of a fitted model on a data set whose test images it has not learnt. `report` is told how many have been scored.
///
/// # Errors
/// Those of reading and scoring the images, and of `report`.
#[cfg(feature = "studio")]
pub fn page(
    model: &Model,
    dataset: &Dataset,
    fit_seconds: f64,
    report: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<String> {
    let protocol = Protocol { shots: None, shuffle: None, known_defects: Vec::new(), eval_size: None };
    let evaluation = Evaluation::measure(model, dataset, fit_seconds, &protocol, true, report)?;
    report::page(&[Series::of(evaluation)])
}

fn write_files(arguments: &Arguments, series: &[Series], text: &str) -> Result<()> {
    if let Some(path) = &arguments.json {
        write(path, format!("{text}\n").as_bytes())?;
    }
    if let Some(path) = &arguments.report {
        write(path, report::page(series)?.as_bytes())?;
    }
    Ok(())
}
