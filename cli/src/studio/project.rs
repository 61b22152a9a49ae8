//! The folder of a project: its images, by paths that cannot leave it.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dataset::{any_images_in, is_image};
use crate::output::file_error;
use npad::error::{Error, Result, Status};

/// Subfolder that the studio writes to.
pub const OWN: &str = "npad-studio";

/// How names of files begin that are not complete yet. What a studio that was killed has left is deleted by the next one.
pub const UNFINISHED: &str = ".npad-studio-";

/// Folders of images are found down to this depth.
const DEPTH: usize = 5;

/// What an image shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// A good part.
    Good,
    /// A defective part.
    Defective,
}

impl Label {
    /// What the name of an image's folder says: `good`, `test/KIND` as in MVTec AD's layout, or a usual word for defective parts.
    pub fn of_folder(folder: &str) -> Option<Self> {
        let lower = folder.to_lowercase();
        match lower.split('/').collect::<Vec<_>>()[..] {
            [.., "good" | "ok"] => Some(Self::Good),
            [.., "test", _] | [.., "bad" | "defect" | "defects" | "defective" | "ng"] => Some(Self::Defective),
            _ => None,
        }
    }
}

/// A folder with images.
#[derive(Debug, Clone, Serialize)]
pub struct Folder {
    /// Path in the project; `.` for the project's folder itself.
    pub path: String,
    /// Number of images directly in it.
    pub images: usize,
    /// What its name says about them.
    pub label: Option<Label>,
}

/// A folder whose images are taught and looked at. Paths in it are relative and joined by `/`.
#[derive(Debug)]
pub struct Project {
    root: PathBuf,
}

impl Project {
    /// Opens a folder.
    ///
    /// # Errors
    /// [`Status::NotFound`] or [`Status::Io`] when there is none.
    pub fn open(folder: &Path) -> Result<Self> {
        let root = folder.canonicalize().map_err(|e| file_error("cannot open the project", folder, &e))?;
        if root.is_dir() {
            return Ok(Self { root });
        }
        let message = format!("cannot open the project {}: this is a file; give a folder of images", root.display());
        Err(Error::new(Status::Io, message))
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file or folder of the studio itself, in a folder that exists.
    ///
    /// # Errors
    /// As [`Project::made`].
    pub fn own(&self, name: &str) -> Result<PathBuf> {
        let mut folder = self.made(OWN)?;
        if let Some((inner, _)) = name.rsplit_once('/') {
            folder = self.made(&format!("{OWN}/{inner}"))?;
        }
        let path = folder.join(name.rsplit('/').next().unwrap_or(name));
        if path.is_symlink() {
            return self.inside(&format!("{OWN}/{name}"));
        }
        Ok(path)
    }

    /// A folder of the project, which is made in a folder that exists if it is not there.
    ///
    /// # Errors
    /// [`Status::NotFound`] or [`Status::Io`] when it cannot be made, [`Status::InvalidArgument`] when it is a link that leads out of
    /// the project.
    pub fn made(&self, path: &str) -> Result<PathBuf> {
        let folder = self.root.join(path);
        match std::fs::create_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(file_error("cannot make the folder", &folder, &error))
            }
            _ => self.inside(path),
        }
    }

    /// All folders with images, by path. Masks and the studio's own files are left out, and so are links to folders, which may lead
    /// out of the project or back into it.
    pub fn folders(&self) -> Vec<Folder> {
        let mut found = Vec::new();
        self.search(&self.root, 0, &mut found);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    fn search(&self, folder: &Path, depth: usize, found: &mut Vec<Folder>) {
        let images = self.image_files(folder).unwrap_or_default();
        if let Some(path) = self.relative(folder).filter(|_| !images.is_empty()) {
            let path = if path.is_empty() { ".".to_owned() } else { path };
            // Those with a name that is not Unicode cannot be told to the page.
            let images = images.iter().filter(|image| self.relative(image).is_some()).count();
            found.push(Folder { images, label: Label::of_folder(&path), path });
        }
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let name = entry.file_name();
            let skipped =
                name == OWN || name == "ground_truth" || name.to_str().is_none_or(|name| name.starts_with('.'));
            if depth < DEPTH && !skipped {
                self.search(&entry.path(), depth + 1, found);
            }
        }
    }

    /// The image files directly in a folder, by name, without links that lead out of the project. There may be none.
    ///
    /// # Errors
    /// [`Status::NotFound`] or [`Status::Io`] when the folder cannot be read.
    pub fn image_files(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut images = any_images_in(folder)?;
        let is_inside = |path: &Path| path.canonicalize().is_ok_and(|real| real.starts_with(&self.root));
        images.retain(|path| !path.is_symlink() || is_inside(path));
        Ok(images)
    }

    /// The images directly in a folder, by name. There may be none.
    ///
    /// # Errors
    /// As [`Project::folder`].
    pub fn images(&self, folder: &str) -> Result<Vec<String>> {
        let images = self.image_files(&self.folder(folder)?)?;
        Ok(images.iter().filter_map(|path| self.relative(path)).collect())
    }

    /// The images of all folders.
    pub fn all_images(&self) -> Vec<String> {
        self.folders().iter().flat_map(|folder| self.images(&folder.path).unwrap_or_default()).collect()
    }

    /// A path as the page names it; none where it is not in the project or not Unicode.
    pub fn relative(&self, path: &Path) -> Option<String> {
        let parts: Option<Vec<_>> = path.strip_prefix(&self.root).ok()?.iter().map(|part| part.to_str()).collect();
        Some(parts?.join("/"))
    }

    /// An image file.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when the path leaves the project or is not that of an image, [`Status::NotFound`].
    pub fn file(&self, path: &str) -> Result<PathBuf> {
        let file = self.inside(path)?;
        if is_image(&file) && file.is_file() {
            return Ok(file);
        }
        Err(Error::new(Status::InvalidArgument, format!("{path} is not an image file")))
    }

    /// A folder.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when the path leaves the project or is not that of a folder, [`Status::NotFound`].
    pub fn folder(&self, path: &str) -> Result<PathBuf> {
        let folder = self.inside(path)?;
        if folder.is_dir() {
            return Ok(folder);
        }
        Err(Error::new(Status::InvalidArgument, format!("{path} is not a folder")))
    }

    /// The one name of a path, as lists of images have it: without `.` and doubled separators.
    pub fn normal(path: &str) -> String {
        let parts = path.split('/').filter(|part| !["", "."].contains(part));
        parts.collect::<Vec<_>>().join("/")
    }

    /// Deletes what a studio that was killed has left unfinished.
    pub fn tidy(&self, folders: &[&str]) {
        let own = ["", "/frames", "/thumbnails", "/versions"].map(|name| format!("{OWN}{name}"));
        for folder in folders.iter().map(|name| (*name).to_owned()).chain(own) {
            // Not where a link leads out of the project.
            let Ok(folder) = self.folder(&folder) else { continue };
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            for path in entries.flatten().map(|entry| entry.path()) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.starts_with(UNFINISHED) {
                    // What cannot be deleted is in nobody's way.
                    let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
                }
            }
        }
    }

    /// Follows links, so that none leads out of the project.
    fn inside(&self, path: &str) -> Result<PathBuf> {
        let outside = || {
            let message = format!("{path:?} is not a path inside the project's folder");
            Error::new(Status::InvalidArgument, message)
        };
        let mut steps = Path::new(path).components();
        let harmless = |step| matches!(step, Component::Normal(_) | Component::CurDir);
        if path.is_empty() || path.contains(['\0', '\\']) || !steps.all(harmless) {
            return Err(outside());
        }
        let joined = self.root.join(path);
        let real = joined.canonicalize().map_err(|e| file_error("cannot open", Path::new(path), &e))?;
        if real.starts_with(&self.root) { Ok(real) } else { Err(outside()) }
    }

    /// The mask of a defective image in MVTec AD's layout, if there is one.
    pub fn mask(&self, path: &str) -> Option<PathBuf> {
        let (folder, name) = path.rsplit_once('/')?;
        let (base, kind) = folder.rsplit_once('/').map_or(("", folder), |(base, kind)| (base, kind));
        let base = base.strip_suffix("test")?;
        let stem = Path::new(name).file_stem()?.to_str()?;
        let mask = self.root.join(format!("{base}ground_truth/{kind}/{stem}_mask.png"));
        let is_there = || mask.is_file() && mask.canonicalize().is_ok_and(|real| real.starts_with(&self.root));
        (kind != "good" && is_there()).then_some(mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[&str]) -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let project = Project::open(folder.path()).unwrap();
        (folder, project)
    }

    #[test]
    fn folders_of_images_have_the_label_of_their_name() {
        let (_folder, project) = project(&[
            "a.png",
            "train/good/b.png",
            "test/crack/c.jpg",
            "test/good/d.bmp",
            "ground_truth/crack/c_mask.png",
            "npad-studio/frames/e.png",
            ".hidden/f.png",
            "notes/readme.txt",
        ]);
        let found: Vec<_> = project.folders().into_iter().map(|folder| (folder.path, folder.label)).collect();
        let expected = [
            (".", None),
            ("test/crack", Some(Label::Defective)),
            ("test/good", Some(Label::Good)),
            ("train/good", Some(Label::Good)),
        ];
        assert_eq!(found, expected.map(|(path, label)| (path.to_owned(), label)));
        assert_eq!(project.all_images(), ["a.png", "test/crack/c.jpg", "test/good/d.bmp", "train/good/b.png"]);
        assert!(project.mask("test/crack/c.jpg").is_some());
        assert!(["test/good/d.bmp", "train/good/b.png", "a.png"].iter().all(|path| project.mask(path).is_none()));
    }

    #[test]
    fn no_path_leaves_the_project() {
        let (folder, project) = project(&["in/a.png", "in/notes.txt"]);
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.png"), "").unwrap();
        #[cfg(unix)]
        for (target, link) in [("secret.png", "link.png"), ("", "linked")] {
            std::os::unix::fs::symlink(outside.path().join(target), folder.path().join(link)).unwrap();
        }
        let absolute = outside.path().join("secret.png").display().to_string();
        for path in
            ["", "..", "in/../../x.png", "/etc/passwd", "in\\a.png", "in/\0.png", "link.png", "linked/secret.png"]
        {
            assert!(project.file(path).is_err(), "{path:?}");
        }
        assert!(
            project.file(&absolute).is_err()
                && project.folder("linked").is_err()
                && project.folder("in/a.png").is_err()
        );
        assert_eq!(project.file("in/none.png").unwrap_err().status(), Status::NotFound);
        assert_eq!(project.file("in/notes.txt").unwrap_err().status(), Status::InvalidArgument);
        assert!(project.file("in/a.png").is_ok() && project.file("./in/a.png").is_ok() && project.folder(".").is_ok());
        assert_eq!(project.folders().len(), 1, "links to folders are not followed");
        assert_eq!(["./in/a.png", "in//./a.png", "in/a.png"].map(Project::normal), ["in/a.png"; 3]);
        drop(folder);
    }
}
