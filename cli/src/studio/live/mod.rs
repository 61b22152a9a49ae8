//! Inspection of images as they arrive, from a folder or a camera, with the current version of the model.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};

use super::camera::Camera;
use super::outputs::{Outputs, Targets};
use super::scores::Stamp;
use super::state::{Studio, lock};
use super::upload::{self, Target};
use crate::bench::quantile;
use crate::picture::Picture;
use crate::score::to_json;
use npad::error::{Error, Result, Status};
use npad::model::{Drift, Verdict};

/// Number of results that the page lists.
const RECENT: usize = 60;
/// Number of scores for the chart, and for what is said about drift.
const HISTORY: usize = 500;
const DRIFT: usize = 200;
/// Time between two looks at the folder.
const PAUSE: Duration = Duration::from_millis(150);
/// A file that cannot be read is tried again for this long, since it may not be complete.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time that a camera has for an image, and between two attempts to open it again.
const FRAME_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT: Duration = Duration::from_secs(2);

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// New files in a folder of the project.
    Folder(String),
    /// A camera.
    Camera(String),
}

/// The inspection, if one runs, and what it has found.
pub struct Live {
    targets: Targets,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Ends the thread that runs.
    stop: Option<Arc<AtomicBool>>,
    source: Option<String>,
    outputs: Option<Arc<Outputs>>,
    version: Option<u32>,
    error: Option<String>,
    counts: [usize; 4],
    recent: VecDeque<Value>,
    /// Raw and calibrated scores, and the times that they took.
    history: VecDeque<(f32, f32, Duration)>,
    ends: VecDeque<Instant>,
}

impl Live {
    /// Nothing runs yet.
    pub fn new(targets: Targets) -> Self {
        Self { targets, state: Mutex::default() }
    }

    /// Starts an inspection on a thread of its own.
    ///
    /// # Errors
    /// [`Status::WrongState`] when one runs or there is no model, and those of [`Model::load`](npad::model::Model::load).
    pub fn start(studio: &Arc<Studio>, source: Source) -> Result<()> {
        let number = studio.current()?;
        studio.model(number)?;
        let name = match &source {
            Source::Folder(folder) => {
                studio.project.folder(folder)?;
                format!("folder {folder}")
            }
            Source::Camera(id) => format!("camera {id}"),
        };
        let live = &studio.live;
        let stop = Arc::new(AtomicBool::new(false));
        let outputs;
        {
            let mut state = lock(&live.state);
            if state.stop.is_some() {
                let message = "an inspection runs already: stop it before you start another one";
                return Err(Error::new(Status::WrongState, message));
            }
            outputs = Arc::new(Outputs::open(&studio.project, &live.targets)?);
            let stop = Some(stop.clone());
            *state = State { stop, source: Some(name), outputs: Some(outputs.clone()), ..State::default() };
        }
        let of_thread = studio.clone();
        let run = move || {
            let line = Line { studio: &of_thread, outputs: &outputs, stop: &stop };
            match source {
                Source::Folder(folder) => line.watch(&folder),
                Source::Camera(id) => line.film(&id),
            }
            lock(&of_thread.live.state).stop = None;
        };
        let spawned = std::thread::Builder::new().name("npad-live".to_owned()).spawn(run);
        spawned.map(drop).map_err(|e| {
            lock(&live.state).stop = None;
            Error::io("cannot start a thread", &e)
        })
    }

    /// Ends the inspection, after the image that is in work.
    pub fn stop(&self) {
        if let Some(stop) = &lock(&self.state).stop {
            stop.store(true, Ordering::Relaxed);
        }
    }

    /// What the page shows.
    pub fn describe(&self, studio: &Studio) -> Value {
        let state = lock(&self.state);
        let [good, review, defective, unreadable] = state.counts;
        let mut times: Vec<Duration> = state.history.iter().map(|(_, _, time)| *time).collect();
        let median = (!times.is_empty()).then(|| quantile(&mut times, 0.5));
        let span = state.ends.front().map_or(0.0, |first| first.elapsed().as_secs_f64());
        let outputs = state.outputs.as_deref();
        let object = json!({
            "running": state.stop.is_some(), "source": state.source, "version": state.version, "error": state.error,
            "outputs": outputs.map(Outputs::names).unwrap_or_default(),
            "output_errors": outputs.map(Outputs::errors).unwrap_or_default(),
            "count": good + review + defective + unreadable, "good": good, "review": review, "defective": defective,
            "unreadable": unreadable, "ms_median": median, "recent": state.recent,
            "per_second": if span > 0.0 { state.ends.len() as f64 / span } else { 0.0 },
            "history": state.history.iter().map(|(_, calibrated, _)| *calibrated).collect::<Vec<_>>(),
        });
        let last = state.history.len().saturating_sub(DRIFT);
        let scores: Vec<f32> = state.history.iter().skip(last).map(|(score, ..)| *score).collect();
        let version = state.version;
        drop(state);
        let model = version.and_then(|number| studio.model(number).ok());
        let drift = model.and_then(|model| model.drift(&scores).ok()).map(|drift| describe_drift(&drift));
        let mut object = object;
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

/// A running inspection.
struct Line<'a> {
    studio: &'a Studio,
    outputs: &'a Outputs,
    stop: &'a AtomicBool,
}

impl Line<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.studio.live.state));
    }

    fn set_error(&self, error: Option<&Error>) {
        self.update(|state| state.error = error.map(|error| error.message().to_owned()));
    }

    /// Inspects the files that come into a folder, or change. Those that are there at the start are not new.
    fn watch(&self, folder: &str) {
        let list = || -> Result<Vec<(Stamp, PathBuf)>> {
            let folder = self.studio.project.folder(folder)?;
            let files = self.studio.project.image_files(&folder);
            Ok(files.into_iter().map(|file| (Stamp::of(&file), file)).collect())
        };
        let mut done: HashMap<_, _> =
            list().unwrap_or_default().into_iter().map(|(stamp, file)| (file, stamp)).collect();
        // Files whose writing may not have ended: their state, and since when they have it.
        let mut seen = HashMap::new();
        while !self.stopped() {
            let files = match list() {
                Ok(files) => files,
                Err(error) => {
                    self.set_error(Some(&error));
                    sleep(RECONNECT);
                    continue;
                }
            };
            self.set_error(None);
            let there: HashSet<&PathBuf> = files.iter().map(|(_, file)| file).collect();
            done.retain(|file, _| there.contains(file));
            seen.retain(|file, _| there.contains(file));
            for (stamp, file) in files {
                if self.stopped() {
                    return;
                }
                if done.get(&file) == Some(&stamp) {
                    continue;
                }
                let (last, since) = *seen.entry(file.clone()).or_insert((Stamp::default(), Instant::now()));
                if last != stamp {
                    seen.insert(file, (stamp, Instant::now()));
                    continue;
                }
                match Picture::read(&file) {
                    Err(_) if since.elapsed() < PATIENCE => continue,
                    picture => self.inspect_file(&file, picture),
                }
                seen.remove(&file);
                done.insert(file, stamp);
            }
            sleep(PAUSE);
        }
    }

    fn inspect_file(&self, file: &Path, picture: Result<Picture>) {
        let path = self.studio.project.relative(file).unwrap_or_default();
        self.inspect(&path, picture);
    }

    /// Inspects a camera's images. A camera that disappears is opened again.
    fn film(&self, id: &str) {
        let mut camera = None;
        while !self.stopped() {
            let opened = match camera.take() {
                Some(opened) => Ok(opened),
                None => Camera::open(id),
            };
            let taken = opened.and_then(|mut opened| Ok((opened.grab(FRAME_TIMEOUT)?, opened)));
            match taken {
                Ok((frame, opened)) => {
                    camera = Some(opened);
                    self.set_error(None);
                    match upload::save_frame(self.studio, Target::Frames, &frame) {
                        Ok(path) => self.inspect(&path, Ok(frame)),
                        Err(error) => self.set_error(Some(&error)),
                    }
                }
                Err(error) => {
                    self.set_error(Some(&error));
                    sleep(RECONNECT);
                }
            }
        }
    }

    fn inspect(&self, path: &str, picture: Result<Picture>) {
        let studio = self.studio;
        let scored = picture.and_then(|picture| {
            let number = studio.current()?;
            let model = studio.model(number)?;
            let start = Instant::now();
            let inspection = model.score(&picture.view()?)?;
            Ok((number, inspection, start.elapsed()))
        });
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let (line, shown, result) = match scored {
            Ok((number, inspection, taken)) => {
                let ms = taken.as_secs_f64() * 1e3;
                let mut line = to_json(Path::new(path), &inspection, ms);
                (line["time"], line["version"]) = (json!(time), json!(number));
                let verdict = inspection.verdict;
                let shown = json!({
                    "time": time, "path": path, "score": inspection.score, "calibrated": inspection.calibrated,
                    "verdict": verdict.word().to_lowercase(), "regions": inspection.regions.len(), "ms": ms, "error": null
                });
                (line, shown, Some((number, verdict, (inspection.score, inspection.calibrated, taken))))
            }
            Err(error) => {
                let message = error.message();
                let line = json!({"time": time, "path": path, "error": message});
                let shown = json!({
                    "time": time, "path": path, "score": null, "calibrated": null, "verdict": "error", "regions": null,
                    "ms": null, "error": message
                });
                (line, shown, None)
            }
        };
        self.outputs.send(&line);
        self.update(|state| {
            let kind = match result {
                Some((_, Verdict::Good, _)) => 0,
                Some((_, Verdict::Review, _)) => 1,
                Some((_, Verdict::Defective, _)) => 2,
                None => 3,
            };
            state.counts[kind] += 1;
            let mut shown = shown;
            shown["number"] = json!(state.counts.iter().sum::<usize>());
            state.recent.push_front(shown);
            state.recent.truncate(RECENT);
            if let Some((number, _, scores)) = result {
                // Scores of different versions cannot be compared.
                if state.version.replace(number).is_some_and(|before| before != number) {
                    state.history.clear();
                }
                state.history.push_back(scores);
                let most = state.history.len().saturating_sub(HISTORY);
                state.history.drain(..most);
            }
            state.ends.push_back(Instant::now());
            let most = state.ends.len().saturating_sub(RECENT);
            state.ends.drain(..most);
        });
    }
}
