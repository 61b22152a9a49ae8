//! Fitting N-pad: select channels from a sample, accumulate moments image by image, estimate Gaussians, and score the
//! sample held out.

use rayon::prelude::*;

use super::centroids::{Centroids, PatchSample};
use super::gaussians::{self, ALONE, GROUP, Gaussians, Window};
use super::hold_out::{HoldOut, fuse};
use super::layout::Layout;
use super::score::{Fusion, Levels, NpadScorer, Spread, cells_of};
use super::{LEVELS, NpadConfig, Selection};
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::try_vec;
use crate::exec::progress::Progress;
use crate::exec::scratch::Pool;
use crate::math::gaussian::Moments;
use crate::math::random::Random;
use crate::method::features::{patch_mean, select};
use crate::method::{Accumulator, FitOutcome, Fitter, Sample, check_shape};

/// Number of values per task.
const CHUNK: usize = 16 * 1024;

/// A relative variation of distances below this is caused by rounding.
const LEAST_DEVIATION: f64 = 1e-3;

/// N-pad's fitter.
pub struct NpadFitter {
    pub config: NpadConfig,
    seed: u64,
    /// Number of images that the scorer in `prior` was fitted to.
    prior_images: usize,
    /// The scorer of the fit that this one resumes.
    prior: Option<NpadScorer>,
    statistics: Option<Statistics>,
}

/// Decisions of `prepare` and the statistics that depend on them.
pub struct Statistics {
    pub shape: (usize, usize, usize),
    pub channels: Vec<u32>,
    /// Positions of the pixel level, each with a covariance of its own.
    pixel_layout: Layout,
    pixel: Option<Moments>,
    pub patch_layout: Layout,
    pub patch: Option<Moments>,
    /// Number of images observed, including those of the prior fit.
    pub images: usize,
    /// Images not yet added to the moments.
    pending: Vec<FeatureMap>,
}

impl NpadFitter {
    pub fn new(config: NpadConfig, seed: u64) -> Self {
        Self { config, seed, prior_images: 0, prior: None, statistics: None }
    }

    /// Resumes the fit of a scorer that was fitted to `images` images.
    pub fn resume(config: NpadConfig, seed: u64, prior: NpadScorer, images: usize) -> Self {
        Self { config, seed, prior_images: images, prior: Some(prior), statistics: None }
    }

    pub fn window(&self) -> Window {
        Window { radius: self.config.radius, power: self.config.power }
    }
}

impl Statistics {
    /// Adds the pending images to the statistics. On failure they stay pending.
    fn flush(&mut self, window: Window, patch: usize, threads: &Threads) -> Result<()> {
        if let Some(moments) = &mut self.patch {
            let means = self.pending.iter().map(|map| mean_of(map, patch, threads)).collect::<Result<Vec<_>>>()?;
            gaussians::observe(moments, &self.patch_layout, &means, ALONE, threads)?;
        }
        if let Some(moments) = &mut self.pixel {
            gaussians::observe(moments, &self.pixel_layout, &self.pending, window, threads)?;
        }
        self.pending.clear();
        Ok(())
    }
}

pub fn mean_of(map: &FeatureMap, patch: usize, threads: &Threads) -> Result<FeatureMap> {
    let mut out = FeatureMap::default();
    patch_mean(map, patch, threads, &mut out)?;
    Ok(out)
}

pub fn selected(features: &FeatureMap, channels: &[u32], threads: &Threads) -> Result<FeatureMap> {
    let mut out = FeatureMap::default();
    select(features, channels, threads, &mut out)?;
    Ok(out)
}

impl Accumulator for NpadFitter {
    fn prepare(&mut self, sample: &Sample, threads: &Threads) -> Result<()> {
        self.statistics = Some(match &self.prior {
            Some(prior) => self.recovered(prior, threads)?,
            None => self.empty(sample, threads)?,
        });
        Ok(())
    }

    fn observe(&mut self, features: &FeatureMap, threads: &Threads) -> Result<()> {
        let (window, patch) = (self.window(), self.config.patch);
        let statistics = self.statistics.as_mut().ok_or_else(out_of_order)?;
        check_shape(statistics.shape, features)?;
        if statistics.pixel.is_some() || statistics.patch.is_some() {
            statistics.pending.push(selected(features, &statistics.channels, threads)?);
        }
        if statistics.pending.len() >= GROUP
            && let Err(error) = statistics.flush(window, patch, threads)
        {
            statistics.pending.pop();
            return Err(error);
        }
        statistics.images += 1;
        Ok(())
    }
}

impl Fitter for NpadFitter {
    fn accumulator(&mut self) -> Option<&mut dyn Accumulator> {
        Some(self)
    }

    fn finish(&mut self, sample: &Sample, threads: &Threads, progress: &Progress) -> Result<FitOutcome> {
        progress.report("statistics", 0, 1)?;
        let (window, patch) = (self.window(), self.config.patch);
        self.statistics.as_mut().ok_or_else(out_of_order)?.flush(window, patch, threads)?;
        let statistics = self.statistics.as_ref().ok_or_else(out_of_order)?;
        let estimate = |moments: &Option<Moments>, layout: &Layout| {
            let estimate = |m: &Moments| {
                Gaussians::new(m, layout, &m.pooled()?, statistics.images, self.config.regularisation, threads)
            };
            moments.as_ref().map(estimate).transpose()
        };
        let pixel = estimate(&statistics.pixel, &statistics.pixel_layout)?;
        let patch = estimate(&statistics.patch, &statistics.patch_layout)?;
        progress.report("centroids", 0, 1)?;
        let mut patches = PatchSample::default();
        let centroids =
            self.config.uses(2).then(|| self.fit_centroids(statistics, sample, &mut patches, threads)).transpose()?;
        let levels = Levels { pixel, patch, centroids };
        let held_out = HoldOut { fitter: self, statistics, levels: &levels, sample, patches: &patches, threads };
        let (spreads, distances) = held_out.run(progress)?;
        let Levels { pixel, patch, centroids } = levels;
        let levels = Levels {
            pixel: pixel.map(Gaussians::rounded).transpose()?,
            patch: patch.map(Gaussians::rounded).transpose()?,
            centroids,
        };
        let fusion = match &self.prior {
            Some(prior) => prior.fusion,
            None => self.fusion(spreads)?,
        };
        let held_out = fuse(&distances, sample, statistics.shape, &fusion)?;
        let scorer = NpadScorer {
            shape: statistics.shape,
            channels: statistics.channels.clone(),
            patch: self.config.patch,
            block: self.prior.as_ref().map_or(self.config.block, |prior| prior.block),
            centroid_patch: self.config.centroid_patch,
            levels,
            fusion,
            scratch: Pool::default(),
        };
        Ok(FitOutcome { scorer: Box::new(scorer), held_out })
    }
}

impl NpadFitter {
    /// Decides from the sample and creates empty statistics.
    fn empty(&self, sample: &Sample, threads: &Threads) -> Result<Statistics> {
        let spread = ChannelSpread::of(sample, threads)?;
        let channels = match self.config.selection {
            Selection::WithinPosition => spread.most_within(self.config.channels),
            Selection::Random => {
                let chosen = Random::new(self.seed).choose(self.config.channels, spread.mean.channels())?;
                let mut channels: Vec<u32> = chosen.into_iter().map(|c| c as u32).collect();
                channels.sort_unstable();
                channels
            }
        };
        let centre = selected(&spread.mean, &channels, threads)?;
        let moments = |wanted: bool, layout: &Layout, centre: &FeatureMap| {
            wanted.then(|| gaussians::moments(layout, channels.len(), centre)).transpose()
        };
        let (rows, cols, _) = spread.mean.shape();
        let layout = |block| Layout::new(rows, cols, block);
        let (pixel_layout, patch_layout) = (layout((1, 1))?, layout(self.config.block)?);
        Ok(Statistics {
            shape: spread.mean.shape(),
            pixel: moments(self.config.uses(0), &pixel_layout, &centre)?,
            patch: moments(self.config.uses(1), &patch_layout, &mean_of(&centre, self.config.patch, threads)?)?,
            pixel_layout,
            patch_layout,
            channels,
            images: 0,
            pending: Vec::new(),
        })
    }

    /// The statistics that a scorer was estimated from.
    fn recovered(&self, prior: &NpadScorer, threads: &Threads) -> Result<Statistics> {
        let moments = |level: &Gaussians| level.moments(self.config.regularisation, threads);
        Ok(Statistics {
            shape: prior.shape,
            channels: prior.channels.clone(),
            pixel_layout: Layout::new(prior.shape.0, prior.shape.1, (1, 1))?,
            patch_layout: Layout::new(prior.shape.0, prior.shape.1, prior.block)?,
            pixel: prior.levels.pixel.as_ref().map(moments).transpose()?,
            patch: prior.levels.patch.as_ref().map(moments).transpose()?,
            images: self.prior_images,
            pending: Vec::new(),
        })
    }

    /// Computes the levels' weights from their distances of held-out images.
    fn fusion(&self, spreads: [Spread; 3]) -> Result<Fusion> {
        if (0..LEVELS.len()).any(|level| self.config.uses(level) && spreads[level].deviation < LEAST_DEVIATION) {
            return Err(Error::new(
                Status::NotEnoughImages,
                "the good images do not vary, so no threshold can be set; use images of different parts, not copies of \
                 one image",
            ));
        }
        Ok(Fusion::new(&self.config, spreads))
    }

    fn fit_centroids(
        &self,
        statistics: &Statistics,
        sample: &Sample,
        patches: &mut PatchSample,
        threads: &Threads,
    ) -> Result<Centroids> {
        let mut random = Random::new(self.seed);
        let prior = self.prior.as_ref().and_then(|prior| prior.levels.centroids.as_ref());
        let share = match prior {
            Some(level) => level.share(self.prior_images),
            None => self.config.centroid_samples.div_ceil(sample.images().len()),
        };
        let (mut features, mut scratch) = (FeatureMap::default(), FeatureMap::default());
        for (number, image) in sample.images().iter().enumerate() {
            image.maps[0].read(&mut features)?;
            let cells = cells_of(&features, self.config.centroid_patch, threads, &mut scratch)?;
            patches.draw(cells, number, share, &mut random)?;
        }
        if let Some(level) = prior {
            let mut level = level.clone();
            level.extend(patches, threads)?;
            return Ok(level);
        }
        Centroids::new(patches, statistics.shape.2, self.config.centroids, &mut random, threads)
    }
}

/// Variance of each channel within and between positions.
struct ChannelSpread {
    mean: FeatureMap,
    within: Vec<f64>,
    between: Vec<f64>,
}

impl ChannelSpread {
    fn of(sample: &Sample, threads: &Threads) -> Result<Self> {
        let first = sample.images().first().ok_or_else(out_of_order)?;
        let (mut mean, mut map) = (FeatureMap::default(), FeatureMap::default());
        let mut base = FeatureMap::default();
        first.maps[0].read(&mut base)?;
        mean.reshape(base.shape())?;
        mean.as_mut_slice().fill(0.0);
        let mut square = try_vec(mean.as_slice().len(), 0.0f32)?;
        // Relative to the first image: a raw sum of squares would lose small variances.
        for image in sample.images() {
            image.maps[0].read(&mut map)?;
            check_shape(base.shape(), &map)?;
            threads.run(|| {
                let sums = mean.as_mut_slice().par_chunks_mut(CHUNK).zip(square.par_chunks_mut(CHUNK));
                sums.zip(map.as_slice().par_chunks(CHUNK).zip(base.as_slice().par_chunks(CHUNK))).for_each(
                    |((sum, square), (x, base))| {
                        for (((sum, square), x), base) in sum.iter_mut().zip(square).zip(x).zip(base) {
                            let x = x - base;
                            *sum += x;
                            *square += x * x;
                        }
                    },
                );
            });
        }
        let count = sample.images().len() as f32;
        let channels = mean.channels();
        let mut within = vec![0.0; channels];
        for ((sum, square), base) in mean.as_mut_slice().iter_mut().zip(&mut square).zip(base.as_slice()) {
            let offset = *sum / count;
            *square = (*square / count - offset * offset).max(0.0);
            *sum = base + offset;
        }
        let positions = mean.positions() as f64;
        for row in square.chunks_exact(channels) {
            within.iter_mut().zip(row).for_each(|(w, v)| *w += f64::from(*v) / positions);
        }
        let mut overall = vec![0.0; channels];
        for row in mean.as_slice().chunks_exact(channels) {
            overall.iter_mut().zip(row).for_each(|(o, v)| *o += f64::from(*v) / positions);
        }
        let mut between = vec![0.0; channels];
        for row in mean.as_slice().chunks_exact(channels) {
            for ((b, v), o) in between.iter_mut().zip(row).zip(&overall) {
                *b += (f64::from(*v) - o).powi(2) / positions;
            }
        }
        Ok(Self { mean, within, between })
    }

    /// The `count` channels with the largest share of variance within a position, in ascending order.
    fn most_within(&self, count: usize) -> Vec<u32> {
        let share = |c: u32| {
            let (within, between) = (self.within[c as usize], self.between[c as usize]);
            within / (within + between + 1e-12)
        };
        let mut order: Vec<u32> = (0..self.mean.channels() as u32).collect();
        order.sort_by(|a, b| share(*b).total_cmp(&share(*a)));
        order.truncate(count);
        order.sort_unstable();
        order
    }
}

fn out_of_order() -> Error {
    Error::new(Status::Internal, "a fitter's functions were called in the wrong order")
}
