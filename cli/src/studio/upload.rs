//! Images that come into the project: uploaded ones, and those of a camera.

use std::collections::VecDeque;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde::Deserialize;

use super::project::{OWN, Project, UNFINISHED};
use super::state::{Studio, lock};
use crate::dataset::{any_images_in, is_image};
use crate::output::{file_error, write};
use crate::picture::Picture;
use npad::error::{Error, Result, Status};
use npad::image::PixelFormat;

/// Largest upload in bytes.
pub const LARGEST: usize = 64 << 20;

/// The folder of a camera's live images in the studio's own, and how many of them stay for the page.
const FRAMES: &str = "frames";
const MOST_FRAMES: usize = 200;

/// Where images go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Good images to learn from.
    Good,
    /// Images to look at.
    Inspect,
}

/// The folders that images come into.
pub const FOLDERS: [&str; 2] = ["good", "inspect"];

impl Target {
    fn folder(self) -> &'static str {
        FOLDERS[self as usize]
    }
}

/// Saves an uploaded image under its name, or a similar one if another image has it, and returns its path.
///
/// # Errors
/// [`Status::InvalidArgument`] when the name is not that of an image, [`Status::InvalidImage`] when it cannot be read,
/// [`Status::Io`] when it cannot be written.
pub fn save(studio: &Studio, target: Target, name: &str, bytes: &[u8]) -> Result<String> {
    let valid = !name.starts_with('.') && !name.contains(['/', '\\', '\0', ':']) && name.len() <= 200;
    if !valid || !is_image(Path::new(name)) {
        let message = format!("{name:?} is not the name of an image file that npad reads, such as part.png");
        return Err(Error::new(Status::InvalidArgument, message));
    }
    let folder = studio.project.made(target.folder())?;
    let failed = |e: std::io::Error| file_error("cannot write the image to", &folder, &e);
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&folder).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    // Only what can be read comes in. The message names the image instead of the temporary file.
    Picture::read(file.path())
        .map_err(|e| Error::new(Status::InvalidImage, e.message().replace(&*file.path().to_string_lossy(), name)))?;
    for path in candidates(&folder, name) {
        let is_as_long = fs::metadata(&path).is_ok_and(|old| old.len() == bytes.len() as u64);
        if is_as_long && fs::read(&path).is_ok_and(|old| old == bytes) {
            return Ok(studio.project.relative(&path).unwrap_or_default());
        }
        match file.persist_noclobber(&path) {
            Ok(kept) => {
                make_readable(&kept);
                studio.changed();
                return Ok(studio.project.relative(&path).unwrap_or_default());
            }
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                // Perhaps the same image, which came at the same time.
                if fs::read(&path).is_ok_and(|old| old == bytes) {
                    return Ok(studio.project.relative(&path).unwrap_or_default());
                }
                file = error.file;
            }
            Err(error) => return Err(failed(error.error)),
        }
    }
    Err(Error::new(Status::Io, format!("there are too many images named {name}: give it another name")))
}

/// Temporary files are for their owner alone, images are not.
fn make_readable(_file: &fs::File) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = _file.set_permissions(fs::Permissions::from_mode(0o644));
    }
}

/// The name itself, and then with a number.
fn candidates(folder: &Path, name: &str) -> impl Iterator<Item = PathBuf> {
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, "png"));
    let numbered = (2..1000).map(move |number| format!("{stem}-{number}.{ending}"));
    std::iter::once(name.to_owned()).chain(numbered).map(|name| folder.join(name))
}

/// Saves an image of a camera as PNG and returns its path.
///
/// # Errors
/// As [`save`].
pub fn save_frame(studio: &Studio, target: Target, frame: &Picture) -> Result<String> {
    save(studio, target, &frame_name(), &png(frame)?)
}

/// What a camera has shown live, of which the last images stay.
pub struct Frames {
    kept: VecDeque<PathBuf>,
}

impl Frames {
    /// Those of earlier inspections, the oldest first.
    pub fn new(project: &Project) -> Self {
        let mut kept = any_images_in(&project.root().join(OWN).join(FRAMES)).unwrap_or_default();
        kept.sort_by_cached_key(|file| fs::metadata(file).and_then(|facts| facts.modified()).ok());
        Self { kept: kept.into() }
    }

    /// The path for the next image in the project.
    pub fn next_path(&self) -> String {
        format!("{OWN}/{FRAMES}/{}", frame_name())
    }

    /// Saves an image, and deletes the oldest one where there are many.
    ///
    /// # Errors
    /// [`Status::Io`].
    pub fn keep(&mut self, project: &Project, path: &str, frame: &Picture) -> Result<()> {
        let file = project.own(path.trim_start_matches(OWN).trim_start_matches('/'))?;
        write(&file, &png(frame)?)?;
        self.kept.push_back(file);
        while self.kept.len() > MOST_FRAMES {
            if let Some(oldest) = self.kept.pop_front() {
                let _ = fs::remove_file(oldest);
            }
        }
        Ok(())
    }
}

/// Each name is another one, also within a millisecond and when the clock goes back.
fn frame_name() -> String {
    static NEXT: Mutex<u128> = Mutex::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut next = lock(&NEXT);
    let time = now.max(*next);
    *next = time + 1;
    format!("camera-{time}.png")
}

fn png(frame: &Picture) -> Result<Vec<u8>> {
    let (pixels, colour) = match frame.format {
        PixelFormat::Gray8 => (frame.pixels.clone(), ExtendedColorType::L8),
        PixelFormat::Gray16 => {
            let values = frame.pixels.chunks_exact(2).flat_map(|v| u16::from_ne_bytes([v[0], v[1]]).to_be_bytes());
            (values.collect(), ExtendedColorType::L16)
        }
        _ => (frame.view()?.to_rgb()?, ExtendedColorType::Rgb8),
    };
    let mut png = Vec::new();
    let (width, height) = (frame.width as u32, frame.height as u32);
    let encoded = PngEncoder::new(&mut png).write_image(&pixels, width, height, colour);
    encoded.map_err(|e| Error::new(Status::Internal, format!("an image of the camera: {e}")))?;
    Ok(png)
}
