//! The centroid level: distance to the nearest K-means centroid of the good images' patches, at any position.

use ndarray::{Array2, ArrayView1, Zip};

use crate::backbone::FeatureMap;
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::{try_collect, try_copy, try_vec};
use crate::math::kmeans::{Clusters, kmeans};
use crate::math::knn::Points;
use crate::math::random::Random;
use crate::math::rows::{as_slice, copied, from_vec, select};
use crate::method::features::draw;
use crate::method::state::unfit;
use crate::method::whitening::{NearestScratch, Whitening, nearest_distances};
use crate::method::{Array, State};

/// Iterations of K-means. With more, distances of held-out patches do not change in the third digit.
const ROUNDS: usize = 10;
/// Prefix of the names of the level's arrays.
const LEVEL: &str = "centroids";

/// The fitted level.
#[derive(Clone)]
pub struct Centroids {
    channels: usize,
    whitening: Whitening,
    /// The centroids in whitened space.
    points: Points,
    /// Number of patches of each centroid.
    counts: Vec<u32>,
}

/// Patches drawn from good images, with the image of each.
#[derive(Default)]
pub struct PatchSample {
    /// Patch after patch.
    values: Vec<f32>,
    image: Vec<u32>,
    /// Clustering of the whitened patches, once fitted.
    clusters: Clusters,
    /// A patch a row, once fitted.
    white: Array2<f32>,
}

impl PatchSample {
    /// Draws `count` patches of image number `image`.
    pub fn draw(&mut self, patches: &FeatureMap, image: usize, count: usize, random: &mut Random) -> Result<()> {
        let drawn = draw(patches, count, random, &mut self.values)?;
        self.image.resize(self.image.len() + drawn, image as u32);
        Ok(())
    }
}

impl Centroids {
    /// Fits `count` centroids to the sample.
    pub fn new(
        sample: &mut PatchSample,
        channels: usize,
        count: usize,
        random: &mut Random,
        threads: &Threads,
    ) -> Result<Self> {
        let number = sample.image.len();
        // K-means starts from the first points, so they come in random order.
        let order = random.choose(number, number)?;
        let rows = select(from_vec(std::mem::take(&mut sample.values), channels).view(), &order)?;
        sample.image = try_collect(order.iter().map(|&i| sample.image[i]))?;
        let whitening = Whitening::new(rows.view())?;
        sample.white = whitening.apply_all(rows.view(), threads)?;
        sample.clusters = kmeans(sample.white.view(), count, ROUNDS, threads)?;
        let points = Points::new(copied(sample.clusters.centroids.view())?)?;
        let mut counts = vec![0; points.count()];
        sample.clusters.assignment.iter().for_each(|&c| counts[c as usize] += 1);
        Ok(Self { channels, whitening, points, counts })
    }

    /// Number of patches to draw from each further image, so that it has the weight of one of the `images` before.
    pub fn share(&self, images: usize) -> usize {
        let drawn: u64 = self.counts.iter().map(|c| u64::from(*c)).sum();
        (drawn as usize / images.max(1)).max(1)
    }

    /// Adds patches of further images: each moves its nearest centroid by its share (Sculley 2010, web-scale K-means,
    /// with one batch).
    pub fn extend(&mut self, sample: &mut PatchSample, threads: &Threads) -> Result<()> {
        let rows = from_vec(std::mem::take(&mut sample.values), self.channels);
        sample.white = self.whitening.apply_all(rows.view(), threads)?;
        let mut assignment = try_vec(sample.image.len(), 0)?;
        let mut distance = try_vec(sample.image.len(), 0.0)?;
        self.points.nearest(as_slice(sample.white.view()), &mut assignment, &mut distance);
        let mut rows = copied(self.points.rows())?;
        for (white, &c) in sample.white.rows().into_iter().zip(&assignment) {
            let count = &mut self.counts[c as usize];
            *count += 1;
            let share = 1.0 / *count as f32;
            rows.row_mut(c as usize).zip_mut_with(&white, |row, w| *row += share * (w - *row));
        }
        self.points = Points::new(rows)?;
        sample.clusters.assignment = assignment;
        Ok(())
    }

    /// Writes each patch's distance to the nearest centroid to `out`.
    ///
    /// # Errors
    /// As [`nearest_distances`].
    pub fn distances(
        &self,
        patches: &FeatureMap,
        threads: &Threads,
        scratch: &mut NearestScratch,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        nearest_distances(Some(&self.whitening), &self.points, patches, threads, scratch, out)
    }

    /// Leave-one-out distances of image number `image`: its patches are removed from their centroids, and centroids
    /// without other patches are ignored.
    ///
    /// # Errors
    /// As [`nearest_distances`].
    pub fn held_out(
        &self,
        sample: &PatchSample,
        image: usize,
        patches: &FeatureMap,
        threads: &Threads,
        scratch: &mut NearestScratch,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let all: Vec<f32> = self.counts.iter().map(|count| *count as f32).collect();
        let mut own = vec![0.0f32; all.len()];
        let mut rows = copied(self.points.rows())?;
        let members =
            || sample.clusters.assignment.iter().enumerate().filter(|(i, _)| sample.image[*i] as usize == image);
        members().for_each(|(_, &c)| own[c as usize] += 1.0);
        for (i, &c) in members() {
            let c = c as usize;
            if own[c] < all[c] {
                // The centroid is the mean of `all`; each of `own` is subtracted with its share.
                let share = 1.0 / (all[c] - own[c]);
                Zip::from(rows.row_mut(c))
                    .and(ArrayView1::from(self.points.row(c)))
                    .and(sample.white.row(i))
                    .for_each(|row, c, w| *row += share * (c - w));
            }
        }
        let left: Vec<usize> = (0..all.len()).filter(|&c| own[c] == 0.0 || own[c] < all[c]).collect();
        let left = Points::new(select(rows.view(), &left)?)?;
        nearest_distances(Some(&self.whitening), &left, patches, threads, scratch, out)
    }

    /// What is done to a patch before its distances to the centroids are taken.
    pub fn whitening(&self) -> &Whitening {
        &self.whitening
    }

    /// The centroids in whitened space.
    pub fn points(&self) -> &Points {
        &self.points
    }

    /// Saves the level.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn save(&self, state: &mut State) -> Result<()> {
        self.whitening.save(LEVEL, state)?;
        let shape = vec![self.points.count(), self.channels];
        state.put("centroids.points", Array::F32(shape, try_copy(as_slice(self.points.rows()))?));
        state.put("centroids.counts", Array::U32(vec![self.counts.len()], self.counts.clone()));
        Ok(())
    }

    /// Loads the level.
    pub fn load(channels: usize, state: &mut State) -> Result<Self> {
        let count =
            *state.shape("centroids.points").first().filter(|c| **c > 0).ok_or_else(|| unfit("centroids.points"))?;
        let counts = state.take_u32("centroids.counts")?;
        if counts.len() != count {
            return Err(unfit("centroids.counts"));
        }
        Ok(Self {
            channels,
            whitening: Whitening::load(LEVEL, channels, state)?,
            points: Points::new(from_vec(state.take_f32("centroids.points", &[count, channels])?, channels))?,
            counts,
        })
    }
}
