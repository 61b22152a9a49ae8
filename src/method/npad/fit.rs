//! Fitting N-pad: select channels, add up moments image by image, estimate Gaussians, and score the sample held out.

use super::centroids::{Centroids, PatchSample};
use super::channels::ChannelSpread;
use super::gaussians::Gaussians;
use super::hold_out::{HoldOut, fuse};
use super::layout::Layout;
use super::score::{Fusion, Levels, NpadScorer, Spread, cells_of};
use super::statistics::Statistics;
use super::{LEVELS, NpadConfig, Selection, out_of_order};
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::progress::Progress;
use crate::exec::scratch::Pool;
use crate::math::gaussian::Moments;
use crate::math::random::Random;
use crate::method::{Accumulator, FitOutcome, Fitter, Leaving, Sample, SampleImage, State};

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
    /// Those of the images that are not in the sample; none before the first.
    statistics: Option<Statistics>,
    /// Those that are about to be added.
    staged: Option<Statistics>,
}

impl NpadFitter {
    pub fn new(config: NpadConfig, seed: u64) -> Self {
        Self { config, seed, prior_images: 0, prior: None, statistics: None, staged: None }
    }

    /// Resumes the fit of a scorer that was fitted to `images` images.
    pub fn resume(config: NpadConfig, seed: u64, prior: NpadScorer, images: usize) -> Self {
        Self { config, seed, prior_images: images, prior: Some(prior), statistics: None, staged: None }
    }
}

impl Accumulator for NpadFitter {
    fn observe(&mut self, image: Leaving<'_>, sample: &Sample, threads: &Threads) -> Result<()> {
        let statistics = match &mut self.statistics {
            Some(statistics) => statistics,
            None => {
                let started = self.start(sample, threads)?;
                self.statistics.insert(started)
            }
        };
        statistics.add(image.features, &self.config, threads)
    }

    fn save(&mut self, threads: &Threads) -> Result<State> {
        let Some(statistics) = &mut self.statistics else { return Ok(State::default()) };
        statistics.flush(&self.config, threads)?;
        statistics.save()
    }

    fn stage(&mut self, state: State, leaving: &[&SampleImage], sample: &Sample, threads: &Threads) -> Result<()> {
        self.staged = None;
        let shape = sample.shape().ok_or_else(out_of_order)?;
        let is_there = !state.arrays.is_empty();
        let mut added = is_there.then(|| Statistics::load(state, &self.config, shape)).transpose()?;
        if let (Some(own), Some(added)) = (&self.statistics, &added) {
            own.check_same_kind(added)?;
        }
        if !leaving.is_empty() && added.is_none() {
            added = Some(match &self.statistics {
                Some(own) => Statistics::empty(own.shape, own.channels.clone(), &self.config)?,
                None => self.start(sample, threads)?,
            });
        }
        let Some(mut added) = added else { return Ok(()) };
        let mut features = FeatureMap::default();
        for image in leaving {
            image.maps[0].read(&mut features)?;
            added.add(&features, &self.config, threads)?;
        }
        added.flush(&self.config, threads)?;
        self.staged = Some(added);
        Ok(())
    }

    fn merge(&mut self) {
        match (&mut self.statistics, self.staged.take()) {
            (Some(own), Some(added)) => own.merge(&added),
            (own, added) => *own = own.take().or(added),
        }
    }
}

impl Fitter for NpadFitter {
    fn accumulator(&mut self) -> Option<&mut dyn Accumulator> {
        Some(self)
    }

    fn finish(&mut self, sample: &Sample, threads: &Threads, progress: &Progress) -> Result<FitOutcome> {
        progress.report("statistics", 0, 1)?;
        let statistics = &self.all(sample, threads)?;
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
    /// The statistics of all images.
    fn all(&mut self, sample: &Sample, threads: &Threads) -> Result<Statistics> {
        let mut all = match &mut self.statistics {
            Some(others) => {
                others.flush(&self.config, threads)?;
                others.try_clone()?
            }
            None => self.start(sample, threads)?,
        };
        let mut features = FeatureMap::default();
        for image in sample.images() {
            image.maps[0].read(&mut features)?;
            all.add(&features, &self.config, threads)?;
        }
        all.flush(&self.config, threads)?;
        Ok(all)
    }

    /// Statistics of no images but those of the prior fit. What they depend on is decided from the sample.
    fn start(&self, sample: &Sample, threads: &Threads) -> Result<Statistics> {
        if let Some(prior) = &self.prior {
            return self.recovered(prior, threads);
        }
        let shape = sample.shape().ok_or_else(out_of_order)?;
        let channels = match self.config.selection {
            Selection::WithinPosition => ChannelSpread::of(sample, threads)?.most_within(self.config.channels),
            Selection::Random => {
                let chosen = Random::new(self.seed).choose(self.config.channels, shape.2)?;
                let mut channels: Vec<u32> = chosen.into_iter().map(|c| c as u32).collect();
                channels.sort_unstable();
                channels
            }
        };
        Statistics::empty(shape, channels, &self.config)
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
