//! The centroid level: distance to the nearest representative nominal patch, whatever its position.

use crate::backbone::FeatureMap;
use crate::error::Result;
use crate::exec::Threads;
use crate::math::kmeans::{Clusters, kmeans};
use crate::math::knn::Points;
use crate::math::random::Random;
use crate::method::state::unfit;
use crate::method::whitening::{NearestScratch, Whitening, nearest_distances};
use crate::method::{Array, State};

/// Rounds of K-means: beyond, distances of held-out patches no longer change in the third digit.
const ROUNDS: usize = 10;
/// What the level's arrays are called.
const LEVEL: &str = "centroids";

/// The fitted level.
#[derive(Clone)]
pub struct Centroids {
    channels: usize,
    whitening: Whitening,
    /// In whitened space.
    points: Points,
    /// Patches that each centroid is the mean of.
    counts: Vec<u32>,
}

/// Patches drawn from good images, remembered with the image that each came from.
pub struct PatchSample {
    rows: Vec<f32>,
    image: Vec<u32>,
    /// Clustering of the whitened patches, once fitted.
    clusters: Clusters,
    white: Vec<f32>,
}

impl PatchSample {
    /// Nothing yet.
    pub fn new() -> Self {
        let clusters = Clusters { centroids: Vec::new(), assignment: Vec::new() };
        Self { rows: Vec::new(), image: Vec::new(), clusters, white: Vec::new() }
    }

    /// Draws `count` patches of image number `image`.
    pub fn draw(&mut self, patches: &FeatureMap, image: usize, count: usize, random: &mut Random) {
        for p in random.choose(count, patches.positions()) {
            self.rows.extend_from_slice(patches.at(p));
            self.image.push(image as u32);
        }
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
        let order = random.choose(number, number);
        sample.rows = order.iter().flat_map(|&i| sample.rows[i * channels..][..channels].iter().copied()).collect();
        sample.image = order.iter().map(|&i| sample.image[i]).collect();
        let whitening = Whitening::new(&sample.rows, channels)?;
        sample.white = whitening.apply_all(&sample.rows, threads);
        sample.clusters = kmeans(&sample.white, channels, count, ROUNDS, threads);
        let points = Points::new(sample.clusters.centroids.clone(), channels);
        let mut counts = vec![0; points.count()];
        sample.clusters.assignment.iter().for_each(|&c| counts[c as usize] += 1);
        Ok(Self { channels, whitening, points, counts })
    }

    /// Patches to draw from each of further images, so that each counts as much as one of the `images` before.
    pub fn share(&self, images: usize) -> usize {
        let drawn: u64 = self.counts.iter().map(|c| u64::from(*c)).sum();
        (drawn as usize / images.max(1)).max(1)
    }

    /// Takes patches of further images in: each moves its nearest centroid by its share (Sculley 2010, web-scale
    /// K-means, with one batch).
    pub fn extend(&mut self, sample: &mut PatchSample, threads: &Threads) {
        sample.white = self.whitening.apply_all(&sample.rows, threads);
        let dimension = self.channels;
        let mut assignment = vec![0; sample.image.len()];
        let mut distance = vec![0.0; assignment.len()];
        self.points.nearest(&sample.white, &mut assignment, &mut distance);
        let mut rows = self.points.rows().to_vec();
        for (white, &c) in sample.white.chunks_exact(dimension).zip(&assignment) {
            let count = &mut self.counts[c as usize];
            *count += 1;
            let share = 1.0 / *count as f32;
            let row = &mut rows[c as usize * dimension..][..dimension];
            row.iter_mut().zip(white).for_each(|(row, w)| *row += share * (w - *row));
        }
        self.points = Points::new(rows, dimension);
        sample.clusters.assignment = assignment;
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

    /// The same, as though image number `image` had not been learnt from: its patches are taken out of their centroids,
    /// and a centroid that held nothing else is gone.
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
        let dimension = self.channels;
        let all: Vec<f32> = self.counts.iter().map(|count| *count as f32).collect();
        let mut own = vec![0.0f32; all.len()];
        let mut rows = self.points.rows().to_vec();
        let members =
            || sample.clusters.assignment.iter().enumerate().filter(|(i, _)| sample.image[*i] as usize == image);
        members().for_each(|(_, &c)| own[c as usize] += 1.0);
        for (i, &c) in members() {
            let c = c as usize;
            if own[c] < all[c] {
                // The centroid is the mean of `all`; each of `own` leaves with its share.
                let centroid = self.points.row(c);
                let share = 1.0 / (all[c] - own[c]);
                let white = &sample.white[i * dimension..][..dimension];
                let row = &mut rows[c * dimension..][..dimension];
                row.iter_mut().zip(centroid).zip(white).for_each(|((row, c), w)| *row += share * (c - w));
            }
        }
        let left: Vec<f32> = rows
            .chunks_exact(dimension)
            .zip(all.iter().zip(&own))
            .filter(|(_, (all, own))| **own == 0.0 || own < all)
            .flat_map(|(row, _)| row.iter().copied())
            .collect();
        nearest_distances(Some(&self.whitening), &Points::new(left, dimension), patches, threads, scratch, out)
    }

    /// Saves the level.
    pub fn save(&self, state: &mut State) {
        self.whitening.save(LEVEL, state);
        let shape = vec![self.points.count(), self.channels];
        state.put("centroids.points", Array::F32(shape, self.points.rows().to_vec()));
        state.put("centroids.counts", Array::U32(vec![self.counts.len()], self.counts.clone()));
    }

    /// Loads what [`Centroids::save`] saved.
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
            points: Points::new(state.take_f32("centroids.points", &[count, channels])?, channels),
            counts,
        })
    }
}
