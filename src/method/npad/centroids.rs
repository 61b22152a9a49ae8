//! The centroid level: distance to the nearest representative nominal patch, whatever its position.

use rayon::prelude::*;

use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::math::gaussian::{Estimator, Gaussian, Moments, Regularisation, Shrinkage};
use crate::math::kernels::{Panels, blocked_len, multiply, nearest, padded};
use crate::math::kmeans::{Clusters, kmeans, squared_lengths};
use crate::math::random::Random;
use crate::method::state::unfit;
use crate::method::{Array, State};
use crate::threads::Threads;

/// Rounds of K-means: beyond, distances of held-out patches no longer change in the third digit.
const ROUNDS: usize = 10;
/// The global covariance is drawn towards the identity by this share, which keeps directions without variance harmless.
const SHRINKAGE: f64 = 1e-3 / 1.001;
/// Patches that one task measures.
const CHUNK: usize = 60;

/// The fitted level.
pub struct Centroids {
    channels: usize,
    mean: Vec<f32>,
    /// Row-major, `channels * channels`: `W (g - mean)` has the identity as its covariance.
    whitener: Vec<f32>,
    whitener_panels: Panels,
    points: Points,
}

/// Points in whitened space, laid out for [`nearest`].
struct Points {
    rows: Vec<f32>,
    panels: Panels,
    squares: Vec<f32>,
}

impl Points {
    fn new(rows: Vec<f32>, dimension: usize) -> Self {
        Self { panels: Panels::from_rows(&rows, dimension), squares: squared_lengths(&rows, dimension), rows }
    }
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
        let row_len = padded(channels);
        let number = sample.image.len();
        // K-means starts from the first points, so they come in random order.
        let order = random.choose(number, number);
        sample.rows = order.iter().flat_map(|&i| sample.rows[i * channels..][..channels].iter().copied()).collect();
        sample.image = order.iter().map(|&i| sample.image[i]).collect();

        let mut centre: Vec<f32> = (0..channels)
            .map(|c| sample.rows.iter().skip(c).step_by(channels).map(|v| f64::from(*v)).sum::<f64>() / number as f64)
            .map(|mean| mean as f32)
            .collect();
        let mut moments = Moments::new(channels, {
            let mut padded_centre = centre.clone();
            padded_centre.resize(row_len, 0.0);
            padded_centre
        });
        let mut relative = vec![0.0; number * row_len];
        for (out, row) in relative.chunks_exact_mut(row_len).zip(sample.rows.chunks_exact(channels)) {
            out.iter_mut().zip(row).zip(&centre).for_each(|((out, x), c)| *out = x - c);
        }
        moments.positions_mut().for_each(|mut position| position.add(&relative, &vec![1.0; number]));
        let none = vec![0.0; channels * channels];
        let mut estimator = Estimator::new(channels, &none);
        let regularisation = Regularisation { shrinkage: Shrinkage::Fixed(SHRINKAGE), ridge: 1e-12 };
        centre.resize(row_len, 0.0);
        let (mut packed, mut kept) = (vec![0.0; blocked_len(channels)], 0.0);
        let out = Gaussian { mean: &mut centre, whitener: &mut packed, kept: &mut kept };
        if number < 2 || !estimator.estimate(&moments, 0, number, regularisation, out) {
            return Err(Error::new(
                Status::NotEnoughImages,
                "the good images hardly vary, so there is no covariance to whiten patches with; add more varied ones",
            ));
        }
        centre.truncate(channels);
        // The unbiased covariance plus a share of its mean variance, which is that of the estimate but for its scale.
        let scale = ((1.0 - SHRINKAGE) * (number - 1) as f64 / number as f64).sqrt();
        let whitener: Vec<f32> = estimator.whitener().iter().map(|w| (w * scale) as f32).collect();

        let mut level = Self {
            channels,
            mean: centre,
            whitener_panels: Panels::from_rows(&whitener, channels),
            whitener,
            points: Points::new(Vec::new(), channels),
        };
        sample.white = vec![0.0; sample.rows.len()];
        threads.run(|| {
            sample
                .white
                .par_chunks_mut(CHUNK * channels)
                .zip(sample.rows.par_chunks(CHUNK * channels))
                .for_each_init(Vec::new, |relative, (white, rows)| level.whiten(rows, relative, white));
        });
        sample.clusters = kmeans(&sample.white, channels, count, ROUNDS, threads);
        level.points = Points::new(sample.clusters.centroids.clone(), channels);
        Ok(level)
    }

    fn whiten(&self, rows: &[f32], relative: &mut Vec<f32>, white: &mut [f32]) {
        relative.clear();
        for row in rows.chunks_exact(self.channels) {
            relative.extend(row.iter().zip(&self.mean).map(|(x, m)| x - m));
        }
        multiply(relative, &self.whitener_panels, white);
    }

    /// Writes each patch's distance to the nearest centroid to `out`.
    pub fn distances(&self, patches: &FeatureMap, threads: &Threads, out: &mut Vec<f32>) {
        self.distances_to(&self.points, patches, threads, out);
    }

    /// The same, as though image number `image` had not been learnt from: its patches are taken out of their centroids,
    /// and a centroid that held nothing else is gone.
    pub fn held_out(
        &self,
        sample: &PatchSample,
        image: usize,
        patches: &FeatureMap,
        threads: &Threads,
        out: &mut Vec<f32>,
    ) {
        let (dimension, count) = (self.channels, self.points.squares.len());
        let mut all = vec![0.0f32; count];
        let mut own = vec![0.0f32; count];
        let mut rows = self.points.rows.clone();
        sample.clusters.assignment.iter().for_each(|&c| all[c as usize] += 1.0);
        let members =
            || sample.clusters.assignment.iter().enumerate().filter(|(i, _)| sample.image[*i] as usize == image);
        members().for_each(|(_, &c)| own[c as usize] += 1.0);
        for (i, &c) in members() {
            let c = c as usize;
            if own[c] < all[c] {
                // The centroid is the mean of `all`; each of `own` leaves with its share.
                let centroid = &self.points.rows[c * dimension..][..dimension];
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
        self.distances_to(&Points::new(left, dimension), patches, threads, out);
    }

    fn distances_to(&self, points: &Points, patches: &FeatureMap, threads: &Threads, out: &mut Vec<f32>) {
        struct Scratch {
            relative: Vec<f32>,
            white: Vec<f32>,
            index: Vec<u32>,
        }
        out.resize(patches.positions(), 0.0);
        threads.run(|| {
            out.par_chunks_mut(CHUNK).zip(patches.data.par_chunks(CHUNK * self.channels)).for_each_init(
                || Scratch { relative: Vec::new(), white: vec![0.0; CHUNK * self.channels], index: vec![0; CHUNK] },
                |Scratch { relative, white, index }, (distance, rows)| {
                    self.whiten(rows, relative, &mut white[..rows.len()]);
                    nearest(
                        &white[..rows.len()],
                        &points.panels,
                        &points.squares,
                        &mut index[..distance.len()],
                        distance,
                    );
                    distance.iter_mut().for_each(|d| *d = d.sqrt());
                },
            );
        });
    }

    /// Saves the level.
    pub fn save(&self, state: &mut State) {
        let square = vec![self.channels, self.channels];
        state.put("centroids.mean", Array::F32(vec![self.channels], self.mean.clone()));
        state.put("centroids.whitener", Array::F32(square, self.whitener.clone()));
        state.put(
            "centroids.points",
            Array::F32(vec![self.points.squares.len(), self.channels], self.points.rows.clone()),
        );
    }

    /// Loads what [`Centroids::save`] saved.
    pub fn load(channels: usize, state: &mut State) -> Result<Self> {
        let count =
            *state.shape("centroids.points").first().filter(|c| **c > 0).ok_or_else(|| unfit("centroids.points"))?;
        let whitener = state.take_f32("centroids.whitener", &[channels, channels])?;
        Ok(Self {
            channels,
            mean: state.take_f32("centroids.mean", &[channels])?,
            whitener_panels: Panels::from_rows(&whitener, channels),
            whitener,
            points: Points::new(state.take_f32("centroids.points", &[count, channels])?, channels),
        })
    }
}
