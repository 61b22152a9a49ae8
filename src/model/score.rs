//! Scoring: pixels in; score, decision, anomaly map and regions out.

use std::time::{Duration, Instant};

use super::interest::Interest;
use super::{Model, OutputSettings, Verdict};
use crate::backbone::{Assembler, FeatureExtractor, FeatureMap};
use crate::error::{Error, Result, Status};
use crate::image::ImageView;
use crate::math::filters::{resize, shift};
use crate::method::GridScore;
use crate::postprocess::{Heatmap, Region, RegionFinder, Smoother, draw_boxes, peak};
use crate::preprocess::{InputSize, Preprocessor};
use crate::threads::Threads;

/// Grid cells along the edge of an image's own mask that do not count: one for the neighbourhoods that methods look at,
/// one for what the backbone itself sees across the edge.
const EDGE: usize = 2;

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

/// Working memory of turning images into feature maps.
pub struct Extraction {
    preprocessor: Preprocessor,
    tensor: Vec<f32>,
    shifted: Vec<f32>,
    assembler: Assembler,
}

impl Extraction {
    /// For one backbone, input size and grid.
    pub fn new(backbone: &dyn FeatureExtractor, size: InputSize, grid_step: usize) -> Self {
        Self {
            preprocessor: Preprocessor::new(size, backbone.normalisation()),
            tensor: Vec::new(),
            shifted: Vec::new(),
            assembler: Assembler::new(grid_step),
        }
    }

    /// Takes the next image; of its pixels, only those inside the mask have an influence. `mean` is that of the good
    /// images' tensors.
    pub fn load(&mut self, image: &ImageView<'_>, interest: Option<&Interest>, mean: &[f32]) -> Result<()> {
        self.preprocessor.run(image, interest.map(|interest| &interest.mask), &mut self.tensor)?;
        if let Some(interest) = interest {
            interest.complete(&mut self.tensor, mean);
        }
        Ok(())
    }

    /// The network's input for the image, before any displacement.
    pub fn tensor(&self) -> &[f32] {
        &self.tensor
    }

    /// The features of the image moved by `(dy, dx)`.
    pub fn features(
        &mut self,
        backbone: &dyn FeatureExtractor,
        displacement: (isize, isize),
        threads: &Threads,
        out: &mut FeatureMap,
    ) -> Result<()> {
        let size = self.preprocessor.size();
        let tensor = if displacement == (0, 0) {
            &self.tensor
        } else {
            shift(&self.tensor, size.height, size.width, displacement, &mut self.shifted);
            &self.shifted
        };
        let assembler = &mut self.assembler;
        backbone.extract(tensor, size, &mut |taps| assembler.run(taps, threads, out))
    }
}

/// Working memory of one scoring.
pub struct Context {
    extraction: Extraction,
    features: FeatureMap,
    grids: Vec<GridScore>,
    combiner: Combiner,
    finder: RegionFinder,
    map: Vec<f32>,
}

/// Turns the grids of one image's displacements into its smooth map and its image score.
#[derive(Default)]
pub struct Combiner {
    map: Smoother,
    evidence: Smoother,
    scratch: Vec<f32>,
}

impl Combiner {
    /// The image score and the smooth map of the network's input size, from its pixels in `cover` alone.
    pub fn run(
        &mut self,
        grids: &[GridScore],
        shifts: &[(isize, isize)],
        size: InputSize,
        output: &OutputSettings,
        cover: Option<&[bool]>,
    ) -> (f32, &[f32]) {
        let shape = (grids[0].rows, grids[0].cols);
        let of = |values: fn(&GridScore) -> &[f32]| shifts.iter().copied().zip(grids.iter().map(values));
        let map = self.map.run(of(|grid| &grid.map), shape, size, output.smoothing, cover);
        let score = if grids[0].evidence.is_empty() {
            peak(map, cover, output.peak_share, &mut self.scratch)
        } else {
            let evidence = self.evidence.run(of(|grid| &grid.evidence), shape, size, output.smoothing, cover);
            peak(evidence, cover, output.peak_share, &mut self.scratch)
        };
        (score, map)
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

    /// Scores one image, writes its map to the caller's memory and hands its regions to `found`. After a first image of
    /// the same size it needs no memory of its own but what ONNX Runtime takes.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn score_into(
        &self,
        image: &ImageView<'_>,
        map: MapBuffer<'_>,
        found: impl FnOnce(&[Region]),
    ) -> Result<Decision> {
        let (settings, core) = (&self.settings, &*self.core);
        let size = settings.input;
        let margin = EDGE * size.height.div_ceil(core.scorer.shape().0.max(1));
        let interest = Interest::of(core.interest.as_ref(), image, size, margin)?;
        core.contexts.with(
            || self.new_context(),
            |context| {
                let Context { extraction, features, grids, combiner, finder, map: compact } = context;
                extraction.load(image, interest.as_deref(), &core.mean)?;
                for (displacement, grid) in core.shifts.iter().zip(grids.iter_mut()) {
                    extraction.features(&*core.backbone, *displacement, &core.threads, features)?;
                    core.scorer.score(features, &core.threads, grid)?;
                }
                let cover = interest.as_ref().map(|interest| &interest.cover[..]);
                let (score, smooth) = combiner.run(grids, &core.shifts, size, &settings.output, cover);
                if !score.is_finite() {
                    return Err(Error::new(
                        Status::Internal,
                        "the image score is not finite; the model file may be damaged",
                    ));
                }
                let MapBuffer { values, width, height, stride } = map;
                compact.resize(width * height, 0.0);
                resize(smooth, (size.height, size.width), (height, width), compact);
                if let Some(interest) = &interest {
                    interest.mask.clear_outside(compact, width, height);
                }
                for (row, from) in values.chunks_mut(stride).zip(compact.chunks_exact(width)) {
                    row[..width].copy_from_slice(from);
                }
                found(finder.find(compact, width, settings.map.threshold, settings.output.min_region_area));
                let verdict = settings.verdict(score);
                Ok(Decision { score, calibrated: settings.image.apply(score), verdict })
            },
        )
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
        let heatmap = Heatmap { threshold: self.settings.map.threshold };
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
                context.extraction.load(image, None, &[])?;
                let size = self.settings.input;
                let start = Instant::now();
                for _ in &core.shifts {
                    core.backbone.extract(&context.extraction.tensor, size, &mut |_| Ok(()))?;
                }
                Ok(start.elapsed())
            },
        )
    }

    fn new_context(&self) -> Context {
        let (settings, core) = (&self.settings, &*self.core);
        Context {
            extraction: Extraction::new(&*core.backbone, settings.input, settings.grid_step),
            features: FeatureMap::default(),
            grids: vec![GridScore::default(); core.shifts.len()],
            combiner: Combiner::default(),
            finder: RegionFinder::default(),
            map: Vec::new(),
        }
    }
}
