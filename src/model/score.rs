//! Scoring: pixels in; score, decision, anomaly map and regions out.

use std::time::{Duration, Instant};

use super::Model;
use crate::backbone::{Assembler, FeatureExtractor, FeatureMap};
use crate::error::{Error, Result, Status};
use crate::image::ImageView;
use crate::math::filters::{resize, shift};
use crate::method::GridScore;
use crate::postprocess::{Region, Smoother, find_regions, maximum};
use crate::preprocess::{InputSize, Preprocessor};
use crate::threads::Threads;

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
    /// Regions of the map above its threshold, highest peak first.
    pub regions: Vec<Region>,
}

/// Where the time of one scoring went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// The backbone's runs alone.
    pub backbone: Duration,
    /// Everything.
    pub total: Duration,
}

/// Working memory of turning images into feature maps.
pub struct Extraction {
    preprocessor: Preprocessor,
    tensor: Vec<f32>,
    shifted: Vec<f32>,
    assembler: Assembler,
}

impl Extraction {
    /// For one backbone and input size.
    pub fn new(backbone: &dyn FeatureExtractor, size: InputSize) -> Self {
        Self {
            preprocessor: Preprocessor::new(size, backbone.normalisation()),
            tensor: Vec::new(),
            shifted: Vec::new(),
            assembler: Assembler::default(),
        }
    }

    /// Takes the next image.
    pub fn load(&mut self, image: &ImageView<'_>) -> Result<()> {
        self.preprocessor.run(image, &mut self.tensor)
    }

    /// The features of the image moved by `(dy, dx)`; returns the backbone's time.
    pub fn features(
        &mut self,
        backbone: &dyn FeatureExtractor,
        displacement: (isize, isize),
        threads: &Threads,
        out: &mut FeatureMap,
    ) -> Result<Duration> {
        let size = self.preprocessor.size();
        let tensor = if displacement == (0, 0) {
            &self.tensor
        } else {
            shift(&self.tensor, size.height, size.width, displacement, &mut self.shifted);
            &self.shifted
        };
        let (start, mut time, assembler) = (Instant::now(), Duration::ZERO, &mut self.assembler);
        backbone.extract(tensor, size, &mut |taps| {
            time = start.elapsed();
            assembler.run(taps, threads, out)
        })?;
        Ok(time)
    }
}

/// Working memory of one scoring.
pub struct Context {
    extraction: Extraction,
    features: FeatureMap,
    grids: Vec<GridScore>,
    map: Smoother,
    evidence: Smoother,
}

/// The smooth map of the network's size and the image score, from the grids of all displacements.
pub fn combine<'a>(
    grids: &[GridScore],
    shifts: &[(isize, isize)],
    size: InputSize,
    sigma: f64,
    map: &'a mut Smoother,
    evidence: &mut Smoother,
) -> (f32, &'a [f32]) {
    let shape = (grids[0].rows, grids[0].cols);
    let of = |values: fn(&GridScore) -> &[f32]| shifts.iter().copied().zip(grids.iter().map(values));
    let map = map.run(of(|grid| &grid.map), shape, size, sigma);
    let score = if grids[0].evidence.is_empty() {
        maximum(map)
    } else {
        maximum(evidence.run(of(|grid| &grid.evidence), shape, size, sigma))
    };
    (score, map)
}

impl Model {
    /// Scores one image. Steady use reuses its working memory; the result is the caller's.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the backbone fails or gives values that are not finite.
    pub fn score(&self, image: &ImageView<'_>) -> Result<Inspection> {
        self.score_timed(image).map(|(inspection, _)| inspection)
    }

    /// Scores one image and tells where the time went.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn score_timed(&self, image: &ImageView<'_>) -> Result<(Inspection, Timing)> {
        let start = Instant::now();
        let size = self.settings.input;
        let new = || {
            Ok(Context {
                extraction: Extraction::new(&*self.backbone, size),
                features: FeatureMap::default(),
                grids: vec![GridScore::default(); self.shifts.len()],
                map: Smoother::default(),
                evidence: Smoother::default(),
            })
        };
        let (inspection, backbone) = self.contexts.with(new, |context| {
            let Context { extraction, features, grids, map, evidence } = context;
            extraction.load(image)?;
            let mut backbone = Duration::ZERO;
            for (displacement, grid) in self.shifts.iter().zip(grids.iter_mut()) {
                backbone += extraction.features(&*self.backbone, *displacement, &self.threads, features)?;
                self.scorer.score(features, &self.threads, grid)?;
            }
            let (score, smooth) = combine(grids, &self.shifts, size, self.settings.smoothing, map, evidence);
            if !score.is_finite() {
                return Err(Error::new(Status::Internal, "the image score is not finite; the model file may be damaged"));
            }
            let (width, height) = (image.width(), image.height());
            let mut map = vec![0.0; width * height];
            resize(smooth, (size.height, size.width), (height, width), &mut map);
            let regions = find_regions(&map, width, self.settings.map.threshold);
            let calibrated = self.settings.image.apply(score);
            let anomalous = score > self.settings.image.threshold;
            Ok((Inspection { score, calibrated, anomalous, width, height, map, regions }, backbone))
        })?;
        Ok((inspection, Timing { backbone, total: start.elapsed() }))
    }
}
