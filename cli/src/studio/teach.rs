//! Jobs that make a version of the model: from good images, from what the operator has marked, or from a camera's images.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
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
use npad::model::{Model, Options, ThresholdSource, Trainer};

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
                let message =
                    format!("the option {name} names files or devices of this machine, which the page cannot choose");
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
        let (start, before) = (Instant::now(), studio.versions().current());
        let (mut options, images) = (self.options(studio)?, self.images(studio)?);
        options.set_progress(job.progress());
        let mut trainer = Trainer::new(&options)?;
        let learnt = learn(studio, job, &mut trainer, &images, Trainer::add)?;
        let model = trainer.finish()?;
        let folders = self.folders.join(", ");
        let origin = Origin {
            change: format!("Taught from {} images of {folders}{}", learnt.len(), without(images.len() - learnt.len())),
            parent: None,
            learnt,
            settings: self.options,
            roi: self.roi,
            seconds: start.elapsed().as_secs_f64(),
            ..Origin::default()
        };
        finish(studio, job, &model, origin, before)
    }
}

/// Says how many images are left out.
fn without(unread: usize) -> String {
    if unread == 0 { String::new() } else { format!(", without {unread} that could not be learnt") }
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
            // A copy of an image of the other kind.
            Err(error) if error.status() == Status::InvalidArgument => job.leave_out(&images[number], &error),
            Err(error) => job.skip(&images[number], error)?,
        }
        Ok(())
    })?;
    Ok(learnt)
}

/// Saves a version with the job's warnings and scores all images with it.
fn finish(studio: &Studio, job: &Job, model: &Model, mut origin: Origin, before: Option<u32>) -> Result<Outcome> {
    origin.warnings = crate::terminal::collected_warnings();
    let number = studio.add_version(model, origin, before)?;
    let current = studio.current()?;
    let other = (current != number).then(|| {
        format!("version {current} was made the current one meanwhile and stays it: version {number} is ready")
    });
    // The version is there, whatever follows; the page offers to score the rest.
    let unscored = match studio.complete_scores(number, job) {
        Err(error) if error.status() != Status::Cancelled => Some(format!("not all images are scored: {error}")),
        _ => None,
    };
    let remarks: Vec<String> = other.into_iter().chain(unscored).collect();
    Ok(Outcome { version: Some(number), remark: (!remarks.is_empty()).then(|| remarks.join("; ")) })
}

impl Update {
    /// Makes a version that knows the marks as they are: good images are learnt, those that were learnt and are good no longer are
    /// forgotten, and all defective ones choose the threshold.
    ///
    /// # Errors
    /// [`Status::WrongState`] when that would change nothing, the operating point needs defects and there are none, or most of the
    /// images to learn again are gone; as [`Lesson::teach`].
    pub fn make(self, studio: &Studio, job: &Job) -> Result<Outcome> {
        let (start, before) = (Instant::now(), studio.versions().current());
        let number = self.version;
        let (model, parent) = (studio.model(number)?, studio.versions().get(number)?.origin.clone());
        let marks = studio.marks().clone();
        let is_there = |path: &&String| {
            let file = studio.project.file(path);
            file.as_ref().err().inspect(|error| job.leave_out(path, error)).is_none()
        };
        let there = |label| marks.of(label).filter(is_there).cloned().collect::<Vec<_>>();
        let (mut good, defects) = (there(Label::Good), there(Label::Defective));
        let learnt: BTreeSet<&String> = parent.learnt.iter().collect();
        good.retain(|path| !learnt.contains(path));
        // Those whose mark as defective was taken back.
        let back = parent.forgotten.iter().filter(|path| marks.get(path).is_none() && !learnt.contains(path));
        good.extend(back.filter(|path| studio.project.file(path).is_ok()).cloned());
        let is_marked = |path: &String| parent.marked.contains(path);
        let is_wrong = |path: &&String| match marks.get(path) {
            Some(Label::Good) => false,
            Some(Label::Defective) => true,
            None => is_marked(path),
        };
        let wrong: BTreeSet<&String> = parent.learnt.iter().filter(is_wrong).collect();
        let by_hand = model.metadata().threshold_source == Some(ThresholdSource::Given);
        let options = self.options(studio, job, &defects)?;
        let change = Change { studio, job, model: &model, options, good, defects };
        let made = if wrong.is_empty() { change.go_on(&parent)? } else { change.repeat(&parent, &wrong)? };
        let Made { model, mut change, learnt, new, defects } = made;
        if by_hand {
            change += "; the threshold of before had been set by hand";
        }
        let is_learnt: BTreeSet<&String> = learnt.iter().collect();
        let marked =
            parent.marked.iter().chain(&new).filter(|path| is_learnt.contains(path) && marks.get(path).is_some());
        let marked = marked.cloned().collect();
        let forgotten = parent.forgotten.iter().chain(wrong.iter().copied());
        let forgotten: BTreeSet<&String> = forgotten.filter(|path| marks.get(path) == Some(Label::Defective)).collect();
        let forgotten = forgotten.into_iter().cloned().collect();
        let seconds = parent.seconds + start.elapsed().as_secs_f64();
        let (settings, roi, warnings) = (parent.settings.clone(), parent.roi, Vec::new());
        let parent = Some(number);
        let origin = Origin { parent, change, learnt, marked, forgotten, defects, settings, roi, warnings, seconds };
        finish(studio, job, &model, origin, before)
    }

    fn options(self, studio: &Studio, job: &Job, defects: &[String]) -> Result<Options> {
        let mut options = studio.options.clone();
        options.set_progress(job.progress());
        if defects.is_empty() && self.operating_point != Point::Rate {
            let message = "there is no image that is marked as defective and can be read, by which the threshold could be chosen: \
                           mark one, or keep the false-alarm rate";
            return Err(Error::new(Status::WrongState, message));
        }
        options.set("operating_point", self.point())?;
        if let Some(cost) = self.miss_cost {
            options.set("miss_cost", &cost.to_string())?;
        }
        Ok(options)
    }

    fn point(self) -> &'static str {
        match self.operating_point {
            Point::Rate => "rate",
            Point::CatchAll => "catch_all",
            Point::Cost => "cost",
        }
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

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What an update brings.
struct Change<'a> {
    studio: &'a Studio,
    job: &'a Job,
    model: &'a Model,
    options: Options,
    good: Vec<String>,
    defects: Vec<String>,
}

/// The model of an update, and what it was made from.
struct Made {
    model: Model,
    change: String,
    learnt: Vec<String>,
    /// The further good images among those learnt.
    new: Vec<String>,
    defects: Vec<String>,
}

impl Change<'_> {
    /// Resumes the fit where there are further good images, or repeats it where the method cannot resume one.
    fn go_on(self, parent: &Origin) -> Result<Made> {
        if self.good.is_empty() {
            return self.move_threshold(parent, Vec::new());
        }
        let mut trainer = match Trainer::resume(self.model, &self.options) {
            Ok(trainer) => trainer,
            Err(error) if error.status() == Status::InvalidArgument => {
                let read = |path: &String| Picture::read(&self.studio.project.root().join(path)).err();
                let errors: Vec<_> = self.good.iter().filter_map(|path| Some((path, read(path)?))).collect();
                if errors.len() < self.good.len() {
                    return self.repeat(parent, &BTreeSet::new());
                }
                errors.iter().for_each(|(path, error)| self.job.leave_out(path, error));
                return self.move_threshold(parent, Vec::new());
            }
            Err(error) => return Err(error),
        };
        let new = learn(self.studio, self.job, &mut trainer, &self.good, Trainer::add)?;
        if trainer.images() == 0 {
            // None can be read, or all equal images learnt before.
            return self.move_threshold(parent, new);
        }
        let defects = learn(self.studio, self.job, &mut trainer, &self.defects, Trainer::add_defect)?;
        let left_out = without(self.good.len() - new.len());
        let change = format!("Learnt {} more good images{left_out}; {} known defects", new.len(), defects.len());
        let learnt = parent.learnt.iter().chain(&new).cloned().collect();
        Ok(Made { model: trainer.finish()?, change, learnt, new, defects })
    }

    /// Repeats the fit of all good images but those that are wrong.
    fn repeat(self, parent: &Origin, wrong: &BTreeSet<&String>) -> Result<Made> {
        let mut trainer = Trainer::new(&parent.fit_options(self.model, self.options.clone())?)?;
        let kept: Vec<String> = parent.learnt.iter().filter(|path| !wrong.contains(path)).cloned().collect();
        let mut learnt = learn(self.studio, self.job, &mut trainer, &kept, Trainer::add)?;
        if 2 * learnt.len() < kept.len() {
            let message = format!(
                "only {} of the {} images to learn again can be read: bring them back, or teach a model anew",
                learnt.len(),
                kept.len()
            );
            return Err(Error::new(Status::WrongState, message));
        }
        let left_out = kept.len() - learnt.len();
        let new = learn(self.studio, self.job, &mut trainer, &self.good, Trainer::add)?;
        let left_out = without(left_out + self.good.len() - new.len());
        learnt.extend(new.iter().cloned());
        let defects = learn(self.studio, self.job, &mut trainer, &self.defects, Trainer::add_defect)?;
        let forgotten = if wrong.is_empty() { String::new() } else { format!(", {} forgotten", wrong.len()) };
        let change =
            format!("Taught anew from {} images{forgotten}{left_out}; {} known defects", learnt.len(), defects.len());
        Ok(Made { model: trainer.finish()?, change, learnt, new, defects })
    }

    /// Without further good images but copies of those learnt, known defects choose the threshold.
    fn move_threshold(self, parent: &Origin, new: Vec<String>) -> Result<Made> {
        let Self { studio, job, model, options, defects, .. } = self;
        let files: Vec<_> = defects.iter().map(|path| studio.project.root().join(path)).collect();
        // Copies count once, as in a fit.
        let (mut scores, mut scored, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        read_ahead(files.iter(), |number, _, picture| {
            job.report("known defects", number, defects.len())?;
            let inspected = picture.and_then(|picture| {
                let score = model.score(&picture.view()?)?.score;
                Ok((score, (picture.width, picture.height, picture.pixels)))
            });
            match inspected {
                Ok((score, pixels)) => {
                    scored.push(defects[number].clone());
                    if seen.insert(hash_of(&pixels)) {
                        scores.push(score);
                    }
                }
                Err(error) => job.skip(&defects[number], error)?,
            }
            Ok(())
        })?;
        let updated = model.with_known_defects(&scores, &options)?;
        if updated.metadata() == model.metadata() {
            let message = "there is nothing to update the model with: it knows all marks that can be used, and its threshold is \
                           the one that they choose";
            return Err(Error::new(Status::WrongState, message));
        }
        let threshold = updated.thresholds().defective;
        let change = match &updated.metadata().known_defects {
            None => format!("Threshold {threshold:.4}, without known defects"),
            Some(known) => format!(
                "Threshold {threshold:.4} finds {} of {} marked defects; estimated false alarms {:.1} %",
                known.found(),
                known.count,
                100.0 * known.in_use.false_alarm_rate
            ),
        };
        let learnt = parent.learnt.iter().chain(&new).cloned().collect();
        Ok(Made { model: updated, change, learnt, new, defects: scored })
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
        let kept = |error: Error| error.context(format!("after {number} of {count} images, which are kept"));
        upload::save_frame(studio, upload::Target::Good, &camera.grab(FRAME_TIMEOUT).map_err(kept)?).map_err(kept)?;
    }
    Ok(Outcome::default())
}
