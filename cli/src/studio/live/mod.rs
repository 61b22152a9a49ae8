//! Inspection of images as they arrive, from a folder or a camera, with the current version of the model.

mod arrivals;
mod line;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::line::{Line, files_of};
use super::outputs::{Outputs, Targets};
use super::project::Project;
use super::state::{Studio, lock};
use crate::bench::quantile;
use npad::error::{Error, Result, Status};
use npad::model::{Drift, Inspection, Verdict};

/// Number of results that the page lists.
const RECENT: usize = 60;
/// Number of scores for the chart, and for what is said about drift.
const HISTORY: usize = 500;
const DRIFT: usize = 200;
/// Time that an inspection has to end with the program.
const FINISH: Duration = Duration::from_secs(10);

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// New files in a folder of the project.
    Folder(String),
    /// A camera.
    Camera(String),
}

/// The inspection, if one runs, and what it has found.
pub struct Live {
    targets: Targets,
    /// Opened by the first inspection.
    outputs: Mutex<Option<Arc<Outputs>>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Ends the thread that runs.
    stop: Option<Arc<AtomicBool>>,
    thread: Option<JoinHandle<()>>,
    source: Option<String>,
    version: Option<u32>,
    error: Option<String>,
    /// Of the version in use.
    counts: [usize; 4],
    number: usize,
    /// Images that were gone, or replaced by newer ones, before they were inspected.
    skipped: usize,
    recent: VecDeque<Value>,
    /// Raw and calibrated scores, and the times that they took.
    history: VecDeque<(f32, f32, Duration)>,
    ends: VecDeque<Instant>,
}

/// A result for the page.
struct Shown {
    time: String,
    path: String,
    scored: Result<(u32, Inspection, Duration)>,
}

impl State {
    fn add(&mut self, Shown { time, path, scored }: Shown) {
        let (kind, mut shown) = match &scored {
            Ok((_, inspection, taken)) => {
                let verdict = inspection.verdict;
                let kind = match verdict {
                    Verdict::Good => 0,
                    Verdict::Review => 1,
                    Verdict::Defective => 2,
                };
                let shown = json!({
                    "score": inspection.score, "calibrated": inspection.calibrated, "verdict": verdict.word().to_lowercase(),
                    "regions": inspection.regions.len(), "ms": taken.as_secs_f64() * 1e3, "error": null
                });
                (kind, shown)
            }
            Err(error) => {
                let shown = json!({
                    "score": null, "calibrated": null, "verdict": "error", "regions": null, "ms": null, "error": error.message()
                });
                (3, shown)
            }
        };
        // Verdicts and scores of different versions cannot be compared.
        let version = scored.as_ref().ok().map(|(number, ..)| *number);
        if let Some(number) = version
            && self.version.replace(number).is_some_and(|before| before != number)
        {
            self.history.clear();
            self.counts = Default::default();
        }
        self.counts[kind] += 1;
        self.number += 1;
        (shown["time"], shown["path"]) = (json!(time), json!(path));
        (shown["number"], shown["version"]) = (json!(self.number), json!(version));
        self.recent.push_front(shown);
        self.recent.truncate(RECENT);
        if let Ok((_, inspection, taken)) = scored {
            self.history.push_back((inspection.score, inspection.calibrated, taken));
            let most = self.history.len().saturating_sub(HISTORY);
            self.history.drain(..most);
        }
        self.ends.push_back(Instant::now());
        let most = self.ends.len().saturating_sub(RECENT);
        self.ends.drain(..most);
    }
}

impl Live {
    /// Nothing runs yet.
    pub fn new(targets: Targets) -> Self {
        Self { targets, outputs: Mutex::default(), state: Mutex::default() }
    }

    fn outputs(&self, project: &Project) -> Result<Arc<Outputs>> {
        let mut open = lock(&self.outputs);
        if let Some(outputs) = &*open {
            return Ok(outputs.clone());
        }
        Ok(open.insert(Arc::new(Outputs::open(project, &self.targets)?)).clone())
    }

    /// Starts an inspection on a thread of its own.
    ///
    /// # Errors
    /// [`Status::WrongState`] when one runs or there is no model, and those of [`Model::load`](npad::model::Model::load).
    pub fn start(studio: &Arc<Studio>, source: Source) -> Result<()> {
        let number = studio.current()?;
        studio.model(number)?;
        // The files that are there now are not new.
        let (name, known) = match &source {
            Source::Folder(folder) => (format!("folder {folder}"), files_of(&studio.project, folder)?),
            Source::Camera(id) if id.trim().is_empty() => {
                return Err(Error::new(
                    Status::InvalidArgument,
                    "the camera has no name: look for cameras and choose one",
                ));
            }
            Source::Camera(id) => (format!("camera {id}"), Vec::new()),
        };
        let live = &studio.live;
        let stop = Arc::new(AtomicBool::new(false));
        // The thread waits for the state at its first image.
        let mut state = lock(&live.state);
        if state.stop.is_some() {
            let message = "an inspection runs already: stop it before you start another one";
            return Err(Error::new(Status::WrongState, message));
        }
        let outputs = live.outputs(&studio.project)?;
        *state = State { stop: Some(stop.clone()), source: Some(name), ..State::default() };
        let of_thread = studio.clone();
        let run = move || {
            let line = Line { studio: &of_thread, outputs: &outputs, stop: &stop };
            let inspected = catch_unwind(AssertUnwindSafe(|| match source {
                Source::Folder(folder) => line.watch(&folder, known),
                Source::Camera(id) => line.film(&id),
            }));
            let mut state = lock(&of_thread.live.state);
            state.stop = None;
            if inspected.is_err() {
                state.error = Some("the inspection panicked, which is a defect of npad: please report it".to_owned());
            }
        };
        let spawned = std::thread::Builder::new().name("npad-live".to_owned()).spawn(run);
        match spawned {
            Ok(thread) => state.thread = Some(thread),
            Err(error) => {
                state.stop = None;
                return Err(Error::io("cannot start a thread", &error));
            }
        }
        Ok(())
    }

    /// Ends the inspection, after the image that is in work.
    pub fn stop(&self) {
        if let Some(stop) = &lock(&self.state).stop {
            stop.store(true, Ordering::Relaxed);
        }
    }

    /// Ends the inspection and waits until its camera is released and its results are delivered, for some seconds at most.
    /// Returns what went wrong.
    pub fn finish(&self) -> Vec<String> {
        self.stop();
        let thread = lock(&self.state).thread.take();
        let start = Instant::now();
        while thread.as_ref().is_some_and(|thread| !thread.is_finished()) && start.elapsed() < FINISH {
            sleep(Duration::from_millis(20));
        }
        let Some(outputs) = lock(&self.outputs).clone() else { return Vec::new() };
        outputs.finish();
        outputs.errors()
    }

    /// What the page shows.
    pub fn describe(&self, studio: &Studio) -> Value {
        let outputs = lock(&self.outputs).clone();
        let state = lock(&self.state);
        let [good, review, defective, unreadable] = state.counts;
        let mut times: Vec<Duration> = state.history.iter().map(|(_, _, time)| *time).collect();
        let median = (!times.is_empty()).then(|| quantile(&mut times, 0.5));
        let span = state.ends.front().map_or(0.0, |first| first.elapsed().as_secs_f64());
        let outputs = outputs.as_deref();
        let mut object = json!({
            "running": state.stop.is_some(), "source": state.source, "version": state.version, "error": state.error,
            "outputs": outputs.map(Outputs::names).unwrap_or_default(),
            "output_errors": outputs.map(Outputs::errors).unwrap_or_default(),
            "count": good + review + defective + unreadable, "good": good, "review": review, "defective": defective,
            "unreadable": unreadable, "skipped": state.skipped, "ms_median": median, "recent": state.recent,
            "per_second": if span > 0.0 { state.ends.len() as f64 / span } else { 0.0 },
            "history": state.history.iter().map(|(_, calibrated, _)| *calibrated).collect::<Vec<_>>(),
        });
        let last = state.history.len().saturating_sub(DRIFT);
        let scores: Vec<f32> = state.history.iter().skip(last).map(|(score, ..)| *score).collect();
        let version = state.version;
        drop(state);
        let model = version.and_then(|number| studio.model(number).ok());
        let drift = model.and_then(|model| model.drift(&scores).ok()).map(|drift| describe_drift(&drift));
        object["drift"] = drift.unwrap_or_default();
        object
    }
}

fn describe_drift(drift: &Drift) -> Value {
    json!({
        "drifted": drift.drifted, "effect": drift.effect, "p_value": drift.p_value, "good_median": drift.good_median,
        "recent_median": drift.recent_median, "above_share": drift.above_share(), "recent_count": drift.recent_count,
    })
}
