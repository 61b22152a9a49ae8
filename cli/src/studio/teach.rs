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
use crate::picture::{Picture, read_ahead};
use npad::error::{Error, Result, Status};
use npad::model::{KnownDefects, Model, Options, ThresholdEffect, Thresholds, Trainer};

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

/// An update of the model with what the operator has marked.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
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
    match studio.complete_scores(number, job) {
        // The version is there; the page offers to score the rest.
        Err(error) if error.status() != Status::Cancelled => Err(error),
        _ => Ok(Outcome { version: Some(number) }),
    }
}

impl Update {
    /// Makes a version that also knows what the operator has marked: good images are learnt, defects choose the threshold.
    ///
    /// # Errors
    /// [`Status::WrongState`] when nothing has been marked that the version does not know; as [`Lesson::teach`].
    pub fn make(self, studio: &Studio, job: &Job) -> Result<Outcome> {
        let start = Instant::now();
        let number = studio.current()?;
        let (model, parent) = (studio.model(number)?, studio.versions().get(number)?.origin.clone());
        let marked = |label| studio.marks().of(label).cloned().collect::<Vec<_>>();
        let exists = |path: &String| studio.project.file(path).is_ok();
        let (mut good, mut defects) = (marked(Label::Good), marked(Label::Defective));
        good.retain(|path| exists(path) && !parent.learnt.contains(path));
        defects.retain(exists);
        if good.is_empty() && defects.is_empty() {
            let message = "there is nothing to update the model with: mark images as good or defective first";
            return Err(Error::new(Status::WrongState, message));
        }
        let (model, how, good, defects) = if good.is_empty() {
            let (model, how) = self.move_threshold(studio, job, &model, &defects)?;
            (model, how, good, defects)
        } else {
            self.learn_more(studio, job, &model, &parent, (good, defects))?
        };
        let seconds = parent.seconds + start.elapsed().as_secs_f64();
        let learnt = parent.learnt.into_iter().chain(good).collect();
        let (settings, roi) = (parent.settings, parent.roi);
        let warnings = Vec::new();
        finish(
            studio,
            job,
            &model,
            Origin { parent: Some(number), change: how, learnt, defects, settings, roi, warnings, seconds },
        )
    }

    fn point(self) -> &'static str {
        match self.operating_point {
            Point::Rate => "rate",
            Point::CatchAll => "catch_all",
            Point::Cost => "cost",
        }
    }

    /// Resumes the fit with more good images, or repeats it where the method cannot resume one.
    fn learn_more(
        self,
        studio: &Studio,
        job: &Job,
        model: &Model,
        parent: &Origin,
        (good, defects): (Vec<String>, Vec<String>),
    ) -> Result<(Model, String, Vec<String>, Vec<String>)> {
        let mut options = studio.options.clone();
        options.set_progress(job.progress());
        // Without known defects only the rate can set the threshold.
        options.set("operating_point", if defects.is_empty() { "rate" } else { self.point() })?;
        if let Some(cost) = self.miss_cost {
            options.set("miss_cost", &cost.to_string())?;
        }
        let (mut trainer, how, again) = match Trainer::resume(model, &options) {
            Ok(trainer) => (trainer, "Learnt", Vec::new()),
            Err(error) if error.status() == Status::InvalidArgument => {
                options.set("method", &model.metadata().method)?;
                // What this update sets is not that of its parent.
                let kept = |name: &str| !["operating_point", "miss_cost"].contains(&name);
                parent
                    .settings
                    .iter()
                    .filter(|(name, _)| kept(name))
                    .try_for_each(|(name, value)| options.set(name, value))?;
                options.set_roi(parent.roi.map(Into::into));
                (Trainer::new(&options)?, "Taught anew with", parent.learnt.clone())
            }
            Err(error) => return Err(error),
        };
        learn(studio, job, &mut trainer, &again, Trainer::add)?;
        let good = learn(studio, job, &mut trainer, &good, Trainer::add)?;
        let defects = learn(studio, job, &mut trainer, &defects, Trainer::add_defect)?;
        let how = format!("{how} {} more good images; {} known defects", good.len(), defects.len());
        Ok((trainer.finish()?, how, good, defects))
    }

    /// Without new good images, the defects choose the threshold.
    fn move_threshold(self, studio: &Studio, job: &Job, model: &Model, defects: &[String]) -> Result<(Model, String)> {
        let mut scores = Vec::new();
        for (number, path) in defects.iter().enumerate() {
            job.report("known defects", number, defects.len())?;
            let picture = Picture::read(&studio.project.file(path)?)?;
            scores.push(model.score(&picture.view()?).map_err(|e| e.context(path))?.score);
        }
        let KnownDefects { rate, catch_all, .. } = model.assess_defects(&scores)?;
        let ThresholdEffect { threshold, missed, false_alarm_rate } = match self.operating_point {
            Point::Rate => rate,
            Point::CatchAll => catch_all,
            Point::Cost => self.least_cost(model, &scores)?,
        };
        let review = model.thresholds().review.min(threshold);
        let review = if model.thresholds().review == model.thresholds().defective { threshold } else { review };
        let model = model.with_thresholds(Thresholds { review, defective: threshold })?;
        let how = format!(
            "Threshold {threshold:.4} finds {} of {} marked defects; estimated false alarms {:.1} %",
            scores.len() - missed,
            scores.len(),
            100.0 * false_alarm_rate
        );
        Ok((model, how))
    }

    /// The usable threshold with the least cost, among those that find one defect more each and that of the rate.
    fn least_cost(self, model: &Model, scores: &[f32]) -> Result<ThresholdEffect> {
        let weight = self.miss_cost.unwrap_or(1.0);
        if !(weight.is_finite() && weight >= 0.0) {
            let message = format!("the cost of a miss is {weight}, but must be a number from 0");
            return Err(Error::new(Status::InvalidOption, message));
        }
        let cost = |e: &ThresholdEffect| weight * e.missed as f64 / scores.len() as f64 + e.false_alarm_rate;
        let mut best = model.assess_defects(scores)?.rate;
        for score in scores {
            // Finding this one and all that score higher is catching all of those.
            let higher: Vec<f32> = scores.iter().copied().filter(|other| other >= score).collect();
            let effect = model.assess_defects(&higher)?.catch_all;
            let effect = ThresholdEffect { missed: scores.len() - higher.len(), ..effect };
            if effect.threshold > model.metadata().image.typical && cost(&effect) < cost(&best) {
                best = effect;
            }
        }
        Ok(best)
    }
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
