//! `npad eval`: fit on a data set's good images, score its test images, and measure.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::bench::quantile;
use super::{FitOptions, fit, print_line, progress};
use crate::dataset::{Dataset, Mask, Picture};
use crate::error::{Error, Result, Status};
use crate::metrics::{PixelMetrics, auroc};
use crate::model::{Model, Options};
use crate::preprocess::{Geometry, InputSize};

#[derive(Args)]
pub struct Arguments {
    /// Data sets in MVTec AD's layout
    #[arg(required = true)]
    datasets: Vec<PathBuf>,
    /// Detection methods [default: npad]
    #[arg(long, value_delimiter = ',', default_value = "npad")]
    method: Vec<String>,
    /// Learn from the first N good images only
    #[arg(long, value_name = "N")]
    shots: Option<usize>,
    /// Measure maps at this size instead of the image's own
    #[arg(long, value_name = "N|HxW")]
    eval_size: Option<String>,
    /// Write the results to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    fit: FitOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let eval_size = match arguments.eval_size.as_deref().map(str::parse).transpose()? {
        None => None,
        Some(Geometry::Fixed(size)) => Some(size),
        Some(Geometry::Native) => {
            return Err(Error::new(
                Status::InvalidOption,
                "--eval-size takes a side or HxW; the native size is the default",
            ));
        }
    };
    let datasets = arguments.datasets.iter().map(|root| Dataset::open(root)).collect::<Result<Vec<_>>>()?;
    let mut options = arguments.fit.options()?;
    let mut results = Vec::new();
    for dataset in &datasets {
        for method in &arguments.method {
            options.set("method", method)?;
            results.push(evaluate(dataset, &options, arguments.shots, eval_size)?);
        }
    }
    let text = serde_json::to_string_pretty(&results).map_err(|e| Error::new(Status::Internal, e.to_string()))?;
    print_line(&text);
    if let Some(path) = &arguments.json {
        std::fs::write(path, text + "\n")
            .map_err(|e| Error::new(Status::Io, format!("cannot write {}: {e}", path.display())))?;
    }
    Ok(())
}

fn evaluate(dataset: &Dataset, options: &Options, shots: Option<usize>, eval_size: Option<InputSize>) -> Result<Value> {
    let train = &dataset.train[..shots.unwrap_or(usize::MAX).min(dataset.train.len())];
    let start = Instant::now();
    let model = fit::fit(options, train)?;
    let fit_seconds = start.elapsed().as_secs_f64();
    let model_bytes = model.to_bytes()?.len();
    let scored = score_all(dataset, &model, eval_size)?;
    let (mut false_alarms, mut misses) = (0, 0);
    for (anomalous, defective) in &scored.decisions {
        false_alarms += usize::from(*anomalous && !defective);
        misses += usize::from(!anomalous && *defective);
    }
    let defective = scored.decisions.iter().filter(|(_, defective)| *defective).count();
    let percent = |share: Option<f64>| share.map(|s| (s * 1e4).round() / 1e2);
    let pixel = scored.pixel.as_ref();
    let mut times = scored.times;
    Ok(json!({
        "dataset": dataset.name,
        "method": model.settings().method,
        "image_auroc": percent(auroc(&scored.scores)),
        "pixel_auroc": percent(pixel.and_then(PixelMetrics::auroc)),
        "aupro": percent(pixel.and_then(PixelMetrics::aupro)),
        "false_alarms": percent(Some(false_alarms as f64 / (scored.decisions.len() - defective) as f64)),
        "misses": percent(Some(misses as f64 / defective as f64)),
        "train_images": train.len(),
        "test_images": dataset.test.len(),
        "fit_seconds": (fit_seconds * 1e3).round() / 1e3,
        "score_ms_p50": (quantile(&mut times, 0.5) * 1e3).round() / 1e3,
        "model_mb": (model_bytes as f64 / 1e4).round() / 1e2,
    }))
}

/// What scoring a data set's test images gave.
struct Scored {
    scores: Vec<(f32, bool)>,
    decisions: Vec<(bool, bool)>,
    pixel: Option<PixelMetrics>,
    times: Vec<std::time::Duration>,
}

fn score_all(dataset: &Dataset, model: &Model, eval_size: Option<InputSize>) -> Result<Scored> {
    let pixel = dataset.has_masks.then(PixelMetrics::default);
    let mut scored = Scored { scores: Vec::new(), decisions: Vec::new(), pixel, times: Vec::new() };
    let bar = progress(dataset.test.len(), &dataset.name);
    for test in &dataset.test {
        let picture = Picture::read(&test.path)?;
        let InputSize { height, width } =
            eval_size.unwrap_or(InputSize { height: picture.height, width: picture.width });
        let view = picture.view()?;
        let start = Instant::now();
        let inspection = model.score_to(&view, width, height).map_err(|e| e.context(test.path.display()))?;
        scored.times.push(start.elapsed());
        scored.scores.push((inspection.score, test.is_defective()));
        scored.decisions.push((inspection.anomalous, test.is_defective()));
        if let Some(metrics) = &mut scored.pixel {
            let mask = match &test.mask {
                Some(path) => Mask::read(path, width, height)?,
                None => Mask::empty(width, height),
            };
            metrics.add(&inspection.map, &mask.pixels, width);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(scored)
}
