//! A level of one Gaussian per position: the pixel level or the patch level, which differ only in their samples.

use half::f16;
use half::slice::HalfFloatSliceExt;
use nalgebra::DMatrix;
use ndarray::Array2;
use rayon::prelude::*;

use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::{try_copy, try_resize, try_vec};
use crate::math::gaussian::{Estimate, Estimator, FittedGaussians, Gaussian, LeaveOut, Moments, Regularisation};
use crate::math::kernels::{blocked_len, padded, squared_mahalanobis};
use crate::math::rows::try_zeros;
use crate::method::features::Neighbours;
use crate::method::{Array, State};

/// The samples of an image for a position's estimate.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The window's radius in positions.
    pub radius: usize,
    /// The similarity's exponent.
    pub power: f64,
}

/// Number of images that are added in one pass over the statistics.
pub const GROUP: usize = 8;

/// Number of positions per task.
const CHUNK: usize = 16;

/// Adds images, as padded maps, to the statistics.
pub fn observe(moments: &mut Moments, maps: &[FeatureMap], window: Window, threads: &Threads) {
    struct Scratch {
        neighbours: Neighbours,
        rows: Vec<f32>,
        roots: Vec<f32>,
    }
    threads.run(|| {
        moments.positions_mut().enumerate().for_each_init(
            || Scratch { neighbours: Neighbours::default(), rows: Vec::new(), roots: Vec::new() },
            |Scratch { neighbours, rows, roots }, (p, mut position)| {
                rows.clear();
                roots.clear();
                for map in maps {
                    neighbours.collect(map, p, window.radius, window.power);
                    for (row, weight) in neighbours.rows.chunks_exact(map.channels()).zip(&neighbours.weights) {
                        let root = weight.sqrt();
                        rows.extend(row.iter().zip(position.centre).map(|(x, c)| root * (x - c)));
                        roots.push(root);
                    }
                }
                position.add(rows, roots);
            },
        );
    });
}

/// The fitted level, with whiteners in the precision of `W`: f16 for scoring, f32 for held-out distances.
pub struct Gaussians<W = f16> {
    dimension: usize,
    mean: Vec<f32>,
    whitener: Vec<W>,
    kept: Vec<f32>,
    weight: Vec<f32>,
    /// The mean covariance of all positions, for resuming a fit: the lower triangle, row-major.
    pooled: Vec<f32>,
}

impl Gaussians<f32> {
    /// Estimates all positions from the statistics of `images` images.
    pub fn new(moments: &Moments, images: usize, regularisation: Regularisation, threads: &Threads) -> Result<Self> {
        let (dimension, positions) = (moments.dimension(), moments.positions());
        let (row_len, triangle) = (padded(dimension), blocked_len(dimension));
        let pooled = moments.pooled()?;
        let mut level = Self {
            dimension,
            mean: try_vec(positions * row_len, 0.0)?,
            whitener: try_vec(positions * triangle, 0.0)?,
            kept: try_vec(positions, 0.0)?,
            weight: try_copy(moments.weights())?,
            pooled: try_vec(dimension * dimension, 0.0)?,
        };
        for (i, row) in level.pooled.chunks_exact_mut(dimension).enumerate() {
            row.iter_mut().enumerate().for_each(|(j, value)| *value = pooled[(i, j)] as f32);
        }
        let regular = threads.run(|| {
            level
                .mean
                .par_chunks_exact_mut(row_len)
                .zip(level.whitener.par_chunks_exact_mut(triangle))
                .zip(level.kept.par_iter_mut())
                .enumerate()
                .map_init(
                    || Estimator::new(&pooled),
                    |estimator, (p, ((mean, whitener), kept))| {
                        let estimator = estimator.as_mut().map_err(|error| error.clone())?;
                        let out = Gaussian { mean, whitener, kept };
                        Ok(estimator.estimate(moments, p, images, regularisation, out))
                    },
                )
                .try_reduce(|| true, |a, b| Ok(a & b))
        })?;
        if regular {
            return Ok(level);
        }
        Err(Error::new(
            Status::NotEnoughImages,
            format!(
                "the features of {images} good images vary too little for their covariance to be inverted; add more varied \
                 good images or raise npad.regularisation (now {})",
                regularisation.ridge
            ),
        ))
    }

    /// Leave-one-out distances of learnt images: one row per position, with the values of every map of every image. An
    /// image's first map is the learnt one; maps are padded.
    pub fn held_out(&self, images: &[Vec<FeatureMap>], window: Window, threads: &Threads) -> Result<Array2<f32>> {
        let (row_len, triangle) = (padded(self.dimension), blocked_len(self.dimension));
        let count = images.iter().map(Vec::len).sum();
        let mut distances = try_zeros(self.kept.len(), count)?;
        threads.run(|| {
            distances.as_slice_mut().expect("just made").par_chunks_exact_mut(count).enumerate().for_each_init(
                || (Neighbours::default(), LeaveOut::default(), Vec::new()),
                |(neighbours, leave_out, rows), (p, mut out)| {
                    let gaussian = Estimate {
                        dimension: self.dimension,
                        mean: &self.mean[p * row_len..][..row_len],
                        whitener: &self.whitener[p * triangle..][..triangle],
                        kept: self.kept[p],
                        weight: self.weight[p],
                    };
                    for maps in images {
                        neighbours.collect(&maps[0], p, window.radius, window.power);
                        rows.clear();
                        maps.iter().for_each(|map| rows.extend_from_slice(map.at(p)));
                        let (now, later) = out.split_at_mut(maps.len());
                        leave_out.distances(gaussian, &neighbours.rows, &neighbours.weights, rows, now);
                        out = later;
                    }
                },
            );
        });
        Ok(distances)
    }

    /// Converts the level for scoring.
    pub fn rounded(self) -> Result<Gaussians> {
        let mut whitener = try_vec(self.whitener.len(), f16::ZERO)?;
        whitener.convert_from_f32_slice(&self.whitener);
        if !whitener.iter().all(|w| w.is_finite()) {
            let message = "some features of the good images hardly vary at all; raise npad.regularisation";
            return Err(Error::new(Status::NotEnoughImages, message));
        }
        let Self { dimension, mean, kept, weight, pooled, .. } = self;
        Ok(Gaussians { dimension, mean, whitener, kept, weight, pooled })
    }
}

impl Gaussians {
    /// Writes the Mahalanobis distances to `out`: for each position, one value per padded map. All maps share one pass
    /// over the whiteners, whose memory traffic dominates the time of scoring. `scratch` is working memory, one vector
    /// per thread.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn distances<'a, M>(
        &self,
        maps: M,
        threads: &Threads,
        scratch: &mut Vec<Vec<f32>>,
        out: &mut Vec<f32>,
    ) -> Result<()>
    where
        M: ExactSizeIterator<Item = &'a FeatureMap> + Clone + Sync,
    {
        let (row_len, triangle, count) = (padded(self.dimension), blocked_len(self.dimension), maps.len());
        try_resize(out, self.kept.len() * count, 0.0)?;
        // A position's features relative to its mean.
        let prepare = |relative: &mut Vec<f32>| try_resize(relative, row_len, 0.0);
        threads.chunks_with(out, CHUNK * count, scratch, prepare, |relative, chunk, out| {
            for (p, out) in (chunk * CHUNK..).zip(out.chunks_exact_mut(count)) {
                let mean = &self.mean[p * row_len..][..row_len];
                let whitener = &self.whitener[p * triangle..][..triangle];
                for (map, out) in maps.clone().zip(out) {
                    relative.iter_mut().zip(map.at(p)).zip(mean).for_each(|((r, f), m)| *r = f - m);
                    *out = squared_mahalanobis(whitener, self.dimension, relative).sqrt();
                }
            }
        })
    }

    /// The statistics that the level was estimated from.
    pub fn moments(&self, regularisation: Regularisation, threads: &Threads) -> Result<Moments> {
        let mut whitener = try_vec(self.whitener.len(), 0.0)?;
        self.whitener.convert_to_f32_slice(&mut whitener);
        let fitted = FittedGaussians {
            dimension: self.dimension,
            mean: try_copy(&self.mean)?,
            whitener: &whitener,
            kept: &self.kept,
            weight: &self.weight,
            pooled: &DMatrix::from_row_slice(self.dimension, self.dimension, &self.pooled).cast(),
        };
        Moments::recover(fitted, regularisation, threads)
    }

    /// Saves under names that start with `level`.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn save(&self, level: &str, state: &mut State) -> Result<()> {
        let positions = self.kept.len();
        let shape = |inner: usize| vec![positions, inner];
        state.put(format!("{level}.mean"), Array::F32(shape(padded(self.dimension)), try_copy(&self.mean)?));
        state.put(
            format!("{level}.whitener"),
            Array::F16(shape(blocked_len(self.dimension)), try_copy(&self.whitener)?),
        );
        state.put(format!("{level}.kept"), Array::F32(vec![positions], try_copy(&self.kept)?));
        state.put(format!("{level}.weight"), Array::F32(vec![positions], try_copy(&self.weight)?));
        state.put(format!("{level}.pooled"), Array::F32(vec![self.dimension; 2], try_copy(&self.pooled)?));
        Ok(())
    }

    /// Loads the level.
    pub fn load(level: &str, dimension: usize, positions: usize, state: &mut State) -> Result<Self> {
        Ok(Self {
            dimension,
            mean: state.take_f32(&format!("{level}.mean"), &[positions, padded(dimension)])?,
            whitener: state.take_f16(&format!("{level}.whitener"), &[positions, blocked_len(dimension)])?,
            kept: state.take_f32(&format!("{level}.kept"), &[positions])?,
            weight: state.take_f32(&format!("{level}.weight"), &[positions])?,
            pooled: state.take_f32(&format!("{level}.pooled"), &[dimension; 2])?,
        })
    }
}
