//! What the page shows and changes: a project with its versions, marks, scores and the work that goes on.

use std::collections::HashSet;
use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::camera;
use super::jobs::{Job, Jobs, Outcome};
use super::live::Live;
use super::marks::Marks;
use super::outputs::Targets;
use super::project::{Label, Project};
use super::recent::Recent;
use super::scores::{Scores, Stamp};
use super::versions::{Origin, Unfinished, Version, Versions};
use super::{pictures, token, upload};
use npad::error::{Error, Result, Status};
use npad::model::{Model, Options};

/// Number of models that stay loaded: the current one, and those that it is compared with. Of scores more stay, since they are small.
const MODELS: usize = 3;
const SCORES: usize = 8;

/// An open project.
pub struct Studio {
    /// The folder.
    pub project: Project,
    /// Long work.
    pub jobs: Arc<Jobs>,
    /// What is inspected as it arrives.
    pub live: Live,
    /// The options that were given on the command line.
    pub options: Options,
    /// The name of this run, by which a page notices that it belongs to another one.
    pub instance: String,
    versions: Mutex<Versions>,
    models: Recent<Model>,
    marks: Mutex<Marks>,
    scores: Recent<Scores>,
    revision: AtomicU64,
}

/// A lock that a panic of another thread has not made unusable.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Studio {
    /// Opens the project in a folder.
    ///
    /// # Errors
    /// Those of [`Project::open`], [`Versions::open`] and [`Marks::open`].
    pub fn open(folder: &Path, options: Options, targets: Targets) -> Result<Arc<Self>> {
        let project = Project::open(folder)?;
        let (versions, marks) = (Versions::open(&project)?, Marks::open(&project)?);
        // Nobody else writes, now that the versions are locked.
        project.tidy(&upload::FOLDERS);
        pictures::forget_old(&project);
        Ok(Arc::new(Self {
            live: Live::new(targets),
            jobs: Arc::default(),
            versions: Mutex::new(versions),
            instance: token::random()?,
            models: Recent::new(MODELS),
            marks: Mutex::new(marks),
            scores: Recent::new(SCORES),
            revision: AtomicU64::new(1),
            project,
            options,
        }))
    }

    /// The versions.
    pub fn versions(&self) -> MutexGuard<'_, Versions> {
        lock(&self.versions)
    }

    /// The marks.
    pub fn marks(&self) -> MutexGuard<'_, Marks> {
        lock(&self.marks)
    }

    /// Tells all pages to load again.
    pub fn changed(&self) {
        self.revision.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of the current version.
    ///
    /// # Errors
    /// [`Status::WrongState`] when there is none.
    pub fn current(&self) -> Result<u32> {
        let none = || Error::new(Status::WrongState, "there is no model yet: teach one from good images");
        self.versions().current().ok_or_else(none)
    }

    /// The model of a version.
    ///
    /// # Errors
    /// [`Status::NotFound`], and those of [`Model::load`].
    pub fn model(&self, number: u32) -> Result<Arc<Model>> {
        let versions = self.versions();
        versions.get(number)?;
        let file = versions.file(number, "model.npad");
        drop(versions);
        self.models.get(number, || Model::load(&file, &self.options))
    }

    /// The scores of a version.
    pub fn scores(&self, number: u32) -> Arc<Scores> {
        let file = self.versions().file(number, "scores.json");
        let Ok(scores) = self.scores.get(number, || Ok::<_, Infallible>(Scores::read(&file)));
        scores
    }

    /// Keeps the scores of a version.
    ///
    /// # Errors
    /// [`Status::Io`]; the scores are kept in memory then.
    pub fn set_scores(&self, number: u32, scores: Scores) -> Result<()> {
        let scores = Arc::new(scores);
        self.scores.set(number, scores.clone());
        self.changed();
        let file = self.versions().file(number, "scores.json");
        scores.write(&file)
    }

    /// Adds a version, which becomes the current one if that is still `before`.
    ///
    /// # Errors
    /// [`Status::Io`].
    pub fn add_version(&self, model: &Model, origin: Origin, before: Option<u32>) -> Result<u32> {
        let unfinished = Unfinished::write(&self.project, model)?;
        let number = self.versions().add(unfinished, origin, before)?;
        self.changed();
        Ok(number)
    }

    /// Scores all images that a version has not scored yet.
    ///
    /// # Errors
    /// Those of [`Scores::complete`]; what has been scored until then is kept.
    pub fn complete_scores(&self, number: u32, job: &Job) -> Result<()> {
        let model = self.model(number)?;
        let mut scores = Scores::clone(&self.scores(number));
        let ended = scores.complete(&self.project, &model, &self.project.all_images(), job);
        let kept = self.set_scores(number, scores);
        ended.and(kept)
    }

    /// Starts a job, see [`Jobs::start`].
    ///
    /// # Errors
    /// As there.
    pub fn start_job(
        self: &Arc<Self>,
        kind: &'static str,
        work: impl FnOnce(&Self, &Job) -> Result<Outcome> + Send + 'static,
    ) -> Result<u64> {
        let (studio, ended) = (self.clone(), self.clone());
        self.jobs.start(kind, move |job| work(&studio, job), move || ended.changed())
    }

    /// What an image shows, and whether the operator has said so.
    pub fn label(&self, path: &str) -> (Option<Label>, bool) {
        let marked = self.marks().get(path);
        let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        (marked.or_else(|| Label::of_folder(folder)), marked.is_some())
    }

    /// How many marks a version does not know, or knows and should not any more.
    fn unknown_marks(&self, version: &Version) -> usize {
        let marks = self.marks().clone();
        let Origin { learnt, marked, defects, forgotten, .. } = &version.origin;
        let unknown = |label, known: &[String]| {
            let known: HashSet<&String> = known.iter().collect();
            let is_there = |path: &&String| self.project.root().join(path).is_file();
            marks.of(label).filter(|path| !known.contains(path)).filter(is_there).count()
        };
        // One that has the other mark now is one that the version does not know.
        let taken_back = [marked, defects, forgotten].into_iter().flatten().filter(|path| marks.get(path).is_none());
        let taken_back: HashSet<&String> = taken_back.collect();
        unknown(Label::Good, learnt) + unknown(Label::Defective, defects) + taken_back.len()
    }

    /// What changes by the second.
    pub fn status(&self) -> Value {
        let (job, finished) = self.jobs.describe();
        json!({"instance": self.instance, "revision": self.revision.load(Ordering::Relaxed), "job": job, "finished": finished})
    }

    /// The project and its versions.
    pub fn describe(&self) -> Value {
        let revision = self.revision.load(Ordering::Relaxed);
        let root = self.project.root();
        let folders = self.project.folders();
        let versions = self.versions();
        let described: Vec<Value> = versions.all().map(Version::describe).collect();
        json!({
            "name": root.file_name().unwrap_or_default().to_string_lossy(), "folder": root.to_string_lossy(),
            "npad": env!("CARGO_PKG_VERSION"), "instance": self.instance, "revision": revision, "folders": folders,
            "current": versions.current(), "versions": described, "cameras": camera::is_available(),
        })
    }

    /// All images with the scores of a version, or without scores.
    ///
    /// # Errors
    /// [`Status::NotFound`].
    pub fn images(&self, number: Option<u32>) -> Result<Value> {
        let version = number.map(|number| self.versions().get(number).cloned()).transpose()?;
        let scores = number.map(|number| self.scores(number)).unwrap_or_default();
        let model = version.as_ref().map(Version::describe).unwrap_or_default();
        let marks = version.as_ref().map_or(0, |version| self.unknown_marks(version));
        let learnt: HashSet<&String> = version.iter().flat_map(|version| &version.origin.learnt).collect();
        let threshold = |name: &str| model[name].as_f64().unwrap_or_default();
        let (limit, typical) = (threshold("threshold"), threshold("typical"));
        let mut unscored = 0;
        let images = self.project.all_images().into_iter().map(|path| {
            let (label, marked) = self.label(&path);
            let stamp = Stamp::of(&self.project.root().join(&path));
            let scored = scores.get(&path, stamp);
            unscored += usize::from(scored.is_none());
            let score = scored.and_then(|scored| scored.score);
            let calibrated = score.map(|score| 0.5 * (f64::from(score) - typical) / (limit - typical));
            json!({
                "label": label, "marked": marked, "learnt": learnt.contains(&path), "score": score, "calibrated": calibrated,
                "regions": scored.and_then(|scored| scored.regions), "mask": self.project.mask(&path).is_some(),
                "width": scored.map(|scored| scored.width), "height": scored.map(|scored| scored.height),
                "error": scored.and_then(|scored| scored.error.as_ref()), "stamp": stamp.to_string(), "path": path,
            })
        });
        let images: Vec<Value> = images.collect();
        Ok(json!({
            "version": number, "threshold": model["threshold"], "review": model["review"], "typical": model["typical"],
            "scored": !scores.is_empty(), "unscored": unscored, "marks": marks, "images": images,
        }))
    }
}
