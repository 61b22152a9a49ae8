//! Folders of image files, and data sets of them.

use std::path::{Path, PathBuf};

use crate::output::file_error;
use crate::picture::read_gray8;
use npad::error::{Error, Result, Status};

/// File name extensions of images.
const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "bmp", "tif", "tiff", "pgm", "ppm", "pnm"];

/// A mask: true where a pixel is defective.
pub struct GroundTruth {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row after row.
    pub pixels: Vec<bool>,
}

impl GroundTruth {
    /// A mask without defects.
    pub fn empty(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![false; width * height] }
    }

    /// Reads a mask file and resizes it to the given size by nearest neighbour.
    ///
    /// # Errors
    /// [`Status::NotFound`] or [`Status::Io`] when it cannot be read.
    pub fn read(path: &Path, width: usize, height: usize) -> Result<Self> {
        let mask = read_gray8(path)?;
        let nearest = |at: usize, from: u32, to: usize| ((2 * at + 1) * from as usize / (2 * to)) as u32;
        let pixels = (0..width * height)
            .map(|i| {
                let (x, y) = (nearest(i % width, mask.width(), width), nearest(i / width, mask.height(), height));
                mask.get_pixel(x, y).0[0] > 127
            })
            .collect();
        Ok(Self { width, height, pixels })
    }
}

/// Whether a file has the name of an image.
pub fn is_image(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    ending.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

/// The images directly in a folder, by name.
///
/// # Errors
/// [`Status::NotFound`] when there is no such folder, [`Status::Io`] when it cannot be read or has no images.
pub fn images_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let images = any_images_in(folder)?;
    if images.is_empty() {
        let message = format!("there are no images in the folder {} ({})", folder.display(), EXTENSIONS.join(", "));
        return Err(Error::new(Status::Io, message));
    }
    Ok(images)
}

/// The images directly in a folder, by name, of which there may be none.
///
/// # Errors
/// [`Status::NotFound`] when there is no such folder, [`Status::Io`] when it cannot be read.
pub fn any_images_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e: std::io::Error| file_error("cannot read the folder", folder, &e);
    let mut images = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if is_image(&path) && path.is_file() {
            images.push(path);
        }
    }
    images.sort();
    Ok(images)
}

/// One test image of a data set.
#[derive(Debug, Clone)]
pub struct TestImage {
    /// The file.
    pub path: PathBuf,
    /// The kind of defect; `good` for none.
    pub kind: String,
    /// The mask of a defective image, if the data set has masks.
    pub mask: Option<PathBuf>,
}

impl TestImage {
    /// Whether it shows a defect.
    pub fn is_defective(&self) -> bool {
        self.kind != "good"
    }
}

/// A data set in MVTec AD's layout: `train/good`, `test/good`, `test/DEFECT`, `ground_truth/DEFECT/NAME_mask.png`.
pub struct Dataset {
    /// The folder's name.
    pub name: String,
    /// Good images to learn from.
    pub train: Vec<PathBuf>,
    /// Images to score.
    pub test: Vec<TestImage>,
    /// Whether every defective test image has a mask.
    pub has_masks: bool,
}

impl Dataset {
    /// Lists the data set in `root`.
    ///
    /// # Errors
    /// [`Status::NotFound`] when a folder of the layout is missing, [`Status::Io`] when one cannot be read or only some
    /// of the masks are there.
    pub fn open(root: &Path) -> Result<Self> {
        let unusable = |e: Error| {
            let message = format!(
                "cannot use {} as a data set: {e}. Expected MVTec AD's layout: train/good, test/good, test/DEFECT and, for \
                 pixel metrics, ground_truth/DEFECT/NAME_mask.png",
                root.display()
            );
            Error::new(e.status(), message)
        };
        let failed = |what: &str| unusable(Error::new(Status::Io, what));
        let train = images_in(&root.join("train/good")).map_err(unusable)?;
        let tests = root.join("test");
        let mut kinds: Vec<PathBuf> = std::fs::read_dir(&tests)
            .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect())
            .map_err(|e| unusable(file_error("cannot read the folder", &tests, &e)))?;
        kinds.retain(|path| path.is_dir());
        kinds.sort();
        let mut test = Vec::new();
        for folder in kinds {
            let kind = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for path in images_in(&folder).map_err(unusable)? {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let mask = root.join("ground_truth").join(&kind).join(format!("{stem}_mask.png"));
                test.push(TestImage {
                    path,
                    mask: (kind != "good" && mask.is_file()).then_some(mask),
                    kind: kind.clone(),
                });
            }
        }
        let defective: Vec<&TestImage> = test.iter().filter(|t| t.is_defective()).collect();
        if defective.is_empty() || defective.len() == test.len() {
            return Err(failed("test needs both good and defective images"));
        }
        let masks = defective.iter().filter(|t| t.mask.is_some()).count();
        if let Some(without) = defective.iter().find(|t| masks > 0 && t.mask.is_none()) {
            return Err(failed(&format!(
                "{} has no mask, but other defective images have one",
                without.path.display()
            )));
        }
        let name = root.canonicalize().ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
        Ok(Self { name: name.unwrap_or_default(), train, has_masks: masks > 0, test })
    }

    /// All files: the images and the masks.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.train.iter().chain(self.test.iter().flat_map(|image| [&image.path].into_iter().chain(&image.mask)))
    }
}
