//! Long work, one at a time: its progress, its end, and the way to cancel it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};

use crate::terminal::collecting_warnings;
use npad::error::{Error, Result, Status};
use npad::exec::progress::Progress;

/// An image that was left out of a job.
#[derive(Debug, Clone, Serialize)]
pub struct Skipped {
    path: String,
    error: String,
}

/// What a job has brought.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The version that it made.
    pub version: Option<u32>,
    /// What is to be said although it has succeeded.
    pub remark: Option<String>,
}

/// What a job of some kind leaves where it is cancelled.
fn left_by(kind: &str) -> &'static str {
    match kind {
        "capture" => "the images until then are kept",
        "score" => "the scores until then are kept",
        _ => "nothing has changed",
    }
}

/// The job that runs, and how the last one ended.
#[derive(Default)]
pub struct Jobs(Mutex<State>);

#[derive(Default)]
struct State {
    last_id: u64,
    running: Option<Running>,
    finished: Value,
}

struct Running {
    id: u64,
    kind: &'static str,
    started: Instant,
    stage: String,
    stage_started: Instant,
    done: usize,
    total: usize,
    skipped: Vec<Skipped>,
    cancelled: Arc<AtomicBool>,
}

/// A job's own view of itself.
#[derive(Clone)]
pub struct Job {
    jobs: Arc<Jobs>,
    cancelled: Arc<AtomicBool>,
}

impl Jobs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts work on a thread of its own and returns its number. `ended` is called after it, whatever its end.
    ///
    /// # Errors
    /// [`Status::WrongState`] while another job runs.
    pub fn start(
        self: &Arc<Self>,
        kind: &'static str,
        work: impl FnOnce(&Job) -> Result<Outcome> + Send + 'static,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<u64> {
        let mut state = self.state();
        if let Some(running) = &state.running {
            let message = format!("the job '{}' still runs: wait until it ends, or cancel it", running.kind);
            return Err(Error::new(Status::WrongState, message));
        }
        let id = state.last_id + 1;
        let job = Job { jobs: self.clone(), cancelled: Arc::default() };
        let (cancelled, now) = (job.cancelled.clone(), Instant::now());
        let thread = std::thread::Builder::new().name(format!("npad-{kind}"));
        // The thread waits for the state that is set below.
        let spawned = thread.spawn(move || {
            let (ran, warnings) = collecting_warnings(|| catch_unwind(AssertUnwindSafe(|| work(&job))));
            let defect =
                || Error::new(Status::Internal, "the job panicked, which is a defect of npad: please report it");
            job.jobs.end(ran.unwrap_or_else(|_| Err(defect())), &warnings);
            ended();
        });
        spawned.map_err(|e| Error::io("cannot start a thread", &e))?;
        state.last_id = id;
        let stage = "starting".to_owned();
        let (started, stage_started, done, total, skipped) = (now, now, 0, 0, Vec::new());
        state.running = Some(Running { id, kind, started, stage, stage_started, done, total, skipped, cancelled });
        Ok(id)
    }

    fn end(&self, result: Result<Outcome>, warnings: &[String]) {
        let mut state = self.state();
        let Some(Running { id, kind, skipped, .. }) = state.running.take() else { return };
        let error = result.as_ref().err().map(|error| match error.status() {
            Status::Cancelled => format!("cancelled; {}", left_by(kind)),
            _ => error.message().to_owned(),
        });
        let Outcome { version, remark } = result.unwrap_or_default();
        let warnings: Vec<&String> = warnings.iter().chain(&remark).collect();
        state.finished = json!({
            "id": id, "kind": kind, "error": error, "warnings": warnings, "version": version, "skipped": skipped
        });
    }

    /// Asks the running job to end, if it has this number.
    pub fn cancel(&self, id: u64) {
        if let Some(running) = self.state().running.as_ref().filter(|running| running.id == id) {
            running.cancelled.store(true, Ordering::Relaxed);
        }
    }

    /// The running job and the one that ended last, for the page.
    pub fn describe(&self) -> (Value, Value) {
        let state = self.state();
        let running = state.running.as_ref().map(|running| {
            let Running { id, kind, started, stage, stage_started, done, total, .. } = running;
            let spent = stage_started.elapsed().as_secs_f64();
            let left = (*done > 0 && total > done).then(|| spent * (total - done) as f64 / *done as f64);
            json!({
                "id": id, "kind": kind, "stage": stage, "done": done, "total": total,
                "seconds": started.elapsed().as_secs_f64(), "left": left
            })
        });
        (running.unwrap_or_default(), state.finished.clone())
    }
}

impl Job {
    fn update(&self, change: impl FnOnce(&mut Running)) {
        if let Some(running) = &mut self.jobs.state().running {
            change(running);
        }
    }

    /// Shows how far the job is.
    ///
    /// # Errors
    /// [`Status::Cancelled`] when it is to end.
    pub fn report(&self, stage: &str, done: usize, total: usize) -> Result<()> {
        self.update(|running| {
            if running.stage != stage {
                (running.stage, running.stage_started) = (stage.to_owned(), Instant::now());
            }
            (running.done, running.total) = (done, total);
        });
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(Status::Cancelled, "cancelled"));
        }
        Ok(())
    }

    /// A progress callback for the library.
    pub fn progress(&self) -> Progress {
        let job = self.clone();
        Progress::new(move |step| job.report(step.stage, step.done, step.total).is_ok())
    }

    /// Records an image that is left out, if the image is what the error is about.
    ///
    /// # Errors
    /// Any other error.
    pub fn skip(&self, path: &str, error: Error) -> Result<()> {
        if !matches!(error.status(), Status::InvalidImage | Status::Io | Status::NotFound) {
            return Err(error.context(path));
        }
        self.leave_out(path, &error);
        Ok(())
    }

    /// Records an image that is left out.
    pub fn leave_out(&self, path: &str, error: &Error) {
        let skipped = Skipped { path: path.to_owned(), error: error.message().to_owned() };
        self.update(|running| running.skipped.push(skipped));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn one_job_runs_at_a_time_and_can_be_cancelled() {
        let jobs = Arc::new(Jobs::default());
        let (step, steps) = channel::<()>();
        let (end, ended) = channel();
        let work = move |job: &Job| {
            job.skip("a.png", Error::new(Status::Io, "cannot read")).unwrap();
            while steps.recv().is_ok() {
                job.report("working", 1, 4)?;
            }
            Ok(Outcome { version: Some(1), remark: None })
        };
        let id = jobs.start("teach", work, move || end.send(()).unwrap()).unwrap();
        let second = jobs.start("score", |_| Ok(Outcome::default()), || ()).unwrap_err();
        assert_eq!((second.status(), second.message().contains("'teach' still runs")), (Status::WrongState, true));
        jobs.cancel(id + 1);
        step.send(()).unwrap();
        jobs.cancel(id);
        step.send(()).unwrap();
        ended.recv().unwrap();
        let (running, finished) = jobs.describe();
        assert!(running.is_null());
        assert_eq!(finished["error"], "cancelled; nothing has changed");
        assert_eq!(finished["skipped"][0]["path"], "a.png");
    }

    #[test]
    fn a_panic_ends_the_job_alone() {
        let jobs = Arc::new(Jobs::default());
        let (end, ended) = channel();
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        jobs.start("score", |_| panic!("a test"), move || end.send(()).unwrap()).unwrap();
        ended.recv().unwrap();
        std::panic::set_hook(quiet);
        assert!(jobs.describe().1["error"].as_str().unwrap().contains("panicked"));
        jobs.start("score", |_| Ok(Outcome::default()), || ()).unwrap();
    }
}
