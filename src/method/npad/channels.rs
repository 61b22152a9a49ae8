//! The selection of channels by their variance.

use rayon::prelude::*;

use super::out_of_order;
use crate::backbone::FeatureMap;
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::try_vec;
use crate::method::{Sample, check_shape};

/// Number of values per task.
const CHUNK: usize = 16 * 1024;

/// Variance of each channel within and between positions.
pub struct ChannelSpread {
    mean: FeatureMap,
    within: Vec<f64>,
    between: Vec<f64>,
}

impl ChannelSpread {
    /// That of the images of a sample.
    pub fn of(sample: &Sample, threads: &Threads) -> Result<Self> {
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
    pub fn most_within(&self, count: usize) -> Vec<u32> {
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
