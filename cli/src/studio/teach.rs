//! Jobs that make a version of the model: from good images, from what the operator has marked, or from a camera's images.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::camera::Camera;
use super::jobs::{Job, Outcome};
use super::project::Label;
use super::state::Studio;
use super::upload;
use super::versions::{Origin, Roi};
use crate::picture::read_ahead;
use npad::error::{Error, Result, Status};
use npad::model::{Model, Options, Trainer};

/// What is to be taught.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lesson {
    folders: Vec<String>,
    method: String,
    #[serde(default)]
    options: BTreeMap<String, String>,
    roi: Option<Roi>,
}

/// What sets the threshold of an update, as the option `operating_point`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    Rate,
    CatchAll,
    Cost,
}

/// An update of a version with what the operator has marked.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// The version that it starts from.
    pub version: u32,
    operating_point: Point,
    miss_cost: Option<f64>,
}

/// Options that name files of this machine or change what the studio trusts, which the page must not set.
const COMMAND_LINE_ONLY: [&str; 6] =
    ["backbone", "checkpoint", "device", "device_cache", "foreign_backbones", "trusted_keys"];

/// Whether the page may set an option.
pub fn is_for_page(name: &str) -> bool {
    !COMMAND_LINE_ONLY.contains(&name) && name != "method"
}

impl Lesson {
    /// The options of the fit.
    ///
    /// # Errors
    /// [`Status::InvalidOption`].
    pub fn options(&self, studio: &Studio) -> Result<Options> {
        let mut options = studio.options.clone();
        options.set("method", &self.method)?;
        for (name, value) in &self.options {
            if !is_for_page(name) {
                let message = format!("the option {name} is given on the command line of npad studio, not on its page");
                return Err(Error::new(Status::InvalidOption, message));
            }
            options.set(name, value)?;
        }
        options.set_roi(self.roi.map(Into::into));
        Ok(options)
    }

    /// The good images. Those that the operator has marked as defective are left out.
    ///
    /// # Errors
    /// Those of [`Project::folder`](super::project::Project::folder); [`Status::NotEnoughImages`] when there are none.
    pub fn images(&self, studio: &Studio) -> Result<Vec<String>> {
        let mut images = BTreeSet::new();
        for folder in &self.folders {
            images.extend(studio.project.images(folder)?);
        }
        let marks = studio.marks();
        images.retain(|path| marks.get(path) != Some(Label::Defective));
        if images.is_empty() {
            let message = "there are no good images to learn from: choose a folder that has some, or add images";
            return Err(Error::new(Status::NotEnoughImages, message));
        }
        Ok(images.into_iter().collect())
    }

    /// Fits a model, which becomes the current version, and scores all images.
    ///
    /// # Errors
    /// Those of the fit, [`Status::Cancelled`], and [`Status::Io`] when it cannot be saved.
    pub fn teach(self, studio: &Studio, job: &Job) -> Result<Outcome> {
        let start = Instant::now();
        let (mut options, images) = (self.options(studio)?, self.images(studio)?);
        options.set_progress(job.progress());
        let mut trainer = Trainer::new(&options)?;
        let learnt = learn(studio, job, &mut trainer, &images, Trainer::add)?;
        let model = trainer.finish()?;
        let folders = self.folders.join(", ");
        let origin = Origin {
            change: format!("Taught from {} images of {folders}", learnt.len()),
            parent: None,
            learnt,
            settings: self.options,
            roi: self.roi,
            seconds: start.elapsed().as_secs_f64(),
            ..Origin::default()
        };
        finish(studio, job, &model, origin)
    }
}

/// Adds images to a trainer and returns those that could be read.
fn learn(
    studio: &Studio,
    job: &Job,
    trainer: &mut Trainer,
    images: &[String],
    add: fn(&mut Trainer, &npad::image::ImageView<'_>) -> Result<()>,
) -> Result<Vec<String>> {
    trainer.expect(images.len())?;
    let files: Vec<_> = images.iter().map(|path| studio.project.root().join(path)).collect();
    let mut learnt = Vec::new();
    read_ahead(files.iter(), |number, _, picture| {
        let added = picture.and_then(|picture| add(trainer, &picture.view()?));
        match added {
            Ok(()) => learnt.push(images[number].clone()),
            Err(error) => job.skip(&images[number], error)?,
        }
        Ok(())
    })?;
    Ok(learnt)
}

/// Saves a version with the job's warnings and scores all images with it.
fn finish(studio: &Studio, job: &Job, model: &Model, mut origin: Origin) -> Result<Outcome> {
    origin.warnings = crate::terminal::collected_warnings();
    let number = studio.add_version(model, origin)?;
    // The version is there, whatever follows; the page offers to score the rest.
    let remark = match studio.complete_scores(number, job) {
        Err(error) if error.status() != Status::Cancelled => Some(format!("not all images are scored: {error}")),
        _ => None,
    };
    Ok(Outcome { version: Some(number), remark })
}

impl Update {
    /// Makes a version that also knows what the operator has marked: good images are learnt, defective ones that had been learnt are
    /// forgotten, and all defective ones choose the threshold.
    ///
    /// # Errors
    /// [`Status::WrongState`] when that would change nothing; as [`Lesson::teach`].
    pub fn make(self, studio: &Studio, job: &Job) -> Result<Outcome> {
        let start = Instant::now();
        let number = self.version;
        let (model, parent) = (studio.model(number)?, studio.versions().get(number)?.origin.clone());
        let marked = |label| {
            let marked: Vec<String> = studio.marks().of(label).cloned().collect();
            marked.into_iter().filter(|path| studio.project.file(path).is_ok()).collect::<Vec<_>>()
        };
        let (mut good, defects) = (marked(Label::Good), marked(Label::Defective));
        let learnt: BTreeSet<&String> = parent.learnt.iter().collect();
        good.retain(|path| !learnt.contains(path));
        let wrong: BTreeSet<&String> = defects.iter().filter(|path| learnt.contains(path)).collect();
        let mut options = studio.options.clone();
        options.set_progress(job.progress());
        // Without known defects only the rate can set the threshold.
        options.set("operating_point", if defects.is_empty() { "rate" } else { self.point() })?;
        if let Some(cost) = self.miss_cost {
            options.set("miss_cost", &cost.to_string())?;
        }
        let resumed = if wrong.is_empty() { resume(&model, &options)? } else { None };
        let (model, change, learnt, defects) = if good.is_empty() && wrong.is_empty() {
            let (model, change, defects) = move_threshold(studio, job, &model, &options, &defects)?;
            (model, change, parent.learnt.clone(), defects)
        } else if let Some(mut trainer) = resumed {
            let good = learn(studio, job, &mut trainer, &good, Trainer::add)?;
            let defects = learn(studio, job, &mut trainer, &defects, Trainer::add_defect)?;
            let change = format!("Learnt {} more good images; {} known defects", good.len(), defects.len());
            (trainer.finish()?, change, parent.learnt.iter().cloned().chain(good).collect(), defects)
        } else {
            let kept = parent.learnt.iter().filter(|path| !wrong.contains(path));
            let images: Vec<String> = kept.chain(&good).cloned().collect();
            let mut trainer = Trainer::new(&parent.fit_options(&model, options)?)?;
            let learnt = learn(studio, job, &mut trainer, &images, Trainer::add)?;
            let defects = learn(studio, job, &mut trainer, &defects, Trainer::add_defect)?;
            let without = if wrong.is_empty() { String::new() } else { format!(", without {} of before", wrong.len()) };
            let change = format!("Taught anew from {} images{without}; {} known defects", learnt.len(), defects.len());
            (trainer.finish()?, change, learnt, defects)
        };
        let seconds = parent.seconds + start.elapsed().as_secs_f64();
        let (settings, roi, warnings) = (parent.settings, parent.roi, Vec::new());
        let origin = Origin { parent: Some(number), change, learnt, defects, settings, roi, warnings, seconds };
        finish(studio, job, &model, origin)
    }

    fn point(self) -> &'static str {
        match self.operating_point {
            Point::Rate => "rate",
            Point::CatchAll => "catch_all",
            Point::Cost => "cost",
        }
    }
}

/// Goes on with the fit of a model; none where its method cannot.
fn resume(model: &Model, options: &Options) -> Result<Option<Trainer>> {
    match Trainer::resume(model, options) {
        Ok(trainer) => Ok(Some(trainer)),
        Err(error) if error.status() == Status::InvalidArgument => Ok(None),
        Err(error) => Err(error),
    }
}

impl Origin {
    /// The options to repeat the fit with, where `options` has those of an update.
    fn fit_options(&self, model: &Model, mut options: Options) -> Result<Options> {
        options.set("method", &model.metadata().method)?;
        // What the update sets is not that of its parent.
        let kept = self.settings.iter().filter(|(name, _)| !["operating_point", "miss_cost"].contains(&name.as_str()));
        for (name, value) in kept {
            options.set(name, value)?;
        }
        options.set_roi(self.roi.map(Into::into));
        Ok(options)
    }
}

/// Without other good images, known defects choose the threshold.
fn move_threshold(
    studio: &Studio,
    job: &Job,
    model: &Model,
    options: &Options,
    defects: &[String],
) -> Result<(Model, String, Vec<String>)> {
    let nothing =
        |what: &str| Error::new(Status::WrongState, format!("there is nothing to update the model with: {what}"));
    if defects.is_empty() {
        return Err(nothing("mark images as good or defective first"));
    }
    let files: Vec<_> = defects.iter().map(|path| studio.project.root().join(path)).collect();
    let (mut scores, mut scored) = (Vec::new(), Vec::new());
    read_ahead(files.iter(), |number, _, picture| {
        job.report("known defects", number, defects.len())?;
        match picture.and_then(|picture| model.score(&picture.view()?)) {
            Ok(inspection) => {
                scores.push(inspection.score);
                scored.push(defects[number].clone());
            }
            Err(error) => job.skip(&defects[number], error)?,
        }
        Ok(())
    })?;
    if scores.is_empty() {
        return Err(nothing("none of the images that are marked as defective can be read"));
    }
    let updated = model.with_known_defects(&scores, options)?;
    if updated.metadata() == model.metadata() {
        return Err(nothing("it knows the marked defects, and its threshold is the one that they choose"));
    }
    let effect = updated.metadata().known_defects.as_ref().map(|known| known.in_use).unwrap_or_default();
    let change = format!(
        "Threshold {:.4} finds {} of {} marked defects; estimated false alarms {:.1} %",
        effect.threshold,
        scores.len() - effect.missed,
        scores.len(),
        100.0 * effect.false_alarm_rate
    );
    Ok((updated, change, scored))
}

/// Time that a camera has for an image.
const FRAME_TIMEOUT: Duration = Duration::from_secs(5);

/// Adds a camera's images to the good ones.
///
/// # Errors
/// Those of the camera, [`Status::Cancelled`], [`Status::Io`]. The images until then are kept.
pub fn capture(studio: &Studio, job: &Job, camera: &str, count: usize) -> Result<Outcome> {
    let mut camera = Camera::open(camera)?;
    for number in 0..count {
        job.report("capturing", number, count)?;
        upload::save_frame(studio, upload::Target::Good, &camera.grab(FRAME_TIMEOUT)?)?;
        studio.changed();
    }
    Ok(Outcome::default())
}
