//! The thread that inspects: it takes images as they come, hands the results to the outputs, and shows them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::arrivals::{Arrivals, SETTLED};
use super::{Shown, State};
use crate::picture::Picture;
use crate::score::to_json;
use crate::studio::camera::Camera;
use crate::studio::outputs::Outputs;
use crate::studio::project::Project;
use crate::studio::scores::Stamp;
use crate::studio::state::{Studio, lock};
use crate::studio::upload::Frames;
use npad::error::{Error, Result, Status};

/// Time between two looks at the folder, and the longest one before a request to stop is noticed.
const PAUSE: Duration = Duration::from_millis(150);
/// Time without an image of a camera after which the page says so, and between two attempts to open what is gone.
const SILENCE: Duration = Duration::from_secs(5);
const RECONNECT: Duration = Duration::from_secs(2);

/// The image files of a folder and their states.
///
/// # Errors
/// Those of [`Project::folder`] and [`Project::image_files`].
pub fn files_of(project: &Project, folder: &str) -> Result<Vec<(PathBuf, Stamp)>> {
    let files = project.image_files(&project.folder(folder)?)?;
    Ok(files.into_iter().map(|file| (file.clone(), Stamp::of(&file))).collect())
}

/// A running inspection.
pub struct Line<'a> {
    pub studio: &'a Studio,
    pub outputs: &'a Outputs,
    pub stop: &'a AtomicBool,
}

impl Line<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn pause(&self, time: Duration) {
        let start = Instant::now();
        while !self.stopped() && start.elapsed() < time {
            sleep(PAUSE.min(time));
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.studio.live.state));
    }

    fn set_error(&self, error: Option<&Error>) {
        self.update(|state| state.error = error.map(|error| error.message().to_owned()));
    }

    /// Inspects the files that come into a folder, or change. Those in `known` are not new.
    pub fn watch(&self, folder: &str, known: Vec<(PathBuf, Stamp)>) {
        let mut arrivals = Arrivals::new(known, SETTLED);
        while !self.stopped() {
            match files_of(&self.studio.project, folder) {
                Ok(files) => {
                    self.set_error(None);
                    self.inspect_files(&mut arrivals, files);
                    self.pause(PAUSE);
                }
                Err(error) => {
                    self.set_error(Some(&error));
                    self.pause(RECONNECT);
                }
            }
        }
    }

    fn inspect_files(&self, arrivals: &mut Arrivals, files: Vec<(PathBuf, Stamp)>) {
        let settled = arrivals.look(files);
        self.update(|state| state.skipped = arrivals.skipped());
        for (file, _) in settled {
            if self.stopped() {
                return;
            }
            // It may have changed since, while others were inspected.
            let stamp = Stamp::of(&file);
            match Picture::read(&file) {
                Err(_) if !file.exists() => {
                    arrivals.gone(&file);
                    continue;
                }
                Err(_) if arrivals.may_be_incomplete(&file) => continue,
                picture => {
                    let path = file.strip_prefix(self.studio.project.root()).unwrap_or(&file);
                    self.inspect(
                        &path.to_string_lossy().replace('\\', "/"),
                        picture.as_ref().map_err(Clone::clone),
                        || Ok(()),
                    );
                }
            }
            arrivals.finish(file, stamp);
        }
    }

    /// Inspects a camera's images. A camera that disappears is opened again; one that waits for its trigger stays open.
    pub fn film(&self, id: &str) {
        let mut frames = Frames::new(&self.studio.project);
        let mut camera: Option<Camera> = None;
        // Skipped by cameras that were opened before.
        let mut skipped = 0;
        let mut last = Instant::now();
        while !self.stopped() {
            let opened = match camera.take() {
                Some(opened) => Ok(opened),
                None => Camera::open(id),
            };
            let taken = opened.map(|mut opened| (opened.grab(PAUSE), opened));
            let error = match taken {
                Ok((Ok(frame), opened)) => {
                    last = Instant::now();
                    self.set_error(None);
                    self.update(|state| state.skipped = skipped + opened.skipped());
                    camera = Some(opened);
                    self.inspect_frame(&frame, &mut frames);
                    continue;
                }
                Ok((Err(error), opened)) if error.status() == Status::TimedOut => {
                    camera = Some(opened);
                    if last.elapsed() >= SILENCE {
                        self.set_error(Some(&error));
                    }
                    continue;
                }
                Ok((Err(error), opened)) => {
                    skipped += opened.skipped();
                    error
                }
                Err(error) => error,
            };
            self.set_error(Some(&error));
            self.pause(RECONNECT);
            last = Instant::now();
        }
    }

    /// The verdict comes first. A frame that cannot be kept, on a full disk for example, is inspected all the same.
    fn inspect_frame(&self, frame: &Picture, frames: &mut Frames) {
        let path = frames.next_path();
        let keep = || frames.keep(&self.studio.project, &path, frame);
        self.inspect(&path, Ok(frame), keep);
    }

    /// Inspects an image, hands the result out, calls `keep`, and then shows the result.
    fn inspect(&self, path: &str, picture: Result<&Picture>, keep: impl FnOnce() -> Result<()>) {
        let studio = self.studio;
        let scored = picture.and_then(|picture| {
            let number = studio.current()?;
            let model = studio.model(number)?;
            let start = Instant::now();
            let inspection = model.score(&picture.view()?)?;
            Ok((number, inspection, start.elapsed()))
        });
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let line = match &scored {
            Ok((number, inspection, taken)) => {
                let mut line = to_json(Path::new(path), inspection, taken.as_secs_f64() * 1e3);
                (line["time"], line["version"]) = (json!(time), json!(number));
                line
            }
            Err(error) => json!({"time": time, "path": path, "error": error.message()}),
        };
        self.outputs.send(&line);
        if let Err(error) = keep() {
            self.set_error(Some(&error.context("the image is not kept")));
        }
        let shown = Shown { time, path: path.to_owned(), scored };
        self.update(|state| state.add(shown));
    }
}
