//! The trainer: starts, continues and finishes a fit.

use std::sync::Arc;

use super::config::FitConfig;
use super::{Fit, PriorFit, fixed};
use crate::backbone::{MultiScale, Tiled};
use crate::error::{Error, Result, Status};
use crate::exec::memory::try_collect;
use crate::exec::{Threads, check_process};
use crate::image::ImageView;
use crate::method::{Sample, method, scales};
use crate::model::defects::DefectImages;
use crate::model::image_ids::ImageIds;
use crate::model::{ImagesHash, Model, Options};
use crate::preprocess::Geometry;

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
            prepared: false,
            images_hash: Some(ImagesHash::default()),
            learnt: ImageIds::default(),
            prior: None,
            input: None,
            sum: Vec::new(),
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
            prepared: false,
            images_hash: metadata.images_hash,
            learnt: core.learnt.try_clone()?,
            prior: Some(PriorFit {
                images: metadata.images,
                good_scores: good_scores.clone(),
                recalibration: metadata.recalibration,
            }),
            input: None,
            sum: try_collect(core.mean.iter().map(|mean| fixed(*mean).wrapping_mul(metadata.images as i64)))?,
            features: Vec::new(),
            copies: 0,
            warned: false,
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
    /// accordingly. The order of the known defects does not matter.
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
