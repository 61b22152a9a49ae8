//! Fitting a model to good images, one image at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use half::f16;
use rayon::prelude::*;

use super::decision::Calibration;
use super::defects::{DefectImages, KnownDefects};
use super::extraction::{Extraction, Pipeline};
use super::options::{Day, Options};
use super::roi::{InputRoi, own_mask_in_a_fit};
use super::score::Combiner;
use super::{Core, ImagesHash, MapOptions, Metadata, Model, Recalibration, ThresholdRule, ThresholdSource};
use crate::backbone::{BackboneSpec, Device, FeatureExtractor, FeatureMap, MultiScale, Scales, Tiled};
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::{try_resize, try_vec};
use crate::exec::progress::Progress;
use crate::exec::scratch::Pool;
use crate::exec::semaphore::{Semaphore, Wait};
use crate::image::{ImageView, Mask, Rectangle};
use crate::method::{FitOutcome, Fitter, HalfMap, Method, Parameters, Sample, SampleImage, method, scales};
use crate::preprocess::{Geometry, InputSize};

/// Minimum number of good images: a single image shows no variation.
pub const MIN_IMAGES: usize = 2;
/// Number of good images from which the threshold is reliable.
const RECOMMENDED_IMAGES: usize = 20;

/// Learns good images and computes a [`Model`]. Only one thread may use it at a time.
///
/// Memory use is bounded, whatever the number of images: each is added to the method's statistics, and a sample of
/// bounded size serves the selection of channels, the centroids and the threshold.
///
/// The same images in any order give the same model, to the last bit, as long as they fit in the sample: 4096 images, or
/// as many as 384 MiB hold. Further images are added to the statistics in the order of arrival, which affects rounding
/// and the choice of the images that decisions are made from. Where images differ in their proportions, the first one
/// determines the size of the network's input.
///
/// A failed call leaves the trainer unchanged. After a successful [`Trainer::finish`], every call returns
/// [`Status::WrongState`].
pub struct Trainer {
    /// None once finished.
    fit: Option<Fit>,
}

struct Fit {
    config: FitConfig,
    progress: Progress,
    /// Total number of images, for the progress callback; 0 if unknown.
    expected: usize,
    spec: BackboneSpec,
    backbone: Arc<dyn FeatureExtractor>,
    device: Device,
    threads: Arc<Threads>,
    /// Call limits of the model.
    call_limit: usize,
    wait: Wait,
    fitter: Box<dyn Fitter>,
    sample: Sample,
    defects: DefectImages,
    /// Whether the fitter's statistics have been started.
    prepared: bool,
    /// Hash of all images learnt, those of a resumed fit included; none if it is not known.
    images_hash: Option<ImagesHash>,
    /// State of the model that the fit resumes.
    prior: Option<PriorFit>,
    /// None before the first image.
    input: Option<Input>,
    /// The sum of all tensors in units of 1 / [`SUM_UNITS`]: integers add up to the same sum in any order.
    sum: Vec<i64>,
    /// The maps of the latest image, at each displacement.
    features: Vec<FeatureMap>,
}

/// Configuration of a fit, whether new or resumed.
struct FitConfig {
    method: &'static dyn Method,
    parameters: Parameters,
    shifts: Vec<(isize, isize)>,
    geometry: Geometry,
    scales: Scales,
    /// Whether `geometry` is the size at scale 1; that of a resumed fit is at the largest scale.
    enlarge: bool,
    grid_step: usize,
    tile: usize,
    output: MapOptions,
    seed: u64,
    rates: (f64, f64),
    date: Day,
    threshold_rule: ThresholdRule,
    mask: Option<Arc<Mask>>,
    roi: Option<Rectangle>,
}

#[derive(Clone, Default)]
struct PriorFit {
    images: usize,
    good_scores: Vec<f32>,
    recalibration: Option<Recalibration>,
}

/// State that depends on the first image.
struct Input {
    size: InputSize,
    roi: Option<InputRoi>,
    extraction: Extraction,
}

impl Trainer {
    /// Opens the backbone and starts a fit.
    ///
    /// # Errors
    /// [`Status::Runtime`], [`Status::Device`], [`Status::Backbone`] or [`Status::Io`] when the backbone cannot be used.
    pub fn new(options: &Options) -> Result<Self> {
        let spec = options.spec()?;
        let threads = Threads::shared(options.threads)?;
        threads.start()?;
        let backbone = Tiled::over(spec.open(options.device, Threads::resolve(options.threads))?, options.tile);
        let backbone = MultiScale::over(backbone, &options.scales, &threads);
        let parameters = options.parameters();
        let method = options.method();
        let fit = Fit {
            config: FitConfig {
                method,
                shifts: method.shifts(&parameters),
                geometry: options.geometry,
                scales: options.scales.clone(),
                enlarge: true,
                grid_step: options.grid_step,
                tile: options.tile,
                output: options.output(),
                seed: options.seed,
                rates: options.rates(),
                date: options.date,
                threshold_rule: options.threshold_rule,
                mask: options.mask.clone(),
                roi: options.roi,
                parameters: parameters.clone(),
            },
            fitter: scales::fitter(method, &parameters, options.seed, options.scales.factors().len())?,
            progress: options.progress.clone(),
            expected: 0,
            spec,
            backbone,
            device: options.device,
            threads,
            call_limit: options.call_limit(),
            wait: options.wait(),
            sample: Sample::new(options.seed),
            defects: DefectImages::default(),
            prepared: false,
            images_hash: Some(ImagesHash::default()),
            prior: None,
            input: None,
            sum: Vec::new(),
            features: Vec::new(),
        };
        Ok(Self { fit: Some(fit) })
    }

    /// Resumes the fit of a model with further good images. The statistics become those of a fit to all images; the
    /// selected channels, the fusion of levels and the held-out scores of the images already learnt are kept. All
    /// options are those of the model, except for the date and the progress callback of `options` and, if one of them has
    /// been set there, `operating_point` and `miss_cost`. Known defects must be added again, since the new model scores
    /// them differently.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when the model's method cannot resume a fit.
    pub fn resume(model: &Model, options: &Options) -> Result<Self> {
        let Model { metadata, good_scores, core } = model;
        if let Some(known) = &metadata.known_defects {
            log::warn!(
                "the resumed fit does not know the {} known defects of the model; add their images again",
                known.count
            );
        }
        core.threads.start()?;
        let method = method(&metadata.method)?;
        let parameters = metadata.parameters(method)?;
        let scales = metadata.scales()?;
        let (state, count) = (core.scorer.state()?, scales.factors().len());
        // A different seed than that of the first fit, since the images are different.
        let seed = metadata.seed.wrapping_add(metadata.images as u64);
        let fit = Fit {
            fitter: scales::resume(method, &parameters, seed, state, metadata.images, count)?,
            config: FitConfig {
                method,
                shifts: core.shifts.clone(),
                geometry: Geometry::Fixed(metadata.input),
                scales,
                enlarge: false,
                grid_step: metadata.grid_step,
                tile: metadata.tile,
                output: metadata.output,
                seed: metadata.seed,
                rates: (metadata.false_alarm_rate, metadata.review_rate),
                date: options.date,
                threshold_rule: options.given_threshold_rule().unwrap_or(metadata.threshold_rule),
                mask: core.roi.as_ref().map(|roi| Arc::new(roi.mask.clone())),
                roi: None,
                parameters,
            },
            progress: options.progress.clone(),
            expected: 0,
            spec: core.spec.clone(),
            backbone: core.backbone.clone(),
            device: core.device,
            threads: core.threads.clone(),
            call_limit: core.calls.limit(),
            wait: core.wait,
            sample: Sample::new(seed),
            defects: DefectImages::default(),
            prepared: false,
            images_hash: metadata.images_hash,
            prior: Some(PriorFit {
                images: metadata.images,
                good_scores: good_scores.clone(),
                recalibration: metadata.recalibration,
            }),
            input: None,
            sum: core.mean.iter().map(|mean| fixed(*mean).wrapping_mul(metadata.images as i64)).collect(),
            features: Vec::new(),
        };
        Ok(Self { fit: Some(fit) })
    }

    /// Sets the total number of images for the progress callback.
    ///
    /// # Errors
    /// [`Status::WrongState`] once finished.
    pub fn expect(&mut self, images: usize) -> Result<()> {
        self.fit()?.expected = images;
        Ok(())
    }

    /// Number of good images learnt, without those of a model that the fit resumes; 0 once finished.
    pub fn images(&self) -> usize {
        self.fit.as_ref().map_or(0, |fit| fit.sample.seen())
    }

    /// Learns one good image.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the network fails on it, [`Status::InvalidImage`] when a first image of this size
    /// cannot set the native geometry or the mask has another size, [`Status::Cancelled`] by the progress callback.
    pub fn add(&mut self, image: &ImageView<'_>) -> Result<()> {
        self.fit()?.add(image)
    }

    /// Number of known defects; 0 once finished.
    pub fn defects(&self) -> usize {
        self.fit.as_ref().map_or(0, |fit| fit.defects.len())
    }

    /// Adds an image with a known defect, which is never learnt. [`Trainer::finish`] scores it as the model will, reports
    /// what thresholds find ([`Metadata::known_defects`]) and, with the option `operating_point`, sets the threshold
    /// accordingly. The order of the known defects does not matter.
    ///
    /// A fit keeps as many as 384 MiB hold, but 16 at least and 1024 at most.
    ///
    /// # Errors
    /// [`Status::WrongState`] before the first good image, which determines the geometry, or when no more can be kept;
    /// as [`Trainer::add`].
    pub fn add_defect(&mut self, image: &ImageView<'_>) -> Result<()> {
        self.fit()?.add_defect(image)
    }

    /// Finishes the fit: computes the model, and its thresholds from held-out good images.
    ///
    /// After a failure, including cancellation, further images may be added and `finish` may be called again.
    ///
    /// # Errors
    /// [`Status::NotEnoughImages`] with fewer than [`MIN_IMAGES`] (1 for a resumed fit) or when the images vary too
    /// little; [`Status::WrongState`] when the option `operating_point` needs known defects and there are none, or no
    /// usable threshold finds them all; [`Status::Cancelled`] by the progress callback.
    pub fn finish(&mut self) -> Result<Model> {
        let model = self.fit()?.finish()?;
        self.fit = None;
        Ok(model)
    }

    fn fit(&mut self) -> Result<&mut Fit> {
        let finished = || Error::new(Status::WrongState, "the trainer has already finished; start a new one");
        self.fit.as_mut().ok_or_else(finished)
    }
}

impl Fit {
    fn add(&mut self, image: &ImageView<'_>) -> Result<()> {
        self.progress.report("learning", self.sample.seen(), self.expected)?;
        if image.mask().is_some() || image.roi().is_some() {
            return Err(own_mask_in_a_fit());
        }
        if self.sample.is_full() {
            self.prepare()?;
        }
        // The first image's geometry is stored only after the image has been learnt.
        let mut first = None;
        let input = match &mut self.input {
            Some(input) => input,
            None => first.insert(self.config.input(image, &*self.backbone, &self.threads)?),
        };
        let mut pipeline = Pipeline {
            backbone: &*self.backbone,
            displacements: &self.config.shifts,
            roi: input.roi.as_ref(),
            margin: 0,
            mean: &[],
            threads: &self.threads,
        };
        if self.sample.is_full() && pipeline.displacements.len() > 1 {
            // Displaced features are only needed of an image that is stored.
            input.extraction.load(0, image, pipeline)?;
            if !self.sample.would_store(self.sample.hash(input.extraction.tensor())) {
                pipeline.displacements = &self.config.shifts[..1];
            }
        }
        let mut features = std::mem::take(&mut self.features);
        features.resize_with(self.config.shifts.len(), FeatureMap::default);
        let maps = &mut features[..pipeline.displacements.len()];
        input.extraction.run(std::slice::from_ref(image), pipeline, None, maps).map_err(|(_, error)| error)?;
        self.sample.check_shape(&maps[0])?;
        let tensor = input.extraction.tensor();
        try_resize(&mut self.sum, tensor.len(), 0)?;
        let offer = self.sample.offer(bytes(&maps[0], &self.config), self.sample.hash(tensor));
        let halves = || Ok(SampleImage { maps: maps.iter().map(HalfMap::new).collect::<Result<_>>()? });
        let kept = offer.place.is_some().then(halves).transpose()?;
        if let Some(accumulator) = self.fitter.accumulator().filter(|_| self.prepared) {
            accumulator.observe(&maps[0], &self.threads)?;
        }
        // Nothing can fail from here on.
        self.sum.iter_mut().zip(tensor).for_each(|(sum, v)| *sum = sum.wrapping_add(fixed(*v)));
        if let Some(hash) = &mut self.images_hash {
            hash.add(tensor);
        }
        self.sample.accept(offer, kept);
        self.features = features;
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
        let maps = &mut self.features[..];
        self.defects.check_room(maps.iter().map(|map| map.as_slice().len()).sum())?;
        input.extraction.run(std::slice::from_ref(image), pipeline, None, maps).map_err(|(_, error)| error)?;
        self.sample.check_shape(&maps[0])?;
        self.defects.add(maps, (image.width(), image.height()))
    }

    /// Starts the statistics with the images of the sample, unless they have been started.
    fn prepare(&mut self) -> Result<()> {
        if let Some(accumulator) = self.fitter.accumulator().filter(|_| !self.prepared) {
            accumulator.prepare(&self.sample, &self.threads)?;
            let mut features = FeatureMap::default();
            for image in self.sample.images() {
                image.maps[0].read(&mut features)?;
                accumulator.observe(&features, &self.threads)?;
            }
        }
        self.prepared = true;
        Ok(())
    }

    fn check_enough(&self) -> Result<()> {
        let images = self.sample.seen();
        if images >= if self.prior.is_some() { 1 } else { MIN_IMAGES } {
            return Ok(());
        }
        if self.prior.is_some() {
            return Err(Error::new(
                Status::NotEnoughImages,
                "there are no further good images; a resumed fit needs at least one",
            ));
        }
        Err(Error::new(
            Status::NotEnoughImages,
            format!(
                "{images} good images are too few for a fit: at least {MIN_IMAGES} are needed, 20 or more are \
                 recommended"
            ),
        ))
    }

    fn finish(&mut self) -> Result<Model> {
        self.check_enough()?;
        let result = self.prepare().and_then(|()| self.model());
        if result.is_err() && !self.sample.is_full() {
            // Later images affect all decisions, as if this call had not been made.
            self.prepared = false;
        }
        result
    }

    fn model(&mut self) -> Result<Model> {
        let Self { config, sample, threads, progress, .. } = self;
        let out_of_order = || Error::new(Status::Internal, "images without an input size");
        let Input { size, roi, .. } = self.input.as_ref().ok_or_else(out_of_order)?;
        let FitOutcome { scorer, held_out } = self.fitter.finish(sample, threads, progress)?;
        let inside = roi.as_ref().filter(|roi| roi.excludes).map(|roi| &roi.inside[..]);
        let new_scores: Result<Vec<f32>> = threads.run(|| {
            let held_out = held_out.par_iter().map_init(Combiner::default, |combiner, grids| {
                Ok(combiner.run(grids, &config.shifts, *size, &config.output, inside, threads)?.0)
            });
            held_out.collect()
        });
        let PriorFit { images, mut good_scores, recalibration } = self.prior.clone().unwrap_or_default();
        good_scores.extend(new_scores?);
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
            // An earlier npad has not recorded whether the scores that the fit resumes with were replaced.
            threshold_source: match (recalibration, self.images_hash) {
                (Some(_), _) => Some(ThresholdSource::Recalibrated),
                (None, Some(_)) => Some(ThresholdSource::HeldOut),
                (None, None) => None,
            },
            recalibration,
            review: NO_THRESHOLD.threshold,
            backbone: self.backbone.identity().to_owned(),
            mask: roi.as_ref().map(|roi| roi.mask.size()),
            plugin: config.method.plugin().map(str::to_owned),
        };
        let units = SUM_UNITS * metadata.images as f64;
        let core = Core {
            backbone: self.backbone.clone(),
            spec: self.spec.clone(),
            scorer,
            shifts: config.shifts.clone(),
            threads: threads.clone(),
            roi: roi.clone(),
            // Rounded as in the model file, so that a model scores the same before and after saving.
            mean: self.sum.iter().map(|sum| f16::from_f64(*sum as f64 / units).to_f32()).collect(),
            contexts: Pool::default(),
            calls: Semaphore::new(self.call_limit),
            wait: self.wait,
            device: self.device,
        };
        let mut model = Model { metadata, good_scores, core: Arc::new(core) };
        model.metadata.known_defects = self.defects.scores(&model, progress)?.map(KnownDefects::unmeasured);
        let Model { metadata, good_scores, .. } = &mut model;
        metadata.calibrate(good_scores)?;
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

/// Of a model whose thresholds have not been computed: no score exceeds them.
const NO_THRESHOLD: Calibration = Calibration { typical: 0.0, threshold: f32::MAX };

/// Units of [`Fit::sum`]. The sum of 2^23 images of the largest values of f16 does not overflow.
const SUM_UNITS: f64 = (1 << 24) as f64;

/// A value of a tensor in units of 1 / [`SUM_UNITS`]. The mean is stored in f16, whose range limits it.
fn fixed(value: f32) -> i64 {
    let most = f16::MAX.to_f32();
    (f64::from(value.clamp(-most, most)) * SUM_UNITS).round() as i64
}

/// Bytes that the sample and the held-out scores need for an image with such feature maps.
fn bytes(map: &FeatureMap, config: &FitConfig) -> usize {
    // Distances of up to three levels, and the map and the evidence that they are combined to.
    const HELD_OUT_MAPS: usize = 5;
    let values = size_of::<f16>() * map.as_slice().len() + HELD_OUT_MAPS * size_of::<f32>() * map.positions();
    values * config.shifts.len()
}

impl FitConfig {
    /// The pixels that the mask and the rectangle of the fit include, for images of this size.
    fn mask_of(&self, image: &ImageView<'_>, threads: &Threads) -> Result<Option<Mask>> {
        let mask = self.mask.as_deref();
        mask.map_or(Ok(()), |mask| InputRoi::check_mask(mask, image))?;
        let Some(roi) = self.roi else { return Ok(mask.cloned()) };
        let view = image.with_roi(roi).map_err(|error| error.context("the fit's region of interest"))?;
        let mut both = Mask::unset();
        both.assign(&view, mask, threads)?;
        Ok(Some(both))
    }

    fn input(&self, image: &ImageView<'_>, backbone: &dyn FeatureExtractor, threads: &Threads) -> Result<Input> {
        let mut size = input_size(self.geometry, image, backbone)?;
        if self.enlarge {
            size = self.scales.enlarged(size);
        }
        let mask = self.mask_of(image, threads)?;
        let roi = mask.map(|mask| InputRoi::fixed(mask, size, threads)).transpose()?;
        // Checks now, not at the first batch, that a dynamic first dimension really works.
        let max_batch = backbone.max_batch(size);
        if max_batch > 1 {
            backbone.extract(&try_vec(max_batch * 3 * size.height * size.width, 0.0)?, size, &mut |_, _| Ok(()))?;
        }
        Ok(Input { size, roi, extraction: Extraction::new(backbone, size, self.grid_step) })
    }
}

fn owned(parameters: &Parameters) -> BTreeMap<String, String> {
    parameters.values().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The network's input size for images of this size; unless it is fixed, it depends on the backbone's coarsest stride.
fn input_size(geometry: Geometry, image: &ImageView<'_>, backbone: &dyn FeatureExtractor) -> Result<InputSize> {
    const PROBE: usize = 256;
    let mut stride = 1;
    if !matches!(geometry, Geometry::Fixed(_)) {
        let size = InputSize { height: PROBE, width: PROBE };
        backbone
            .extract(&vec![0.0; 3 * PROBE * PROBE], size, &mut |_, taps| {
                // The last ones are those of the probe itself, without its smaller scales.
                let own = taps.len() / backbone.scales();
                stride = taps[taps.len() - own..].iter().map(|tap| PROBE.div_ceil(tap.rows)).max().unwrap_or(1);
                Ok(())
            })
            .map_err(|e| {
                e.context(
                    "determining the backbone's stride; if its input has a fixed size, set the option size to it, \
                     height x width",
                )
            })?;
    }
    geometry.resolve(image.width(), image.height(), stride)
}
