//! `npad bench`: the speed of a model compared with that of its backbone alone.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::RunOptions;
use crate::output::file_error;
use crate::terminal::{print_line, progress};
use npad::error::Result;
use npad::image::{ImageView, PixelFormat};
use npad::model::Model;

/// Number of warm-up runs.
const WARM_UP: usize = 20;
/// Number of runs per round. Rounds of backbone and scoring alternate, so that both run under the same conditions.
const ROUND: usize = 10;

#[derive(Args)]
pub struct Arguments {
    /// Model file written by `npad fit`
    model: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Images to score
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    runs: u32,
    #[command(flatten)]
    run: RunOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let start = Instant::now();
    let model = Model::load(&arguments.model, &arguments.run.options()?)?;
    let load = start.elapsed();
    let bytes = std::fs::metadata(&arguments.model)
        .map_err(|e| file_error("cannot read the model", &arguments.model, &e))?
        .len();
    let size = model.metadata().input;
    let pixels = model.typical_image();
    let image = ImageView::new(&pixels, size.width, size.height, size.width * 3, PixelFormat::Rgb8)?;

    let runs = arguments.runs as usize;
    let bar = progress(runs, "measuring");
    for _ in 0..WARM_UP {
        model.score(&image)?;
    }
    let (mut backbone, mut score) = (Vec::new(), Vec::new());
    while score.len() < runs {
        for _ in 0..ROUND {
            backbone.push(model.time_backbone(&image)?);
        }
        for _ in 0..ROUND {
            let start = Instant::now();
            model.score(&image)?;
            score.push(start.elapsed());
        }
        bar.inc(ROUND as u64);
    }
    bar.finish_and_clear();
    let mean = score.iter().sum::<Duration>().as_secs_f64() / score.len() as f64;
    let (backbone, p50, p99) = (quantile(&mut backbone, 0.5), quantile(&mut score, 0.5), quantile(&mut score, 0.99));
    let report = json!({
        "backbone_ms_p50": round(backbone), "score_ms_p50": round(p50), "score_ms_p99": round(p99),
        "ratio": round(p50 / backbone), "images_per_s": round(1.0 / mean), "load_ms": round(load.as_secs_f64() * 1e3),
        "model_mb": round(bytes as f64 / 1e6), "peak_mb": peak_memory().map(round)
    });
    if arguments.json {
        return print_line(&report.to_string());
    }
    report.as_object().into_iter().flatten().try_for_each(|(name, value)| print_line(&format!("{name:16} {value}")))
}

/// Times in milliseconds.
pub fn quantile(times: &mut [Duration], q: f64) -> f64 {
    times.sort();
    let at = ((times.len() - 1) as f64 * q).round() as usize;
    times[at].as_secs_f64() * 1e3
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// The process's peak memory in megabytes, on Linux only.
fn peak_memory() -> Option<f64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? * 1024.0 / 1e6)
}
