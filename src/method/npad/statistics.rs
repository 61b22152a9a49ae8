//! The sums over images that the Gaussians are estimated from.

use std::ops::RangeInclusive;

use super::gaussians::{self, ALONE, GROUP};
use super::layout::Layout;
use super::{LEVELS, NpadConfig};
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::{try_copy, try_reserve};
use crate::math::gaussian::Moments;
use crate::method::features::{patch_mean, select};
use crate::method::{Array, State, check_shape, unfit};

/// Statistics of images, and the decisions that they depend on. Sums do not depend on the order of the images.
pub struct Statistics {
    pub shape: (usize, usize, usize),
    pub channels: Vec<u32>,
    /// Positions of the pixel level, each with a covariance of its own.
    pub pixel_layout: Layout,
    pub pixel: Option<Moments>,
    pub patch_layout: Layout,
    pub patch: Option<Moments>,
    /// Number of images observed, including those of the prior fit.
    pub images: usize,
    /// Images not yet added to the moments.
    pub pending: Vec<FeatureMap>,
}

/// Range of the weight of all images at a position, of which each has 49 samples at most.
const WEIGHTS: RangeInclusive<f64> = 1e-6..=1e12;

/// The sums of each level in a saved state.
const SUMS: [&str; 3] = ["weight", "sum", "scatter"];

impl Statistics {
    /// Those of no images.
    pub fn empty(shape: (usize, usize, usize), channels: Vec<u32>, config: &NpadConfig) -> Result<Self> {
        let layout = |block| Layout::new(shape.0, shape.1, block);
        let (pixel_layout, patch_layout) = (layout((1, 1))?, layout(config.block)?);
        let moments = |level: usize, layout: &Layout| {
            let empty = || Moments::new(channels.len(), try_copy(layout.starts())?);
            config.uses(level).then(empty).transpose()
        };
        Ok(Self {
            shape,
            pixel: moments(0, &pixel_layout)?,
            patch: moments(1, &patch_layout)?,
            pixel_layout,
            patch_layout,
            channels,
            images: 0,
            pending: Vec::new(),
        })
    }

    /// Adds one image. On failure nothing changes.
    pub fn add(&mut self, features: &FeatureMap, config: &NpadConfig, threads: &Threads) -> Result<()> {
        check_shape(self.shape, features)?;
        if self.pixel.is_some() || self.patch.is_some() {
            try_reserve(&mut self.pending, 1)?;
            self.pending.push(selected(features, &self.channels, threads)?);
        }
        if self.pending.len() >= GROUP
            && let Err(error) = self.flush(config, threads)
        {
            self.pending.pop();
            return Err(error);
        }
        self.images += 1;
        Ok(())
    }

    /// Adds the pending images to the moments. On failure they stay pending.
    pub fn flush(&mut self, config: &NpadConfig, threads: &Threads) -> Result<()> {
        if let Some(moments) = &mut self.patch {
            let means =
                self.pending.iter().map(|map| mean_of(map, config.patch, threads)).collect::<Result<Vec<_>>>()?;
            gaussians::observe(moments, &self.patch_layout, &means, ALONE, threads)?;
        }
        if let Some(moments) = &mut self.pixel {
            gaussians::observe(moments, &self.pixel_layout, &self.pending, config.window(), threads)?;
        }
        self.pending.clear();
        Ok(())
    }

    /// A copy; no image may be pending.
    pub fn try_clone(&self) -> Result<Self> {
        let moments = |moments: &Option<Moments>| moments.as_ref().map(Moments::try_clone).transpose();
        Ok(Self {
            shape: self.shape,
            channels: try_copy(&self.channels)?,
            pixel_layout: self.pixel_layout.try_clone()?,
            pixel: moments(&self.pixel)?,
            patch_layout: self.patch_layout.try_clone()?,
            patch: moments(&self.patch)?,
            images: self.images,
            pending: Vec::new(),
        })
    }

    /// Checks that the statistics of others can be added to these.
    pub fn check_same_kind(&self, other: &Self) -> Result<()> {
        if (self.shape, &self.channels) == (other.shape, &other.channels) {
            return Ok(());
        }
        let message = "the two fits have selected different channels, so their statistics cannot be added: set npad.selection \
                       to random, or fit all images in one fit";
        Err(Error::new(Status::InvalidArgument, message))
    }

    /// Adds the statistics of others, of the same kind, of which no image is pending.
    pub fn merge(&mut self, other: &Self) {
        for (own, other) in [(&mut self.pixel, &other.pixel), (&mut self.patch, &other.patch)] {
            own.iter_mut().zip(other).for_each(|(own, other)| own.merge(other));
        }
        self.images += other.images;
    }

    fn levels(&self) -> [(&'static str, &Layout, &Option<Moments>); 2] {
        [(LEVELS[0], &self.pixel_layout, &self.pixel), (LEVELS[1], &self.patch_layout, &self.patch)]
    }

    /// The statistics as arrays; no image may be pending.
    pub fn save(&self) -> Result<State> {
        let mut state = State::default();
        let (rows, cols, channels) = self.shape;
        let shape = [rows, cols, channels, self.images].map(|value| value as u32).to_vec();
        state.put("shape", Array::U32(vec![shape.len()], shape));
        state.put("channels", Array::U32(vec![self.channels.len()], try_copy(&self.channels)?));
        for (level, _, moments) in self.levels() {
            for (name, sums) in SUMS.iter().zip(moments.iter().flat_map(Moments::parts)) {
                state.put(format!("{level}.{name}"), Array::F64(vec![sums.len()], try_copy(sums)?));
            }
        }
        Ok(state)
    }

    /// Restores statistics that were saved, of maps of that shape.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when the state is inconsistent.
    pub fn load(mut state: State, config: &NpadConfig, shape: (usize, usize, usize)) -> Result<Self> {
        let [rows, cols, channels, images] = state.take_u32("shape")?[..] else { return Err(unfit("shape")) };
        let chosen = state.take_u32("channels")?;
        if (rows as usize, cols as usize, channels as usize) != shape || images == 0 {
            return Err(unfit("shape"));
        }
        let all = 1..=config.channels.min(channels as usize);
        if !all.contains(&chosen.len())
            || !chosen.is_sorted_by(|a, b| a < b)
            || chosen.last().is_some_and(|c| *c >= channels)
        {
            return Err(unfit("channels"));
        }
        let layout = |block| Layout::new(rows as usize, cols as usize, block);
        let (pixel_layout, patch_layout) = (layout((1, 1))?, layout(config.block)?);
        let dimension = chosen.len();
        let mut moments = |level: usize, layout: &Layout| {
            if !config.uses(level) {
                return Ok(None);
            }
            let lengths = Moments::lengths(dimension, layout.starts());
            let mut take = |part: usize| state.take_f64(&format!("{}.{}", LEVELS[level], SUMS[part]), &[lengths[part]]);
            let parts = [take(0)?, take(1)?, take(2)?];
            if !parts[0].iter().all(|weight| WEIGHTS.contains(weight)) {
                return Err(unfit(LEVELS[level]));
            }
            Ok(Some(Moments::of_parts(dimension, try_copy(layout.starts())?, parts)))
        };
        Ok(Self {
            shape: (rows as usize, cols as usize, channels as usize),
            pixel: moments(0, &pixel_layout)?,
            patch: moments(1, &patch_layout)?,
            pixel_layout,
            patch_layout,
            channels: chosen,
            images: images as usize,
            pending: Vec::new(),
        })
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
