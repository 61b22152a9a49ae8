//! Cameras as a source of pictures: GigE Vision and USB3 Vision cameras by Aravis' library, where it is installed, and,
//! on Linux, webcams and grabbers by `/dev/video*`.
//!
//! Only continuous acquisition is configured; everything else stays as the camera has it, so that exposure, size, pixel
//! format and trigger are set with the vendor's tool, `arv-tool` or `v4l2-ctl`. With the environment variable
//! `NPAD_STUDIO_FAKE_CAMERA=1`, which is for tests, Aravis' simulated camera `Fake_1` is there too.

mod aravis;
// V4L2 alone needs some of it.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod convert;
mod latest;
#[cfg(target_os = "linux")]
mod v4l2;

use std::time::Duration;

use crate::picture::Picture;
use npad::error::{Error, Result, Status};

use latest::Latest;

/// A camera that can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraInfo {
    /// What [`Camera::open`] takes.
    pub id: String,
    /// The name to show, which need not be unique.
    pub name: String,
}

/// The cameras of all sources; none where there is neither Aravis' library nor a device. Takes about a second where
/// there is the library, since cameras in the network are given the time to answer.
///
/// # Errors
/// [`Status::Runtime`] when Aravis' library is there but lacks functions.
pub fn cameras() -> Result<Vec<CameraInfo>> {
    #[cfg_attr(not(target_os = "linux"), allow(unused_mut))]
    let mut cameras = aravis::cameras()?;
    #[cfg(target_os = "linux")]
    cameras.extend(v4l2::cameras());
    Ok(cameras)
}

/// Whether Aravis' library or a device `/dev/video*` is there. Loads the library, but starts nothing.
pub fn is_available() -> bool {
    #[cfg(target_os = "linux")]
    if v4l2::is_available() {
        return true;
    }
    aravis::is_available()
}

/// An open camera that delivers pictures until it is dropped, which stops it and releases it for other programs.
pub struct Camera {
    source: Source,
}

enum Source {
    Aravis(Latest<aravis::Device>),
    #[cfg(target_os = "linux")]
    V4l2(Latest<v4l2::Device>),
}

impl Camera {
    /// Opens the camera of an id from [`cameras`] and starts it. A camera can be opened once at a time.
    ///
    /// # Errors
    /// [`Status::NotFound`] when there is no such camera, [`Status::Io`] when it cannot be used, for example since
    /// another program has it, [`Status::InvalidImage`] when its pixel format is not supported, [`Status::Runtime`]
    /// when Aravis' library lacks functions, [`Status::OutOfMemory`] when there is no memory for its frames.
    pub fn open(id: &str) -> Result<Self> {
        #[cfg(target_os = "linux")]
        if id.starts_with("/dev/") {
            return Ok(Self { source: Source::V4l2(Latest::start(v4l2::Device::open(id)?)?) });
        }
        Ok(Self { source: Source::Aravis(Latest::start(aravis::Device::open(id)?)?) })
    }

    /// The newest picture that was not grabbed before, for which this waits where there is none yet. Older pictures are
    /// skipped, so that what is shown is what the camera sees; a triggered camera's last picture is kept until then.
    ///
    /// # Errors
    /// [`Status::TimedOut`] when no whole picture came in time; the camera may be waiting for its trigger, and another
    /// call may succeed. [`Status::Io`] when the camera is gone, now and at every later call: drop it and open it
    /// again. [`Status::InvalidImage`] when the camera's pixel format is no longer a supported one.
    pub fn grab(&mut self, timeout: Duration) -> Result<Picture> {
        match &self.source {
            Source::Aravis(latest) => latest.grab(timeout),
            #[cfg(target_os = "linux")]
            Source::V4l2(latest) => latest.grab(timeout),
        }
    }

    /// Number of pictures that were skipped since the camera was opened.
    pub fn skipped(&self) -> usize {
        match &self.source {
            Source::Aravis(latest) => latest.skipped(),
            #[cfg(target_os = "linux")]
            Source::V4l2(latest) => latest.skipped(),
        }
    }
}

fn not_found(id: &str) -> Error {
    let message = format!("there is no camera {id:?}: connect it, switch it on, and list the cameras again");
    Error::new(Status::NotFound, message)
}

fn gone(name: &str, why: impl std::fmt::Display) -> Error {
    let message = format!(
        "the camera {name} no longer answers ({why}): check its power and its cable and that no other program has \
         taken it, then open it again"
    );
    Error::new(Status::Io, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_that_do_not_exist_are_not_found() {
        for id in ["", "No-Such-Camera", "\0", "/dev/video4711", "/dev/null", "/dev/video0/../null", "/dev/video"] {
            assert_eq!(Camera::open(id).err().unwrap().status(), Status::NotFound, "{id:?}");
        }
    }

    #[test]
    fn a_camera_can_move_to_another_thread() {
        fn is_send<T: Send>() {}
        is_send::<Camera>();
    }
}
