//! Whitening of each tap: the mean of each position is subtracted, then one matrix for all positions is applied.

use candle_core::Tensor;
use half::f16;

use super::super::super::whitening::Whitening;
use super::super::super::{Sample, features::draw};
use super::super::layout::{Layout, Plane};
use super::tape::tensor;
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::{try_reserve, try_vec};
use crate::exec::progress::Progress;
use crate::math::kernels::widen;
use crate::math::random::Random;
use crate::math::rows::{from_vec, view};

/// Approximate number of feature vectors of a tap that its covariance is estimated from.
const VECTORS: usize = 30_000;

/// Largest magnitude of a whitened value in training, which f16 has.
const MOST: f32 = 6e4;

/// The whitening of all taps.
pub struct Normaliser {
    /// For each tap, the mean of each value of its plane.
    pub means: Vec<Vec<f32>>,
    /// For each tap, what is applied to the difference from the mean.
    pub whitenings: Vec<Whitening>,
}

/// The whitened features of one image in f16: for each plane, channels x rows x columns.
pub struct Features(Vec<f16>);

impl Normaliser {
    /// Estimates it from the images of the sample with these numbers.
    ///
    /// # Errors
    /// [`crate::error::Status::NotEnoughImages`] when they do not vary, [`crate::error::Status::Cancelled`],
    /// [`crate::error::Status::OutOfMemory`].
    pub fn new(
        layout: &Layout,
        sample: &Sample,
        numbers: &[usize],
        (threads, progress): (&Threads, &Progress),
        random: &mut Random,
    ) -> Result<Self> {
        let (mut map, mut values) = (FeatureMap::default(), Vec::new());
        let mut sums = try_vec(layout.len(), 0.0f64)?;
        for (done, &number) in numbers.iter().enumerate() {
            progress.report("statistics", done, 2 * numbers.len())?;
            read(layout, sample, number, threads, (&mut map, &mut values))?;
            sums.iter_mut().zip(&values).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let means: Vec<f32> = sums.iter().map(|sum| (sum / numbers.len() as f64) as f32).collect();
        let share = VECTORS.div_ceil(numbers.len());
        let mut rows = vec![Vec::new(); layout.planes().len()];
        for (done, &number) in numbers.iter().enumerate() {
            progress.report("statistics", numbers.len() + done, 2 * numbers.len())?;
            read(layout, sample, number, threads, (&mut map, &mut values))?;
            values.iter_mut().zip(&means).for_each(|(value, mean)| *value -= mean);
            for ((plane, rows), values) in layout.planes().iter().zip(&mut rows).zip(split(layout, &values)) {
                let relative = from_vec(values.to_vec(), plane.channels).insert_axis(ndarray::Axis(0));
                draw(&FeatureMap::from(relative), share, random, rows)?;
            }
        }
        let planes = layout.planes().iter().zip(&rows);
        let whitening = |(plane, rows): (&Plane, &Vec<f32>)| {
            if rows.iter().all(|value| *value == 0.0) {
                let message = "the features of the good images do not vary at all, so nothing can be learnt from them; add more \
                               varied images";
                return Err(Error::new(Status::NotEnoughImages, message));
            }
            Whitening::new(view(rows, plane.channels))
        };
        Ok(Self {
            whitenings: planes.map(whitening).collect::<Result<_>>()?,
            means: split(layout, &means).map(<[f32]>::to_vec).collect(),
        })
    }

    /// The whitened features of an image of the sample.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn features(&self, layout: &Layout, sample: &Sample, number: usize, threads: &Threads) -> Result<Features> {
        let mut values = Vec::new();
        read(layout, sample, number, threads, (&mut FeatureMap::default(), &mut values))?;
        let mut all = Vec::new();
        try_reserve(&mut all, values.len())?;
        let planes = layout.planes().iter().zip(split(layout, &values));
        for ((plane, values), (means, whitening)) in planes.zip(self.means.iter().zip(&self.whitenings)) {
            let relative: Vec<f32> = values.iter().zip(means).map(|(value, mean)| value - mean).collect();
            let white = whitening.apply_all(from_vec(relative, plane.channels).view(), threads)?;
            all.extend(white.t().iter().map(|value| f16::from_f32(value.clamp(-MOST, MOST))));
        }
        Ok(Features(all))
    }
}

impl Features {
    /// Features that are all 0.
    #[cfg(test)]
    pub fn zeros(layout: &Layout) -> Self {
        Self(vec![f16::ZERO; layout.len()])
    }

    /// The values of each plane, channels x rows x columns.
    pub fn tensors(&self, layout: &Layout) -> Result<Vec<Tensor>> {
        let mut values = try_vec(self.0.len(), 0.0)?;
        widen(&self.0, &mut values);
        let planes = layout.planes().iter().zip(split(layout, &values));
        planes.map(|(plane, values)| tensor(values, &[plane.channels, plane.rows, plane.cols])).collect()
    }
}

fn read(
    layout: &Layout,
    sample: &Sample,
    number: usize,
    threads: &Threads,
    (map, values): (&mut FeatureMap, &mut Vec<f32>),
) -> Result<()> {
    sample.images()[number].maps[0].read(map)?;
    layout.split(map, threads, values)
}

/// The values of each plane.
pub fn split<'a>(layout: &Layout, values: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
    let mut rest = values;
    let lengths: Vec<usize> = layout.planes().iter().map(Plane::len).collect();
    lengths.into_iter().map(move |length| {
        let own;
        (own, rest) = rest.split_at(length);
        own
    })
}
