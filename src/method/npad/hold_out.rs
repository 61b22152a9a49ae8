//! Distances of learnt images as though each had not been learnt from.

use ndarray::{Array2, ArrayView1, ArrayViewMut1};

use super::centroids::{Centroids, PatchSample};
use super::fit::NpadFitter;
use super::gaussians::{ALONE, Gaussians, pooled_without};
use super::score::{Fusion, Levels, Spread, cells_of};
use super::statistics::{Statistics, mean_of, selected};
use crate::backbone::FeatureMap;
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::try_vec;
use crate::exec::progress::Progress;
use crate::math::gaussian::{Regularisation, Target};
use crate::method::whitening::NearestScratch;
use crate::method::{GridScore, HalfMap, Sample, held_out_images};

/// Number of images whose distances are computed in one pass over the whiteners.
const BATCH: usize = 16;

/// Number of images from which the scale of a level that the image score does not need is computed.
const SCALE_IMAGES: usize = 32;

/// With fewer images, the pooled covariance depends noticeably on each of them, so it is estimated without them, in
/// [`FOLDS`] folds. Otherwise thresholds from 20 images would give 7 instead of 2 % false alarms.
const FEW_IMAGES: usize = 64;
const FOLDS: usize = 5;
/// With fewer, the remaining images have no pooled covariance.
const LEAST_IMAGES: usize = 3;

/// Held-out distances of every map of the sample for each level; empty for an unused level.
pub type HeldOut = [Vec<Vec<f32>>; 3];

/// What held-out distances are computed from.
pub struct HoldOut<'a> {
    pub fitter: &'a NpadFitter,
    pub statistics: &'a Statistics,
    pub levels: &'a Levels<f32>,
    pub sample: &'a Sample,
    pub patches: &'a PatchSample,
    pub threads: &'a Threads,
}

impl HoldOut<'_> {
    /// Mean and standard deviation of each level's distances, and the distances of the levels of the image score.
    pub fn run(&self, progress: &Progress) -> Result<([Spread; 3], HeldOut)> {
        let images = held_out_images(self.sample);
        let config = &self.fitter.config;
        let folds = self.folds(images.len());
        let steps = images.len() + folds;
        let (mut out, mut nearest) = (HeldOut::default(), NearestScratch::default());
        let mut sums: [Sums; 3] = Default::default();
        for (done, batch) in images.chunks(BATCH).enumerate() {
            progress.report("held-out scores", done * BATCH, steps)?;
            let is_wanted =
                |level: usize| config.image_levels[level] || (config.uses(level) && done * BATCH < SCALE_IMAGES);
            let mut distances = HeldOut::default();
            let maps = batch.iter().map(|&number| self.selected(number)).collect::<Result<Vec<_>>>()?;
            if let Some(level) = self.levels.centroids.as_ref().filter(|_| is_wanted(2)) {
                for &number in batch {
                    distances[2].extend(self.centroid_distances(level, number, &mut nearest)?);
                }
            }
            if let Some(level) = self.levels.pixel.as_ref().filter(|_| is_wanted(0)) {
                distances[0] = columns(level.held_out(&maps, config.window(), self.threads)?)?;
            }
            if let Some(level) = self.levels.patch.as_ref().filter(|_| is_wanted(1)) {
                distances[1] = columns(level.held_out(&self.means(&maps)?, ALONE, self.threads)?)?;
            }
            for (level, distances) in distances.into_iter().enumerate() {
                distances.iter().for_each(|map| sums[level].add(map));
                if config.image_levels[level] {
                    out[level].extend(distances);
                }
            }
        }
        if folds > 0 {
            let next = |fold| progress.report("held-out scores", images.len() + fold, steps);
            self.without_pooled(&images, folds, &mut out[1], next)?;
        }
        Ok((sums.map(Sums::spread), out))
    }

    /// Number of folds of [`HoldOut::without_pooled`] for `count` images; 0 if the pooled covariance need not or cannot be
    /// estimated without them.
    fn folds(&self, count: usize) -> usize {
        let (config, images) = (&self.fitter.config, self.statistics.images);
        let is_pooled = matches!(config.regularisation, Regularisation { target: Target::Pooled, .. });
        // Statistics of a resumed fit know no single images.
        let is_wanted = is_pooled && config.image_levels[1] && images == count;
        if is_wanted && (LEAST_IMAGES..FEW_IMAGES).contains(&images) { FOLDS.min(count) } else { 0 }
    }

    /// The patch level's distances with a pooled covariance that has not been learnt from the images either. `next` is
    /// called before each fold.
    fn without_pooled(
        &self,
        images: &[usize],
        folds: usize,
        out: &mut [Vec<f32>],
        next: impl Fn(usize) -> Result<()>,
    ) -> Result<()> {
        let (Some(moments), Some(level)) = (&self.statistics.patch, &self.levels.patch) else { return Ok(()) };
        let regularisation = self.fitter.config.regularisation;
        let pooled = moments.pooled()?;
        for fold in 0..folds {
            next(fold)?;
            let maps = images.iter().skip(fold).step_by(folds).map(|&number| self.selected(number));
            let means = self.means(&maps.collect::<Result<Vec<_>>>()?)?;
            let rest = pooled_without(&pooled, level, &means, self.statistics.images)?;
            let layout = &self.statistics.patch_layout;
            let level = Gaussians::new(moments, layout, &rest, self.statistics.images, regularisation, self.threads)?;
            let distances = columns(level.held_out(&means, ALONE, self.threads)?)?;
            let per_image = distances.len() / means.len();
            for (at, distances) in distances.chunks_exact(per_image).enumerate() {
                out[(fold + at * folds) * per_image..][..per_image].clone_from_slice(distances);
            }
        }
        Ok(())
    }

    /// The Gaussians' channels of an image's maps.
    fn selected(&self, number: usize) -> Result<Vec<FeatureMap>> {
        let mut features = FeatureMap::default();
        let mut read = |map: &HalfMap| {
            map.read(&mut features)?;
            selected(&features, &self.statistics.channels, self.threads)
        };
        self.sample.images()[number].maps.iter().map(&mut read).collect()
    }

    /// The centroid level's distances of an image's maps.
    fn centroid_distances(
        &self,
        level: &Centroids,
        number: usize,
        nearest: &mut NearestScratch,
    ) -> Result<Vec<Vec<f32>>> {
        let (mut features, mut scratch) = (FeatureMap::default(), FeatureMap::default());
        let mut distances = Vec::new();
        for map in &self.sample.images()[number].maps {
            map.read(&mut features)?;
            let cells = cells_of(&features, self.fitter.config.centroid_patch, self.threads, &mut scratch)?;
            let mut distance = Vec::new();
            level.held_out(self.patches, number, cells, self.threads, nearest, &mut distance)?;
            distances.push(distance);
        }
        Ok(distances)
    }

    fn means(&self, maps: &[Vec<FeatureMap>]) -> Result<Vec<Vec<FeatureMap>>> {
        let patch = self.fitter.config.patch;
        maps.iter().map(|own| own.iter().map(|map| mean_of(map, patch, self.threads)).collect()).collect()
    }
}

fn columns(distances: Array2<f32>) -> Result<Vec<Vec<f32>>> {
    let column = |map: ArrayView1<'_, f32>| {
        let mut values = try_vec(map.len(), 0.0)?;
        ArrayViewMut1::from(&mut values[..]).assign(&map);
        Ok(values)
    };
    distances.columns().into_iter().map(column).collect()
}

/// Sums for mean and standard deviation.
#[derive(Default)]
struct Sums {
    count: f64,
    sum: f64,
    square: f64,
}

impl Sums {
    fn add(&mut self, map: &[f32]) {
        for d in map.iter().map(|d| f64::from(*d)).filter(|d| d.is_finite()) {
            self.count += 1.0;
            self.sum += d;
            self.square += d * d;
        }
    }

    fn spread(self) -> Spread {
        let count = self.count.max(1.0);
        let mean = self.sum / count;
        Spread { mean, deviation: (self.square / count - mean * mean).max(0.0).sqrt() }
    }
}

/// The evidence of the image score of each map of each image.
///
/// # Errors
/// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory).
pub fn fuse(
    distances: &HeldOut,
    sample: &Sample,
    shape: (usize, usize, usize),
    fusion: &Fusion,
) -> Result<Vec<Vec<GridScore>>> {
    let mut next = 0;
    let mut score = || {
        let of = |level: usize| distances[level].get(next).map_or(&[][..], Vec::as_slice);
        let mut out = GridScore { rows: shape.0, cols: shape.1, ..GridScore::default() };
        fusion.evidence([of(0), of(1), of(2)], shape.0 * shape.1, &mut out.map)?;
        next += 1;
        Ok(out)
    };
    let images = held_out_images(sample).into_iter().map(|number| &sample.images()[number]);
    images.map(|image| image.maps.iter().map(|_| score()).collect()).collect()
}
