//! A level of one Gaussian per position: the pixel level and the patch level differ only in what they observe.

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::try_resize;
use crate::math::gaussian::{Estimate, Estimator, FittedGaussians, Gaussian, LeaveOut, Moments, Regularisation};
use crate::math::kernels::{blocked_len, padded, squared_distance};
use crate::method::features::{Neighbours, PaddedMap};
use crate::method::{Array, State};

/// Which samples of an image enter a position's estimate.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The window's radius in positions.
    pub radius: usize,
    /// The similarity's exponent.
    pub power: f64,
}

/// Images whose samples go into the statistics together, so that the triangle is read and written once for all.
pub const GROUP: usize = 8;

/// Positions that one task scores.
const CHUNK: usize = 16;

/// Adds images to the statistics.
pub fn observe(moments: &mut Moments, maps: &[PaddedMap], window: Window, threads: &Threads) {
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
                    for (row, weight) in neighbours.rows.chunks_exact(map.row_len).zip(&neighbours.weights) {
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
    /// The mean covariance of all positions, from which a fit can go on: the lower triangle, row-major.
    pooled: Vec<f32>,
}

impl Gaussians<f32> {
    /// Estimates all positions from the statistics of `images` images.
    pub fn new(moments: &Moments, images: usize, regularisation: Regularisation, threads: &Threads) -> Result<Self> {
        let (dimension, positions) = (moments.dimension(), moments.positions());
        let (row_len, triangle) = (padded(dimension), blocked_len(dimension));
        let mut level = Self {
            dimension,
            mean: vec![0.0; positions * row_len],
            whitener: vec![0.0; positions * triangle],
            kept: vec![0.0; positions],
            weight: (0..positions).map(|p| moments.weight(p)).collect(),
            pooled: Vec::new(),
        };
        let pooled = moments.pooled();
        level.pooled = pooled.iter().map(|v| *v as f32).collect();
        let regular = threads.run(|| {
            level
                .mean
                .par_chunks_exact_mut(row_len)
                .zip(level.whitener.par_chunks_exact_mut(triangle))
                .zip(level.kept.par_iter_mut())
                .enumerate()
                .map_init(
                    || Estimator::new(dimension, &pooled),
                    |estimator, (p, ((mean, whitener), kept))| {
                        estimator.estimate(moments, p, images, regularisation, Gaussian { mean, whitener, kept })
                    },
                )
                .reduce(|| true, |a, b| a & b)
        });
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

    /// The distances of images that were learnt from, each as though it had not been: for each position, those of every
    /// map of every image. An image's first map is the one that was learnt from.
    pub fn held_out(&self, images: &[Vec<PaddedMap>], window: Window, threads: &Threads) -> Vec<Vec<f32>> {
        let (row_len, triangle) = (padded(self.dimension), blocked_len(self.dimension));
        threads.run(|| {
            (0..self.kept.len())
                .into_par_iter()
                .map_init(
                    || (Neighbours::default(), LeaveOut::default(), Vec::new()),
                    |(neighbours, leave_out, rows), p| {
                        let gaussian = Estimate {
                            dimension: self.dimension,
                            mean: &self.mean[p * row_len..][..row_len],
                            whitener: &self.whitener[p * triangle..][..triangle],
                            kept: self.kept[p],
                            weight: self.weight[p],
                        };
                        let mut distances = vec![0.0; images.iter().map(Vec::len).sum()];
                        let mut out = &mut distances[..];
                        for maps in images {
                            neighbours.collect(&maps[0], p, window.radius, window.power);
                            rows.clear();
                            maps.iter().for_each(|map| rows.extend_from_slice(map.at(p)));
                            let (now, later) = out.split_at_mut(maps.len());
                            leave_out.distances(gaussian, &neighbours.rows, &neighbours.weights, rows, now);
                            out = later;
                        }
                        distances
                    },
                )
                .collect()
        })
    }

    /// The level as it scores.
    pub fn rounded(self) -> Result<Gaussians> {
        let mut whitener = vec![f16::ZERO; self.whitener.len()];
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
    /// Writes the Mahalanobis distances of each position of each map to `out`: position after position, a value for each
    /// map. All maps share one pass over the whiteners, whose size in memory is what scoring costs. `scratch` is working
    /// memory, one vector for each thread.
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
        M: ExactSizeIterator<Item = &'a PaddedMap> + Clone + Sync,
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
                    *out = squared_distance(whitener, self.dimension, relative).sqrt();
                }
            }
        })
    }

    /// The statistics that it was estimated from.
    pub fn moments(&self, regularisation: Regularisation, threads: &Threads) -> Moments {
        let mut whitener = vec![0.0; self.whitener.len()];
        self.whitener.convert_to_f32_slice(&mut whitener);
        let fitted = FittedGaussians {
            dimension: self.dimension,
            mean: self.mean.clone(),
            whitener: &whitener,
            kept: &self.kept,
            weight: &self.weight,
            pooled: &self.pooled,
        };
        threads.run(|| Moments::recover(fitted, regularisation))
    }

    /// Saves under names that start with `level`.
    pub fn save(&self, level: &str, state: &mut State) {
        let positions = self.kept.len();
        let shape = |inner: usize| vec![positions, inner];
        state.put(format!("{level}.mean"), Array::F32(shape(padded(self.dimension)), self.mean.clone()));
        state.put(format!("{level}.whitener"), Array::F16(shape(blocked_len(self.dimension)), self.whitener.clone()));
        state.put(format!("{level}.kept"), Array::F32(vec![positions], self.kept.clone()));
        state.put(format!("{level}.weight"), Array::F32(vec![positions], self.weight.clone()));
        state.put(format!("{level}.pooled"), Array::F32(vec![self.dimension; 2], self.pooled.clone()));
    }

    /// Loads what [`Gaussians::save`] saved.
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
