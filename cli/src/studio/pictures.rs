//! Pictures for the page: images, thumbnails, maps with regions, and outlines of masks.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::project::{OWN, Project};
use super::scores::Stamp;
use super::state::Studio;
use crate::dataset::GroundTruth;
use crate::output::write;
use crate::picture::Picture;
use crate::thumbnail::{jpeg, outline};
use npad::error::Result;
use npad::model::Thresholds;

/// Longest side of a thumbnail, which is kept in a file.
const THUMBNAIL: u32 = 240;
const FOLDER: &str = "thumbnails";

/// Thumbnails that stay, about 10 KB each.
const KEPT: usize = 20_000;

/// What is to be shown of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The image.
    pub path: String,
    /// Longest side in pixels; none for the image's own.
    pub size: Option<u32>,
    /// The version whose map and regions are drawn over it; none for the image alone.
    pub version: Option<u32>,
    /// Other thresholds than those of the version.
    pub thresholds: Option<(f32, f32)>,
    /// Whether the outline of the ground truth is drawn over it.
    pub mask: bool,
}

impl Request {
    /// Identifies the picture as long as none of its files changes.
    ///
    /// # Errors
    /// Those of [`Project::file`](super::project::Project::file).
    pub fn tag(&self, studio: &Studio) -> Result<String> {
        let Self { path, size, version, thresholds, mask } = self;
        let file = Stamp::of(&studio.project.file(path)?);
        let model = version.map(|number| Stamp::of(&studio.versions().file(number, "model.npad")));
        let outline = studio.project.mask(path).filter(|_| *mask).map(|mask| Stamp::of(&mask));
        let thresholds = thresholds.map(|(review, defective)| (review.to_bits(), defective.to_bits()));
        let mut hasher = DefaultHasher::new();
        (env!("CARGO_PKG_VERSION"), path, size, version, thresholds, file, model, outline).hash(&mut hasher);
        Ok(format!("{:016x}", hasher.finish()))
    }

    /// The file of a thumbnail in the studio's folder; none for other pictures.
    fn file(&self, tag: &str) -> Option<String> {
        let kept = self.size == Some(THUMBNAIL) && self.thresholds.is_none();
        kept.then(|| format!("{FOLDER}/{tag}.jpg"))
    }

    /// The picture that was made before, if it is a thumbnail.
    pub fn made(&self, studio: &Studio, tag: &str) -> Option<Vec<u8>> {
        std::fs::read(studio.project.root().join(OWN).join(self.file(tag)?)).ok()
    }

    /// The picture as a JPEG file. Thumbnails are kept.
    ///
    /// # Errors
    /// Those of [`Picture::read`] and of scoring.
    pub fn make(&self, studio: &Studio, tag: &str) -> Result<Vec<u8>> {
        let bytes = self.draw(studio)?;
        if let Some(name) = self.file(tag) {
            // A full disk costs time, not the page.
            let _ = studio.project.own(&name).and_then(|file| write(&file, &bytes));
        }
        Ok(bytes)
    }

    fn draw(&self, studio: &Studio) -> Result<Vec<u8>> {
        let picture = Picture::read(&studio.project.file(&self.path)?)?;
        let view = picture.view()?;
        let mut pixels = match self.version {
            None => view.to_rgb()?,
            Some(number) => {
                let model = studio.model(number)?;
                let other = self.thresholds.map(|(review, defective)| Thresholds { review, defective });
                let other = other.map(|thresholds| model.with_thresholds(thresholds)).transpose()?;
                let model = other.as_ref().unwrap_or(&*model);
                model.picture(&view, &model.score(&view)?)?
            }
        };
        if let Some(mask) = studio.project.mask(&self.path).filter(|_| self.mask) {
            outline(&mut pixels, &GroundTruth::read(&mask, picture.width, picture.height)?);
        }
        jpeg(pixels, picture.width, picture.height, self.size)
    }
}

/// Deletes the oldest thumbnails where there are very many.
pub fn forget_old(project: &Project) {
    let Ok(folder) = project.folder(&format!("{OWN}/{FOLDER}")) else { return };
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let files = entries.flatten().filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())));
    let mut files: Vec<_> = files.collect();
    files.sort();
    files.truncate(files.len().saturating_sub(KEPT));
    for (_, file) in files {
        let _ = std::fs::remove_file(file);
    }
}
