//! Options for fitting and loading.

mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use safer_ffi::prelude::*;

pub(super) use self::table::{ALARM_RATES, MAX_GRID_STEP, MAX_MISS_COST, MAX_SMOOTHING, REVIEW_RATES};
pub use self::table::{OptionInfo, OptionKind, options};
use self::table::{fit_options, option};

use super::checkpoint::FileCheckpoint;
use super::export::ExportOptions;
use super::file::PublicKey;
use super::graph::Scoring;
use super::{Date, MapOptions, Metadata, OperatingPoint, ThresholdRule};
use crate::backbone::{BackboneSpec, Device, DeviceChoice, FeatureExtractor, Scales, Tiled};
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::progress::Progress;
use crate::exec::semaphore::Wait;
use crate::image::{Mask, Rectangle};
use crate::method::{Environment, Method, Parameters, method};
use crate::preprocess::{Geometry, Normalisation};

/// The option `date`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Day {
    Today,
    Given(Date),
    None,
}

impl Day {
    /// The day to record.
    pub(super) fn date(self) -> Option<Date> {
        match self {
            Self::Today => Date::today(),
            Self::Given(date) => Some(date),
            Self::None => None,
        }
    }
}

/// Options for fitting and loading. Every option has a default.
#[derive(Clone)]
pub struct Options {
    /// Values of the general options that have been set, as text.
    values: BTreeMap<&'static str, String>,
    method: &'static dyn Method,
    parameters: BTreeMap<&'static str, Parameters>,
    pub(super) geometry: Geometry,
    pub(super) scales: Scales,
    pub(super) grid_step: usize,
    pub(super) tile: usize,
    pub(super) device: DeviceChoice,
    pub(super) device_cache: Option<PathBuf>,
    pub(super) scoring: Scoring,
    pub(super) threads: usize,
    checkpoint: Option<PathBuf>,
    pub(super) max_calls: usize,
    /// None waits without limit.
    pub(super) call_timeout: Option<Duration>,
    pub(super) seed: u64,
    pub(super) export: ExportOptions,
    /// A model must be signed with one of them; empty for any model.
    pub(super) trusted_keys: Vec<PublicKey>,
    /// Whether a model with a backbone of its own is refused.
    pub(super) refuses_foreign_backbones: bool,
    pub(super) date: Day,
    pub(super) false_alarm_rate: f64,
    pub(super) review_rate: f64,
    pub(super) threshold_rule: ThresholdRule,
    output: MapOptions,
    pub(super) mask: Option<Arc<Mask>>,
    pub(super) roi: Option<Rectangle>,
    pub(super) progress: Progress,
    extractor: Option<Arc<dyn FeatureExtractor>>,
    backbone: Option<PathBuf>,
    normalisation: Normalisation,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            values: BTreeMap::new(),
            method: method("npad").expect("a registered method"),
            parameters: BTreeMap::new(),
            geometry: Geometry::Area(240),
            scales: Scales::default(),
            grid_step: 2,
            tile: 0,
            device: DeviceChoice::Fixed(Device::CPU),
            device_cache: None,
            scoring: Scoring::Auto,
            threads: 0,
            checkpoint: None,
            max_calls: 0,
            call_timeout: None,
            seed: 0,
            export: ExportOptions::default(),
            trusted_keys: Vec::new(),
            refuses_foreign_backbones: false,
            date: Day::Today,
            false_alarm_rate: 0.01,
            review_rate: 0.0,
            threshold_rule: ThresholdRule::default(),
            mask: None,
            roi: None,
            progress: Progress::default(),
            extractor: None,
            output: MapOptions { smoothing: 4.0, peak_share: 0.01, min_region_area: 1 },
            backbone: None,
            normalisation: Normalisation { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
        }
    }
}

impl Options {
    /// Sets the option `key` from text. [`options`] lists names and values.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] when the key is unknown or the value not acceptable; nothing changes then.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        if let Some(owner) = owner(key)? {
            return self.parameters_of(owner).set(key, value);
        }
        let option = option(key)?;
        option.check(value)?;
        // The option's kind has not checked these formats.
        let refused = || option.refusal(value);
        let count = || value.parse().map_err(|_| refused());
        let number = || value.parse().map_err(|_| refused());
        match option.name {
            "method" => self.method = method(value)?,
            "size" => self.geometry = value.parse()?,
            "scales" => self.scales = Scales::parse(value).ok_or_else(refused)?,
            "device" => self.device = value.parse()?,
            "scoring" => self.scoring = Scoring::named(value).ok_or_else(refused)?,
            "device_cache" => {
                let path = (!value.is_empty()).then(|| std::path::absolute(value)).transpose();
                self.device_cache = path.map_err(|_| refused())?;
            }
            "grid_step" => self.grid_step = count()?,
            "tile" => self.tile = value.parse().ok().filter(|tile| Tiled::accepts(*tile)).ok_or_else(refused)?,
            "threads" => self.threads = count()?,
            "checkpoint" => self.checkpoint = (!value.is_empty()).then(|| PathBuf::from(value)),
            "max_calls" => self.max_calls = count()?,
            "call_timeout" => {
                self.call_timeout = value.parse().ok().map(|ms: f64| Duration::from_secs_f64(ms / 1e3));
            }
            "seed" => self.seed = value.parse().map_err(|_| refused())?,
            "export_opset" => self.export.opset = (value != "auto").then(count).transpose()?.map(|n| n as i64),
            "export_batch" => self.export.batch = (value != "any").then(count).transpose()?,
            "export_size" => {
                self.export.size = match value.parse() {
                    _ if value == "input" => None,
                    Ok(Geometry::Fixed(size)) => Some(size),
                    _ => return Err(refused()),
                }
            }
            "trusted_keys" => self.trusted_keys = keys(value)?,
            "foreign_backbones" => self.refuses_foreign_backbones = value == "refuse",
            "date" => {
                self.date = match value {
                    "today" => Day::Today,
                    "none" => Day::None,
                    day => Day::Given(day.parse().map_err(|_| refused())?),
                }
            }
            "false_alarm_rate" => self.false_alarm_rate = number()?,
            "review_rate" => self.review_rate = number()?,
            "operating_point" => {
                self.threshold_rule.operating_point = OperatingPoint::named(value).ok_or_else(refused)?;
            }
            "miss_cost" => self.threshold_rule.miss_cost = number()?,
            "smoothing" => self.output.smoothing = number()?,
            "peak_share" => self.output.peak_share = number()?,
            "min_region_area" => self.output.min_region_area = count()?,
            "backbone" => self.backbone = (!value.is_empty()).then(|| PathBuf::from(value)),
            "backbone_mean" => self.normalisation.mean = triple(value, -10.0).ok_or_else(refused)?,
            "backbone_std" => self.normalisation.std = triple(value, 1e-6).ok_or_else(refused)?,
            other => return Err(Error::new(Status::Internal, format!("the option '{other}' has no effect"))),
        }
        self.values.insert(option.name, value.to_owned());
        Ok(())
    }

    /// The value of the option `key` as text, set or default.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] when the key is unknown.
    pub fn get(&self, key: &str) -> Result<String> {
        if let Some(owner) = owner(key)? {
            let own = self.parameters.get(owner.name()).cloned();
            return own.unwrap_or_else(|| Parameters::new(owner.parameters())).get(key).map(str::to_owned);
        }
        let option = option(key)?;
        Ok(self.values.get(option.name).map_or(option.default, String::as_str).to_owned())
    }

    /// Options of the map, whose smoothing is in pixels of the network's input.
    pub(super) fn output(&self) -> MapOptions {
        MapOptions { smoothing: self.output.smoothing * self.scales.largest(), ..self.output }
    }

    /// Sets the mask that all images of a fit share; none for the whole image.
    pub fn set_mask(&mut self, mask: Option<Mask>) {
        self.mask = mask.map(Arc::new);
    }

    /// Sets a rectangular region of interest that all images of a fit share; none for the whole image. It must lie
    /// inside the images, which must all have the same size. With a mask as well, a pixel must be included by both.
    pub fn set_roi(&mut self, roi: Option<Rectangle>) {
        self.roi = roi;
    }

    /// Sets the progress callback of a fit, which may cancel it.
    pub fn set_progress(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// Sets a feature extractor of the host, which replaces the ONNX backbone.
    pub fn set_extractor(&mut self, extractor: Arc<dyn FeatureExtractor>) {
        self.extractor = Some(extractor);
    }

    /// The seed of the random number generator.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The day that a model records; today's, unless a day or none is set.
    pub fn date(&self) -> Option<Date> {
        self.date.date()
    }

    /// The false-alarm rate and the review rate.
    pub fn rates(&self) -> (f64, f64) {
        (self.false_alarm_rate, self.review_rate)
    }

    pub(super) fn extractor(&self) -> Option<&Arc<dyn FeatureExtractor>> {
        self.extractor.as_ref()
    }

    pub(super) fn method(&self) -> &'static dyn Method {
        self.method
    }

    /// The rule with what has been set of it, and for the rest that of a model.
    pub(super) fn threshold_rule_over(&self, model: ThresholdRule) -> ThresholdRule {
        let ThresholdRule { operating_point, miss_cost } = self.threshold_rule;
        ThresholdRule {
            operating_point: if self.is_set("operating_point") { operating_point } else { model.operating_point },
            miss_cost: if self.is_set("miss_cost") { miss_cost } else { model.miss_cost },
        }
    }

    /// The rates that have been set, and for the rest those of a model: `false_alarm_rate` and `review_rate`.
    pub fn rates_over(&self, model: &Metadata) -> (f64, f64) {
        (
            if self.is_set("false_alarm_rate") { self.false_alarm_rate } else { model.false_alarm_rate },
            if self.is_set("review_rate") { self.review_rate } else { model.review_rate },
        )
    }

    fn is_set(&self, option: &str) -> bool {
        self.values.contains_key(option)
    }

    /// Names and values of the options that a fitted model depends on, with those of the method's parameters. Equal values have
    /// equal texts.
    pub(super) fn fit_values(&self) -> BTreeMap<String, String> {
        let general =
            fit_options().map(|option| (option, self.values.get(option.name).map_or(option.default, String::as_str)));
        let parameters = self.parameters();
        let all =
            general.chain(parameters.table().iter().map(|parameter| (parameter, parameters.text(parameter.name))));
        all.map(|(option, value)| (option.name.to_owned(), option.kind.plain(value))).collect()
    }

    /// These options with other values of those that a fitted model depends on, as [`Options::fit_values`] gives them.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] when an option has been set here to another value; [`Status::UnsupportedModel`] when there is no such
    /// option or it does not take the value.
    pub(super) fn with_fit_values(&self, values: &BTreeMap<String, String>) -> Result<Self> {
        let unsupported = |what: &dyn std::fmt::Display| {
            let message =
                format!("the trainer state cannot be used: {what}; use the npad that saved it, or a newer one");
            Error::new(Status::UnsupportedModel, message)
        };
        let mut options = self.clone();
        if let Some(name) = values.get("method") {
            options.method = method(name).map_err(|e| unsupported(&e))?;
        }
        let own = self.fit_values();
        let table = options.parameters().table();
        for (name, value) in values {
            let is_general = fit_options().any(|option| option.name == name);
            if !is_general && table.iter().all(|parameter| parameter.name != name) {
                return Err(unsupported(&format_args!("no fit has an option '{name}'")));
            }
            let is_set = match owner(name)? {
                Some(owner) => self.parameters.get(owner.name()).is_some_and(|parameters| parameters.is_set(name)),
                None => self.is_set(name),
            };
            if let Some(own) = own.get(name).filter(|own| is_set && *own != value) {
                let message = format!(
                    "the option {name} is {own}, but the trainer state has {value}: leave it unset, since a state brings its own \
                     options, or start another fit"
                );
                return Err(Error::new(Status::InvalidOption, message));
            }
            match owner(name)? {
                Some(owner) => options.parameters_of(owner).restore(name, value),
                None => options.set(name, value),
            }
            .map_err(|e| unsupported(&e))?;
        }
        Ok(options)
    }

    /// The chosen method's parameters.
    pub(super) fn parameters(&self) -> Parameters {
        let own = self.parameters.get(self.method.name()).cloned();
        own.unwrap_or_else(|| Parameters::new(self.method.parameters()))
    }

    fn parameters_of(&mut self, owner: &'static dyn Method) -> &mut Parameters {
        self.parameters.entry(owner.name()).or_insert_with(|| Parameters::new(owner.parameters()))
    }

    /// Where the method runs its own networks and keeps the state of a fit.
    pub(super) fn environment(&self, device: &Device) -> Environment {
        Environment {
            device: device.clone(),
            threads: self.threads,
            checkpoint: self.checkpoint.as_deref().map(FileCheckpoint::at),
        }
    }

    /// Refuses a checkpoint that would never be written.
    ///
    /// # Errors
    /// [`Status::InvalidOption`].
    pub(super) fn check_checkpoint(&self) -> Result<()> {
        if self.checkpoint.is_none() || self.method.keeps_checkpoint() {
            return Ok(());
        }
        let message = format!(
            "a fit of the method '{}' keeps no checkpoint, so that one cannot continue from it: leave the option checkpoint \
             empty, or choose another method",
            self.method.name()
        );
        Err(Error::new(Status::InvalidOption, message))
    }

    /// The maximum number of concurrent calls of a model.
    pub(super) fn call_limit(&self) -> usize {
        Threads::resolve(self.max_calls)
    }

    /// How long a call waits until it may run.
    pub(super) fn wait(&self) -> Wait {
        match self.call_timeout {
            None => Wait::Forever,
            Some(Duration::ZERO) => Wait::Refuse,
            Some(limit) => Wait::For(limit),
        }
    }

    /// Reads the chosen backbone.
    pub(super) fn spec(&self) -> Result<BackboneSpec> {
        if let Some(extractor) = &self.extractor {
            return Ok(BackboneSpec::Host(extractor.clone()));
        }
        self.backbone
            .as_ref()
            .map_or(Ok(BackboneSpec::Builtin), |path| BackboneSpec::from_file(path, self.normalisation))
    }
}

/// The method that an option is a parameter of; none for a general option.
fn owner(key: &str) -> Result<Option<&'static dyn Method>> {
    let owner = key.split_once('.').map(|(owner, _)| method(owner).map_err(|e| e.context(format!("option '{key}'"))));
    owner.transpose()
}

/// Public keys, separated by commas.
fn keys(text: &str) -> Result<Vec<PublicKey>> {
    let keys = text.split(',').map(str::trim).filter(|_| !text.is_empty());
    keys.map(|key| key.parse().map_err(|e: Error| e.context("option 'trusted_keys'"))).collect()
}

/// Three finite numbers, separated by commas, of at least `low`.
fn triple(text: &str, low: f32) -> Option<[f32; 3]> {
    let values: Vec<f32> = text.split(',').map(|v| v.trim().parse().ok()).collect::<Option<_>>()?;
    let values: [f32; 3] = values.try_into().ok()?;
    values.iter().all(|v| v.is_finite() && *v >= low).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_defaults_are_accepted_and_are_the_defaults() {
        let mut options = Options::default();
        for OptionInfo { name, default, .. } in super::options() {
            assert_eq!(options.get(name).unwrap(), default);
            options.set(name, default).unwrap();
        }
        let fresh = Options::default();
        assert_eq!(options.geometry, fresh.geometry);
        assert_eq!((options.threads, options.seed, options.date), (fresh.threads, fresh.seed, fresh.date));
        assert_eq!((options.false_alarm_rate, options.output), (fresh.false_alarm_rate, fresh.output));
        assert_eq!(options.threshold_rule, fresh.threshold_rule);
        assert_eq!(options.normalisation, fresh.normalisation);
    }

    #[test]
    fn what_was_set_is_what_is_got() {
        let mut options = Options::default();
        for (key, value) in [("threads", "3"), ("call_timeout", "12.5"), ("npad.channels", "7"), ("size", "96x64")] {
            options.set(key, value).unwrap();
            assert_eq!(options.get(key).unwrap(), value);
        }
        assert_eq!(options.call_timeout, Some(Duration::from_micros(12_500)));
        for (value, date) in [("2024-02-29", "2024-02-29".parse().ok()), ("none", None)] {
            options.set("date", value).unwrap();
            assert_eq!(options.date(), date);
        }
        assert!(options.set("threads", "none").is_err());
        assert_eq!(options.get("threads").unwrap(), "3");
        for key in ["nothing", "npad.nothing", "nothing.channels"] {
            assert_eq!(options.get(key).unwrap_err().status(), Status::InvalidOption);
        }
    }

    #[test]
    fn bad_options_are_refused_and_change_nothing() {
        let mut options = Options::default();
        for (key, value) in [
            ("method", "nothing"),
            ("nothing", "1"),
            ("nothing.channels", "1"),
            ("npad.nothing", "1"),
            ("npad.similarity_power", "NaN"),
            ("npad.levels", ""),
            ("threads", "-1"),
            ("threads", "99999"),
            ("max_calls", "-1"),
            ("call_timeout", "-1"),
            ("call_timeout", "NaN"),
            ("call_timeout", ""),
            ("tile", "300"),
            ("tile", "64"),
            ("seed", "x"),
            ("date", ""),
            ("date", "yesterday"),
            ("date", "2026-02-29"),
            ("date", "2026-2-1"),
            ("false_alarm_rate", "NaN"),
            ("false_alarm_rate", "0"),
            ("review_rate", "0.6"),
            ("operating_point", "all"),
            ("miss_cost", "-1"),
            ("miss_cost", "inf"),
            ("smoothing", "inf"),
            ("grid_step", "0"),
            ("peak_share", "1.5"),
            ("min_region_area", "0"),
            ("backbone_mean", "1,2"),
            ("backbone_std", "0,1,1"),
            ("size", "NaN"),
            ("device", "tpu"),
        ] {
            let error = options.set(key, value).unwrap_err();
            assert_eq!(error.status(), Status::InvalidOption, "{key} = {value}: {error}");
        }
        assert_eq!(options.threads, 0);
        assert_eq!(options.false_alarm_rate, 0.01);
    }
}
