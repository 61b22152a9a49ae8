//! Terminal output: results to standard output; progress, warnings and errors to standard error.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::sync::{LazyLock, Mutex};

use indicatif::{MultiProgress, ProgressBar, ProgressFinish, ProgressStyle};
use log::{Level, LevelFilter, Log, Metadata, Record};

use npad::error::{Error, Result, Status};
use npad::exec::progress::Progress;

/// All progress bars, so that a message can be written between two states of a bar.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A progress bar on a terminal, nothing in a pipe. It disappears when the work ends or fails.
pub fn progress(steps: usize, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}").expect("a valid template");
    let bar = ProgressBar::new(steps as u64).with_style(style).with_finish(ProgressFinish::AndClear);
    BARS.add(bar.with_message(what.to_owned()))
}

/// A progress callback that shows every stage of a fit on a bar. It never cancels the fit.
pub fn fit_progress() -> Progress {
    let bar = progress(0, "");
    Progress::new(move |step| {
        // What stands in parentheses changes within a stage.
        let name = |stage: &str| stage.split(" (").next().unwrap_or_default().to_owned();
        if name(&bar.message()) != name(step.stage) {
            bar.reset_eta();
        }
        bar.set_message(step.stage.to_owned());
        bar.set_length(step.total as u64);
        bar.set_position(step.done as u64);
        true
    })
}

/// Writes a line to standard output. A closed pipe (`npad score ... | head`) ends the program quietly.
///
/// # Errors
/// [`Status::Io`] when the line cannot be written for another reason, a full disk for example.
pub fn print_line(line: &str) -> Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        written => written.map_err(|e| Error::new(Status::Io, format!("cannot write to standard output: {e}"))),
    }
}

/// Writes a line to standard error. A closed standard error is ignored.
pub fn note(line: &str) {
    BARS.suspend(|| {
        let _ = writeln!(io::stderr(), "{line}");
    });
}

/// Receives the library's warnings and writes each distinct one to standard error once.
struct Warnings {
    written: Mutex<BTreeSet<String>>,
    /// Those of the work that collects them.
    collected: Mutex<Vec<String>>,
}

static WARNINGS: Warnings = Warnings { written: Mutex::new(BTreeSet::new()), collected: Mutex::new(Vec::new()) };

impl Log for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn && metadata.target().starts_with("npad")
    }

    fn log(&self, record: &Record<'_>) {
        let message = record.args().to_string();
        let is_new =
            |written: &Mutex<BTreeSet<String>>| written.lock().is_ok_and(|mut all| all.insert(message.clone()));
        if !self.enabled(record.metadata()) {
            return;
        }
        if let Ok(mut collected) = self.collected.lock()
            && !collected.contains(&message)
        {
            collected.push(message.clone());
        }
        if is_new(&self.written) {
            note(&format!("npad: warning: {message}"));
        }
    }

    fn flush(&self) {}
}

/// Shows the library's warnings from now on.
pub fn show_warnings() {
    // Fails if the calling program has set a logger, which then takes precedence.
    if log::set_logger(&WARNINGS).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}

#[cfg(feature = "studio")]
/// Does work, of which one runs at a time, and returns the library's warnings in the meantime.
pub fn collecting_warnings<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    take_warnings();
    let done = work();
    (done, take_warnings())
}

#[cfg(feature = "studio")]
fn take_warnings() -> Vec<String> {
    WARNINGS.collected.lock().map(|mut collected| std::mem::take(&mut *collected)).unwrap_or_default()
}

#[cfg(feature = "studio")]
/// The warnings of the work so far.
pub fn collected_warnings() -> Vec<String> {
    WARNINGS.collected.lock().map(|collected| collected.clone()).unwrap_or_default()
}
