//! Runs a backbone on an image at several scales, so that small defects are seen at a higher resolution and large ones in
//! their surroundings.

use std::ops::RangeInclusive;
use std::sync::Arc;

use ndarray::Array3;

use super::tiles::{reshape, tap_map};
use super::{FeatureExtractor, MAX_TAPS, TapMap};
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::{try_resize, try_vec};
use crate::exec::scratch::Pool;
use crate::math::axis::{Axis, Separable};
use crate::preprocess::{InputSize, Normalisation};

/// Range of the factors.
const FACTORS: RangeInclusive<f64> = 1.0..=4.0;
/// Maximum number of scales.
const MAX_SCALES: usize = 3;
/// Sides of a scaled input are multiples of this many pixels.
const STEP: f64 = 16.0;

/// Factors of the network's input size, in ascending order from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Scales(Vec<f64>);

impl Default for Scales {
    fn default() -> Self {
        Self(vec![1.0])
    }
}

impl Scales {
    /// None unless there are 1 to 3 ascending factors from 1 to 4, of which the first is 1.
    pub fn new(factors: &[f64]) -> Option<Self> {
        let ascending = factors.windows(2).all(|pair| pair[0] < pair[1]);
        let within = factors.iter().all(|factor| FACTORS.contains(factor));
        let counted = (1..=MAX_SCALES).contains(&factors.len());
        (counted && ascending && within && factors[0] == 1.0).then(|| Self(factors.to_vec()))
    }

    /// The factors from text such as `1+1.6`.
    pub fn parse(text: &str) -> Option<Self> {
        let factors: Option<Vec<f64>> = text.split('+').map(|factor| factor.parse().ok()).collect();
        Self::new(&factors?)
    }

    /// The factors.
    pub fn factors(&self) -> &[f64] {
        &self.0
    }

    /// The largest factor.
    pub fn largest(&self) -> f64 {
        self.0.last().copied().unwrap_or(1.0)
    }

    /// The input sizes at the smaller scales, from that at the largest.
    pub(super) fn smaller(&self, size: InputSize) -> impl Iterator<Item = InputSize> {
        let (factors, largest) = (&self.0, self.largest());
        factors[..factors.len() - 1].iter().map(move |factor| scaled(size, factor / largest))
    }

    /// The input size at the largest scale, from that at scale 1.
    pub fn enlarged(&self, size: InputSize) -> InputSize {
        if self.0.len() == 1 { size } else { scaled(size, self.largest()) }
    }
}

/// The map of an input's planes, along rows and columns, to those of a smaller one.
pub(super) fn shrinking(from: InputSize, to: InputSize) -> (Axis, Axis) {
    (Axis::triangle(from.height, to.height), Axis::triangle(from.width, to.width))
}

fn scaled(size: InputSize, factor: f64) -> InputSize {
    let side = |pixels: usize| ((pixels as f64 * factor / STEP).round().max(2.0) * STEP) as usize;
    InputSize { height: side(size.height), width: side(size.width) }
}

/// Runs another extractor at several scales. Its input has the largest one, from which smaller ones are resized. The taps
/// come scale after scale, from the smallest.
pub struct MultiScale {
    inner: Arc<dyn FeatureExtractor>,
    scales: Scales,
    threads: Arc<Threads>,
    scratch: Pool<Scratch>,
}

/// Working memory of one call.
#[derive(Default)]
struct Scratch {
    /// The size of the input that `resizers` are for, and the smaller sizes.
    sizes: Option<(InputSize, Vec<InputSize>)>,
    resizers: Vec<Separable>,
    inputs: Vec<f32>,
    /// The taps of each image at the smaller scales.
    taps: Vec<Vec<Array3<f32>>>,
}

impl MultiScale {
    /// An extractor at these scales; `inner` itself for scale 1 alone.
    pub fn over(
        inner: Arc<dyn FeatureExtractor>,
        scales: &Scales,
        threads: &Arc<Threads>,
    ) -> Arc<dyn FeatureExtractor> {
        if scales.factors().len() == 1 {
            return inner;
        }
        Arc::new(Self { inner, scales: scales.clone(), threads: threads.clone(), scratch: Pool::default() })
    }

    fn run(
        &self,
        inputs: &[f32],
        size: InputSize,
        scratch: &mut Scratch,
        consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
    ) -> Result<()> {
        if scratch.sizes.as_ref().is_none_or(|(known, _)| *known != size) {
            let sizes: Vec<InputSize> = self.scales.smaller(size).collect();
            let resizer = |to: &InputSize| {
                let (down, across) = shrinking(size, *to);
                Separable::new(down, across)
            };
            scratch.resizers = sizes.iter().map(resizer).collect();
            scratch.sizes = Some((size, sizes));
        }
        let Scratch { sizes, resizers, inputs: resized, taps } = scratch;
        let images = inputs.len() / (3 * size.height * size.width).max(1);
        taps.resize_with(taps.len().max(images), Vec::new);
        let mut known = 0;
        for (to, resizer) in sizes.iter().flat_map(|(_, sizes)| sizes).zip(resizers) {
            self.resize(inputs, size, *to, resizer, resized)?;
            let mut count = 0;
            self.inner.extract(resized, *to, &mut |image, parts| {
                count = parts.len();
                let taps = &mut taps[image];
                taps.resize_with(taps.len().max(known + count), || Array3::default((0, 0, 0)));
                taps[known..].iter_mut().zip(parts).try_for_each(|(tap, part)| {
                    reshape(tap, (part.channels, part.rows, part.cols))?;
                    tap.as_slice_mut().expect("made in standard layout").copy_from_slice(part.data);
                    Ok(())
                })
            })?;
            known += count;
        }
        self.inner.extract(inputs, size, &mut |image, parts| {
            let count = known + parts.len();
            if count > MAX_TAPS || known != parts.len() * (self.scales.factors().len() - 1) {
                return Err(Error::new(
                    Status::Backbone,
                    format!(
                        "the backbone gave {known} outputs at smaller scales and {} at the largest; it must give equally \
                         many at each, at most {MAX_TAPS} in all. Leave the option scales at 1",
                        parts.len()
                    ),
                ));
            }
            let mut maps = [TapMap::default(); MAX_TAPS];
            maps.iter_mut().zip(&taps[image][..known]).for_each(|(map, tap)| *map = tap_map(tap));
            maps[known..count].copy_from_slice(parts);
            consume(image, &maps[..count])
        })
    }

    /// Resizes the planes of all images.
    fn resize(
        &self,
        inputs: &[f32],
        from: InputSize,
        to: InputSize,
        resizer: &mut Separable,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let (area, own) = (from.height * from.width, to.height * to.width);
        out.clear();
        try_resize(out, inputs.len() / area * own, 0.0)?;
        let _awake = self.threads.awake();
        let mut planes = inputs.chunks_exact(area).zip(out.chunks_exact_mut(own));
        planes.try_for_each(|(plane, out)| resizer.add(plane, out, &self.threads))
    }
}

impl FeatureExtractor for MultiScale {
    fn extract(
        &self,
        inputs: &[f32],
        size: InputSize,
        consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
    ) -> Result<()> {
        self.scratch.try_with(|| Ok(Scratch::default()), |scratch| self.run(inputs, size, scratch, consume))
    }

    fn warm_up(&self, size: InputSize, images: usize, calls: usize) -> Result<()> {
        self.scales.smaller(size).chain([size]).try_for_each(|size| self.inner.warm_up(size, images, calls))?;
        let inputs = try_vec(self.max_batch(size).min(images) * 3 * size.height * size.width, 0.0)?;
        self.scratch.warm_up(
            calls,
            || Ok(Scratch::default()),
            |scratch| self.run(&inputs, size, scratch, &mut |_, _| Ok(())),
        )
    }

    fn max_batch(&self, size: InputSize) -> usize {
        let batches = self.scales.smaller(size).chain([size]).map(|size| self.inner.max_batch(size));
        batches.min().unwrap_or(1)
    }

    fn scales(&self) -> usize {
        self.scales.factors().len()
    }

    fn normalisation(&self) -> Normalisation {
        self.inner.normalisation()
    }

    fn identity(&self) -> &str {
        self.inner.identity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the mean of each cell of 16 pixels, in `taps` copies.
    struct Means {
        taps: usize,
        batch: usize,
    }

    impl FeatureExtractor for Means {
        fn extract(
            &self,
            inputs: &[f32],
            size: InputSize,
            consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
        ) -> Result<()> {
            let (rows, cols) = (size.height / 16, size.width / 16);
            for (number, image) in inputs.chunks_exact(3 * size.height * size.width).enumerate() {
                let mean = |cell: usize| {
                    let (top, left) = (cell / cols * 16, cell % cols * 16);
                    let pixels = (0..256).map(|i| image[(top + i / 16) * size.width + left + i % 16]);
                    pixels.sum::<f32>() / 256.0
                };
                let data: Vec<f32> = (0..rows * cols).map(mean).collect();
                consume(number, &vec![TapMap { channels: 1, rows, cols, data: &data }; self.taps])?;
            }
            Ok(())
        }

        fn max_batch(&self, _: InputSize) -> usize {
            self.batch
        }

        fn normalisation(&self) -> Normalisation {
            Normalisation { mean: [0.0; 3], std: [1.0; 3] }
        }

        fn identity(&self) -> &str {
            "means"
        }
    }

    fn over(taps: usize, text: &str) -> Arc<dyn FeatureExtractor> {
        let threads = Threads::shared(1).unwrap();
        MultiScale::over(Arc::new(Means { taps, batch: 2 }), &Scales::parse(text).unwrap(), &threads)
    }

    #[test]
    fn factors_ascend_from_one() {
        for good in ["1", "1+1.6", "1+1.5+2", "1+4"] {
            assert!(Scales::parse(good).is_some(), "{good}");
        }
        for bad in ["", "2", "0.5", "1+1", "1+0.5", "1+2+1.5", "1+5", "1+2+3+4", "1+NaN", "1+", "1,2", "1+inf"] {
            assert!(Scales::parse(bad).is_none(), "{bad}");
        }
        let size = InputSize { height: 384, width: 144 };
        assert_eq!(Scales::parse("1+1.6").unwrap().enlarged(size), InputSize { height: 608, width: 224 });
        assert_eq!(Scales::parse("1").unwrap().enlarged(size), size);
    }

    #[test]
    fn every_scale_sees_the_whole_of_its_own_image() {
        let size = InputSize { height: 64, width: 96 };
        let extractor = over(2, "1+2");
        assert_eq!((extractor.scales(), extractor.max_batch(size), extractor.identity()), (2, 2, "means"));
        // A ramp from left to right that starts at the image's number.
        let inputs: Vec<f32> =
            (0..2 * 3 * 64 * 96).map(|i| (i / (3 * 64 * 96)) as f32 * 1000.0 + (i % 96) as f32).collect();
        for _ in 0..2 {
            let mut seen = Vec::new();
            let consume = &mut |number: usize, taps: &[TapMap<'_>]| {
                let shapes: Vec<_> = taps.iter().map(|tap| (tap.rows, tap.cols)).collect();
                assert_eq!(shapes, [(2, 3), (2, 3), (4, 6), (4, 6)]);
                let start = number as f32 * 1000.0;
                for tap in taps {
                    let cell = 96.0 / tap.cols as f32;
                    for (at, value) in tap.data.iter().enumerate() {
                        let expected = start + cell * (at % tap.cols) as f32 + (cell - 1.0) / 2.0;
                        assert!((value - expected).abs() < 0.2, "{value} instead of {expected}");
                    }
                }
                seen.push(number);
                Ok(())
            };
            extractor.extract(&inputs, size, consume).unwrap();
            assert_eq!(seen, [0, 1]);
        }
    }

    #[test]
    fn too_many_taps_are_refused() {
        let size = InputSize { height: 64, width: 64 };
        let error = over(9, "1+2").extract(&vec![0.0; 3 * 64 * 64], size, &mut |_, _| Ok(())).unwrap_err();
        assert!(error.status() == Status::Backbone && error.to_string().contains("scales"), "{error}");
    }
}
