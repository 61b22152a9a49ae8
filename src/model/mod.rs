//! Models: fit to good images, score, save and load.

mod card;
mod checkpoint;
mod combiner;
mod date;
mod decision;
mod defects;
mod device;
mod drift;
mod export;
mod extraction;
mod file;
mod fit;
mod graph;
mod image_ids;
mod image_map;
mod images_hash;
mod info;
mod options;
mod probe;
mod roi;
mod score;
mod thresholds;

pub use date::Date;
pub use decision::{Calibration, Verdict};
pub use defects::{KnownDefects, OperatingPoint, ThresholdEffect, ThresholdRule};
pub use drift::Drift;
pub use export::Export;
pub use file::{KEY_BYTES, PublicKey, SecretKey, replace_file, sign, write_file};
pub use fit::{MIN_IMAGES, Trainer};
pub use images_hash::ImagesHash;
pub use info::Info;
pub use options::{OptionInfo, OptionKind, Options, options};
pub use score::{Decision, Inspection, ScoreBuffers};
pub use thresholds::{Recalibration, ThresholdSource, Thresholds};

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::graph::Scoring;
use self::image_ids::ImageIds;
use crate::backbone::{BackboneSpec, ChosenDevice, Device, FeatureExtractor, Scales};
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::scratch::Pool;
use crate::exec::semaphore::{Semaphore, Wait};
use crate::method::Scorer;
use crate::preprocess::InputSize;

/// A model's metadata; the model file stores it as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Version of the npad that fitted the model.
    pub npad_version: String,
    /// The detection method.
    pub method: String,
    /// The method's parameters, defaults included.
    pub parameters: BTreeMap<String, String>,
    /// The size of the network's input.
    pub input: InputSize,
    /// Side of the grid's cells, in positions of the backbone's finest output.
    pub grid_step: usize,
    /// Maximum side of a tile in pixels of the network's input; 0 for no tiles.
    #[serde(default)]
    pub tile: usize,
    /// Factors of the input size that images are scored at, in ascending order; the last one has the input's size.
    #[serde(default = "one_scale")]
    pub scales: Vec<f64>,
    /// Options of the map and the image score.
    #[serde(flatten)]
    pub output: MapOptions,
    /// The seed of the fit.
    pub seed: u64,
    /// Number of good images learnt.
    pub images: usize,
    /// Hash of the good images learnt; none if npad 0.1 learnt any of them.
    #[serde(default)]
    pub images_hash: Option<ImagesHash>,
    /// Day of the fit in UTC, for a resumed fit that of the last one; none if it was not recorded.
    #[serde(default)]
    pub fitted_on: Option<Date>,
    /// Number of held-out images whose scores the thresholds were computed from.
    pub held_out: usize,
    /// Target false-alarm rate of the thresholds.
    pub false_alarm_rate: f64,
    /// Target share of good images that are judged defective or for review; 0 for no review.
    pub review_rate: f64,
    /// How the threshold is chosen.
    #[serde(flatten)]
    pub threshold_rule: ThresholdRule,
    /// The known defects of the fit; none without.
    #[serde(default)]
    pub known_defects: Option<KnownDefects>,
    /// Calibrated scale of the image score and the anomaly map.
    pub image: Calibration,
    /// An interval that contains the image score that good images exceed at the target rate, with a confidence of about
    /// 90 %; none if the threshold was not computed from that rate, and in files of earlier versions.
    #[serde(default)]
    pub threshold_interval: Option<(f32, f32)>,
    /// Where the thresholds come from; none if it was not recorded.
    #[serde(default)]
    pub threshold_source: Option<ThresholdSource>,
    /// The other good images whose scores replaced the held-out scores of the fit; none without a recalibration.
    #[serde(default)]
    pub recalibration: Option<Recalibration>,
    /// Whether the review threshold was set to a given value, not computed for the review rate.
    #[serde(default)]
    pub review_given: bool,
    /// Image score above which an image is for review: from 0, at most the threshold, and equal to it if there is no review.
    pub review: f32,
    /// Name and checksum of the backbone.
    pub backbone: String,
    /// Columns and rows of the mask that all images share; none without a mask.
    pub mask: Option<(usize, usize)>,
    /// File name of the plug-in that the method comes from, if it is not built in.
    pub plugin: Option<String>,
}

/// Models before 0.2 have one scale.
fn one_scale() -> Vec<f64> {
    vec![1.0]
}

impl Metadata {
    /// The scales.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when they are out of range.
    fn scales(&self) -> Result<Scales> {
        let invalid =
            || Error::new(Status::InvalidModel, "this is not an intact npad model: its scales are out of range");
        Scales::new(&self.scales).ok_or_else(invalid)
    }

    /// The thresholds from the highest, each with the verdict above it.
    fn levels(&self) -> [(f32, Verdict); 2] {
        [(self.image.threshold, Verdict::Defective), (self.review, Verdict::Review)]
    }
}

/// Options of the anomaly map and the image score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MapOptions {
    /// Standard deviation of the map's smoothing, in pixels of the network's input.
    pub smoothing: f64,
    /// Share of the map's highest values whose mean is the image score; 0 for the maximum.
    pub peak_share: f64,
    /// Minimum area of a region in pixels of the image.
    pub min_region_area: usize,
}

/// A fitted model. Immutable: any number of threads may score with it at once. Models that differ only in their
/// thresholds share everything else.
pub struct Model {
    metadata: Metadata,
    /// Raw scores of held-out good images, which thresholds are computed from.
    good_scores: Vec<f32>,
    core: Arc<Core>,
    /// The key that signs the model when it is saved; none for no signature.
    key: Option<SecretKey>,
    /// The key's public half, or that of the signature of the file that the model was loaded from.
    signer: Option<PublicKey>,
}

/// The parts of a model that do not depend on its thresholds.
struct Core {
    backbone: Arc<dyn FeatureExtractor>,
    spec: BackboneSpec,
    scorer: Arc<dyn Scorer>,
    /// The backbone and the scorer as one network, where images are scored with it.
    network: Option<Arc<dyn FeatureExtractor>>,
    /// How the network was chosen.
    scoring: Scoring,
    shifts: Vec<(isize, isize)>,
    threads: Arc<Threads>,
    roi: Option<roi::InputRoi>,
    /// The mean of the good images' tensors: red, green and blue plane of the network's input.
    mean: Vec<f32>,
    /// The good images learnt.
    learnt: ImageIds,
    /// Working memory, one context for each concurrent call.
    contexts: Pool<score::Context>,
    /// Limits the number of concurrent calls.
    calls: Arc<Semaphore>,
    /// How long a call waits until it may run.
    wait: Wait,
    device: ChosenDevice,
}

impl Model {
    /// The model's metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The device that the networks run on, as the option `device` names it.
    pub fn device(&self) -> &Device {
        &self.core.device.device
    }
}
