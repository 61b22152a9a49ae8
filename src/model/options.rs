//! What a user may choose, by name: for fitting and for opening a model.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::MapOptions;
use crate::backbone::{BackboneSpec, Device, FeatureExtractor, Tiled};
use crate::error::{Error, Result, Status};
use crate::exec::progress::Progress;
use crate::image::Mask;
use crate::method::{Method, Parameters, method};
use crate::preprocess::{Geometry, Normalisation};

/// The options' names and what they mean; a method's parameters (`npad.channels`, ...) are options too.
pub const OPTIONS: &[(&str, &str, &str)] = &[
    ("method", "npad", "detection method"),
    (
        "size",
        "240",
        "size of the network's input in pixels: a side ('240': as many pixels as a square of it, in the proportions of the \
         first image), height x width ('320x256'), or 'native' (the first image's own)",
    ),
    (
        "grid_step",
        "2",
        "side of the grid's cells in positions of the backbone's finest output: 1 is finest, 2 a quarter of the cost",
    ),
    (
        "tile",
        "0",
        "longest side, in pixels, of what the backbone runs on at once: a larger input is cut into overlapping tiles, which \
         bounds memory; a multiple of 64 from 256 to 8192, or 0 for all at once",
    ),
    ("device", "cpu", "where the backbone runs: 'cpu' or 'cuda:N'"),
    ("threads", "0", "worker threads; 0 takes one per core"),
    ("seed", "0", "seed of everything random in a fit"),
    ("false_alarm_rate", "0.01", "share of good images that may be called defective; sets the threshold"),
    (
        "review_rate",
        "0",
        "share of good images that may be held for review, at least false_alarm_rate; sets a second, lower threshold. 0: none",
    ),
    ("smoothing", "4", "standard deviation of the anomaly map's Gaussian smoothing, in pixels of the network's input"),
    ("peak_share", "0.01", "share of the map's highest values whose mean is the image score; 0 takes the maximum"),
    ("min_region_area", "1", "regions of fewer pixels of the image are left out"),
    ("backbone", "", "path of your own ONNX backbone; empty takes the built-in one"),
    ("backbone_mean", "0.485,0.456,0.406", "mean of R, G and B that your backbone was trained with, values 0 to 1"),
    ("backbone_std", "0.229,0.224,0.225", "standard deviation of R, G and B that your backbone was trained with"),
];

/// The coarsest grid.
pub(super) const MAX_GRID_STEP: usize = 8;
/// The widest smoothing.
pub(super) const MAX_SMOOTHING: f64 = 64.0;
/// The most worker threads.
const MAX_THREADS: usize = 1024;

/// Everything that can be chosen. [`Options::default`] is a good start for any product.
#[derive(Clone)]
pub struct Options {
    method: &'static dyn Method,
    parameters: BTreeMap<&'static str, Parameters>,
    pub(super) geometry: Geometry,
    pub(super) grid_step: usize,
    pub(super) tile: usize,
    pub(super) device: Device,
    pub(super) threads: usize,
    pub(super) seed: u64,
    pub(super) false_alarm_rate: f64,
    pub(super) review_rate: f64,
    pub(super) output: MapOptions,
    pub(super) mask: Option<Arc<Mask>>,
    pub(super) progress: Progress,
    extractor: Option<Arc<dyn FeatureExtractor>>,
    backbone: Option<PathBuf>,
    normalisation: Normalisation,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            method: method("npad").expect("a registered method"),
            parameters: BTreeMap::new(),
            geometry: Geometry::Area(240),
            grid_step: 2,
            tile: 0,
            device: Device::CPU,
            threads: 0,
            seed: 0,
            false_alarm_rate: 0.01,
            review_rate: 0.0,
            mask: None,
            progress: Progress::default(),
            extractor: None,
            output: MapOptions { smoothing: 4.0, peak_share: 0.01, min_region_area: 1 },
            backbone: None,
            normalisation: Normalisation { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
        }
    }
}

impl Options {
    /// Sets the option `key` from text. See [`OPTIONS`] and the methods' parameters.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] when the key is unknown or the value not acceptable; nothing changes then.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        if let Some((owner, _)) = key.split_once('.') {
            let owner = method(owner).map_err(|e| e.context(format!("option '{key}'")))?;
            return self.parameters_of(owner).set(key, value);
        }
        let wrong =
            |expected: &str| Error::new(Status::InvalidOption, format!("{key} is '{value}', but must be {expected}"));
        let number = |low: f64, high: f64| {
            value
                .parse::<f64>()
                .ok()
                .filter(|n| (low..=high).contains(n))
                .ok_or_else(|| wrong(&format!("a number from {low} to {high}")))
        };
        let count = |low: usize, high: usize| {
            let range = format!("a whole number from {low} to {high}");
            value.parse::<usize>().ok().filter(|n| (low..=high).contains(n)).ok_or_else(|| wrong(&range))
        };
        match key {
            "method" => self.method = method(value)?,
            "size" => self.geometry = value.parse()?,
            "device" => self.device = value.parse()?,
            "grid_step" => self.grid_step = count(1, MAX_GRID_STEP)?,
            "tile" => {
                let tile = value.parse().ok().filter(|tile| Tiled::accepts(*tile));
                self.tile = tile.ok_or_else(|| wrong("0 or a multiple of 64 from 256 to 8192"))?;
            }
            "threads" => self.threads = count(0, MAX_THREADS)?,
            "seed" => self.seed = value.parse().map_err(|_| wrong("a whole number of at most 64 bits"))?,
            "false_alarm_rate" => self.false_alarm_rate = number(1e-5, 0.5)?,
            "review_rate" => self.review_rate = number(0.0, 0.5)?,
            "smoothing" => self.output.smoothing = number(0.0, MAX_SMOOTHING)?,
            "peak_share" => self.output.peak_share = number(0.0, 1.0)?,
            "min_region_area" => self.output.min_region_area = count(1, usize::MAX)?,
            "backbone" => self.backbone = (!value.is_empty()).then(|| PathBuf::from(value)),
            "backbone_mean" => {
                self.normalisation.mean = triple(value, -10.0).ok_or_else(|| wrong("three numbers, R,G,B"))?;
            }
            "backbone_std" => {
                self.normalisation.std = triple(value, 1e-6).ok_or_else(|| wrong("three numbers above 0, R,G,B"))?;
            }
            _ => {
                let known: Vec<_> = OPTIONS.iter().map(|(name, ..)| *name).collect();
                return Err(Error::new(
                    Status::InvalidOption,
                    format!("there is no option '{key}'; known are {} and METHOD.parameter", known.join(", ")),
                ));
            }
        }
        Ok(())
    }

    /// The region of roi that all images of a fit share; none for all of the image.
    pub fn set_mask(&mut self, mask: Option<Mask>) {
        self.mask = mask.map(Arc::new);
    }

    /// Who is told of a fit's progress and may stop it.
    pub fn set_progress(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// A feature extractor of the host's own, in place of an ONNX backbone.
    pub fn set_extractor(&mut self, extractor: Arc<dyn FeatureExtractor>) {
        self.extractor = Some(extractor);
    }

    /// The seed of everything random.
    pub fn seed(&self) -> u64 {
        self.seed
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

    /// The chosen method's parameters.
    pub(super) fn parameters(&self) -> Parameters {
        let own = self.parameters.get(self.method.name()).cloned();
        own.unwrap_or_else(|| Parameters::new(self.method.parameters()))
    }

    fn parameters_of(&mut self, owner: &'static dyn Method) -> &mut Parameters {
        self.parameters.entry(owner.name()).or_insert_with(|| Parameters::new(owner.parameters()))
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
        for (key, default, _) in OPTIONS {
            options.set(key, default).unwrap();
        }
        let fresh = Options::default();
        assert_eq!(options.geometry, fresh.geometry);
        assert_eq!((options.threads, options.seed), (fresh.threads, fresh.seed));
        assert_eq!((options.false_alarm_rate, options.output), (fresh.false_alarm_rate, fresh.output));
        assert_eq!(options.normalisation, fresh.normalisation);
        for (name, value) in fresh.parameters().values() {
            options.set(name, value).unwrap();
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
            ("tile", "300"),
            ("tile", "64"),
            ("seed", "x"),
            ("false_alarm_rate", "NaN"),
            ("false_alarm_rate", "0"),
            ("review_rate", "0.6"),
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
