//! Fitting a model to good images, one image at a time.

mod config;
mod merge;
mod state;
mod trainer;

pub use trainer::Trainer;

use std::collections::BTreeMap;
use std::sync::Arc;

use half::f16;
use rayon::prelude::*;

use self::config::{FitConfig, Input};
use self::state::Settings;
use crate::backbone::{BackboneSpec, ChosenDevice, FeatureExtractor, FeatureMap};
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::{try_collect, try_resize};
use crate::exec::progress::Progress;
use crate::exec::rows::RowsOut;
use crate::exec::scratch::Pool;
use crate::exec::semaphore::{Semaphore, Wait};
use crate::image::ImageView;
use crate::method::{FitOutcome, Fitter, GridScore, HalfMap, Leaving, Parameters, Sample, SampleImage};
use crate::model::combiner::Combiner;
use crate::model::decision::Calibration;
use crate::model::defects::{DefectImages, KnownDefects};
use crate::model::device::{Reference, announce, prepare_backbone};
use crate::model::extraction::Pipeline;
use crate::model::file::MOST_IMAGES;
use crate::model::graph::Scoring;
use crate::model::image_ids::ImageIds;
use crate::model::image_map::{decisive_score, image_map};
use crate::model::images_hash::ImageHash;
use crate::model::roi::{InputRoi, own_mask_in_a_fit};
use crate::model::{Core, ImagesHash, Metadata, Model, Recalibration, ThresholdSource};
use crate::postprocess::{RegionFinder, Resizer};
use crate::preprocess::InputSize;

/// Minimum number of good images: one shows no variation, and of two each is as far from the other.
pub const MIN_IMAGES: usize = 3;
/// Number of good images from which the threshold is reliable.
const RECOMMENDED_IMAGES: usize = 20;

struct Fit {
    config: FitConfig,
    progress: Progress,
    /// Total number of images, for the progress callback; 0 if unknown.
    expected: usize,
    spec: BackboneSpec,
    backbone: Arc<dyn FeatureExtractor>,
    device: ChosenDevice,
    scoring: Scoring,
    threads: Arc<Threads>,
    /// Call limits of the model.
    call_limit: usize,
    wait: Wait,
    fitter: Box<dyn Fitter>,
    sample: Sample,
    defects: DefectImages,
    /// The options that the model depends on; none for a resumed fit, whose state cannot be saved.
    settings: Option<Settings>,
    /// Hash of all images learnt, those of a resumed fit included; none if it is not known.
    images_hash: Option<ImagesHash>,
    /// The images learnt, those of a resumed fit included as far as its model records them.
    learnt: ImageIds,
    /// State of the model that the fit resumes.
    prior: Option<PriorFit>,
    /// None before the first image.
    input: Option<Input>,
    /// The sum of all tensors in units of 1 / [`SUM_UNITS`]: integers add up to the same sum in any order.
    sum: Vec<i64>,
    /// Number of tensors in `sum`.
    summed: usize,
    /// The maps of the latest image, at each displacement.
    features: Vec<FeatureMap>,
    /// The map of the image that leaves the sample.
    leaving: FeatureMap,
    /// Number of images that were not learnt because they equal images learnt before.
    copies: usize,
    /// Whether the warning about different proportions has been logged.
    warned: bool,
}

#[derive(Clone, Default)]
struct PriorFit {
    images: usize,
    good_scores: Vec<f32>,
    recalibration: Option<Recalibration>,
    known_defects: usize,
}

impl Fit {
    fn add(&mut self, image: &ImageView<'_>) -> Result<()> {
        self.progress.report("learning", self.sample.seen(), self.expected)?;
        if image.mask().is_some() || image.roi().is_some() {
            return Err(own_mask_in_a_fit());
        }
        if self.summed >= MOST_IMAGES {
            return Err(merge::too_many());
        }
        // The first image's geometry is stored only after the image has been learnt.
        let mut first = None;
        let input = match &mut self.input {
            Some(input) => {
                if !self.warned && input.differs(&self.config, image) {
                    self.warned = true;
                    input.warn_of_proportions(&self.config, image)?;
                }
                input
            }
            None => {
                let input = self.config.input((image.width(), image.height()), &*self.backbone, &self.threads)?;
                let (device, FitConfig { tile, scales, .. }) = (&self.device.device, &self.config);
                announce(device, &self.progress)?;
                let reference = Reference { spec: &self.spec, tile: *tile, scales, threads: &self.threads };
                prepare_backbone(&*self.backbone, &reference, input.size, device, &self.progress)?;
                first.insert(input)
            }
        };
        let mut pipeline = Pipeline {
            backbone: &*self.backbone,
            displacements: &self.config.shifts,
            roi: input.roi.as_ref(),
            margin: 0,
            mean: &[],
            threads: &self.threads,
        };
        input.extraction.load(0, image, pipeline)?;
        let tensor = input.extraction.tensor();
        let (hash, image_hash) = (self.sample.hash(tensor), ImageHash::of(tensor));
        if self.defects.contains(image_hash.id()) {
            return Err(good_and_defective("known defects", "it is not learnt"));
        }
        if self.learnt.contains(image_hash.id()) {
            // Held out, it would still be known by its copy, and its score would say nothing about unseen images.
            self.copies += 1;
            return Ok(());
        }
        if !self.sample.would_store(hash) {
            // Displaced features are only needed of an image that is stored.
            pipeline.displacements = &self.config.shifts[..1];
        }
        self.features.resize_with(self.config.shifts.len(), FeatureMap::default);
        let maps = &mut self.features[..pipeline.displacements.len()];
        input.extraction.features(pipeline, maps)?;
        self.sample.check_shape(&maps[0])?;
        let tensor = input.extraction.tensor();
        try_resize(&mut self.sum, tensor.len(), 0)?;
        self.learnt.reserve()?;
        let offer = self.sample.offer(bytes(&maps[0], &self.config), hash);
        let halves = maps.iter().map(HalfMap::new).collect::<Result<_>>()?;
        let size = (image.width(), image.height());
        let new = SampleImage { maps: halves, size, hash, content: image_hash.bits() };
        if let Some(leaving) = if offer.place.is_some() { self.sample.leaving(&offer) } else { Some(&new) }
            && let Some(accumulator) = self.fitter.accumulator()
        {
            leaving.maps[0].read(&mut self.leaving)?;
            let image = Leaving { features: &self.leaving, hash: leaving.hash };
            accumulator.observe(image, &self.sample, &self.threads)?;
        }
        // Nothing can fail from here on.
        self.sum.iter_mut().zip(tensor).for_each(|(sum, v)| *sum = sum.wrapping_add(fixed(*v)));
        self.summed += 1;
        if let Some(hash) = &mut self.images_hash {
            hash.add(image_hash);
        }
        self.learnt.insert(image_hash.id());
        let kept = offer.place.is_some().then_some(new);
        self.sample.accept(offer, kept);
        self.input = self.input.take().or(first);
        Ok(())
    }

    fn add_defect(&mut self, image: &ImageView<'_>) -> Result<()> {
        self.progress.report("known defects", self.defects.len(), 0)?;
        if image.mask().is_some() || image.roi().is_some() {
            return Err(own_mask_in_a_fit());
        }
        let Some(input) = &mut self.input else {
            let message = "there is no good image yet, and the first one determines the size of the network's input: add the \
                           good images before the known defects";
            return Err(Error::new(Status::WrongState, message));
        };
        let pipeline = Pipeline {
            backbone: &*self.backbone,
            displacements: &self.config.shifts,
            roi: input.roi.as_ref(),
            margin: 0,
            mean: &[],
            threads: &self.threads,
        };
        input.extraction.load(0, image, pipeline)?;
        let id = ImageHash::of(input.extraction.tensor()).id();
        if self.defects.contains(id) {
            return Ok(());
        }
        if self.learnt.contains(id) {
            return Err(good_and_defective("good images learnt", "it is not added"));
        }
        self.features.resize_with(self.config.shifts.len(), FeatureMap::default);
        let maps = &mut self.features[..];
        self.defects.check_room(maps.iter().map(|map| map.as_slice().len()).sum())?;
        input.extraction.features(pipeline, maps)?;
        self.sample.check_shape(&maps[0])?;
        self.defects.add(maps, (image.width(), image.height()), id)
    }

    fn check_enough(&self) -> Result<()> {
        let images = self.sample.seen();
        if images >= if self.prior.is_some() { 1 } else { MIN_IMAGES } {
            return Ok(());
        }
        if self.prior.is_some() {
            let but = if self.copies > 0 { " (all of those added equal images learnt before)" } else { "" };
            let message = format!("there are no further good images{but}; a resumed fit needs at least one");
            return Err(Error::new(Status::NotEnoughImages, message));
        }
        Err(Error::new(
            Status::NotEnoughImages,
            format!(
                "{images} good images are too few for a fit: at least {MIN_IMAGES} are needed, 20 or more are \
                 recommended{}",
                if self.copies > 0 { " (images that equal others count once)" } else { "" }
            ),
        ))
    }

    fn finish<T>(&mut self, make: impl FnOnce(Model) -> Result<T>) -> Result<T> {
        self.check_enough()?;
        self.model().and_then(make)
    }

    fn model(&mut self) -> Result<Model> {
        let Self { config, sample, threads, progress, .. } = self;
        let out_of_order = || Error::new(Status::Internal, "images without an input size");
        let Input { size, roi, .. } = self.input.as_ref().ok_or_else(out_of_order)?;
        let FitOutcome { scorer, held_out } = self.fitter.finish(sample, threads, progress)?;
        let roi = roi.as_ref();
        let new_scores: Result<Vec<f32>> = threads.run(|| {
            let held_out =
                held_out.par_iter().zip(sample.images()).map_init(HeldOut::default, |memory, (grids, image)| {
                    memory.score(grids, image.size, config, *size, roi.filter(|roi| roi.excludes), threads)
                });
            held_out.collect()
        });
        let PriorFit { images, mut good_scores, mut recalibration, known_defects } =
            self.prior.clone().unwrap_or_default();
        if known_defects > 0 && self.defects.len() == 0 {
            log::warn!(
                "the model knew {known_defects} defects before, which have not been added to the resumed fit again: they \
                 determine no threshold any more"
            );
        }
        let mut new_scores = new_scores?;
        if new_scores.len() > images && new_scores.len() >= MIN_IMAGES {
            // The earlier scores are those of another model, which knew less than half of the images.
            good_scores.clear();
            recalibration = None;
        }
        good_scores.append(&mut new_scores);
        let (false_alarm_rate, review_rate) = config.rates;
        let metadata = Metadata {
            npad_version: env!("CARGO_PKG_VERSION").to_owned(),
            method: config.method.name().to_owned(),
            parameters: owned(&config.parameters),
            input: *size,
            grid_step: config.grid_step,
            tile: config.tile,
            scales: config.scales.factors().to_vec(),
            output: config.output,
            seed: config.seed,
            images: images + sample.seen(),
            images_hash: self.images_hash,
            fitted_on: config.date.date(),
            held_out: 0,
            false_alarm_rate,
            review_rate,
            threshold_rule: config.threshold_rule,
            known_defects: None,
            image: NO_THRESHOLD,
            threshold_interval: None,
            threshold_source: ThresholdSource::computed(recalibration.as_ref(), self.images_hash.as_ref()),
            recalibration,
            review_given: false,
            review: NO_THRESHOLD.threshold,
            backbone: self.backbone.identity().to_owned(),
            mask: roi.map(|roi| roi.mask.size()),
            plugin: config.method.plugin().map(str::to_owned),
        };
        let units = SUM_UNITS * self.summed as f64;
        let mut core = Core {
            network: None,
            scoring: self.scoring,
            backbone: self.backbone.clone(),
            spec: self.spec.clone(),
            scorer: scorer.into(),
            shifts: config.shifts.clone(),
            threads: threads.clone(),
            roi: roi.cloned(),
            // Rounded as in the model file, so that a model scores the same before and after saving.
            mean: try_collect(self.sum.iter().map(|sum| f16::from_f64(*sum as f64 / units).to_f32()))?,
            learnt: self.learnt.try_clone()?,
            contexts: Pool::default(),
            calls: Semaphore::new(self.call_limit),
            wait: self.wait,
            device: self.device.clone(),
        };
        core.choose_network(&metadata)?;
        let mut model = Model { metadata, good_scores, core: Arc::new(core), key: None, signer: None };
        model.prepare_device(progress)?;
        model.metadata.known_defects = self.defects.scores(&model, progress)?.map(KnownDefects::unmeasured);
        let Model { metadata, good_scores, .. } = &mut model;
        metadata.calibrate(good_scores)?;
        metadata.warn_of_extrapolation();
        if self.copies > 0 {
            log::warn!("{} of the good images equal images learnt before and were not learnt again", self.copies);
        }
        log::info!("learnt {} good images with {}", metadata.images, metadata.method);
        if metadata.images < RECOMMENDED_IMAGES && !metadata.extrapolates() {
            let images = metadata.images;
            log::warn!(
                "the threshold is unreliable with {images} good images; {RECOMMENDED_IMAGES} or more are recommended"
            );
        }
        Ok(model)
    }
}

/// Working memory for held-out scores.
#[derive(Default)]
struct HeldOut {
    combiner: Combiner,
    resizer: Resizer,
    finder: RegionFinder,
    map: Vec<f32>,
}

impl HeldOut {
    /// The score that decides about an image of so many columns and rows, from its grids; `size` is that of the network's
    /// input.
    fn score(
        &mut self,
        grids: &[GridScore],
        (width, height): (usize, usize),
        FitConfig { shifts, output, .. }: &FitConfig,
        size: InputSize,
        roi: Option<&InputRoi>,
        threads: &Threads,
    ) -> Result<f32> {
        let inside = roi.map(|roi| &roi.inside[..]);
        let (score, map) = self.combiner.run(grids, shifts, size, output, inside, threads)?;
        if output.min_region_area <= 1 {
            return Ok(score);
        }
        let length = width * height;
        try_resize(&mut self.map, length, 0.0)?;
        let out = RowsOut::from_slice(&mut self.map[..length], width, height, width)?;
        let map = image_map(map, size, roi, &mut self.resizer, threads, out)?;
        decisive_score(map.as_rows(), output.min_region_area, &mut self.finder)
    }
}

/// The error for an image that is given as good and as defective.
fn good_and_defective(others: &str, so: &str) -> Error {
    let message = format!(
        "the image equals one of the {others}, and cannot be both good and defective, so {so}: remove it from the good images \
         or from the known defects"
    );
    Error::new(Status::InvalidArgument, message)
}

/// Of a model whose thresholds have not been computed: no score exceeds them.
const NO_THRESHOLD: Calibration = Calibration { typical: 0.0, threshold: f32::MAX };

/// Units of [`Fit::sum`]. The sum of 2^23 images of the largest values of f16 does not overflow.
const SUM_UNITS: f64 = (1 << 24) as f64;

/// A value of a tensor in units of 1 / [`SUM_UNITS`]. The mean is stored in f16, whose range limits it.
fn fixed(value: f32) -> i64 {
    let most = f16::MAX.to_f32();
    (f64::from(value.clamp(-most, most)) * SUM_UNITS).round() as i64
}

/// The largest magnitude of a sum of so many values.
fn most_sum(values: usize) -> u64 {
    fixed(f32::MAX).unsigned_abs().saturating_mul(values as u64)
}

/// Bytes that the sample and the held-out scores need for an image with such feature maps.
fn bytes(map: &FeatureMap, config: &FitConfig) -> usize {
    // Distances of up to three levels, and the map and the evidence that they are combined to.
    const HELD_OUT_MAPS: usize = 5;
    let values = size_of::<f16>() * map.as_slice().len() + HELD_OUT_MAPS * size_of::<f32>() * map.positions();
    values * config.shifts.len()
}

fn owned(parameters: &Parameters) -> BTreeMap<String, String> {
    parameters.values().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
