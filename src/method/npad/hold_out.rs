//! Distances of learnt images as though each had not been learnt from.

use super::centroids::PatchSample;
use super::fit::{NpadFitter, Statistics, mean_of, selected};
use super::gaussians::{ALONE, Gaussians, pooled_without};
use super::score::{Fusion, Levels, Spread, cells_of};
use crate::backbone::FeatureMap;
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::progress::Progress;
use crate::math::gaussian::{Regularisation, Target};
use crate::method::whitening::NearestScratch;
use crate::method::{GridScore, Sample, held_out_images};

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
        let (mut out, mut nearest) = (HeldOut::default(), NearestScratch::default());
        let mut spreads: [Moments; 3] = Default::default();
        for (done, batch) in images.chunks(BATCH).enumerate() {
            progress.report("held-out scores", done * BATCH, images.len())?;
            let is_wanted =
                |level: usize| config.image_levels[level] || (config.uses(level) && done * BATCH < SCALE_IMAGES);
            let (mut features, mut scratch) = (FeatureMap::default(), FeatureMap::default());
            let mut maps: Vec<Vec<FeatureMap>> = Vec::new();
            let mut distances = HeldOut::default();
            for &number in batch {
                let mut own = Vec::new();
                for map in &self.sample.images()[number].maps {
                    map.read(&mut features)?;
                    own.push(selected(&features, &self.statistics.channels, self.threads)?);
                    if let Some(level) = self.levels.centroids.as_ref().filter(|_| is_wanted(2)) {
                        let mut distance = Vec::new();
                        let cells = cells_of(&features, config.centroid_patch, self.threads, &mut scratch)?;
                        level.held_out(self.patches, number, cells, self.threads, &mut nearest, &mut distance)?;
                        distances[2].push(distance);
                    }
                }
                maps.push(own);
            }
            if let Some(level) = self.levels.pixel.as_ref().filter(|_| is_wanted(0)) {
                distances[0] = columns(level.held_out(&maps, self.fitter.window(), self.threads)?);
            }
            if let Some(level) = self.levels.patch.as_ref().filter(|_| is_wanted(1)) {
                distances[1] = columns(level.held_out(&self.means(&maps)?, ALONE, self.threads)?);
            }
            for (level, distances) in distances.into_iter().enumerate() {
                distances.iter().for_each(|map| spreads[level].add(map));
                if config.image_levels[level] {
                    out[level].extend(distances);
                }
            }
        }
        if config.image_levels[1] && (LEAST_IMAGES..FEW_IMAGES).contains(&self.statistics.images) {
            self.without_pooled(&images, &mut out[1])?;
        }
        Ok((spreads.map(Moments::spread), out))
    }

    /// The patch level's distances with a pooled covariance that has not been learnt from the images either.
    fn without_pooled(&self, images: &[usize], out: &mut [Vec<f32>]) -> Result<()> {
        let Some(moments) = &self.statistics.patch else { return Ok(()) };
        let regularisation = self.fitter.config.regularisation;
        // Statistics of a resumed fit know no single images.
        let is_whole = images.len() == self.statistics.images;
        if !is_whole || !matches!(regularisation, Regularisation { target: Target::Pooled, .. }) {
            return Ok(());
        }
        let folds = FOLDS.min(images.len());
        let pooled = moments.pooled()?;
        for fold in 0..folds {
            let mut maps = Vec::new();
            for &number in images.iter().skip(fold).step_by(folds) {
                let mut features = FeatureMap::default();
                let mut own = Vec::new();
                for map in &self.sample.images()[number].maps {
                    map.read(&mut features)?;
                    own.push(selected(&features, &self.statistics.channels, self.threads)?);
                }
                maps.push(own);
            }
            let means = self.means(&maps)?;
            let level = self.levels.patch.as_ref();
            let Some(level) = level else { return Ok(()) };
            let rest = pooled_without(&pooled, level, &means, self.statistics.images)?;
            let layout = &self.statistics.patch_layout;
            let level = Gaussians::new(moments, layout, &rest, self.statistics.images, regularisation, self.threads)?;
            let distances = columns(level.held_out(&means, ALONE, self.threads)?);
            let per_image = distances.len() / means.len();
            for (at, distances) in distances.chunks_exact(per_image).enumerate() {
                out[(fold + at * folds) * per_image..][..per_image].clone_from_slice(distances);
            }
        }
        Ok(())
    }

    fn means(&self, maps: &[Vec<FeatureMap>]) -> Result<Vec<Vec<FeatureMap>>> {
        let patch = self.fitter.config.patch;
        maps.iter().map(|own| own.iter().map(|map| mean_of(map, patch, self.threads)).collect()).collect()
    }
}

fn columns(distances: ndarray::Array2<f32>) -> Vec<Vec<f32>> {
    distances.columns().into_iter().map(|map| map.to_vec()).collect()
}

/// Sums for mean and standard deviation.
#[derive(Default)]
struct Moments {
    count: f64,
    sum: f64,
    square: f64,
}

impl Moments {
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
pub fn fuse(
    distances: &HeldOut,
    sample: &Sample,
    shape: (usize, usize, usize),
    fusion: &Fusion,
) -> Vec<Vec<GridScore>> {
    let mut next = 0;
    let mut score = || {
        let of = |level: usize| distances[level].get(next).map_or(&[][..], Vec::as_slice);
        let mut out = GridScore { rows: shape.0, cols: shape.1, ..GridScore::default() };
        fusion.evidence([of(0), of(1), of(2)], shape.0 * shape.1, &mut out.map);
        next += 1;
        out
    };
    let images = held_out_images(sample).into_iter().map(|number| &sample.images()[number]);
    images.map(|image| image.maps.iter().map(|_| score()).collect()).collect()
}
