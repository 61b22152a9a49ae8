//! `npad score`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::RunOptions;
use crate::heatmap::{self, Plan};
use crate::picture::{self, Picture};
use crate::terminal::{note, print_line};
use npad::error::{Error, Result, Status};
use npad::model::{Inspection, Model};

#[derive(Args)]
#[command(after_help = picture::HELP)]
pub struct Arguments {
    /// Model file written by `npad fit`
    model: PathBuf,
    /// Images to score
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Print one JSON object per image and line
    #[arg(long)]
    json: bool,
    /// Write a PNG of each image and its anomaly map, side by side, to this folder. Images of several folders keep
    /// their paths relative to the folder that they share
    #[arg(long, value_name = "DIR")]
    heatmap: Option<PathBuf>,
    #[command(flatten)]
    run: RunOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let plan = arguments.heatmap.as_ref().map(|folder| Plan::new(folder, &arguments.images)).transpose()?;
    let model = Model::load(&arguments.model, &arguments.run.options()?)?;
    let targets = plan.map(|plan| plan.prepare(&arguments.model)).transpose()?;
    let mut failures = 0;
    for (number, path) in arguments.images.iter().enumerate() {
        let target = targets.as_ref().map(|targets| &*targets[number]);
        if let Err(error) = score(&model, path, arguments.json, target) {
            note(&format!("npad: {error}"));
            failures += 1;
        }
    }
    if failures == 0 {
        return Ok(());
    }
    let message = format!("{failures} of {} images could not be scored", arguments.images.len());
    Err(Error::new(Status::Io, message))
}

fn score(model: &Model, path: &Path, json: bool, heatmap: Option<&Path>) -> Result<()> {
    let picture = Picture::read(path)?;
    let start = Instant::now();
    let inspection = picture.view().and_then(|view| model.score(&view)).map_err(|e| e.context(path.display()))?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    if json {
        print_line(&to_json(path, &inspection, ms).to_string())?;
    } else {
        let verdict = inspection.verdict.word();
        print_line(&format!(
            "{verdict:9} {:7.3}  {:3} regions  {ms:6.1} ms  {}",
            inspection.calibrated,
            inspection.regions.len(),
            path.display()
        ))?;
    }
    heatmap.map_or(Ok(()), |target| heatmap::write(target, &picture, model, &inspection))
}

pub fn to_json(path: &Path, inspection: &Inspection, ms: f64) -> Value {
    let regions: Vec<Value> = inspection
        .regions
        .iter()
        .map(|r| {
            json!({
                "x": r.x, "y": r.y, "width": r.width, "height": r.height, "area": r.area,
                "centroid": [r.centroid_x, r.centroid_y], "peak": r.peak
            })
        })
        .collect();
    json!({
        "path": path.to_string_lossy(), "score": inspection.score, "calibrated_score": inspection.calibrated,
        "anomalous": inspection.anomalous(), "verdict": inspection.verdict.word().to_lowercase(), "regions": regions, "ms": (ms * 1e3).round() / 1e3
    })
}
