//! Models in files and in memory.

mod atomic;
pub(super) mod container;
mod signature;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::thread::Builder;

use half::f16;
use serde::{Deserialize, Serialize};

pub(super) use self::atomic::{are_one, check_target, write_files};
pub use self::atomic::{replace_file, write_file};
pub use self::signature::{KEY_BYTES, PublicKey, SecretKey};

use self::container::{Container, Content};
use super::defects::MOST;
use super::device::announce;
use super::image_ids::ImageIds;
use super::options::{ALARM_RATES, MAX_GRID_STEP, MAX_MISS_COST, MAX_SMOOTHING, Options, REVIEW_RATES};
use super::roi::InputRoi;
use super::{Core, MapOptions, Metadata, Model, ThresholdSource};
use crate::backbone::{BackboneSpec, ChosenDevice, HOST, MultiScale, Tiled};
use crate::error::{Error, Result, Status};
use crate::exec::huge_pages;
use crate::exec::memory::{check_small_blocks, try_collect, try_copy};
use crate::exec::scratch::Pool;
use crate::exec::semaphore::Semaphore;
use crate::exec::{Threads, check_process, quiet};
use crate::image::Mask;
use crate::method::{Array, Method, Parameters, State, method, scales};
use crate::preprocess::{MAX_INPUT_SIDE, Normalisation};

/// Names of the file's arrays: those of the method start with this,
const STATE: &str = "state.";
/// and these are the model's own.
const BACKBONE: &str = "backbone";
const MASK: &str = "mask";
const MEAN: &str = "mean";
const SCORES: &str = "good_scores.image";
/// Absent from files before 0.2.
const LEARNT: &str = "learnt_images";

/// Maximum number of images of a fit: their tensors add up without overflow.
pub(super) const MOST_IMAGES: usize = 1 << 23;

/// The metadata as the file stores them.
#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(flatten)]
    metadata: Metadata,
    /// Normalisation of a custom backbone, whose bytes the file also holds.
    normalisation: Option<Normalisation>,
}

impl Model {
    /// Returns the bytes of a model file.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`]; [`Status::Plugin`] when a plug-in fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut arrays: BTreeMap<String, Array> = self
            .core
            .scorer
            .state()?
            .arrays
            .into_iter()
            .map(|(name, array)| (format!("{STATE}{name}"), array))
            .collect();
        let mut put = |name: &str, array: Array| arrays.insert(name.to_owned(), array);
        let mut normalisation = None;
        if let BackboneSpec::Onnx { bytes, normalisation: own } = &self.core.spec {
            normalisation = Some(*own);
            put(BACKBONE, Array::U8(vec![bytes.len()], try_copy(bytes)?));
        }
        if let Some(roi) = &self.core.roi {
            let bits = roi.mask.to_bits()?;
            put(MASK, Array::U8(vec![bits.len()], bits));
        }
        let size = self.metadata.input;
        let mean = try_collect(self.core.mean.iter().map(|v| f16::from_f32(*v)))?;
        put(MEAN, Array::F16(vec![3, size.height, size.width], mean));
        let scores = &self.good_scores;
        put(SCORES, Array::F32(vec![scores.len()], try_copy(scores)?));
        let words = self.core.learnt.to_words()?;
        put(LEARNT, Array::U32(vec![words.len() / 2, 2], words));
        let header = Header { metadata: self.metadata.clone(), normalisation };
        let metadata = serde_json::to_string(&header).map_err(|e| Error::new(Status::Internal, e.to_string()))?;
        Container { metadata, arrays }.to_bytes(Content::Model, self.key.as_ref())
    }

    /// Returns the model, to be signed with a key whenever it is saved. A copy with other thresholds is not signed.
    pub fn with_signature(&self, key: &SecretKey) -> Self {
        Self {
            key: Some(key.clone()),
            signer: Some(key.public()),
            ..self.with_settings(self.metadata.clone(), self.good_scores.clone())
        }
    }

    /// The key that the model's file is signed with, or was when it was loaded; none if it is not.
    pub fn signer(&self) -> Option<PublicKey> {
        self.signer
    }

    /// Writes the model file atomically (see [`write_file`]): on failure, an existing file is unchanged.
    ///
    /// # Errors
    /// [`Status::NotFound`] when the folder does not exist, [`Status::Io`] when the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let what = || format!("cannot write the model to {}; an existing file is unchanged", path.display());
        write_file(path, &self.to_bytes()?).map_err(|e| Error::io(what(), &e))
    }

    /// Reads a model file. Of `options`, only the device and its cache, threads, call limits, trusted keys, what is to be done with
    /// foreign backbones, feature extractor and, for a device that is not the CPU, the progress callback are used.
    ///
    /// # Errors
    /// [`Status::NotFound`] or [`Status::Io`] when the file cannot be read, else as [`Model::from_bytes`].
    pub fn load(path: &Path, options: &Options) -> Result<Self> {
        check_process()?;
        let load = || Self::from_bytes(&read(path)?, options).map_err(|e| e.context(path.display()));
        if options.extractor().is_some() || crate::backbone::runtime_is_loaded() || check_small_blocks().is_err() {
            return load();
        }
        std::thread::scope(|scope| {
            // Loading ONNX Runtime takes as long as reading and checking the file. Without a thread it is loaded, and a
            // failure reported, when the backbone is opened.
            let _ = Builder::new().spawn_scoped(scope, || quiet(crate::backbone::warm_up));
            load()
        })
    }

    /// Reads a model from the bytes of its file.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] or [`Status::UnsupportedModel`] when the bytes are not a model that this npad can use;
    /// [`Status::UntrustedModel`] when the options refuse it; [`Status::Runtime`], [`Status::Device`] or [`Status::Backbone`] when
    /// the backbone cannot be opened; [`Status::WrongState`] in a child process of one that has started npad's threads.
    pub fn from_bytes(bytes: &[u8], options: &Options) -> Result<Self> {
        check_process()?;
        options.choose_device()?.open(|device| Self::on_device(bytes, options, device))
    }

    fn on_device(bytes: &[u8], options: &Options, device: &ChosenDevice) -> Result<Self> {
        let (Container { metadata, arrays }, signer) =
            Container::from_bytes(bytes, Content::Model, &options.trusted_keys)?;
        let (mut state, mut own) = (State::default(), State::default());
        for (name, array) in arrays {
            match name.strip_prefix(STATE) {
                Some(name) => state.put(name, array),
                None => own.put(name, array),
            }
        }
        let invalid =
            |what: &str| Error::new(Status::InvalidModel, format!("this is not an intact npad model: {what}"));
        let Header { mut metadata, normalisation } =
            serde_json::from_str(&metadata).map_err(|e| invalid(&format!("its metadata: {e}")))?;
        let side = 1..=MAX_INPUT_SIDE;
        if !side.contains(&metadata.input.height) || !side.contains(&metadata.input.width) {
            return Err(invalid("its input size is out of range"));
        }
        if !(1..=MAX_GRID_STEP).contains(&metadata.grid_step) {
            return Err(invalid("its grid is out of range"));
        }
        if !Tiled::accepts(metadata.tile) {
            return Err(invalid("its tiles are out of range"));
        }
        if !metadata.image.is_valid() {
            return Err(invalid("its thresholds are out of range"));
        }
        if metadata.threshold_interval.is_some_and(|(low, high)| !low.is_finite() || !high.is_finite() || low > high) {
            return Err(invalid("the interval of its threshold is out of range"));
        }
        if !(1..=MOST_IMAGES).contains(&metadata.images) || metadata.output.min_region_area == 0 {
            return Err(invalid("its number of images or its least area is out of range"));
        }
        let factors = metadata.scales()?;
        let recalibrated = metadata.threshold_source == Some(ThresholdSource::Recalibrated);
        if recalibrated && metadata.recalibration.is_none()
            || metadata.recalibration.is_some_and(|recalibration| recalibration.images > metadata.held_out)
        {
            return Err(invalid("the record of its recalibration is out of range"));
        }
        let MapOptions { smoothing, peak_share, .. } = metadata.output;
        if !(0.0..=MAX_SMOOTHING * factors.largest()).contains(&smoothing) || !(0.0..=1.0).contains(&peak_share) {
            return Err(invalid("its smoothing or its peak share is out of range"));
        }
        if !(0.0..=metadata.image.threshold).contains(&metadata.review) {
            return Err(invalid("its review threshold is out of range"));
        }
        if !ALARM_RATES.contains(&metadata.false_alarm_rate) || !REVIEW_RATES.contains(&metadata.review_rate) {
            return Err(invalid("its false-alarm or review rate is out of range"));
        }
        if !(0.0..=MAX_MISS_COST).contains(&metadata.threshold_rule.miss_cost) {
            return Err(invalid("its cost of a miss is out of range"));
        }
        if metadata.known_defects.as_ref().is_some_and(|known| {
            !(1..=MOST).contains(&known.scores.len()) || !known.scores.iter().all(|score| score.is_finite())
        }) {
            return Err(invalid("the scores of its known defects are out of range"));
        }
        let method = method(&metadata.method).map_err(|e| match &metadata.plugin {
            Some(plugin) => missing(format!(
                "the model needs the method '{}' of the plug-in {plugin}: load it first, with npad_plugin_load or --plugin",
                metadata.method
            )),
            None => missing(format!("the model cannot be used: {e}")),
        })?;
        let parameters = metadata.parameters(method).map_err(|e| missing(format!("the model cannot be used: {e}")))?;
        let threads = Threads::shared(options.threads)?;
        let roi = match metadata.mask {
            None => None,
            Some((width, height)) => {
                let mask = Mask::from_bits(&own.take_u8(MASK)?, width, height)?;
                let mask = mask.ok_or_else(|| invalid("its mask is out of range"))?;
                Some(InputRoi::fixed(mask, metadata.input, &threads)?)
            }
        };
        let mean = own.take_f16(MEAN, &[3, metadata.input.height, metadata.input.width])?;
        let shape = own.shape(SCORES).to_vec();
        let good_scores = own.take_f32(SCORES, &shape)?;
        if good_scores.is_empty() || good_scores.len() != metadata.held_out {
            return Err(invalid("its scores of good images are missing"));
        }
        let learnt = if own.arrays.contains_key(LEARNT) {
            let learnt = ImageIds::from_words(&own.take_u32(LEARNT)?);
            learnt.ok_or_else(|| invalid("its record of the images learnt is out of range"))?
        } else {
            ImageIds::default()
        };
        // What the scores say is computed, not believed.
        metadata.measure_defects(&good_scores).map_err(|e| invalid(e.message()))?;
        let spec = match (own.take_u8(BACKBONE).ok(), normalisation) {
            (None, None) if metadata.backbone.starts_with(HOST) => {
                let extractor = options.extractor().filter(|extractor| extractor.identity() == metadata.backbone);
                BackboneSpec::Host(extractor.cloned().ok_or_else(|| {
                    missing(format!(
                        "the model was fitted with the host's feature extractor '{}': set that extractor in the options",
                        metadata.backbone.trim_start_matches(HOST)
                    ))
                })?)
            }
            (None, None) => BackboneSpec::Builtin,
            (Some(bytes), Some(normalisation)) => BackboneSpec::Onnx { bytes: bytes.into(), normalisation },
            _ => return Err(invalid("its backbone is incomplete")),
        };
        if let (BackboneSpec::Onnx { .. }, true) = (&spec, options.refuses_foreign_backbones) {
            let message = format!(
                "the model contains a backbone of its own, {}, which ONNX Runtime would run, but the option foreign_backbones is \
                 'refuse': set it to 'allow' if you trust where the model comes from",
                metadata.backbone
            );
            return Err(Error::new(Status::UntrustedModel, message));
        }
        announce(&device.device, &options.progress)?;
        let backbone = spec.open(&device.device, Threads::resolve(options.threads))?;
        let environment = options.environment(&device.device);
        let scorer = scales::load(method, &parameters, state, &environment, factors.factors().len())?;
        if backbone.identity() != metadata.backbone {
            return Err(missing(format!(
                "the model was fitted with the backbone {}, but this npad has {}: fit again, or use the npad version \
                 that fitted it ({})",
                metadata.backbone,
                backbone.identity(),
                metadata.npad_version
            )));
        }
        let mut core = Core {
            network: None,
            scoring: options.scoring,
            shifts: method.shifts(&parameters),
            backbone: MultiScale::over(Tiled::over(backbone, metadata.tile), &factors, &threads),
            spec,
            scorer: scorer.into(),
            threads,
            roi,
            mean: try_collect(mean.into_iter().map(f16::to_f32))?,
            learnt,
            contexts: Pool::default(),
            calls: Semaphore::new(options.call_limit()),
            wait: options.wait(),
            device: device.clone(),
        };
        core.choose_network(&metadata)?;
        let model = Self { metadata, good_scores, core: Arc::new(core), key: None, signer };
        model.prepare_device(&options.progress)?;
        Ok(model)
    }
}

impl Metadata {
    /// Parses the method's parameters.
    pub(super) fn parameters(&self, method: &'static dyn Method) -> Result<Parameters> {
        let mut parameters = Parameters::new(method.parameters());
        self.parameters.iter().try_for_each(|(name, value)| parameters.restore(name, value))?;
        Ok(parameters)
    }
}

/// The bytes of a model file, signed with a key, or with another one than before, in this npad's format. The model need not be usable
/// here.
///
/// # Errors
/// [`Status::NotFound`] or [`Status::Io`] when the file cannot be read; [`Status::InvalidModel`] or [`Status::UnsupportedModel`] when it
/// is not an intact model of this npad.
pub fn sign(path: &Path, key: &SecretKey) -> Result<Vec<u8>> {
    let signed = Container::from_bytes(&read(path)?, Content::Model, &[]).and_then(|(container, _)| {
        serde_json::from_str::<Header>(&container.metadata)
            .map_err(|e| Error::new(Status::InvalidModel, format!("this is not an npad model: its metadata: {e}")))?;
        container.to_bytes(Content::Model, Some(key))
    });
    signed.map_err(|e| e.context(path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Error::io(format_args!("cannot read the model {}", path.display()), &e);
    read_if_plausible(path).map_err(failed)
}

/// Reads a file; of what is no container, however large it is, only the beginning.
pub(super) fn read_if_plausible(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    (&mut file).take(container::PREFIX as u64).read_to_end(&mut bytes)?;
    if container::is_plausible(&bytes) {
        let all = huge_pages::try_with_capacity(length.max(bytes.len()));
        let mut all = all.map_err(|e| std::io::Error::new(std::io::ErrorKind::OutOfMemory, e.message().to_owned()))?;
        all.append(&mut bytes);
        file.read_to_end(&mut all)?;
        bytes = all;
    }
    Ok(bytes)
}

fn missing(message: String) -> Error {
    Error::new(Status::UnsupportedModel, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A model file with one entry of the metadata replaced, and a right checksum.
    fn damaged(key: &str, value: Value) -> Vec<u8> {
        let bytes = include_bytes!("../../../tests/fixtures/model-0.1.0.npad");
        let mut container = Container::from_bytes(bytes, Content::Model, &[]).unwrap().0;
        let mut metadata: Value = serde_json::from_str(&container.metadata).unwrap();
        metadata[key] = value;
        container.metadata = metadata.to_string();
        container.to_bytes(Content::Model, None).unwrap()
    }

    #[test]
    fn a_damaged_record_of_the_images_learnt_is_refused() {
        let with = |array: Array| {
            let mut container =
                Container::from_bytes(include_bytes!("../../../tests/fixtures/model-0.1.0.npad"), Content::Model, &[])
                    .unwrap()
                    .0;
            container.arrays.insert(LEARNT.to_owned(), array);
            Model::from_bytes(&container.to_bytes(Content::Model, None).unwrap(), &Options::default())
        };
        let words = |words: Vec<u32>| with(Array::U32(vec![words.len()], words));
        assert!(words(vec![1, 0, 2, 0]).err().is_none_or(|error| error.status() == Status::Runtime));
        let many = (0..=1 << 16).flat_map(|id| [id, 0]).collect();
        for damaged in
            [words(vec![1, 0, 2]), words(vec![2, 0, 1, 0]), words(many), with(Array::U8(vec![8], vec![0; 8]))]
        {
            assert_eq!(damaged.err().unwrap().status(), Status::InvalidModel);
        }
    }

    /// The container writes version 2, so this is a file of that version without the records of a later npad.
    #[test]
    fn a_file_without_records_loads_and_its_card_says_so() {
        let model = Model::from_bytes(&damaged("seed", json!(5)), &Options::default()).unwrap();
        assert_eq!(model.metadata().seed, 5);
        assert!(model.card().matches("not recorded").count() >= 3, "{}", model.card());
    }

    #[test]
    fn texts_of_a_file_cannot_add_a_line_to_the_card() {
        let forged = damaged("npad_version", json!("0.2\n  hash  00\u{0}\u{2028}"));
        let model = Model::from_bytes(&forged, &Options::default()).unwrap();
        let plain = Model::from_bytes(&damaged("seed", json!(0)), &Options::default()).unwrap();
        assert_eq!(model.card().lines().count(), plain.card().lines().count());
        assert!(!model.card().contains('\0'), "{}", model.card());
    }

    fn known(scores: Value) -> Value {
        let effect = json!({"threshold": 1.0, "missed": 7, "false_alarm_rate": 0.9});
        json!({"count": 9, "in_use": effect, "rate": effect, "catch_all": effect, "cost": effect, "scores": scores})
    }

    #[test]
    fn numbers_about_known_defects_are_computed_anew() {
        let bytes = damaged("known_defects", known(json!([1e30, 0.0])));
        let model = Model::from_bytes(&bytes, &Options::default());
        let Ok(model) = model else { return assert_eq!(model.err().unwrap().status(), Status::Runtime) };
        let (metadata, known) = (model.metadata(), model.metadata().known_defects.clone().unwrap());
        assert_eq!((known.count, known.scores, known.in_use.missed), (2, vec![0.0, 1e30], 1));
        assert_eq!(known.in_use.threshold, metadata.image.threshold);
        assert!(known.in_use.false_alarm_rate < 0.5 && known.catch_all.false_alarm_rate > 0.9);
    }

    #[test]
    fn metadata_out_of_range_is_refused() {
        for (key, value) in [
            ("input", json!({"height": 0, "width": 32})),
            ("input", json!({"height": 32, "width": 1 << 30})),
            ("grid_step", json!(0)),
            ("tile", json!(3)),
            ("image", json!({"typical": 2.0, "threshold": 1.0})),
            ("review", json!(1e9)),
            ("smoothing", json!(-1.0)),
            ("peak_share", json!(2.0)),
            ("false_alarm_rate", json!(0.0)),
            ("false_alarm_rate", json!(0.9)),
            ("review_rate", json!(100.0)),
            ("operating_point", json!("all")),
            ("miss_cost", json!(-1.0)),
            ("miss_cost", json!(null)),
            ("known_defects", known(json!([]))),
            ("known_defects", known(json!([1e300]))),
            ("known_defects", known(json!(vec![1.0; 1025]))),
            ("known_defects", json!({"scores": [1.0]})),
            ("threshold_interval", json!([3.0, 2.0])),
            ("threshold_interval", json!([1e300, 1e300])),
            ("images", json!("many")),
            ("images", json!(0)),
            ("images", json!(1u64 << 50)),
            ("held_out", json!(99_999)),
            ("min_region_area", json!(0)),
            ("review", json!(-1.0)),
            ("scales", json!([])),
            ("scales", json!([1.0, 9.0])),
            ("scales", json!([1.0, 1.6])),
            ("images_hash", json!("0123")),
            ("images_hash", json!(5)),
            ("fitted_on", json!("2026-02-29")),
            ("fitted_on", json!("20 May 2026")),
            ("threshold_source", json!("guessed")),
            ("threshold_source", json!("recalibrated")),
            ("recalibration", json!({"images": 2, "images_hash": "g".repeat(32), "date": null})),
            ("recalibration", json!({"images": 2, "images_hash": "0".repeat(32), "date": "2026-13-01"})),
            ("recalibration", json!({"images": 1u64 << 40, "images_hash": "0".repeat(32), "date": null})),
        ] {
            let error = Model::from_bytes(&damaged(key, value.clone()), &Options::default()).err().unwrap();
            assert_eq!(error.status(), Status::InvalidModel, "{key} {value}: {error}");
        }
    }
}
