//! The device of a model: how the options choose it, and what a load does on one that is not the CPU.

use std::path::Path;
use std::sync::Arc;

use super::probe::compare_backbones;
use super::{Model, Options};
use crate::backbone::{BackboneSpec, ChosenDevice, Device, FeatureExtractor, MultiScale, Scales, Tiled};
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::progress::Progress;
use crate::preprocess::InputSize;

/// The stage that the progress callback is told.
const STAGE: &str = "preparing the device";
/// Its steps: networks are opened, the backbone is run, the method's networks are run.
const STEPS: usize = 3;

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

/// Reports the beginning, before networks are opened: on some devices that takes long.
///
/// # Errors
/// [`Status::Cancelled`] by the progress callback.
pub(super) fn announce(device: &Device, progress: &Progress) -> Result<()> {
    if device.is_cpu() { Ok(()) } else { progress.report(STAGE, 0, STEPS) }
}

/// What a backbone is compared with: the same on the CPU.
pub(super) struct Reference<'a> {
    pub spec: &'a BackboneSpec,
    pub tile: usize,
    pub scales: &'a Scales,
    pub threads: &'a Arc<Threads>,
}

impl Reference<'_> {
    /// Opens it, in tiles and at all scales.
    ///
    /// # Errors
    /// As [`BackboneSpec::open`].
    pub fn open(&self) -> Result<Arc<dyn FeatureExtractor>> {
        let backbone = self.spec.open(&Device::CPU, self.threads.count())?;
        Ok(MultiScale::over(Tiled::over(backbone, self.tile), self.scales, self.threads))
    }
}

/// Runs a backbone that is not on the CPU once on the shapes of a model, and compares it with that on the CPU: on its first run a
/// device compiles the network, TensorRT for minutes.
///
/// # Errors
/// As [`Model::prepare_device`].
pub(super) fn prepare_backbone(
    backbone: &dyn FeatureExtractor,
    reference: &Reference<'_>,
    size: InputSize,
    device: &Device,
    progress: &Progress,
) -> Result<()> {
    if device.is_cpu() {
        return Ok(());
    }
    progress.report(STAGE, 1, STEPS)?;
    warm_up(backbone, size)?;
    // A host's extractor runs where it runs.
    if !matches!(reference.spec, BackboneSpec::Host(_)) {
        compare_backbones(backbone, &*reference.open()?, size, device)?;
    }
    progress.report(STAGE, 2, STEPS)
}

/// Runs a full batch, and one image.
fn warm_up(network: &dyn FeatureExtractor, size: InputSize) -> Result<()> {
    network.warm_up(size, network.max_batch(size) + 1, 1)
}

impl Model {
    /// Runs all networks once on the shapes of the model, where they are not on the CPU.
    ///
    /// # Errors
    /// [`Status::Backbone`] when a network fails, [`Status::Device`] when the backbone computes other features than on the CPU,
    /// [`Status::Cancelled`] by the progress callback.
    pub(super) fn prepare_device(&self, progress: &Progress) -> Result<()> {
        let (core, device) = (&*self.core, self.device());
        if device.is_cpu() {
            return Ok(());
        }
        let size = self.metadata.input;
        if let Some(network) = &core.network {
            // It was compared when it was opened.
            progress.report(STAGE, 1, STEPS)?;
            warm_up(&**network, size)?;
            progress.report(STAGE, 2, STEPS)?;
        } else {
            let scales = self.metadata.scales()?;
            let tile = self.metadata.tile;
            let reference = Reference { spec: &core.spec, tile, scales: &scales, threads: &core.threads };
            prepare_backbone(&*core.backbone, &reference, size, device, progress)?;
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
