//! The whole: learn from good images, score products, save and load.

mod decision;
mod extraction;
mod file;
mod fit;
mod options;
mod roi;
mod score;
mod thresholds;

pub use decision::{Calibration, GoodScores, Verdict};
pub use file::{replace_file, write_file};
pub use fit::{MIN_IMAGES, Trainer};
pub use options::{OptionInfo, OptionKind, Options, options};
pub use score::{Decision, Inspection, ScoreBuffers};
pub use thresholds::Thresholds;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::backbone::{BackboneSpec, Device, FeatureExtractor};
use crate::exec::Threads;
use crate::exec::scratch::{Pool, Wait};
use crate::method::Scorer;
use crate::preprocess::InputSize;

/// What a model knows of itself; the model file stores it as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The npad that fitted it.
    pub npad_version: String,
    /// The detection method.
    pub method: String,
    /// The method's parameters, defaults included.
    pub parameters: BTreeMap<String, String>,
    /// The size of the network's input.
    pub input: InputSize,
    /// Side of the grid's cells, in positions of the backbone's finest output.
    pub grid_step: usize,
    /// Longest side of the tiles that the backbone runs on, in pixels of its input; 0 for all at once.
    #[serde(default)]
    pub tile: usize,
    /// How grids become maps and scores.
    #[serde(flatten)]
    pub output: MapOptions,
    /// The seed of the fit.
    pub seed: u64,
    /// Good images that it learnt from.
    pub images: usize,
    /// Images, out of these, whose held-out scores the thresholds rest on.
    pub held_out: usize,
    /// The false-alarm rate that the thresholds aim at.
    pub false_alarm_rate: f64,
    /// The share of good images that may be called good no more, but defective neither; 0 where there is no review.
    pub review_rate: f64,
    /// The image score's scale.
    pub image: Calibration,
    /// The image score above which somebody should look: at most the threshold, equal to it where there is no review.
    pub review: f32,
    /// The anomaly map's scale: its maximum exceeds the threshold at the same rate.
    pub map: Calibration,
    /// Name and checksum of the backbone.
    pub backbone: String,
    /// Columns and rows of the mask that all images share, if there is one.
    pub mask: Option<(usize, usize)>,
    /// File name of the plug-in that the method comes from, if it is not built in.
    pub plugin: Option<String>,
}

impl Metadata {
    fn verdict(&self, score: f32) -> Verdict {
        if score > self.image.threshold {
            Verdict::Defective
        } else if score > self.review {
            Verdict::Review
        } else {
            Verdict::Good
        }
    }
}

/// How the grids of a method become the anomaly map and the image score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MapOptions {
    /// Standard deviation of the map's smoothing, in pixels of the network's input.
    pub smoothing: f64,
    /// The share of the map's highest values whose mean is the image score; 0 takes the maximum.
    pub peak_share: f64,
    /// Regions of fewer pixels of the image are left out.
    pub min_region_area: usize,
}

/// A fitted model. Immutable: any number of threads may score with it at once. Models that differ in their thresholds
/// alone share everything else.
pub struct Model {
    metadata: Metadata,
    good_scores: GoodScores,
    core: Arc<Core>,
}

/// What a model's thresholds do not change.
struct Core {
    backbone: Arc<dyn FeatureExtractor>,
    spec: BackboneSpec,
    scorer: Box<dyn Scorer>,
    shifts: Vec<(isize, isize)>,
    threads: Arc<Threads>,
    roi: Option<roi::InputRoi>,
    /// The mean of the good images' tensors: red, green and blue plane of the network's input.
    mean: Vec<f32>,
    /// As many as calls may run at once.
    contexts: Pool<score::Context>,
    /// How long a call waits for its turn.
    wait: Wait,
    device: Device,
}

impl Model {
    /// What the model knows of itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Where the backbone runs, as the option `device` names it.
    pub fn device(&self) -> Device {
        self.core.device
    }
}
