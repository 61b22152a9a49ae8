//! Scoring: pixels in; score, decision, anomaly map and regions out.

use std::time::{Duration, Instant};

use super::{Model, OutputSettings};
use crate::backbone::{Assembler, FeatureExtractor, FeatureMap};
use crate::error::{Error, Result, Status};
use crate::image::ImageView;
use crate::math::filters::{resize, shift};
use crate::method::GridScore;
use crate::postprocess::{Heatmap, Region, Smoother, draw_boxes, find_regions, peak};
use crate::preprocess::{InputSize, Preprocessor};
use crate::threads::Threads;

/// Colour of the boxes around regions: red, green, blue.
const BOX: [u8; 3] = [255, 255, 255];

/// What npad says about one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// The raw image score, in the method's own units: 0 or above, larger is more anomalous.
    pub score: f32,
    /// The score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; not clamped.
    pub calibrated: f32,
    /// Whether the score exceeds the threshold.
    pub anomalous: bool,
    /// Columns of the map: the image's width.
    pub width: usize,
    /// Rows of the map: the image's height.
    pub height: usize,
    /// The anomaly map in the raw score's units, row after row.
    pub map: Vec<f32>,
    /// Regions of the map above its threshold, at least as large as the model's least, highest peak first.
    pub regions: Vec<Region>,
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

    /// Takes the next image.
    pub fn load(&mut self, image: &ImageView<'_>) -> Result<()> {
        self.preprocessor.run(image, &mut self.tensor)
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
}

/// Turns the grids of one image's displacements into its smooth map and its image score.
#[derive(Default)]
pub struct Combiner {
    map: Smoother,
    evidence: Smoother,
    scratch: Vec<f32>,
}

impl Combiner {
    /// The image score and the smooth map of the network's input size.
    pub fn run(
        &mut self,
        grids: &[GridScore],
        shifts: &[(isize, isize)],
        size: InputSize,
        output: &OutputSettings,
    ) -> (f32, &[f32]) {
        let shape = (grids[0].rows, grids[0].cols);
        let of = |values: fn(&GridScore) -> &[f32]| shifts.iter().copied().zip(grids.iter().map(values));
        let map = self.map.run(of(|grid| &grid.map), shape, size, output.smoothing);
        let score = if grids[0].evidence.is_empty() {
            peak(map, output.peak_share, &mut self.scratch)
        } else {
            let evidence = self.evidence.run(of(|grid| &grid.evidence), shape, size, output.smoothing);
            peak(evidence, output.peak_share, &mut self.scratch)
        };
        (score, map)
    }
}

impl Model {
    /// Scores one image. Steady use reuses its working memory; the result is the caller's.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the backbone fails or gives values that are not finite.
    pub fn score(&self, image: &ImageView<'_>) -> Result<Inspection> {
        self.score_to(image, image.width(), image.height())
    }

    /// Scores one image with a map of `width` x `height` instead of the image's own size; regions are in its pixels.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn score_to(&self, image: &ImageView<'_>, width: usize, height: usize) -> Result<Inspection> {
        let size = self.settings.input;
        self.contexts.with(self.new_context(), |context| {
            let Context { extraction, features, grids, combiner } = context;
            extraction.load(image)?;
            for (displacement, grid) in self.shifts.iter().zip(grids.iter_mut()) {
                extraction.features(&*self.backbone, *displacement, &self.threads, features)?;
                self.scorer.score(features, &self.threads, grid)?;
            }
            let (score, smooth) = combiner.run(grids, &self.shifts, size, &self.settings.output);
            if !score.is_finite() {
                return Err(Error::new(
                    Status::Internal,
                    "the image score is not finite; the model file may be damaged",
                ));
            }
            let mut map = vec![0.0; width * height];
            resize(smooth, (size.height, size.width), (height, width), &mut map);
            let mut regions = find_regions(&map, width, self.settings.map.threshold);
            regions.retain(|region| region.area >= self.settings.output.min_region_area);
            let calibrated = self.settings.image.apply(score);
            let anomalous = score > self.settings.image.threshold;
            Ok(Inspection { score, calibrated, anomalous, width, height, map, regions })
        })
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
        self.contexts.with(self.new_context(), |context| {
            context.extraction.load(image)?;
            let size = self.settings.input;
            let start = Instant::now();
            for _ in &self.shifts {
                self.backbone.extract(&context.extraction.tensor, size, &mut |_| Ok(()))?;
            }
            Ok(start.elapsed())
        })
    }

    fn new_context(&self) -> impl FnOnce() -> Result<Context> {
        || {
            Ok(Context {
                extraction: Extraction::new(&*self.backbone, self.settings.input, self.settings.grid_step),
                features: FeatureMap::default(),
                grids: vec![GridScore::default(); self.shifts.len()],
                combiner: Combiner::default(),
            })
        }
    }
}
