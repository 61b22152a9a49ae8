//! Scoring: pixels in; score, decision, anomaly map and regions out.

use std::time::{Duration, Instant};

use super::extraction::{Extraction, Pipeline};
use super::{Calibration, MapOptions, Model, Verdict};
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::memory::{try_resize, try_vec};
use crate::exec::progress::Cancellation;
use crate::exec::rows::{Rows, RowsOut};
use crate::exec::{Awake, Threads};
use crate::image::{ImageView, PixelFormat};
use crate::method::GridScore;
use crate::postprocess::{MapGeometry, RegionFinder, Regions, Resizer, Smoother, calibrated_map, peak, render};
use crate::preprocess::{InputSize, Normalisation};

/// Grid cells along the edge of an image's own mask that do not count: one for the neighbourhoods that methods look at,
/// one for what the backbone itself sees across the edge.
const EDGE: usize = 2;

/// Images that are scored together. Each more saves less, and takes its feature maps' memory.
const GROUP: usize = 8;

/// What npad says about one image, but for its map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// The raw image score, in the method's own units: 0 or above, larger is more anomalous.
    pub score: f32,
    /// The score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; not clamped.
    pub calibrated: f32,
    /// What is to be done with the image.
    pub verdict: Verdict,
}

/// What npad says about one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// The raw image score, in the method's own units: 0 or above, larger is more anomalous.
    pub score: f32,
    /// The score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; not clamped.
    pub calibrated: f32,
    /// What is to be done with the image.
    pub verdict: Verdict,
    /// Columns of the map: the image's width.
    pub width: usize,
    /// Rows of the map: the image's height.
    pub height: usize,
    /// The anomaly map in the raw score's units, row after row; 0 where a mask leaves pixels out.
    pub map: Vec<f32>,
    /// Regions of the map above its threshold, at least as large as the model's least, highest peak first.
    pub regions: Regions,
}

impl Inspection {
    /// Whether the score exceeds the threshold.
    pub fn anomalous(&self) -> bool {
        self.verdict == Verdict::Defective
    }

    /// Room for the inspection of an image of that size.
    fn empty(width: usize, height: usize) -> Result<Self> {
        let (map, regions) = (try_vec(width * height, 0.0)?, Regions::default());
        Ok(Self { score: 0.0, calibrated: 0.0, verdict: Verdict::Good, width, height, map, regions })
    }

    fn decide(&mut self, decision: Decision) {
        Decision { score: self.score, calibrated: self.calibrated, verdict: self.verdict } = decision;
    }
}

/// Working memory of one scoring.
pub struct Context {
    extraction: Extraction,
    /// Of each image of a group, and of each of its displacements.
    features: Vec<FeatureMap>,
    grids: Vec<GridScore>,
    combiner: Combiner,
    finder: RegionFinder,
    resizer: Resizer,
    /// The map of an image whose caller wants none: regions are found in it.
    map: Vec<f32>,
}

/// Turns the grids of one image's displacements into its smooth map and its image score.
#[derive(Default)]
pub struct Combiner {
    smoother: Smoother,
    map: Vec<f32>,
    evidence: Vec<f32>,
    scratch: Vec<u32>,
}

impl Combiner {
    /// The image score and the smooth map of the network's input size, from the pixels that are `inside` alone.
    pub fn run(
        &mut self,
        grids: &[GridScore],
        shifts: &[(isize, isize)],
        size: InputSize,
        output: &MapOptions,
        inside: Option<&[bool]>,
        threads: &Threads,
    ) -> Result<(f32, &[f32])> {
        let grid = (grids[0].rows, grids[0].cols);
        let geometry = MapGeometry { grid, size, sigma: output.smoothing, masked: inside.is_some() };
        let of = |values: fn(&GridScore) -> &[f32]| shifts.iter().copied().zip(grids.iter().map(values));
        self.smoother.run(of(|grid| &grid.map), geometry, inside, threads, &mut self.map)?;
        let evidence = if grids[0].evidence.is_empty() {
            &self.map
        } else {
            self.smoother.run(of(|grid| &grid.evidence), geometry, inside, threads, &mut self.evidence)?;
            &self.evidence
        };
        Ok((peak(evidence, inside, output.peak_share, &mut self.scratch)?, &self.map))
    }
}

/// The caller's memory for what a score writes, in rows of one size. What is not wanted is none.
#[derive(Debug, Default)]
pub struct ScoreBuffers<'a> {
    /// Receives the anomaly map.
    pub map: Option<RowsOut<'a, f32>>,
    /// Receives the calibrated anomaly map in eight bits.
    pub map_u8: Option<RowsOut<'a, u8>>,
}

/// The first rows of a vector, without padding.
fn rows_of(values: &mut [f32], width: usize, height: usize) -> Result<RowsOut<'_, f32>> {
    RowsOut::from_slice(values, width, height, width).map_err(|e| e.context("the anomaly map"))
}

impl Model {
    /// Scores one image. Steady use reuses its working memory; the result is the caller's.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the backbone fails or gives values that are not finite, [`Status::InvalidImage`] when a
    /// mask does not fit.
    pub fn score(&self, image: &ImageView<'_>) -> Result<Inspection> {
        self.score_to(image, image.width(), image.height())
    }

    /// Scores one image with a map of `width` x `height` instead of the image's own size; regions are in its pixels.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn score_to(&self, image: &ImageView<'_>, width: usize, height: usize) -> Result<Inspection> {
        let mut inspection = Inspection::empty(width, height)?;
        let buffers = ScoreBuffers { map: Some(rows_of(&mut inspection.map, width, height)?), map_u8: None };
        let regions = &mut inspection.regions;
        let decision = self.score_into(image, buffers, |found| {
            *regions = found.try_clone()?;
            Ok(())
        })?;
        inspection.decide(decision);
        Ok(inspection)
    }

    /// Scores several images; those of a group share one pass over the model. The results are those of [`Model::score`] to
    /// the last bit.
    ///
    /// # Errors
    /// As [`Model::score`], of the first image that fails; its number is in the message. [`Status::Cancelled`] by
    /// `cancellation`, which is looked at between images.
    pub fn score_batch(
        &self,
        images: &[ImageView<'_>],
        cancellation: Option<&Cancellation>,
    ) -> Result<Vec<Inspection>> {
        let empty = |image: &ImageView<'_>| Inspection::empty(image.width(), image.height());
        let mut inspections = images.iter().map(empty).collect::<Result<Vec<Inspection>>>()?;
        let (mut buffers, mut regions) = (Vec::with_capacity(images.len()), Vec::with_capacity(images.len()));
        for Inspection { width, height, map, regions: own, .. } in &mut inspections {
            buffers.push(ScoreBuffers { map: Some(rows_of(map, *width, *height)?), map_u8: None });
            regions.push(own);
        }
        let decisions = self.score_batch_into(images, cancellation, buffers, |index, found| {
            *regions[index] = found.try_clone()?;
            Ok(())
        })?;
        inspections.iter_mut().zip(decisions).for_each(|(inspection, decision)| inspection.decide(decision));
        Ok(inspections)
    }

    /// Scores one image, writes its maps to the caller's memory and hands its regions to `found`. After a first image of
    /// the same size it allocates nothing. Where the caller wants no map, regions are those of a map of the image's size.
    ///
    /// # Errors
    /// As [`Model::score`]; [`Status::InvalidArgument`] when the two maps differ in size; whatever `found` returns.
    pub fn score_into(
        &self,
        image: &ImageView<'_>,
        buffers: ScoreBuffers<'_>,
        found: impl FnOnce(&Regions) -> Result<()>,
    ) -> Result<Decision> {
        let images = std::slice::from_ref(image);
        self.with_context(|context| {
            let _awake = self.grids(context, images, None).map_err(|(_, error)| error)?;
            let (decision, regions) = self.conclude(context, 0, image, buffers)?;
            found(regions)?;
            Ok(decision)
        })
    }

    /// Scores several images as [`Model::score_batch`], writes their maps to the caller's memory and hands each one's number
    /// and regions to `found`.
    ///
    /// # Errors
    /// As [`Model::score_batch`] and [`Model::score_into`].
    pub fn score_batch_into(
        &self,
        images: &[ImageView<'_>],
        cancellation: Option<&Cancellation>,
        buffers: Vec<ScoreBuffers<'_>>,
        mut found: impl FnMut(usize, &Regions) -> Result<()>,
    ) -> Result<Vec<Decision>> {
        let mut decisions = Vec::with_capacity(images.len());
        let mut buffers = buffers.into_iter();
        for (group, images) in images.chunks(GROUP).enumerate() {
            let first = group * GROUP;
            self.with_context(|context| {
                let named = |(index, error): (usize, Error)| error.context(format!("image {}", first + index));
                let _awake = self.grids(context, images, cancellation).map_err(named)?;
                for (index, (image, buffers)) in images.iter().zip(buffers.by_ref()).enumerate() {
                    let (decision, regions) =
                        self.conclude(context, index, image, buffers).map_err(|error| named((index, error)))?;
                    found(first + index, regions)?;
                    decisions.push(decision);
                }
                Ok(())
            })?;
        }
        Ok(decisions)
    }

    /// Calls `work` with a context once it is this call's turn.
    fn with_context<R>(&self, work: impl FnOnce(&mut Context) -> Result<R>) -> Result<R> {
        self.core.contexts.with(|| self.new_context(), work)
    }

    /// Scores at most [`GROUP`] images on the grid, each at every displacement, into the context's grids. An error comes with
    /// its image's number. The threads are awake when the grids have come.
    fn grids(
        &self,
        context: &mut Context,
        images: &[ImageView<'_>],
        cancellation: Option<&Cancellation>,
    ) -> std::result::Result<Option<Awake<'_>>, (usize, Error)> {
        let core = &*self.core;
        let Context { extraction, features, grids, .. } = context;
        let count = images.len() * core.shifts.len();
        if features.len() < count {
            features.resize_with(count, FeatureMap::default);
            grids.resize_with(count, GridScore::default);
        }
        let (features, grids) = (&mut features[..count], &mut grids[..count]);
        let awake = extraction.run(images, self.pipeline(), cancellation, features)?;
        core.scorer.score_all(features, &core.threads, grids).map_err(|error| (0, error))?;
        Ok(awake)
    }

    /// From the grids of image `index` of the group to its map, regions and decision.
    fn conclude<'a>(
        &self,
        context: &'a mut Context,
        index: usize,
        image: &ImageView<'_>,
        buffers: ScoreBuffers<'_>,
    ) -> Result<(Decision, &'a Regions)> {
        let (metadata, core) = (&self.metadata, &*self.core);
        let Context { extraction, grids, combiner, finder, resizer, map, .. } = context;
        let (size, output, shifts) = (metadata.input, &metadata.output, core.shifts.len());
        let grids = &grids[index * shifts..][..shifts];
        let roi = extraction.roi(index, core.roi.as_ref());
        let inside = roi.map(|roi| &roi.cover[..]);
        let (score, smooth) = combiner.run(grids, &core.shifts, size, output, inside, &core.threads)?;
        if !score.is_finite() {
            let message = "the image score is not finite; the model file may be damaged";
            return Err(Error::new(Status::Internal, message));
        }
        let rows = match buffers.map {
            Some(rows) => rows,
            None => {
                let (width, height) = (image.width(), image.height());
                try_resize(map, width * height, 0.0)?;
                rows_of(map, width, height)?
            }
        };
        let mut rows = resizer.run(smooth, (size.height, size.width), rows, &core.threads)?;
        if let Some(roi) = roi {
            roi.mask.clear_outside(&mut rows);
        }
        if let Some(map_u8) = buffers.map_u8 {
            let Calibration { typical, threshold } = metadata.map;
            calibrated_map(rows.as_rows(), typical, threshold, map_u8)?;
        }
        let regions = finder.find(rows.as_rows(), metadata.map.threshold, output.min_region_area)?;
        let decision = Decision { score, calibrated: metadata.image.apply(score), verdict: metadata.verdict(score) };
        Ok((decision, regions))
    }

    fn pipeline(&self) -> Pipeline<'_> {
        let core = &*self.core;
        Pipeline {
            backbone: &*core.backbone,
            displacements: &core.shifts,
            roi: core.roi.as_ref(),
            margin: EDGE * self.metadata.input.height.div_ceil(core.scorer.shape().0.max(1)),
            mean: &core.mean,
            threads: &core.threads,
        }
    }

    /// The image as RGB with its anomaly map laid over it and boxes around its regions, for people to look at.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when the inspection is of an image of another size.
    pub fn render(&self, image: &ImageView<'_>, inspection: &Inspection) -> Result<Vec<u8>> {
        let (width, height) = (image.width(), image.height());
        let map = Rows::from_slice(&inspection.map, inspection.width, inspection.height, inspection.width)?;
        let mut pixels = try_vec(3 * width * height, 0)?;
        let out = RowsOut::from_slice(&mut pixels, 3 * width, height, 3 * width)?;
        render(image, map, &inspection.regions, self.metadata.map.threshold, PixelFormat::Rgb8, out)?;
        Ok(pixels)
    }

    /// The time of the backbone's runs alone that scoring this image takes: the yardstick of `npad bench`.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn time_backbone(&self, image: &ImageView<'_>) -> Result<Duration> {
        let core = &*self.core;
        self.with_context(|context| {
            context.extraction.load(image, self.pipeline())?;
            let start = Instant::now();
            for _ in &core.shifts {
                core.backbone.extract(context.extraction.tensor(), self.metadata.input, &mut |_, _| Ok(()))?;
            }
            Ok(start.elapsed())
        })
    }

    /// The mean of the good images as the network sees them, as RGB of the network's input size: a typical product.
    pub fn typical_image(&self) -> Vec<u8> {
        let Normalisation { mean, std } = self.core.backbone.normalisation();
        let plane = self.core.mean.len() / 3;
        let value = |i: usize, c: usize| ((self.core.mean[c * plane + i] * std[c] + mean[c]) * 255.0).round() as u8;
        (0..plane).flat_map(|i| (0..3).map(move |c| value(i, c))).collect()
    }

    fn new_context(&self) -> Context {
        let (metadata, core) = (&self.metadata, &*self.core);
        Context {
            extraction: Extraction::new(&*core.backbone, metadata.input, metadata.grid_step),
            features: Vec::new(),
            grids: Vec::new(),
            combiner: Combiner::default(),
            finder: RegionFinder::default(),
            resizer: Resizer::default(),
            map: Vec::new(),
        }
    }
}
