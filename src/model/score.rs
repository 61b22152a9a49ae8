//! Scoring: pixels in; score, decision, anomaly map and regions out.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::extraction::Extraction;
use super::roi::InputRoi;
use super::{MapOptions, Model, Verdict};
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
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
    /// The image score and the smooth map of the network's input size, from its pixels in `cover` alone.
    pub fn run(
        &mut self,
        grids: &[GridScore],
        shifts: &[(isize, isize)],
        size: InputSize,
        output: &MapOptions,
        cover: Option<&[bool]>,
        threads: &Threads,
    ) -> (f32, &[f32]) {
        let grid = (grids[0].rows, grids[0].cols);
        let geometry = MapGeometry { grid, size, sigma: output.smoothing, masked: cover.is_some() };
        let of = |values: fn(&GridScore) -> &[f32]| shifts.iter().copied().zip(grids.iter().map(values));
        self.smoother.run(of(|grid| &grid.map), geometry, cover, threads, &mut self.map);
        let evidence = if grids[0].evidence.is_empty() {
            &self.map
        } else {
            self.smoother.run(of(|grid| &grid.evidence), geometry, cover, threads, &mut self.evidence);
            &self.evidence
        };
        (peak(evidence, cover, output.peak_share, &mut self.scratch), &self.map)
    }
}

/// For each image of a group, the pixels that count.
type Rois<'a> = [Option<Cow<'a, InputRoi>>; GROUP];

/// What ends the scoring of one image: writes its map and hands its regions on.
type Conclude<'a> = dyn FnMut(MapBuffer<'_>, &mut dyn FnMut(&[Region])) -> Result<Decision> + 'a;

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
        let mut map = vec![0.0; width * height];
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
    /// As [`Model::score`], of the first image that fails; its number is in the message.
    pub fn score_batch(&self, images: &[ImageView<'_>]) -> Result<Vec<Inspection>> {
        let blank = |image: &ImageView<'_>| Inspection {
            score: 0.0,
            calibrated: 0.0,
            verdict: Verdict::Good,
            width: image.width(),
            height: image.height(),
            map: vec![0.0; image.width() * image.height()],
            regions: Vec::new(),
        };
        let mut inspections: Vec<Inspection> = images.iter().map(blank).collect();
        for (group, (images, inspections)) in images.chunks(GROUP).zip(inspections.chunks_mut(GROUP)).enumerate() {
            self.score_group(images, |index, conclude| {
                let Inspection { width, height, map, regions, .. } = &mut inspections[index];
                let buffer = MapBuffer { values: map, width: *width, height: *height, stride: *width };
                let decision = conclude(buffer, &mut |found| regions.extend_from_slice(found))?;
                let inspection = &mut inspections[index];
                (inspection.score, inspection.calibrated) = (decision.score, decision.calibrated);
                inspection.verdict = decision.verdict;
                Ok(())
            })
            .map_err(|(index, error)| error.context(format!("image {}", group * GROUP + index)))?;
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
        let (mut arguments, mut decision) = (Some((map, found)), None);
        self.score_group(std::slice::from_ref(image), |_, conclude| {
            if let Some((map, found)) = arguments.take() {
                let mut found = Some(found);
                decision = Some(conclude(map, &mut |regions| {
                    if let Some(found) = found.take() {
                        found(regions);
                    }
                })?);
            }
            Ok(())
        })
        .map_err(|(_, error)| error)?;
        decision.ok_or_else(|| Error::new(Status::Internal, "an image was not scored"))
    }

    /// Scores at most [`GROUP`] images. `each` gets every image's number and what ends its scoring: a function that writes
    /// its map, hands its regions on and returns the decision. An error comes with its image's number.
    fn score_group(
        &self,
        images: &[ImageView<'_>],
        mut each: impl FnMut(usize, &mut Conclude<'_>) -> Result<()>,
    ) -> std::result::Result<(), (usize, Error)> {
        let (metadata, core) = (&self.metadata, &*self.core);
        let (size, shifts) = (metadata.input, core.shifts.len());
        core.contexts.with(
            || self.new_context(),
            |context| {
                let Context { extraction, features, grids, combiner, finder, resizer } = context;
                let needed = images.len() * shifts;
                if features.len() < needed {
                    features.resize_with(needed, FeatureMap::default);
                    grids.resize_with(needed, GridScore::default);
                }
                let (rois, _awake) = self.extract_group(extraction, images, &mut features[..needed])?;
                let grids = &mut grids[..needed];
                core.scorer.score_all(&features[..needed], &core.threads, grids).map_err(|error| (0, error))?;
                for (index, (grids, roi)) in grids.chunks_exact(shifts).zip(&rois).enumerate() {
                    let cover = roi.as_ref().map(|roi| &roi.cover[..]);
                    let mut conclude = |map: MapBuffer<'_>, found: &mut dyn FnMut(&[Region])| {
                        let output = &metadata.output;
                        let (score, smooth) = combiner.run(grids, &core.shifts, size, output, cover, &core.threads);
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
                            roi.mask.clear_outside(values, (width, height), stride);
                        }
                        let map = Map { values, width, stride };
                        found(finder.find(map, metadata.map.threshold, output.min_region_area));
                        Ok(Decision {
                            score,
                            calibrated: metadata.image.apply(score),
                            verdict: metadata.verdict(score),
                        })
                    };
                    each(index, &mut conclude).map_err(|error| (index, error))?;
                }
                Ok(())
            },
        )
    }

    /// The features of a group of images and all their displacements, as many of them in one run of the backbone as it takes;
    /// and the pixels that count, where a mask leaves some out.
    fn extract_group(
        &self,
        extraction: &mut Extraction,
        images: &[ImageView<'_>],
        features: &mut [FeatureMap],
    ) -> std::result::Result<(Rois<'_>, Option<Awake<'_>>), (usize, Error)> {
        let core = &*self.core;
        let (backbone, size, shifts, threads) = (&*core.backbone, self.metadata.input, &core.shifts, &core.threads);
        let margin = EDGE * size.height.div_ceil(core.scorer.shape().0.max(1));
        let max_batch = backbone.max_batch(size).min(features.len());
        let (mut rois, mut awake, mut done) = ([const { None }; GROUP], None, 0);
        extraction.clear();
        for (index, image) in images.iter().enumerate() {
            let loaded = InputRoi::of(core.roi.as_ref(), image, size, margin).and_then(|roi| {
                extraction.load(image, roi.as_deref(), &core.mean, threads)?;
                Ok(roi)
            });
            rois[index] = loaded.map_err(|error| (index, error))?;
            for &displacement in shifts {
                // Threads that wait would take the cores from the backbone.
                drop(awake.take());
                if max_batch == 1 {
                    let extracted = extraction.features(backbone, displacement, threads, &mut features[done]);
                    awake = Some(extracted.map_err(|error| (index, error))?);
                    done += 1;
                    continue;
                }
                extraction.push(displacement, threads);
                let waiting = extraction.waiting();
                if waiting == max_batch || done + waiting == features.len() {
                    let extracted = extraction.run(backbone, threads, &mut features[done..][..waiting]);
                    awake = Some(extracted.map_err(|(at, error)| ((done + at) / shifts.len(), error))?);
                    done += waiting;
                }
            }
        }
        Ok((rois, awake))
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
        let mut pixels = image.to_rgb();
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
        core.contexts.with(
            || self.new_context(),
            |context| {
                context.extraction.load(image, None, &[], &core.threads)?;
                let size = self.metadata.input;
                let start = Instant::now();
                for _ in &core.shifts {
                    core.backbone.extract(context.extraction.tensor(), size, &mut |_, _| Ok(()))?;
                }
                Ok(start.elapsed())
            },
        )
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
