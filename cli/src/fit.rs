//! `npad fit`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use super::FitOptions;
use crate::dataset::images_in;
use crate::output::{check_not_read, check_writable, same_file};
use crate::picture::{self, Picture, read_ahead};
use crate::terminal::{fit_progress, note};
use npad::error::{Error, Result, Status};
use npad::image::{Mask, MaskView};
use npad::model::{KnownDefects, Metadata, Model, Options, ThresholdEffect, Trainer};

#[derive(Args)]
#[command(after_help = picture::HELP)]
pub struct Arguments {
    /// Folder of good images
    image_dir: PathBuf,
    /// Model file to write
    #[arg(short, long, value_name = "MODEL", required_unless_present = "state")]
    output: Option<PathBuf>,
    /// File that keeps the state of the fit: the fit goes on from there where the file exists, saves every minute, and `npad merge`
    /// joins the states of several fits
    #[arg(long, value_name = "STATE")]
    state: Option<PathBuf>,
    /// Detection method [default: npad]
    #[arg(long)]
    method: Option<String>,
    /// Mask image of the size of all others: its black pixels are neither learnt nor scored
    #[arg(long, value_name = "IMAGE")]
    mask: Option<PathBuf>,
    /// Folder of images with known defects, which are never learnt: how many of them the threshold finds is reported, and
    /// with --set operating_point=catch_all or =cost they set it
    #[arg(long, value_name = "DIR")]
    defects: Option<PathBuf>,
    #[command(flatten)]
    fit: FitOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let mut options = arguments.fit.options()?;
    if let Some(path) = &arguments.mask {
        let picture = Picture::read_mask(path)?;
        let view = MaskView::new(&picture.pixels, picture.width, picture.height, picture.width);
        options.set_mask(Some(view.and_then(Mask::new).map_err(|e| e.context(path.display()))?));
    }
    if let Some(method) = &arguments.method {
        options.set("method", method)?;
    }
    let (output, state) = (arguments.output.as_deref(), arguments.state.as_deref());
    let written = [("the model", output), ("the state", state)];
    let written = || written.into_iter().filter_map(|(what, path)| Some((what, path?)));
    written().try_for_each(|(what, path)| check_writable(what, path))?;
    let point = options.get("operating_point")?;
    // A state may have some.
    if point != "rate" && arguments.defects.is_none() && !state.is_some_and(Path::exists) {
        let message = format!(
            "operating_point is {point}, but there are no known defects: give a folder of images of defective parts with \
             --defects, or leave operating_point at rate"
        );
        return Err(Error::new(Status::InvalidOption, message));
    }
    let checkpoint = options.get("checkpoint")?;
    // Several scales have a file each.
    let parts = (0..options.get("scales")?.split('+').count()).map(|scale| format!("{checkpoint}.{scale}"));
    let mut checkpoints = std::iter::once(checkpoint.clone()).chain(parts);
    if !checkpoint.is_empty() && checkpoints.any(|file| written().any(|(_, path)| same_file(file.as_ref(), path))) {
        let message = format!("the checkpoint {checkpoint} is also to be another output; give another path to one");
        return Err(Error::new(Status::InvalidOption, message));
    }
    if let (Some(output), Some(state)) = (output, state)
        && same_file(output, state)
    {
        let message =
            format!("the model and the state are both to be written to {}; give another path to one", state.display());
        return Err(Error::new(Status::InvalidOption, message));
    }
    let images = images_in(&arguments.image_dir)?;
    let defects = arguments.defects.as_deref().map(images_in).transpose()?.unwrap_or_default();
    let files = arguments.fit.files(&options)?;
    let read = || images.iter().chain(&defects).chain(&arguments.mask).chain(&files);
    written().try_for_each(|(what, path)| check_not_read(what, path, read()))?;
    let start = Instant::now();
    let mut trainer = learn(&options, &images, &defects, state)?;
    let Some(output) = output else {
        note(&format!("the state has {} good images, in {:.1} s", trainer.images(), start.elapsed().as_secs_f64()));
        return Ok(());
    };
    let model = trainer.finish()?;
    model.save(output)?;
    let settings = model.metadata();
    note(&format!(
        "learnt {} good images in {:.1} s; {}",
        settings.images,
        start.elapsed().as_secs_f64(),
        threshold(settings)
    ));
    if let Some(known) = &settings.known_defects {
        note(&report(known, settings.image.typical));
    }
    Ok(())
}

/// The threshold and what set it.
fn threshold(settings: &Metadata) -> String {
    let threshold = settings.image.threshold;
    match &settings.known_defects {
        Some(known) if known.in_use.threshold != known.rate.threshold => {
            format!("threshold {threshold:.3}, which the known defects lowered from {:.3}", known.rate.threshold)
        }
        _ => format!("threshold {threshold:.3} for a false-alarm rate of {} %", 100.0 * settings.false_alarm_rate),
    }
}

/// What the known defects say about the threshold, in one line. A threshold must exceed the score of a typical good image.
fn report(known: &KnownDefects, typical: f32) -> String {
    let KnownDefects { count, in_use, rate, catch_all, scores, .. } = known;
    let at = |effect: &ThresholdEffect| {
        let percent = 100.0 * effect.false_alarm_rate;
        format!("threshold {:.3} (estimated false alarms {percent:.1} %)", effect.threshold)
    };
    let mut line = format!("{} of {count} known defects found at {}", known.found(), at(in_use));
    if in_use.missed > 0 && catch_all.threshold <= typical {
        // The highest threshold that finds a defect lies just below its score.
        let hidden = scores.partition_point(|score| score.next_down() <= typical);
        line += &format!(
            "; no usable threshold finds all, since {hidden} score no higher than a typical good image: at most {} can be \
             found",
            count - hidden
        );
    } else if in_use.missed > 0 {
        line += &format!("; finding all takes {}: --set operating_point=catch_all", at(catch_all));
    }
    if in_use.threshold != rate.threshold {
        line += &format!("; operating_point=rate finds {} at {}", count - rate.missed, at(rate));
    }
    line
}

/// Time between two savings of a state.
const SAVED_EVERY: Duration = Duration::from_secs(60);

/// Fits a model to image files.
pub fn fit(options: &Options, images: &[PathBuf], defects: &[PathBuf]) -> Result<Model> {
    learn(options, images, defects, None)?.finish()
}

/// Learns image files, and adds known defects; the next files are decoded in parallel. Goes on from a state that has been saved, and
/// saves it.
fn learn(options: &Options, images: &[PathBuf], defects: &[PathBuf], state: Option<&Path>) -> Result<Trainer> {
    let mut options = options.clone();
    options.set_progress(fit_progress());
    let mut trainer = match state.filter(|state| state.exists()) {
        Some(state) => Trainer::load(state, &options)?,
        None => Trainer::new(&options)?,
    };
    let mut saved = Instant::now();
    trainer.expect(images.len())?;
    let learnt = read_ahead(images.iter().chain(defects), |number, path, picture| {
        let add = if number < images.len() { Trainer::add } else { Trainer::add_defect };
        picture?.view().and_then(|view| add(&mut trainer, &view)).map_err(|e| e.context(path.display()))?;
        if let Some(state) = state.filter(|_| saved.elapsed() >= SAVED_EVERY) {
            trainer.save(state)?;
            saved = Instant::now();
        }
        Ok(())
    });
    // What has been learnt before an image that cannot be read is kept.
    state.map_or(Ok(()), |state| trainer.save(state))?;
    learnt.map(|()| trainer)
}
