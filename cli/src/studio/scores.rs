//! The scores of a project's images with one version of the model. An image is scored once, unless its file changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::jobs::Job;
use super::project::Project;
use crate::output::write;
use crate::picture::read_ahead;
use npad::error::{Error, Result, Status};
use npad::model::Model;

/// What tells one state of a file from another: its length and its time of modification in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp(u64, u64);

impl Stamp {
    /// That of a file; a default one where there is none.
    pub fn of(file: &Path) -> Self {
        let Ok(facts) = std::fs::metadata(file) else { return Self::default() };
        let modified = facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self(facts.len(), modified.map_or(0, |time| time.as_nanos() as u64))
    }
}

impl Display for Stamp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.0, self.1)
    }
}

/// The outcome of one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    stamp: Stamp,
    /// The raw score; none where the image could not be scored.
    pub score: Option<f32>,
    /// Number of regions; none where the thresholds have changed since.
    pub regions: Option<usize>,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Why it could not be scored.
    pub error: Option<String>,
}

/// The outcomes by the images' paths.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores(BTreeMap<String, Scored>);

impl Scores {
    /// Reads the scores of a version. A file that is missing or damaged has none, since all can be computed again.
    pub fn read(file: &Path) -> Self {
        std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Writes them.
    ///
    /// # Errors
    /// [`Status::Io`].
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(|e| Error::new(Status::Internal, e.to_string()))?;
        write(file, &text)
    }

    /// The outcome of an image, as long as its file is the one that was scored.
    pub fn get(&self, path: &str, stamp: Stamp) -> Option<&Scored> {
        self.0.get(path).filter(|scored| scored.stamp == stamp)
    }

    /// Whether nothing has been scored.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Without the numbers of regions, for a model that differs in its thresholds alone.
    pub fn for_other_thresholds(mut self) -> Self {
        self.0.values_mut().for_each(|scored| scored.regions = None);
        self
    }

    /// The images that have no score yet, or another file than the one that was scored, with what their files are before they are
    /// read.
    fn missing(&self, project: &Project, paths: &[String]) -> Vec<(String, Stamp)> {
        let stamped = paths.iter().map(|path| (path.clone(), Stamp::of(&project.root().join(path))));
        stamped.filter(|(path, stamp)| self.get(path, *stamp).is_none()).collect()
    }

    /// Scores the images that are missing, and forgets those that are gone. Images that cannot be read have an error.
    ///
    /// # Errors
    /// [`Status::Cancelled`], and what says that no image can be scored.
    pub fn complete(&mut self, project: &Project, model: &Model, paths: &[String], job: &Job) -> Result<()> {
        let missing = self.missing(project, paths);
        let files: Vec<_> = missing.iter().map(|(path, _)| project.root().join(path)).collect();
        read_ahead(files.iter(), |number, file, picture| {
            job.report("scoring", number, missing.len())?;
            let (path, stamp) = &missing[number];
            let mut scored = Scored { stamp: *stamp, score: None, regions: None, width: 0, height: 0, error: None };
            let inspected = picture.and_then(|picture| {
                (scored.width, scored.height) = (picture.width, picture.height);
                model.score(&picture.view()?)
            });
            match inspected {
                Ok(inspection) => {
                    (scored.score, scored.regions) = (Some(inspection.score), Some(inspection.regions.len()));
                }
                Err(error) => {
                    scored.error = Some(error.message().to_owned());
                    job.skip(path, error)?;
                    // What cannot even be opened may be there again soon.
                    if File::open(file).is_err() {
                        self.0.remove(path);
                        return Ok(());
                    }
                }
            }
            self.0.insert(path.clone(), scored);
            Ok(())
        })?;
        // None at all are there where the project's disk is away.
        if !paths.is_empty() {
            let all: BTreeSet<_> = paths.iter().collect();
            self.0.retain(|path, _| all.contains(path));
        }
        Ok(())
    }
}
