//! Models in files and in memory.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::options::{MAX_GRID_STEP, MAX_SMOOTHING, Options};
use super::{Model, OutputSettings, Settings};
use crate::backbone::{FeatureExtractor, OnnxBackbone, Source};
use crate::bundle::{Bundle, write_atomically};
use crate::error::{Error, Result, Status};
use crate::method::{Parameters, method};
use crate::pool::Pool;
use crate::preprocess::{MAX_INPUT_SIDE, Normalisation};
use crate::threads::Threads;

/// The settings as the file stores them.
#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(flatten)]
    settings: Settings,
    /// Of a user's own backbone, whose bytes the file then holds too.
    normalisation: Option<Normalisation>,
}

impl Model {
    /// The model as the bytes of a model file.
    ///
    /// # Errors
    /// [`Status::Internal`] only.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let (normalisation, backbone) = match &self.source {
            Source::Builtin => (None, None),
            Source::Onnx { bytes, normalisation } => (Some(*normalisation), Some(bytes.to_vec())),
        };
        let header = Header { settings: self.settings.clone(), normalisation };
        let settings = serde_json::to_string(&header).map_err(|e| Error::new(Status::Internal, e.to_string()))?;
        Bundle { settings, state: self.scorer.state(), backbone }.to_bytes()
    }

    /// Writes the model file. A failure leaves the old file, if there was one, as it was.
    ///
    /// # Errors
    /// [`Status::Io`] when the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_atomically(path, &self.to_bytes()?)
    }

    /// Reads a model file. Of `options`, the device and the threads count; everything else is the model's own.
    ///
    /// # Errors
    /// [`Status::Io`] when the file cannot be read, else as [`Model::from_bytes`].
    pub fn load(path: &Path, options: &Options) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|e| Error::new(Status::Io, format!("cannot read the model {}: {e}", path.display())))?;
        Self::from_bytes(&bytes, options).map_err(|e| e.context(path.display()))
    }

    /// Reads a model from the bytes of its file.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] or [`Status::UnsupportedModel`] when the bytes are not a model that this npad can use;
    /// [`Status::Runtime`], [`Status::Device`] or [`Status::Backbone`] when the backbone cannot be opened.
    pub fn from_bytes(bytes: &[u8], options: &Options) -> Result<Self> {
        let bundle = Bundle::from_bytes(bytes)?;
        let invalid =
            |what: &str| Error::new(Status::InvalidModel, format!("this is not an intact npad model: {what}"));
        let Header { settings, normalisation } =
            serde_json::from_str(&bundle.settings).map_err(|e| invalid(&format!("its settings: {e}")))?;
        let side = 1..=MAX_INPUT_SIDE;
        if !side.contains(&settings.input.height) || !side.contains(&settings.input.width) {
            return Err(invalid("its input size is out of range"));
        }
        if !(1..=MAX_GRID_STEP).contains(&settings.grid_step) {
            return Err(invalid("its grid is out of range"));
        }
        if !settings.image.is_valid() || !settings.map.is_valid() {
            return Err(invalid("its thresholds are out of range"));
        }
        let OutputSettings { smoothing, peak_share, .. } = settings.output;
        if !(0.0..=MAX_SMOOTHING).contains(&smoothing) || !(0.0..=1.0).contains(&peak_share) {
            return Err(invalid("its smoothing or its peak share is out of range"));
        }
        let unsupported = |e: Error| Error::new(Status::UnsupportedModel, format!("the model cannot be used: {e}"));
        let method = method(&settings.method).map_err(unsupported)?;
        let mut parameters = Parameters::new(method.parameters());
        for (name, value) in &settings.parameters {
            parameters.set(name, value).map_err(unsupported)?;
        }
        let source = match (bundle.backbone, normalisation) {
            (None, None) => Source::Builtin,
            (Some(bytes), Some(normalisation)) => Source::Onnx { bytes: bytes.into(), normalisation },
            _ => return Err(invalid("its backbone is incomplete")),
        };
        let scorer = method.load(&parameters, bundle.state)?;
        let backbone = OnnxBackbone::open(source.clone(), options.device, Threads::resolve(options.threads))?;
        if backbone.identity() != settings.backbone {
            return Err(Error::new(
                Status::UnsupportedModel,
                format!(
                    "the model was fitted with the backbone {}, this npad has {}: fit again, or use the npad that fitted it \
                     ({})",
                    settings.backbone,
                    backbone.identity(),
                    settings.npad_version
                ),
            ));
        }
        Ok(Self {
            shifts: method.shifts(&parameters),
            settings,
            backbone: Arc::new(backbone),
            source,
            scorer,
            threads: Arc::new(Threads::new(options.threads)?),
            contexts: Pool::default(),
        })
    }
}
