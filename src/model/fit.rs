//! Learning from good images, one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::decision::Calibration;
use super::options::Options;
use super::score::{Combiner, Extraction};
use super::{Model, Settings};
use crate::backbone::{FeatureExtractor, FeatureMap, OnnxBackbone, Source};
use crate::error::{Error, Result, Status};
use crate::image::ImageView;
use crate::method::{Fitter, HalfMap, Parameters, Sample, SampleImage};
use crate::pool::Pool;
use crate::postprocess::maximum;
use crate::preprocess::{Geometry, InputSize};
use crate::threads::Threads;

/// The fewest good images: with one there is no variation to learn.
pub const MIN_IMAGES: usize = 2;

/// Learns from good images and finishes into a [`Model`]. Belongs to one thread at a time.
///
/// Memory does not grow with the number of images: they enter the method's statistics one by one, and a sample of
/// bounded size serves the choice of channels, the centroids and the threshold.
pub struct Trainer {
    options: Options,
    parameters: Parameters,
    shifts: Vec<(isize, isize)>,
    source: Source,
    backbone: Arc<dyn FeatureExtractor>,
    threads: Arc<Threads>,
    fitter: Box<dyn Fitter>,
    sample: Sample,
    prepared: bool,
    input: Option<(InputSize, Extraction)>,
    features: FeatureMap,
}

impl Trainer {
    /// Opens the backbone and starts a fit.
    ///
    /// # Errors
    /// [`Status::Runtime`], [`Status::Device`], [`Status::Backbone`] or [`Status::Io`] when the backbone cannot be used.
    pub fn new(options: &Options) -> Result<Self> {
        let source = options.source()?;
        let backbone = OnnxBackbone::open(source.clone(), options.device, Threads::resolve(options.threads))?;
        let parameters = options.parameters();
        Ok(Self {
            shifts: options.method().shifts(&parameters),
            fitter: options.method().fitter(&parameters, options.seed),
            parameters,
            source,
            backbone: Arc::new(backbone),
            threads: Arc::new(Threads::new(options.threads)?),
            sample: Sample::new(options.seed),
            prepared: false,
            input: None,
            features: FeatureMap::default(),
            options: options.clone(),
        })
    }

    /// Good images learnt so far.
    pub fn images(&self) -> usize {
        self.sample.seen()
    }

    /// Learns one good image. An image that fails leaves the trainer as it was.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the network fails on it, [`Status::InvalidImage`] when a first image of this size
    /// cannot set the native geometry.
    pub fn add(&mut self, image: &ImageView<'_>) -> Result<()> {
        let Self { backbone, threads, sample, features, shifts, .. } = self;
        let (_, extraction) = match &mut self.input {
            Some(input) => input,
            empty => {
                let size = input_size(self.options.geometry, image, &**backbone)?;
                empty.insert((size, Extraction::new(&**backbone, size, self.options.grid_step)))
            }
        };
        extraction.load(image)?;
        extraction.features(&**backbone, (0, 0), threads, features)?;
        sample.check_shape(features)?;
        let offer = sample.offer(2 * features.data.len() * shifts.len());
        let mut kept = None;
        if offer.place.is_some() {
            let mut maps = vec![HalfMap::new(features)];
            let mut displaced = FeatureMap::default();
            for &displacement in &shifts[1..] {
                extraction.features(&**backbone, displacement, threads, &mut displaced)?;
                maps.push(HalfMap::new(&displaced));
            }
            kept = Some(SampleImage { maps });
        }
        if self.prepared {
            self.fitter.observe(&self.features, &self.threads)?;
        }
        self.sample.accept(offer, kept);
        if !self.prepared && self.sample.is_full() {
            self.prepare()?;
        }
        Ok(())
    }

    /// Chooses what the statistics are about, then adds the images that have waited in the sample.
    fn prepare(&mut self) -> Result<()> {
        self.fitter.prepare(&self.sample, &self.threads)?;
        for image in self.sample.images() {
            image.maps[0].read(&mut self.features);
            self.fitter.observe(&self.features, &self.threads)?;
        }
        self.prepared = true;
        Ok(())
    }

    /// Whether there are enough images to finish.
    ///
    /// # Errors
    /// [`Status::NotEnoughImages`] with fewer than [`MIN_IMAGES`].
    pub fn check_enough(&self) -> Result<()> {
        let images = self.images();
        if images >= MIN_IMAGES {
            return Ok(());
        }
        Err(Error::new(
            Status::NotEnoughImages,
            format!(
                "{images} good images are too few to learn from: at least {MIN_IMAGES} are needed, 20 or more recommended"
            ),
        ))
    }

    /// Ends the fit: statistics become a model with thresholds from held-out good images.
    ///
    /// # Errors
    /// [`Status::NotEnoughImages`] with fewer than [`MIN_IMAGES`], or when they vary too little.
    pub fn finish(mut self) -> Result<Model> {
        self.check_enough()?;
        let images = self.images();
        let out_of_order = || Error::new(Status::Internal, "images without an input size");
        let size = self.input.as_ref().map(|(size, _)| *size).ok_or_else(out_of_order)?;
        if !self.prepared {
            self.prepare()?;
        }
        let fitted = self.fitter.finish(&self.sample, &self.threads)?;
        let (shifts, output) = (&self.shifts, &self.options.output);
        let (image_scores, map_peaks): (Vec<f32>, Vec<f32>) = self.threads.run(|| {
            let held_out = fitted.held_out.par_iter().map_init(Combiner::default, |combiner, grids| {
                let (score, map) = combiner.run(grids, shifts, size, output);
                (score, maximum(map))
            });
            held_out.unzip()
        });
        let settings = Settings {
            npad_version: env!("CARGO_PKG_VERSION").to_owned(),
            method: self.options.method().name().to_owned(),
            parameters: owned(&self.parameters),
            input: size,
            grid_step: self.options.grid_step,
            output: self.options.output,
            seed: self.options.seed,
            images,
            held_out: image_scores.len(),
            false_alarm_rate: self.options.false_alarm_rate,
            image: Calibration::new(&image_scores, self.options.false_alarm_rate)?,
            map: Calibration::new(&map_peaks, self.options.false_alarm_rate)?,
            backbone: self.backbone.identity().to_owned(),
        };
        Ok(Model {
            settings,
            backbone: self.backbone,
            source: self.source,
            scorer: fitted.scorer,
            shifts: self.shifts,
            threads: self.threads,
            contexts: Pool::default(),
        })
    }
}

fn owned(parameters: &Parameters) -> BTreeMap<String, String> {
    parameters.values().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The network's input size for images like this one; a native one needs the backbone's coarsest stride.
fn input_size(geometry: Geometry, image: &ImageView<'_>, backbone: &dyn FeatureExtractor) -> Result<InputSize> {
    const PROBE: usize = 256;
    let mut stride = 1;
    if geometry == Geometry::Native {
        let size = InputSize { height: PROBE, width: PROBE };
        backbone
            .extract(&vec![0.0; 3 * PROBE * PROBE], size, &mut |taps| {
                stride = taps.iter().map(|tap| PROBE.div_ceil(tap.rows)).max().unwrap_or(1);
                Ok(())
            })
            .map_err(|e| e.context("finding the backbone's stride for native geometry"))?;
    }
    geometry.resolve(image.width(), image.height(), stride)
}
