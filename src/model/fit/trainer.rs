//! The trainer: starts, continues and finishes a fit.

use std::path::Path;
use std::sync::Arc;

use super::config::FitConfig;
use super::state::{Saved, Settings};
use super::{Fit, PriorFit, fixed};
use crate::backbone::{FeatureMap, MultiScale, Tiled};
use crate::error::{Error, Result, Status};
use crate::exec::memory::try_collect;
use crate::exec::{Threads, check_process};
use crate::image::ImageView;
use crate::method::{Sample, method, scales};
use crate::model::defects::DefectImages;
use crate::model::file::read_if_plausible;
use crate::model::image_ids::ImageIds;
use crate::model::{ImagesHash, Model, Options, write_file};
use crate::preprocess::Geometry;

/// Learns good images and computes a [`Model`]. Only one thread may use it at a time.
///
/// Memory use is bounded, whatever the number of images: each is added to the method's statistics, and a sample of
/// bounded size serves the selection of channels, the centroids and the threshold.
///
/// The same images in any order give the same model, to the last bit, and so do images that are divided among trainers whose
/// states are merged ([`Trainer::merge`]). There are four exceptions. Where images differ in their proportions, the first one
/// determines the size of the network's input. Beyond the images that the sample holds (4096, or as many as 384 MiB hold), methods
/// that select channels by their variance choose them from the first ones, plug-ins learn in the order of arrival, and the sums of
/// a resumed fit and those whose squares exceed 2^33 are rounded.
///
/// A failed call leaves the trainer unchanged. After a successful [`Trainer::finish`], every call returns
/// [`Status::WrongState`].
pub struct Trainer {
    /// None once finished.
    fit: Option<Fit>,
}

impl Trainer {
    /// Opens the backbone and starts a fit.
    ///
    /// # Errors
    /// [`Status::Runtime`], [`Status::Device`], [`Status::Backbone`] or [`Status::Io`] when the backbone cannot be used;
    /// [`Status::InvalidOption`] when there is a checkpoint that the method would not keep.
    pub fn new(options: &Options) -> Result<Self> {
        options.check_checkpoint()?;
        options.check_scoring()?;
        let spec = options.spec()?;
        let threads = Threads::shared(options.threads)?;
        threads.start()?;
        let mut device = options.choose_device()?;
        let backbone = device.open(|chosen| spec.open(&chosen.device, Threads::resolve(options.threads)))?;
        let backbone = Tiled::over(backbone, options.tile);
        let backbone = MultiScale::over(backbone, &options.scales, &threads);
        let backbone_identity = backbone.identity().to_owned();
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
            fitter: scales::fitter(
                method,
                &parameters,
                options.seed,
                &options.environment(&device.device),
                options.scales.factors().len(),
            )?,
            progress: options.progress.clone(),
            expected: 0,
            spec,
            backbone,
            device,
            scoring: options.scoring,
            threads,
            call_limit: options.call_limit(),
            wait: options.wait(),
            sample: Sample::new(options.seed),
            defects: DefectImages::default(),
            settings: Some(Settings::of(options, &backbone_identity)?),
            images_hash: Some(ImagesHash::default()),
            learnt: ImageIds::default(),
            prior: None,
            input: None,
            sum: Vec::new(),
            summed: 0,
            leaving: FeatureMap::default(),
            features: Vec::new(),
            copies: 0,
            warned: false,
        };
        Ok(Self { fit: Some(fit) })
    }

    /// Resumes the fit of a model with further good images. The statistics become those of a fit to all images; the
    /// selected channels and the fusion of levels are kept, and the held-out scores of the images already learnt unless the
    /// further images are the majority. All options are those of the model, except for the date and the progress callback
    /// of `options` and, where they have been set there, `operating_point` and `miss_cost`. Known defects must be added
    /// again, since the new model scores them differently. Images that the model has learnt are not learnt again, as far as
    /// its file records them (see [`Trainer::add`]).
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when the model's method cannot resume a fit.
    pub fn resume(model: &Model, options: &Options) -> Result<Self> {
        let Model { metadata, good_scores, core, .. } = model;
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
                threshold_rule: options.threshold_rule_over(metadata.threshold_rule),
                mask: core.roi.as_ref().map(|roi| Arc::new(roi.mask.clone())),
                roi: None,
                parameters,
            },
            progress: options.progress.clone(),
            expected: 0,
            spec: core.spec.clone(),
            backbone: core.backbone.clone(),
            device: core.device.clone(),
            scoring: core.scoring,
            threads: core.threads.clone(),
            call_limit: core.calls.limit(),
            wait: core.wait,
            sample: Sample::new(seed),
            defects: DefectImages::default(),
            settings: None,
            images_hash: metadata.images_hash,
            learnt: core.learnt.try_clone()?,
            prior: Some(PriorFit {
                images: metadata.images,
                good_scores: good_scores.clone(),
                recalibration: metadata.recalibration,
                known_defects: metadata.known_defects.as_ref().map_or(0, |known| known.count),
            }),
            input: None,
            sum: try_collect(core.mean.iter().map(|mean| fixed(*mean).wrapping_mul(metadata.images as i64)))?,
            summed: metadata.images,
            leaving: FeatureMap::default(),
            features: Vec::new(),
            copies: 0,
            warned: false,
        };
        Ok(Self { fit: Some(fit) })
    }

    /// Goes on from the bytes of a saved state. The options that a model depends on, mask and region of interest are those of the state;
    /// of `options`, those of the machine are used: the device, threads, the path of a backbone that is not built in, an extractor,
    /// the date and the progress callback.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] or [`Status::UnsupportedModel`] when the bytes are not a state that this npad can use;
    /// [`Status::InvalidOption`] when `options` sets an option to another value than the state has; [`Status::InvalidArgument`] when
    /// the backbone is another one; as [`Trainer::new`].
    pub fn from_bytes(bytes: &[u8], options: &Options) -> Result<Self> {
        check_process()?;
        let saved = Saved::from_bytes(bytes)?;
        let mut trainer = Self::new(&saved.options(options)?)?;
        trainer.fit()?.merge(saved)?;
        Ok(trainer)
    }

    /// Goes on from a file with a saved state, see [`Trainer::from_bytes`].
    ///
    /// # Errors
    /// [`Status::NotFound`] or [`Status::Io`] when the file cannot be read, else as [`Trainer::from_bytes`].
    pub fn load(path: &Path, options: &Options) -> Result<Self> {
        check_process()?;
        Self::from_bytes(&read_state(path)?, options).map_err(|e| e.context(path.display()))
    }

    /// Returns the state: what the trainer has learnt so far, with which another trainer goes on. It holds the sample's feature maps
    /// and, of further images, sums: up to 384 MiB and a few times the size of a model. A resumed fit has none.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] for a resumed fit, and for the method of a plug-in with more images than the sample holds;
    /// [`Status::OutOfMemory`]; [`Status::WrongState`] once finished.
    pub fn to_bytes(&mut self) -> Result<Vec<u8>> {
        self.fit()?.save()
    }

    /// Writes the state to a file atomically: on failure, an existing file is unchanged.
    ///
    /// # Errors
    /// [`Status::NotFound`] when the folder does not exist, [`Status::Io`] when the file cannot be written; as [`Trainer::to_bytes`].
    pub fn save(&mut self, path: &Path) -> Result<()> {
        let what = || format!("cannot write the trainer state to {}; an existing file is unchanged", path.display());
        write_file(path, &self.to_bytes()?).map_err(|e| Error::io(what(), &e))
    }

    /// Adds what another trainer with the same options has learnt, given by the bytes of its state. The model is that of one fit of all
    /// images, to the last bit, in whatever order states are merged and however the images were divided, with the exceptions that
    /// [`Trainer`] names. An image that several have learnt counts once as long as one of their samples has it, but for the mean image
    /// that fills masked pixels; of further images, whose sums alone are known, a warning tells how many count twice.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when the state is of a fit with other options, another backbone or another size of the network's input,
    /// when all of its images have been learnt already, when an image is good in one and a known defect in the other, and for a resumed
    /// fit; [`Status::InvalidModel`] or [`Status::UnsupportedModel`] when the bytes are not a state that this npad can use;
    /// [`Status::WrongState`] when there are more known defects than can be kept; [`Status::Cancelled`] by the progress callback.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<()> {
        self.fit()?.merge(Saved::from_bytes(bytes)?)
    }

    /// Adds what another trainer has learnt, from the file of its state, see [`Trainer::merge`].
    ///
    /// # Errors
    /// [`Status::NotFound`] or [`Status::Io`] when the file cannot be read, else as [`Trainer::merge`].
    pub fn merge_file(&mut self, path: &Path) -> Result<()> {
        self.fit()?;
        self.merge(&read_state(path)?).map_err(|e| e.context(path.display()))
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

    /// Learns one good image, unless it equals one already learnt. That is certain up to 65536 images, those of a resumed
    /// fit included; with more, copies of some are learnt again. Files of npad 0.1 do not record which images the model has
    /// learnt.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the network fails on it, [`Status::InvalidImage`] when a first image of this size
    /// cannot set the native geometry or the mask has another size, [`Status::InvalidArgument`] when it equals a known
    /// defect, [`Status::Cancelled`] by the progress callback.
    pub fn add(&mut self, image: &ImageView<'_>) -> Result<()> {
        self.fit()?.add(image)
    }

    /// Number of known defects; 0 once finished.
    pub fn defects(&self) -> usize {
        self.fit.as_ref().map_or(0, |fit| fit.defects.len())
    }

    /// Adds an image with a known defect, which is never learnt. [`Trainer::finish`] scores it as the model will, reports
    /// what thresholds find ([`Metadata::known_defects`]) and, with the option `operating_point`, sets the threshold
    /// accordingly. The order of the known defects does not matter, and one that equals another counts once.
    ///
    /// A fit keeps as many as 384 MiB hold, but 16 at least and 1024 at most.
    ///
    /// # Errors
    /// [`Status::WrongState`] before the first good image, which determines the geometry, or when no more can be kept;
    /// [`Status::InvalidArgument`] when it equals a good image that has been learnt; as [`Trainer::add`].
    pub fn add_defect(&mut self, image: &ImageView<'_>) -> Result<()> {
        self.fit()?.add_defect(image)
    }

    /// Finishes the fit: computes the model, and its thresholds from held-out good images.
    ///
    /// After a failure, including cancellation, further images may be added and `finish` may be called again.
    ///
    /// # Errors
    /// [`Status::NotEnoughImages`] with fewer than [`MIN_IMAGES`] (1 for a resumed fit, 6 where a network is trained) or when
    /// the images vary too little; [`Status::InvalidOption`] when a training diverges or its network would be too large; those
    /// of the checkpoint's file; [`Status::WrongState`] when the option `operating_point` needs known defects and there are none, or no
    /// usable threshold finds them all; [`Status::Cancelled`] by the progress callback.
    pub fn finish(&mut self) -> Result<Model> {
        self.finish_as(Ok)
    }

    /// As [`Trainer::finish`], and makes something else of the model. Where that fails, it is as if the fit had.
    ///
    /// # Errors
    /// As [`Trainer::finish`], and those of `make`.
    pub fn finish_as<T>(&mut self, make: impl FnOnce(Model) -> Result<T>) -> Result<T> {
        let made = self.fit()?.finish(make)?;
        self.fit = None;
        Ok(made)
    }

    fn fit(&mut self) -> Result<&mut Fit> {
        check_process()?;
        let finished = || Error::new(Status::WrongState, "the trainer has already finished; start a new one");
        self.fit.as_mut().ok_or_else(finished)
    }
}

fn read_state(path: &Path) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Error::io(format_args!("cannot read the trainer state {}", path.display()), &e);
    read_if_plausible(path).map_err(failed)
}
