//! The versions of a project's model. Each has a folder that never changes once it is there; only which one is current does.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::project::{OWN, Project, UNFINISHED};
use crate::output::{file_error, write};
use npad::error::{Error, Result, Status};
use npad::image::Rectangle;
use npad::model::Model;

/// The folder of all versions.
const FOLDER: &str = "versions";

/// A region of interest as the page names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roi {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

impl From<Roi> for Rectangle {
    fn from(Roi { x, y, width, height }: Roi) -> Self {
        Self { x, y, width, height }
    }
}

/// How a version came about.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The version that it was made from.
    pub parent: Option<u32>,
    /// What changed, in a sentence.
    pub change: String,
    /// The good images learnt.
    pub learnt: Vec<String>,
    /// Those of them that were learnt since they were marked as good.
    #[serde(default)]
    pub marked: Vec<String>,
    /// Those that had been learnt before they were marked as defective.
    #[serde(default)]
    pub forgotten: Vec<String>,
    /// The known defects.
    pub defects: Vec<String>,
    /// The options that were set.
    pub settings: BTreeMap<String, String>,
    /// The region of interest.
    pub roi: Option<Roi>,
    /// Warnings of the library.
    pub warnings: Vec<String>,
    /// Time that making it took.
    pub seconds: f64,
}

/// A version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Version {
    /// Counts from 1.
    pub number: u32,
    /// Time in UTC.
    created: String,
    /// How it came about.
    pub origin: Origin,
    /// The model's metadata.
    metadata: Value,
    model_bytes: u64,
}

impl Version {
    /// The description for the page, without what is long.
    pub fn describe(&self) -> Value {
        let Self { number, created, origin, metadata, model_bytes } = self;
        let known = metadata["known_defects"].as_object().map(|known| {
            let (count, missed) = (known["count"].as_u64(), known["in_use"]["missed"].as_u64());
            let found = count.unwrap_or_default() - missed.unwrap_or_default();
            json!({"count": count, "found": found, "false_alarm_rate": known["in_use"]["false_alarm_rate"]})
        });
        let mut object = json!({
            "number": number, "created": created, "model_bytes": model_bytes, "known_defects": known,
            "threshold": metadata["image"]["threshold"], "typical": metadata["image"]["typical"],
            "parent": origin.parent, "change": origin.change, "roi": origin.roi, "settings": origin.settings,
            "warnings": origin.warnings,
        });
        for name in [
            "method",
            "images",
            "held_out",
            "review",
            "threshold_interval",
            "threshold_source",
            "false_alarm_rate",
            "review_rate",
            "operating_point",
        ] {
            object[name] = metadata[name].clone();
        }
        object
    }
}

/// The folder of a version that has no number yet.
pub struct Unfinished {
    folder: TempDir,
    metadata: Value,
    model_bytes: u64,
}

impl Unfinished {
    /// Writes a model, which takes a while, to a folder in that of the versions. On failure nothing is left of it.
    ///
    /// # Errors
    /// [`Status::Io`].
    pub fn write(project: &Project, model: &Model) -> Result<Self> {
        let versions = project.root().join(OWN).join(FOLDER);
        let failed = |e: &std::io::Error| file_error("cannot write a version to", &versions, e);
        let folder = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&versions).map_err(|e| failed(&e))?;
        let file = folder.path().join("model.npad");
        model.save(&file)?;
        let model_bytes = fs::metadata(&file).map_err(|e| failed(&e))?.len();
        write(&folder.path().join("card.txt"), model.card().as_bytes())?;
        let metadata = serde_json::to_value(model.metadata()).map_err(internal)?;
        Ok(Self { folder, metadata, model_bytes })
    }
}

fn internal(error: serde_json::Error) -> Error {
    Error::new(Status::Internal, error.to_string())
}

/// All versions of a project.
pub struct Versions {
    folder: PathBuf,
    current_file: PathBuf,
    all: BTreeMap<u32, Version>,
    current: Option<u32>,
    /// Held while the project is open, so that no other studio numbers versions at the same time.
    _lock: File,
}

impl Versions {
    /// Reads the versions of a project.
    ///
    /// # Errors
    /// [`Status::WrongState`] when another studio has the project open, [`Status::Io`] when something is damaged or cannot be read.
    pub fn open(project: &Project) -> Result<Self> {
        let lock = lock(&project.own("lock")?)?;
        let (folder, current_file) = (project.made(&format!("{OWN}/{FOLDER}"))?, project.own("current")?);
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(|e| file_error("cannot read the folder", &folder, &e))?.flatten() {
            // What a studio that was killed had not finished has another name, and links may lead out of the project.
            if entry.path().is_symlink() {
                continue;
            }
            let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let file = entry.path().join("version.json");
            let advice = "restore it, or move its folder away";
            let bytes = fs::read(&file).map_err(|e| {
                let error = file_error("cannot read", &file, &e);
                Error::new(error.status(), format!("{}: {advice}", error.message()))
            })?;
            let version: Version = serde_json::from_slice(&bytes).map_err(|e| {
                let message = format!("{} is damaged ({e}): {advice}", file.display());
                Error::new(Status::Io, message)
            })?;
            all.insert(number, Version { number, ..version });
        }
        let written = fs::read_to_string(&current_file).ok().and_then(|text| text.trim().parse().ok());
        let current = written.filter(|number| all.contains_key(number)).or(all.keys().next_back().copied());
        Ok(Self { folder, current_file, all, current, _lock: lock })
    }

    /// All, by number.
    pub fn all(&self) -> impl Iterator<Item = &Version> {
        self.all.values()
    }

    /// The number of the current one.
    pub fn current(&self) -> Option<u32> {
        self.current
    }

    /// A version.
    ///
    /// # Errors
    /// [`Status::NotFound`].
    pub fn get(&self, number: u32) -> Result<&Version> {
        let missing = || Error::new(Status::NotFound, format!("there is no version {number} of the model"));
        self.all.get(&number).ok_or_else(missing)
    }

    /// A file of a version.
    pub fn file(&self, number: u32, name: &str) -> PathBuf {
        self.folder.join(format!("{number:04}")).join(name)
    }

    /// Adds a version, which becomes the current one if that is still `before`. On failure nothing is left of it.
    ///
    /// # Errors
    /// [`Status::Io`].
    pub fn add(&mut self, unfinished: Unfinished, origin: Origin, before: Option<u32>) -> Result<u32> {
        let Unfinished { folder, metadata, model_bytes } = unfinished;
        let number = self.all.keys().next_back().map_or(1, |last| last + 1);
        let created = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let version = Version { number, created, origin, metadata, model_bytes };
        let text = serde_json::to_vec_pretty(&version).map_err(internal)?;
        write(&folder.path().join("version.json"), &text)?;
        let numbered = self.folder.join(format!("{number:04}"));
        let failed = |e: std::io::Error| file_error("cannot write a version to", &numbered, &e);
        fs::rename(folder.path(), &numbered).map_err(failed)?;
        // Nothing is there any more that dropping it would delete.
        let _ = folder.keep();
        self.all.insert(number, version);
        if self.current != before {
            return Ok(number);
        }
        if let Err(error) = self.set_current(number) {
            self.all.remove(&number);
            fs::remove_dir_all(&numbered).map_err(failed)?;
            return Err(error);
        }
        Ok(number)
    }

    /// Makes a version the current one.
    ///
    /// # Errors
    /// [`Status::NotFound`] when there is none of that number, [`Status::Io`].
    pub fn set_current(&mut self, number: u32) -> Result<()> {
        self.get(number)?;
        write(&self.current_file, number.to_string().as_bytes())?;
        self.current = Some(number);
        Ok(())
    }
}

fn lock(file: &Path) -> Result<File> {
    let failed = |e: std::io::Error| file_error("cannot write", file, &e);
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(file).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let message = format!("another npad studio has this project open ({}): use its page", file.display());
            Err(Error::new(Status::WrongState, message))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
