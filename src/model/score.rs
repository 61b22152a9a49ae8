//! Scoring: pixels in; score, decision, anomaly map and regions out.

use std::time::{Duration, Instant};

use super::extraction::{Extraction, Pipeline};
use super::{MapOptions, Model, Verdict};
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::memory::try_vec;
use crate::exec::progress::Cancellation;
use crate::exec::{Awake, Threads};
use crate::image::ImageView;
use crate::method::GridScore;
use crate::postprocess::{Heatmap, Map, MapGeometry, Region, RegionFinder, Resizer, Smoother, draw_boxes, peak};
use crate::preprocess::{InputSize, Normalisation};

/// Grid cells along the edge of an image's own mask that do not count: one for the neighbourhoods that methods look at,
/// one for what the backbone itself sees across the edge.
const EDGE: usize = 2;

/// Images that are scored together. Each more saves less, and takes its feature maps' memory.
const GROUP: usize = 8;

/// Colour of the boxes around regions: red, green, blue.
const BOX: [u8; 3] = [255, 255, 255];

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
    pub regions: Vec<Region>,
}

impl Inspection {
    /// Whether the score exceeds the threshold.
    pub fn anomalous(&self) -> bool {
        self.verdict == Verdict::Defective
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
    ) -> (f32, &[f32]) {
        let grid = (grids[0].rows, grids[0].cols);
        let geometry = MapGeometry { grid, size, sigma: output.smoothing, masked: inside.is_some() };
        let of = |values: fn(&GridScore) -> &[f32]| shifts.iter().copied().zip(grids.iter().map(values));
        self.smoother.run(of(|grid| &grid.map), geometry, inside, threads, &mut self.map);
        let evidence = if grids[0].evidence.is_empty() {
            &self.map
        } else {
            self.smoother.run(of(|grid| &grid.evidence), geometry, inside, threads, &mut self.evidence);
            &self.evidence
        };
        (peak(evidence, inside, output.peak_share, &mut self.scratch), &self.map)
    }
}

/// Where a score writes its map: rows of `width` values, `stride` values apart.
pub struct MapBuffer<'a> {
    /// The values, from the first of the first row to the last of the last.
    pub values: &'a mut [f32],
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Values from one row to the next.
    pub stride: usize,
}

impl MapBuffer<'_> {
    fn reborrow(&mut self) -> MapBuffer<'_> {
        let Self { values, width, height, stride } = self;
        MapBuffer { values, width: *width, height: *height, stride: *stride }
    }
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
        let mut map = try_vec(width * height, 0.0)?;
        let mut regions = Vec::new();
        let buffer = MapBuffer { values: &mut map, width, height, stride: width };
        let Decision { score, calibrated, verdict } =
            self.score_into(image, buffer, |found| regions.extend_from_slice(found))?;
        Ok(Inspection { score, calibrated, verdict, width, height, map, regions })
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
        let blank = |image: &ImageView<'_>| {
            let (width, height) = (image.width(), image.height());
            let map = try_vec(width * height, 0.0)?;
            Ok(Inspection {
                score: 0.0,
                calibrated: 0.0,
                verdict: Verdict::Good,
                width,
                height,
                map,
                regions: Vec::new(),
            })
        };
        let mut inspections = images.iter().map(blank).collect::<Result<Vec<Inspection>>>()?;
        let mut maps: Vec<MapBuffer<'_>> = Vec::with_capacity(images.len());
        let mut decisions = Vec::with_capacity(images.len());
        for Inspection { width, height, map, regions, .. } in &mut inspections {
            maps.push(MapBuffer { values: map, width: *width, height: *height, stride: *width });
            decisions.push(regions);
        }
        let mut found = decisions;
        let decisions = self.score_batch_into(images, cancellation, &mut maps, |index, regions| {
            found[index].extend_from_slice(regions)
        })?;
        for (inspection, decision) in inspections.iter_mut().zip(decisions) {
            let Decision { score, calibrated, verdict } = decision;
            (inspection.score, inspection.calibrated, inspection.verdict) = (score, calibrated, verdict);
        }
        Ok(inspections)
    }

    /// Scores one image, writes its map to the caller's memory and hands its regions to `found`. After a first image of
    /// the same size it needs no memory of its own.
    ///
    /// # Errors
    /// As [`Model::score`]; [`Status::InvalidArgument`] when the buffer is too small for the map.
    pub fn score_into(
        &self,
        image: &ImageView<'_>,
        map: MapBuffer<'_>,
        found: impl FnOnce(&[Region]),
    ) -> Result<Decision> {
        let images = std::slice::from_ref(image);
        self.with_context(|context| {
            let _awake = self.grids(context, images, None).map_err(|(_, error)| error)?;
            let (decision, regions) = self.conclude(context, 0, map)?;
            found(regions);
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
        maps: &mut [MapBuffer<'_>],
        mut found: impl FnMut(usize, &[Region]),
    ) -> Result<Vec<Decision>> {
        let mut decisions = Vec::with_capacity(images.len());
        for (group, (images, maps)) in images.chunks(GROUP).zip(maps.chunks_mut(GROUP)).enumerate() {
            let first = group * GROUP;
            self.with_context(|context| {
                let named = |(index, error): (usize, Error)| error.context(format!("image {}", first + index));
                let _awake = self.grids(context, images, cancellation).map_err(named)?;
                for (index, map) in maps.iter_mut().enumerate() {
                    let (decision, regions) =
                        self.conclude(context, index, map.reborrow()).map_err(|error| named((index, error)))?;
                    found(first + index, regions);
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
        map: MapBuffer<'_>,
    ) -> Result<(Decision, &'a [Region])> {
        let (metadata, core) = (&self.metadata, &*self.core);
        let Context { extraction, grids, combiner, finder, resizer, .. } = context;
        let (size, output, shifts) = (metadata.input, &metadata.output, core.shifts.len());
        let grids = &grids[index * shifts..][..shifts];
        let roi = extraction.roi(index, core.roi.as_ref());
        let inside = roi.map(|roi| &roi.inside[..]);
        let (score, smooth) = combiner.run(grids, &core.shifts, size, output, inside, &core.threads);
        if !score.is_finite() {
            let message = "the image score is not finite; the model file may be damaged";
            return Err(Error::new(Status::Internal, message));
        }
        let MapBuffer { values, width, height, stride } = map;
        let needed = stride * (height - 1) + width;
        let Some(values) = values.get_mut(..needed).filter(|_| stride >= width) else {
            let message = format!(
                "the map's buffer does not hold {height} rows of {width} values, {stride} apart: it needs {needed}"
            );
            return Err(Error::new(Status::InvalidArgument, message));
        };
        resizer.run(smooth, (size.height, size.width), (height, width), values, stride, &core.threads);
        if let Some(roi) = roi {
            roi.mask.clear_outside(values, (width, height), stride, &core.threads);
        }
        let map = Map { values, width, stride };
        let regions = finder.find(map, metadata.map.threshold, output.min_region_area);
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
        if (width, height) != (inspection.width, inspection.height) {
            let message = format!(
                "the image has {width} x {height} pixels, but the result is of one with {} x {}",
                inspection.width, inspection.height
            );
            return Err(Error::new(Status::InvalidImage, message));
        }
        let mut pixels = image.to_rgb()?;
        let heatmap = Heatmap { threshold: self.metadata.map.threshold };
        pixels.chunks_exact_mut(3).zip(&inspection.map).for_each(|(pixel, value)| heatmap.blend(*value, pixel));
        draw_boxes(&mut pixels, width, &inspection.regions, BOX);
        Ok(pixels)
    }

    /// The time of the backbone's runs alone that scoring this image takes: the yardstick of `npad bench`.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn time_backbone(&self, image: &ImageView<'_>) -> Result<Duration> {
        let core = &*self.core;
        self.with_context(|context| {
            context.extraction.load(0, image, self.pipeline())?;
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
        }
    }
}
