//! The device of a model: how the options choose it, and what a load does on one that is not the CPU.

use std::path::Path;

use super::{Model, Options};
use crate::backbone::{ChosenDevice, Device, FeatureExtractor};
use crate::error::{Error, Result, Status};
use crate::exec::progress::Progress;
use crate::preprocess::InputSize;

/// The stage that the progress callback is told.
const STAGE: &str = "preparing the device";
/// Its steps: the backbone, and the method's networks.
const STEPS: usize = 2;

impl Options {
    /// Chooses the device, and checks the folder for what it builds.
    ///
    /// # Errors
    /// [`Status::NotFound`] when the folder does not exist, [`Status::Io`] when nothing can be written there.
    pub(super) fn choose_device(&self) -> Result<ChosenDevice> {
        if let Some(folder) = &self.device_cache {
            check_folder(folder)?;
        }
        Ok(self.device.choose(self.device_cache.clone()))
    }
}

fn check_folder(folder: &Path) -> Result<()> {
    let name = folder.display();
    if !folder.is_dir() {
        let message =
            format!("device_cache is {name}, but there is no such folder; create it, or leave the option empty");
        return Err(Error::new(Status::NotFound, message));
    }
    let failed = |e| Error::io(format_args!("device_cache is {name}, but nothing can be written there"), &e);
    tempfile::tempfile_in(folder).map(drop).map_err(failed)
}

/// Runs a backbone that is not on the CPU once on the shapes of a model: on its first run a device compiles the network,
/// TensorRT for minutes.
///
/// # Errors
/// As [`Model::prepare_device`].
pub(super) fn prepare_backbone(
    backbone: &dyn FeatureExtractor,
    size: InputSize,
    device: &Device,
    progress: &Progress,
) -> Result<()> {
    if device.is_cpu() {
        return Ok(());
    }
    progress.report(STAGE, 0, STEPS)?;
    // A full batch, and one image.
    backbone.warm_up(size, backbone.max_batch(size) + 1, 1)?;
    progress.report(STAGE, 1, STEPS)
}

impl Model {
    /// Runs all networks once on the shapes of the model, where they are not on the CPU.
    ///
    /// # Errors
    /// [`Status::Backbone`] when a network fails, [`Status::Cancelled`] by the progress callback.
    pub(super) fn prepare_device(&self, progress: &Progress) -> Result<()> {
        let (core, device) = (&*self.core, self.device());
        if device.is_cpu() {
            return Ok(());
        }
        prepare_backbone(self.extractor(), self.metadata.input, device, progress)?;
        if core.network.is_none() {
            core.scorer.warm_up(core.shifts.len(), 1, &core.threads)?;
        }
        progress.report(STAGE, STEPS, STEPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_for_the_cache_must_be_there() {
        let status = |folder: &Path| check_folder(folder).map_err(|error| error.status());
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(status(folder.path()), Ok(()));
        assert_eq!(status(&folder.path().join("none")), Err(Status::NotFound));
        if cfg!(target_os = "linux") {
            assert_eq!(status(Path::new("/sys")), Err(Status::Io), "nobody can write there");
        }
    }
}
