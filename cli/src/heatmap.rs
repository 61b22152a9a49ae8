//! Pictures of images with their anomaly maps, and their files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::output::file_error;
use crate::picture::Picture;
use npad::error::{Error, Result, Status};
use npad::model::{Inspection, Model, replace_file};

/// Writes a PNG: the image on the left, and the image with the map and the regions' boxes on the right.
pub fn write(path: &Path, picture: &Picture, model: &Model, inspection: &Inspection) -> Result<()> {
    let (width, height) = (picture.width, picture.height);
    let view = picture.view()?;
    let (left, right) = (view.to_rgb()?, model.picture(&view, inspection)?);
    let rows: Vec<u8> =
        left.chunks_exact(3 * width).zip(right.chunks_exact(3 * width)).flat_map(|(a, b)| [a, b].concat()).collect();
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&rows, 2 * width as u32, height as u32, ExtendedColorType::Rgb8)
        .map_err(|e| Error::new(Status::Internal, format!("the picture {}: {e}", path.display())))?;
    replace_file(path, &png).map_err(|e| file_error("cannot write the picture", path, &e))
}

/// The files of the images' pictures.
///
/// A picture has its image's file name, with `.png` appended unless the name ends so, and its path relative to the
/// deepest folder that all images share. Different images thus have different pictures, and no picture lies outside the
/// output folder.
pub struct Plan {
    folder: PathBuf,
    /// Path of each image, with the links and `..` of its folder resolved.
    images: Vec<PathBuf>,
    /// Path of each image's picture relative to the folder.
    names: Vec<PathBuf>,
}

impl Plan {
    /// Plans pictures in `folder` for all images, without touching the file system.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] when two images would have the same picture.
    pub fn new(folder: &Path, images: &[PathBuf]) -> Result<Self> {
        let located = images.iter().map(|image| locate(image)).collect::<Result<Vec<_>>>()?;
        let mut shared = located.first().and_then(|image| image.parent()).unwrap_or(Path::new("")).to_owned();
        for image in &located {
            while !image.parent().unwrap_or(Path::new("")).starts_with(&shared) && shared.pop() {}
        }
        let names: Vec<PathBuf> =
            located.iter().map(|image| name(image.strip_prefix(&shared).unwrap_or(image))).collect();
        let mut taken: BTreeMap<OsString, usize> = BTreeMap::new();
        for (number, name) in names.iter().enumerate() {
            let first = *taken.entry(key(name)).or_insert(number);
            if located[first] != located[number] {
                return Err(collision(folder, [&images[first], &images[number]], name));
            }
        }
        // A picture must not have the name of another one's folder.
        for (number, name) in names.iter().enumerate() {
            if let Some(first) = name.ancestors().skip(1).find_map(|folder| taken.get(&key(folder))) {
                return Err(collision(folder, [&images[*first], &images[number]], &names[*first]));
            }
        }
        Ok(Self { folder: folder.to_owned(), images: located, names })
    }

    /// Creates the folders and returns the file of each image's picture.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] when a picture would lie beside an image, where the next fit would learn it, or would
    /// overwrite the model, or when a link leads out of the folder; [`Status::Io`] when the folders cannot be created or written to.
    pub fn prepare(&self, model: &Path) -> Result<Vec<PathBuf>> {
        let failed = |folder: &Path, e: &std::io::Error| file_error("cannot create the folder", folder, e);
        std::fs::create_dir_all(&self.folder).map_err(|e| failed(&self.folder, &e))?;
        let root = self.folder.canonicalize().map_err(|e| failed(&self.folder, &e))?;
        let refused =
            |what: String| Error::new(Status::InvalidOption, format!("--heatmap {}: {what}", self.folder.display()));
        let with_target = |path: &PathBuf| [path.canonicalize().ok(), Some(path.clone())].into_iter().flatten();
        let models: Vec<PathBuf> = with_target(&locate(model)?).collect();
        let images: BTreeMap<PathBuf, PathBuf> = (self.images.iter().flat_map(with_target))
            .filter_map(|image| Some((image.parent()?.to_owned(), image)))
            .collect();
        let beside = |folder: &Path| match images.get(folder) {
            None => Ok(()),
            Some(image) => Err(refused(format!(
                "{} is the folder of the image {}, and a fit to it would learn the pictures as well; choose another folder",
                folder.display(),
                image.display()
            ))),
        };
        beside(&root)?;
        let mut checked = BTreeSet::new();
        let mut targets = Vec::with_capacity(self.names.len());
        for name in &self.names {
            let (below, file) = (name.parent().unwrap_or(Path::new("")), name.file_name().unwrap_or_default());
            let folder = root.join(below);
            std::fs::create_dir_all(&folder).map_err(|e| failed(&folder, &e))?;
            let folder = folder.canonicalize().map_err(|e| failed(&folder, &e))?;
            if !folder.starts_with(&root) {
                return Err(refused(format!("{} is a link that leads out of it", below.display())));
            }
            beside(&folder)?;
            let target = folder.join(file);
            if models.contains(&target) {
                let what = format!("the picture {} would overwrite the model; choose another folder", target.display());
                return Err(refused(what));
            }
            if checked.insert(folder) {
                crate::output::check_writable("pictures", &target)?;
            }
            targets.push(target);
        }
        Ok(targets)
    }
}

fn collision(folder: &Path, images: [&PathBuf; 2], name: &Path) -> Error {
    let (folder, [a, b]) = (folder.display(), images.map(|image| image.display()));
    let message = format!(
        "--heatmap {folder}: the pictures of {a} and {b} would both need the name {}; score these images in separate calls, \
         each with its own folder",
        name.display()
    );
    Error::new(Status::InvalidOption, message)
}

/// The absolute path, without links and `..` in its folder. A link of the file itself is not resolved.
fn locate(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(|e| file_error("cannot find", path, &e))?;
    let folder = absolute.parent().and_then(|folder| folder.canonicalize().ok());
    Ok(match (folder, absolute.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        // The image does not exist; reading it reports the error.
        _ => absolute,
    })
}

/// Relative path of the picture of an image at `path`, without parts that would lead out of the folder.
fn name(path: &Path) -> PathBuf {
    let parts = path.components().filter_map(|component| match component {
        Component::Normal(part) => Some(part.to_owned()),
        // A drive on Windows: its letter distinguishes images of two drives.
        Component::Prefix(drive) => {
            Some(drive.as_os_str().to_string_lossy().replace(|c: char| !c.is_alphanumeric(), "").into())
        }
        Component::RootDir | Component::CurDir | Component::ParentDir => None,
    });
    let mut name: PathBuf = parts.collect();
    if !name.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
        name.as_mut_os_string().push(".png");
    }
    name
}

/// Key for comparing file names, which ignore case on Windows and macOS.
fn key(name: &Path) -> OsString {
    if cfg!(any(windows, target_os = "macos")) { name.to_string_lossy().to_lowercase().into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that images have which are given by these paths, in a folder with `files`.
    fn names(files: &[&str], images: &[&str]) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let images: Vec<PathBuf> = images.iter().map(|image| folder.path().join(image)).collect();
        let plan = Plan::new(&folder.path().join("maps"), &images)?;
        let names =
            plan.names.iter().map(|name| name.iter().map(|part| part.to_str().unwrap()).collect::<Vec<_>>().join("/"));
        Ok(names.collect())
    }

    #[test]
    fn images_of_one_folder_keep_their_names() {
        assert_eq!(names(&["a/x.png", "a/y.JPG"], &["a/x.png", "a/y.JPG"]).unwrap(), ["x.png", "y.JPG.png"]);
        assert_eq!(names(&["a/b/x.tif"], &["a/b/x.tif"]).unwrap(), ["x.tif.png"]);
        assert_eq!(names(&["a/none"], &["a/none", "a/.png"]).unwrap(), ["none.png", ".png.png"]);
    }

    #[test]
    fn folders_tell_images_of_one_name_apart() {
        let files = ["a/0.png", "b/0.png", "b/c/0.png"];
        assert_eq!(names(&files[..2], &files[..2]).unwrap(), ["a/0.png", "b/0.png"]);
        assert_eq!(names(&files, &files[1..]).unwrap(), ["0.png", "c/0.png"]);
        assert_eq!(names(&["a/x.png", "a/x.jpg"], &["a/x.png", "a/x.jpg"]).unwrap(), ["x.png", "x.jpg.png"]);
    }

    #[test]
    fn an_image_given_twice_has_one_picture_and_others_never_share_one() {
        let files = ["a/x.jpg", "a/x.jpg.png", "b/x.jpg"];
        assert_eq!(names(&files, &["a/x.jpg", "a/../a/./x.jpg"]).unwrap(), ["x.jpg.png"; 2]);
        assert_eq!(names(&files, &["b/../a/x.jpg", "b/x.jpg"]).unwrap(), ["a/x.jpg.png", "b/x.jpg.png"]);
        let error = names(&files, &["a/x.jpg", "a/x.jpg.png"]).unwrap_err();
        assert_eq!(error.status(), Status::InvalidOption);
        assert!(error.message().contains("a/x.jpg.png would both need the name x.jpg.png"), "{error}");
        assert!(names(&["a/x", "a/x.png/y.png"], &["a/x", "a/x.png/y.png"]).is_err(), "a file and a folder");
    }

    #[test]
    fn names_never_lead_out_of_the_folder() {
        for path in ["/etc/x.png", "../../x.png", "a/../../x.png", "./x.png"] {
            let name = name(Path::new(path));
            assert!(name.components().all(|part| matches!(part, Component::Normal(_))), "{path}: {}", name.display());
        }
        // Folders that do not exist cannot be resolved; their images cannot be read either.
        let found = names(&["a/x.png"], &["a/x.png", "none/../../../../x.png"]).unwrap();
        assert!(found.iter().all(|name| !name.contains("..") && !name.starts_with('/')), "{found:?}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_only_where_nothing_is_harmed() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["a", "b", "maps", "outside"] {
            std::fs::create_dir(at(path)).unwrap();
        }
        for path in ["a/0.png", "b/0.png", "model.npad", "maps/linked.png"] {
            std::fs::write(at(path), "").unwrap();
        }
        symlink(at("maps/linked.png"), at("a/linked.png")).unwrap();
        let prepare = |maps: &str, images: &[&str]| {
            let images: Vec<PathBuf> = images.iter().map(|image| at(image)).collect();
            Plan::new(&at(maps), &images)?.prepare(&at("model.npad"))
        };
        let targets = prepare("maps", &["a/0.png", "b/0.png"]).unwrap();
        assert!(targets[0].ends_with("maps/a/0.png") && targets[1].ends_with("maps/b/0.png"), "{targets:?}");
        for (maps, image) in [("a", "a/0.png"), ("a/../a", "a/0.png"), ("maps", "a/linked.png")] {
            let error = prepare(maps, &[image]).unwrap_err();
            assert!(error.message().contains("is the folder of the image"), "{maps}, {image}: {error}");
        }
        let error = prepare(".", &["a/0.png", "b/0.png"]).unwrap_err();
        assert!(error.message().contains("is the folder of the image"), "pictures at a/0.png and b/0.png: {error}");
        std::fs::remove_dir(at("maps/a")).unwrap();
        symlink(at("outside"), at("maps/a")).unwrap();
        let error = prepare("maps", &["a/0.png", "b/0.png"]).unwrap_err();
        assert_eq!(error.status(), Status::InvalidOption, "{error}");
    }
}
