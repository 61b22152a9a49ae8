//! Merging the state of another fit into a fit.

use std::collections::BTreeSet;

use super::state::{Saved, resumed};
use super::{Fit, MOST_IMAGES, good_and_defective};
use crate::error::{Error, Result, Status};
use crate::exec::memory::try_reserve;
use crate::method::{Sample, unfit};
use crate::model::extraction::Pipeline;
use crate::model::image_ids::ImageIds;
use crate::model::images_hash::ImageHash;

impl Fit {
    /// Adds the images of a saved state, as if this fit had learnt them. On failure nothing changes.
    pub fn merge(&mut self, saved: Saved) -> Result<()> {
        let Saved { settings, first, sample, statistics, defects, sum, summed, learnt, images_hash, copies, .. } =
            saved;
        match (&self.settings, self.images_hash) {
            (Some(own), Some(_)) => own.check_same(&settings)?,
            _ => return Err(resumed()),
        }
        self.progress.report("merging", 0, 1)?;
        let Some((first, size)) = first else { return Ok(()) };
        let own = match &self.input {
            Some(input) => input.size,
            None => self.config.input_size(first, &*self.backbone)?.1,
        };
        if own != size {
            let other = size;
            let message = format!(
                "the size of the network's input is {} x {} here and {} x {} in the trainer state, since the first images differ in \
                 their proportions: set the option size to height x width in all fits",
                own.height, own.width, other.height, other.width
            );
            return Err(Error::new(Status::InvalidArgument, message));
        }
        if let Some(input) = self.input.as_ref().filter(|input| input.roi.is_some() && input.first != first) {
            let ((width, height), (columns, rows)) = (input.first, first);
            let message = format!(
                "the images are of {width} x {height} pixels here and {columns} x {rows} in the trainer state, but a mask or a region \
                 of interest is for images of one size"
            );
            return Err(Error::new(Status::InvalidArgument, message));
        }
        let input = || self.config.input(first, &*self.backbone, &self.threads);
        let mut started = self.input.is_none().then(input).transpose()?;
        let displacements = &self.config.shifts[..1];
        let (backbone, threads) = (&*self.backbone, &*self.threads);
        if let Some(input) = self.input.as_mut().or(started.as_mut()) {
            let pipeline = Pipeline { backbone, displacements, roi: None, margin: 0, mean: &[], threads };
            input.extraction.zeros(pipeline, &mut self.leaving)?;
        }
        let maps = self.config.shifts.len();
        if !sample.fits(&self.leaving, maps) || !defects.fit(&self.leaving, maps) {
            return Err(unfit("sample.maps"));
        }
        if self.defects.ids().any(|id| learnt.contains(id)) || defects.ids().any(|id| self.learnt.contains(id)) {
            return Err(good_and_defective("images of the other trainer", "the states are not merged"));
        }
        if self.sample.seen() + sample.seen() > MOST_IMAGES || self.summed + summed > MOST_IMAGES {
            return Err(too_many());
        }
        let (mut own, mut others) = (self.sample.clone(), sample);
        let removed = remove_copies((&mut own, &self.learnt), (&mut others, &learnt))?;
        let (merged, leaving) = own.merged(&others)?;
        let learnt = self.learnt.merged(&learnt)?;
        self.defects.reserve(&defects)?;
        let missing = sum.len() - self.sum.len().min(sum.len());
        try_reserve(&mut self.sum, missing)?;
        if let Some(accumulator) = self.fitter.accumulator() {
            if statistics.arrays.is_empty() && others.seen() > others.images().len() {
                return Err(unfit("statistics"));
            }
            accumulator.stage(statistics, &leaving, &merged, &self.threads)?;
            accumulator.merge();
        } else if let Some(name) = statistics.arrays.keys().next() {
            return Err(unfit(name));
        }
        // Nothing can fail from here on.
        self.sum.resize(self.sum.len() + missing, 0);
        self.sum.iter_mut().zip(sum).for_each(|(own, other)| *own = own.wrapping_add(other));
        self.summed += summed;
        self.copies = self.copies.saturating_add(copies).saturating_add(removed.len());
        if let Some(hash) = &mut self.images_hash {
            hash.merge(images_hash);
            removed.into_iter().for_each(|content| hash.remove(ImageHash::from_bits(content)));
        }
        (self.sample, self.learnt) = (merged, learnt);
        self.defects.merge(defects);
        self.input = self.input.take().or(started);
        Ok(())
    }
}

/// Takes the images that both fits have learnt out of one of the samples, and returns their contents. An image that has left
/// one of them cannot be among the smallest hashes of both, so it leaves the other too.
fn remove_copies(own: (&mut Sample, &ImageIds), other: (&mut Sample, &ImageIds)) -> Result<Vec<u128>> {
    let common = own.1.common(other.1)?;
    if common.len() == 0 {
        return Ok(Vec::new());
    }
    let ids = |sample: &Sample| sample.images().iter().map(|image| image.content as u64).collect::<BTreeSet<_>>();
    let (ids_own, ids_other) = (ids(own.0), ids(other.0));
    let unknown = common.iter().filter(|id| !ids_own.contains(id) && !ids_other.contains(id)).count();
    let refused = |message| Err(Error::new(Status::InvalidArgument, message));
    if unknown > 0 && common.len() == other.1.len() {
        return refused(
            "all images of the trainer state have been learnt already, so it is not merged: merge each state once",
        );
    }
    if unknown > 0 && common.len() == own.1.len() {
        return refused(
            "the trainer state has all images that were learnt here, and more: load it instead of merging it",
        );
    }
    if unknown > 0 {
        log::warn!(
            "{unknown} images are in both trainer states, which know only their sums, so that they count twice: give equal images to \
             one fit"
        );
    }
    let mut removed = Vec::new();
    try_reserve(&mut removed, common.len())?;
    let mut take = |sample: &mut Sample, is_removed: &dyn Fn(u64) -> bool| {
        sample.retain(|image| {
            let keep = !(common.contains(image.content as u64) && is_removed(image.content as u64));
            if !keep {
                removed.push(image.content);
            }
            keep
        });
    };
    take(other.0, &|_| true);
    take(own.0, &|id| !ids_other.contains(&id));
    Ok(removed)
}

/// The error for more images than a fit can have.
pub fn too_many() -> Error {
    Error::new(
        Status::WrongState,
        format!("a fit can have {MOST_IMAGES} images at most: finish it, or start another one"),
    )
}
