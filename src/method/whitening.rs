//! Global whitening of feature vectors, after which Euclidean distances are Mahalanobis distances.
//!
//! Channels of a backbone differ in scale by orders of magnitude and are correlated; raw Euclidean distances mostly
//! measure the few channels of largest variance.

use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::{Array, State};
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::{try_copy, try_reserve, try_resize, try_vec};
use crate::math::gaussian::{Estimator, Gaussian, Moments, Regularisation, Share, Target};
use crate::math::kernels::{Panels, blocked_len, multiply, padded};
use crate::math::knn::Points;
use crate::math::linalg;
use crate::math::rows::{as_slice, from_vec, try_zeros};
use crate::onnx::{Value, Writer};

/// Shrinkage of the covariance towards the identity, which bounds the effect of directions without variance.
const SHRINKAGE: f64 = 1e-3 / 1.001;
/// Number of vectors per task.
const CHUNK: usize = 60;

/// `x -> W (x - mean)`, whose result has the identity as its covariance.
#[derive(Clone)]
pub struct Whitening {
    mean: Vec<f32>,
    /// W.
    matrix: Array2<f32>,
    panels: Panels,
}

impl Whitening {
    /// Estimates the whitening from the rows of `rows`.
    ///
    /// # Errors
    /// [`Status::NotEnoughImages`] when they do not vary, [`Status::OutOfMemory`].
    pub fn new(rows: ArrayView2<'_, f32>) -> Result<Self> {
        let (number, channels) = rows.dim();
        let row_len = padded(channels);
        let mut moments = Moments::new(channels, vec![0, 1])?;
        let mut samples = try_vec(number * row_len, 0.0)?;
        for (sample, row) in samples.chunks_exact_mut(row_len).zip(rows.rows()) {
            sample.iter_mut().zip(row).for_each(|(sample, value)| *sample = f64::from(*value));
        }
        moments.block_mut(0).add(&samples, &try_vec(number, 1.0)?, &try_vec(number, 0)?);
        let none = linalg::try_zeros(channels)?;
        let mut estimator = Estimator::new(&none)?;
        let regularisation = Regularisation { target: Target::Identity, share: Share::Fixed(SHRINKAGE), ridge: 1e-12 };
        let (mut mean, mut packed, mut kept) = (try_vec(row_len, 0.0)?, try_vec(blocked_len(channels), 0.0)?, 0.0);
        let out = Gaussian { means: &mut mean, whitener: &mut packed, kept: &mut kept };
        if number < 2 || !estimator.estimate(&moments, 0, number, regularisation, out) {
            return Err(Error::new(
                Status::NotEnoughImages,
                "the good images hardly vary, so the covariance for the whitening cannot be estimated; add more varied \
                 images",
            ));
        }
        mean.truncate(channels);
        // The unbiased covariance plus a share of its mean variance, which equals the shrunk estimate up to scale.
        let scale = ((1.0 - SHRINKAGE) * (number - 1) as f64 / number as f64).sqrt();
        let mut matrix = try_zeros(channels, channels)?;
        matrix.indexed_iter_mut().for_each(|(at, w)| *w = (estimator.whitener()[at] * scale) as f32);
        Self::of(mean, matrix)
    }

    fn of(mean: Vec<f32>, matrix: Array2<f32>) -> Result<Self> {
        Ok(Self { panels: Panels::from_rows(as_slice(matrix.view()), mean.len())?, mean, matrix })
    }

    /// Adds it to a graph, for the rows of a matrix.
    pub fn write(&self, writer: &mut Writer, rows: &Value) -> Value {
        let channels = self.mean.len();
        let mean = writer.constant(&[1, channels], &self.mean);
        let relative = writer.apply("Sub", &[rows, &mean]);
        let matrix = writer.constant_of(&[channels, channels], self.matrix.t().iter().copied());
        writer.apply("MatMul", &[&relative, &matrix])
    }

    /// W by rows.
    #[cfg(feature = "flows")]
    pub fn matrix(&self) -> &[f32] {
        as_slice(self.matrix.view())
    }

    /// What is added to W x: -W mean.
    #[cfg(feature = "flows")]
    pub fn offset(&self) -> Vec<f32> {
        let row = |row: ArrayView1<'_, f32>| -row.iter().zip(&self.mean).map(|(w, m)| w * m).sum::<f32>();
        self.matrix.rows().into_iter().map(row).collect()
    }

    /// Whitens rows on this thread. `relative` is working memory.
    pub fn apply(&self, rows: &[f32], relative: &mut Vec<f32>, white: &mut [f32]) {
        relative.clear();
        for row in rows.chunks_exact(self.mean.len()) {
            relative.extend(row.iter().zip(&self.mean).map(|(x, m)| x - m));
        }
        multiply(relative, &self.panels, white);
    }

    /// Whitens rows on all threads.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn apply_all(&self, rows: ArrayView2<'_, f32>, threads: &Threads) -> Result<Array2<f32>> {
        let channels = self.mean.len();
        let mut white = try_vec(rows.len(), 0.0)?;
        threads.run(|| {
            white
                .par_chunks_mut(CHUNK * channels)
                .zip(as_slice(rows).par_chunks(CHUNK * channels))
                .for_each_init(Vec::new, |relative, (white, rows)| self.apply(rows, relative, white));
        });
        Ok(from_vec(white, channels))
    }

    /// Saves under names that start with `level`.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn save(&self, level: &str, state: &mut State) -> Result<()> {
        let channels = self.mean.len();
        state.put(format!("{level}.mean"), Array::F32(vec![channels], self.mean.clone()));
        let matrix = try_copy(as_slice(self.matrix.view()))?;
        state.put(format!("{level}.whitener"), Array::F32(vec![channels; 2], matrix));
        Ok(())
    }

    /// Loads what [`Whitening::save`] saved.
    pub fn load(level: &str, channels: usize, state: &mut State) -> Result<Self> {
        let matrix = state.take_f32(&format!("{level}.whitener"), &[channels; 2])?;
        let mean = state.take_f32(&format!("{level}.mean"), &[channels])?;
        Self::of(mean, from_vec(matrix, channels))
    }
}

/// What is done to feature vectors before distances are taken.
pub trait Transform: Sync {
    /// Transforms rows on this thread. `relative` is working memory.
    fn apply(&self, rows: &[f32], relative: &mut Vec<f32>, out: &mut [f32]);
}

impl Transform for Whitening {
    fn apply(&self, rows: &[f32], relative: &mut Vec<f32>, out: &mut [f32]) {
        Self::apply(self, rows, relative, out);
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

/// Writes each patch's distance to the nearest of `points` to `out`. Where there is a transform, the points are
/// transformed already.
///
/// # Errors
/// [`Status::OutOfMemory`].
pub fn nearest_distances(
    transform: Option<&impl Transform>,
    points: &Points,
    patches: &FeatureMap,
    threads: &Threads,
    scratch: &mut NearestScratch,
    out: &mut Vec<f32>,
) -> Result<()> {
    let channels = patches.channels();
    try_resize(out, patches.positions(), 0.0)?;
    let prepare = |ChunkScratch { relative, white, index }: &mut ChunkScratch| {
        try_resize(index, CHUNK, 0)?;
        if transform.is_some() {
            relative.clear();
            try_reserve(relative, CHUNK * channels)?;
            try_resize(white, CHUNK * channels, 0.0)?;
        }
        Ok(())
    };
    threads.chunks_with(out, CHUNK, &mut scratch.0, prepare, |scratch, chunk, distance| {
        let ChunkScratch { relative, white, index } = scratch;
        let mut rows = &patches.as_slice()[chunk * CHUNK * channels..][..distance.len() * channels];
        if let Some(transform) = transform {
            let white = &mut white[..rows.len()];
            transform.apply(rows, relative, white);
            rows = white;
        }
        points.nearest(rows, &mut index[..distance.len()], distance);
        distance.iter_mut().for_each(|d| *d = d.sqrt());
    })
}
