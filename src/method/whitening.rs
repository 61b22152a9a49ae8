//! One global whitening of feature vectors: after it, Euclidean distances are Mahalanobis distances.
//!
//! Channels of a backbone differ in scale by orders of magnitude and are correlated; raw Euclidean distances between them
//! mostly measure a few loud channels.

use rayon::prelude::*;

use super::{Array, State};
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::{try_reserve, try_resize};
use crate::math::gaussian::{Estimator, Gaussian, Moments, Regularisation, Share, Target};
use crate::math::kernels::{Panels, blocked_len, multiply, padded};
use crate::math::knn::Points;

/// The covariance is drawn towards the identity by this share, which keeps directions without variance harmless.
const SHRINKAGE: f64 = 1e-3 / 1.001;
/// Vectors that one task whitens or measures.
const CHUNK: usize = 60;

/// `x -> W (x - mean)`, whose result has the identity as its covariance.
#[derive(Clone)]
pub struct Whitening {
    channels: usize,
    mean: Vec<f32>,
    /// Row-major, `channels * channels`.
    matrix: Vec<f32>,
    panels: Panels,
}

impl Whitening {
    /// Of the rows of `rows`, `channels` values each.
    ///
    /// # Errors
    /// [`Status::NotEnoughImages`] when they do not vary.
    pub fn new(rows: &[f32], channels: usize) -> Result<Self> {
        let (row_len, number) = (padded(channels), rows.len() / channels);
        let mut centre: Vec<f32> = (0..channels)
            .map(|c| rows.iter().skip(c).step_by(channels).map(|v| f64::from(*v)).sum::<f64>() / number as f64)
            .map(|mean| mean as f32)
            .collect();
        let mut moments = Moments::new(channels, {
            let mut padded_centre = centre.clone();
            padded_centre.resize(row_len, 0.0);
            padded_centre
        });
        let mut relative = vec![0.0; number * row_len];
        for (out, row) in relative.chunks_exact_mut(row_len).zip(rows.chunks_exact(channels)) {
            out.iter_mut().zip(row).zip(&centre).for_each(|((out, x), c)| *out = x - c);
        }
        moments.positions_mut().for_each(|mut position| position.add(&relative, &vec![1.0; number]));
        let none = vec![0.0; channels * channels];
        let mut estimator = Estimator::new(channels, &none);
        let regularisation = Regularisation { target: Target::Identity, share: Share::Fixed(SHRINKAGE), ridge: 1e-12 };
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
        let matrix: Vec<f32> = estimator.whitener().iter().map(|w| (w * scale) as f32).collect();
        Ok(Self { channels, mean: centre, panels: Panels::from_rows(&matrix, channels), matrix })
    }

    /// Whitens rows on this thread. `relative` is memory to be used again.
    pub fn apply(&self, rows: &[f32], relative: &mut Vec<f32>, white: &mut [f32]) {
        relative.clear();
        for row in rows.chunks_exact(self.channels) {
            relative.extend(row.iter().zip(&self.mean).map(|(x, m)| x - m));
        }
        multiply(relative, &self.panels, white);
    }

    /// Whitens many rows.
    pub fn apply_all(&self, rows: &[f32], threads: &Threads) -> Vec<f32> {
        let mut white = vec![0.0; rows.len()];
        threads.run(|| {
            white
                .par_chunks_mut(CHUNK * self.channels)
                .zip(rows.par_chunks(CHUNK * self.channels))
                .for_each_init(Vec::new, |relative, (white, rows)| self.apply(rows, relative, white));
        });
        white
    }

    /// Saves under names that start with `level`.
    pub fn save(&self, level: &str, state: &mut State) {
        state.put(format!("{level}.mean"), Array::F32(vec![self.channels], self.mean.clone()));
        state.put(format!("{level}.whitener"), Array::F32(vec![self.channels; 2], self.matrix.clone()));
    }

    /// Loads what [`Whitening::save`] saved.
    pub fn load(level: &str, channels: usize, state: &mut State) -> Result<Self> {
        let matrix = state.take_f32(&format!("{level}.whitener"), &[channels; 2])?;
        let mean = state.take_f32(&format!("{level}.mean"), &[channels])?;
        Ok(Self { channels, mean, panels: Panels::from_rows(&matrix, channels), matrix })
    }
}

/// Working memory of [`nearest_distances`].
#[derive(Default)]
pub struct NearestScratch(Vec<ChunkScratch>);

/// One thread's working memory.
#[derive(Default)]
struct ChunkScratch {
    relative: Vec<f32>,
    white: Vec<f32>,
    index: Vec<u32>,
}

/// Writes each patch's distance to the nearest of `points` to `out`. The points lie in whitened space where there is a
/// whitening.
///
/// # Errors
/// [`Status::OutOfMemory`].
pub fn nearest_distances(
    whitening: Option<&Whitening>,
    points: &Points,
    patches: &FeatureMap,
    threads: &Threads,
    scratch: &mut NearestScratch,
    out: &mut Vec<f32>,
) -> Result<()> {
    let channels = patches.channels;
    try_resize(out, patches.positions(), 0.0)?;
    let prepare = |ChunkScratch { relative, white, index }: &mut ChunkScratch| {
        try_resize(index, CHUNK, 0)?;
        if whitening.is_some() {
            relative.clear();
            try_reserve(relative, CHUNK * channels)?;
            try_resize(white, CHUNK * channels, 0.0)?;
        }
        Ok(())
    };
    threads.chunks_with(out, CHUNK, &mut scratch.0, prepare, |scratch, chunk, distance| {
        let ChunkScratch { relative, white, index } = scratch;
        let mut rows = &patches.data[chunk * CHUNK * channels..][..distance.len() * channels];
        if let Some(whitening) = whitening {
            let white = &mut white[..rows.len()];
            whitening.apply(rows, relative, white);
            rows = white;
        }
        points.nearest(rows, &mut index[..distance.len()], distance);
        distance.iter_mut().for_each(|d| *d = d.sqrt());
    })
}
