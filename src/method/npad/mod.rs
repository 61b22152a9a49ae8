//! N-pad: neighbouring-pixel anomaly detection, after Jang, Hwang and Park (CVPR Workshops 2023).
//!
//! It combines three levels on a grid of backbone features f:
//!
//! - **pixel**: a Gaussian per position from the target and its neighbours in every good image, each neighbour weighted
//!   by `max(0, cos(f(p), f(q)))^power`. Neighbours make the estimate robust where parts are not aligned.
//! - **patch**: a Gaussian per position from the mean g of the k x k neighbourhood. Each position has its own mean;
//!   pairs of positions in a row share a covariance, which halves the model's size, so that no channel has to be left out.
//!   A random choice of channels would decide over the verdicts.
//! - **centroids**: K-means centroids of f over all positions, whitened by one global covariance. They do not depend on
//!   the position, so they suit parts that may lie anywhere. Centroids of g instead of f blur the map.
//!
//! The first two give Mahalanobis distances, the third the distance to the nearest centroid. We had no access to the
//! paper's constants: each is a parameter with a default from our measurements. By default the image score is the patch
//! level's, and the map is the smaller of patch and centroid level at each position, each divided by its mean over
//! held-out good images: a place is anomalous if it is unusual for its position and looks like nothing that was learnt.
//! The first alone takes the noise of a background that hardly varies for a defect; the second alone cannot tell where
//! things belong. The pixel level is off: on our data it does not improve on the other two, and it doubles the model's
//! size (`docs/accuracy.md`).
//!
//! Each covariance is shrunk by 10 % towards the mean covariance of all positions. This bounds the whitening from below
//! in directions in which a position hardly varies, in proportion to the features' scales, which a multiple of the
//! identity would not. Accuracy with few or unaligned images depends on it.

mod centroids;
mod channels;
mod fit;
mod gaussians;
mod graph;
mod hold_out;
mod layout;
mod score;
mod statistics;

use self::gaussians::Window;
use super::parameters::{Kind, Parameter, Parameters, Preset};
use super::{Environment, Fitter, Method, Scorer, State};
use crate::error::{Error, Result, Status};
use crate::math::gaussian::{Regularisation, Share, Target};

/// Names of the levels, in the order of the weights in [`Levels`].
const LEVELS: &[&str] = &["pixel", "patch", "centroids"];

/// What the paper's poster shows, in our reading: all three levels, channel selection and image shifting.
const POSTER: &[(&str, &str)] = &[
    ("npad.levels", "pixel+patch"),
    ("npad.image_levels", "pixel+patch+centroids"),
    ("npad.fusion", "standardised"),
    ("npad.channels", "100"),
    ("npad.selection", "variance"),
    ("npad.block", "1x1"),
    ("npad.shrinkage", "0.01"),
    ("npad.centroids", "256"),
    ("npad.centroid_patch", "3"),
    ("npad.shifts", "5"),
];

/// The parameters.
static PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "npad.preset",
        default: "default",
        kind: Kind::Preset(&[Preset { name: "default", values: &[] }, Preset { name: "poster", values: POSTER }]),
        help: "sets all parameters of the method: its defaults, or the configuration of the paper's poster; set it before \
               others",
    },
    Parameter {
        name: "npad.levels",
        default: "patch+centroids",
        kind: Kind::Set(LEVELS),
        help: "levels that the anomaly map is computed from",
    },
    Parameter {
        name: "npad.image_levels",
        default: "patch",
        kind: Kind::Set(LEVELS),
        help: "levels that the image score is computed from",
    },
    Parameter {
        name: "npad.fusion",
        default: "minimum",
        kind: Kind::Choice(&["minimum", "standardised", "mean"]),
        help: "how levels are combined: the smallest at each position of the map, each divided by its mean over held-out \
               good images; or added, each divided by its standard deviation over held-out good images, or unscaled",
    },
    Parameter {
        name: "npad.channels",
        default: "4096",
        kind: Kind::Count(1, 4096),
        help: "number of channels kept for the Gaussians (all if there are fewer)",
    },
    Parameter {
        name: "npad.selection",
        default: "random",
        kind: Kind::Choice(&["random", "variance"]),
        help: "which channels are kept: a random choice, or those with the largest share of variance within a position",
    },
    Parameter {
        name: "npad.neighbourhood",
        default: "3",
        kind: Kind::Odd(1, 7),
        help: "side of the window of neighbours that a position's Gaussian is estimated from, in grid positions",
    },
    Parameter {
        name: "npad.similarity_power",
        default: "1",
        kind: Kind::Number(0.0, 64.0),
        help: "exponent of the cosine similarity that weights a neighbour; 0: equal weights",
    },
    Parameter {
        name: "npad.patch",
        default: "3",
        kind: Kind::Odd(1, 15),
        help: "side of the patch that is averaged for the patch level, in grid positions",
    },
    Parameter {
        name: "npad.regularisation",
        default: "0.01",
        kind: Kind::Number(1e-6, 1e6),
        help: "variance added to the diagonal of each covariance, in squared feature units",
    },
    Parameter {
        name: "npad.block",
        default: "1x2",
        kind: Kind::Choice(&["1x1", "1x2", "2x2", "3x3"]),
        help: "rows and columns of the blocks of grid positions that share a covariance in the patch level; each position has \
               its own mean",
    },
    Parameter {
        name: "npad.shrinkage",
        default: "0.1",
        kind: Kind::NumberOr(0.0, 1.0, &["estimated"]),
        help: "shrinkage of a position's covariance towards its target: a share, or an estimate from the images by OAS \
               (identity) or Ledoit and Wolf (pooled)",
    },
    Parameter {
        name: "npad.shrinkage_target",
        default: "pooled",
        kind: Kind::Choice(&["pooled", "identity"]),
        help: "shrinkage target of a covariance: the mean covariance of all positions, or a multiple of the identity",
    },
    Parameter {
        name: "npad.centroids",
        default: "64",
        kind: Kind::Count(1, 8192),
        help: "number of K-means centroids of the good images' features",
    },
    Parameter {
        name: "npad.centroid_patch",
        default: "1",
        kind: Kind::Odd(1, 15),
        help: "side of the patch that is averaged for the centroids, in grid positions; 1: single positions",
    },
    Parameter {
        name: "npad.centroid_samples",
        default: "10000",
        kind: Kind::Count(1, 1_000_000),
        help: "number of patches that K-means runs on",
    },
    Parameter {
        name: "npad.shifts",
        default: "1",
        kind: Kind::Choice(&["1", "5"]),
        help: "number of copies of an image that are scored and averaged: the image itself, or also four diagonally \
               shifted copies",
    },
    Parameter {
        name: "npad.shift_pixels",
        default: "2",
        kind: Kind::Count(1, 32),
        help: "shift of a copy in pixels of the network's input",
    },
];

/// The method in the registry.
pub struct Npad;

impl Method for Npad {
    fn name(&self) -> &'static str {
        "npad"
    }

    fn help(&self) -> &'static str {
        "neighbouring-pixel anomaly detection: Gaussians of patches and pixels at each position, and centroids (Jang, Hwang, Park 2023)"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn has_graph(&self) -> bool {
        true
    }

    fn shifts(&self, parameters: &Parameters) -> Vec<(isize, isize)> {
        let s = parameters.count("npad.shift_pixels") as isize;
        let all = [(0, 0), (s, s), (-s, s), (s, -s), (-s, -s)];
        all[..parameters.count("npad.shifts")].to_vec()
    }

    fn fitter(&self, parameters: &Parameters, seed: u64, _: &Environment) -> Result<Box<dyn Fitter>> {
        Ok(Self::start(NpadConfig::new(parameters), seed))
    }

    fn resume(&self, parameters: &Parameters, seed: u64, state: State, images: usize) -> Result<Box<dyn Fitter>> {
        Self::resume(NpadConfig::new(parameters), seed, state, images)
    }

    fn load(&self, parameters: &Parameters, state: State, _: &Environment) -> Result<Box<dyn Scorer>> {
        Self::load(&NpadConfig::new(parameters), state)
    }
}

/// The same for methods that are N-pad with other config.
impl Npad {
    pub(super) fn start(config: NpadConfig, seed: u64) -> Box<dyn Fitter> {
        Box::new(fit::NpadFitter::new(config, seed))
    }

    pub(super) fn resume(config: NpadConfig, seed: u64, state: State, images: usize) -> Result<Box<dyn Fitter>> {
        let prior = score::NpadScorer::load(&config, state)?;
        Ok(Box::new(fit::NpadFitter::resume(config, seed, prior, images)))
    }

    pub(super) fn load(config: &NpadConfig, state: State) -> Result<Box<dyn Scorer>> {
        Ok(Box::new(score::NpadScorer::load(config, state)?))
    }
}

/// Selection of the Gaussians' channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The channels with the largest share of variance within a position.
    WithinPosition,
    /// A random choice.
    Random,
}

/// How levels are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The smallest level at each position of the map and the sum for the image, each divided by its mean.
    Minimum,
    /// The sum, each divided by its standard deviation.
    Standardised,
    /// The unscaled mean.
    Mean,
}

/// The parsed parameters.
#[derive(Debug, Clone)]
pub struct NpadConfig {
    map_levels: [bool; 3],
    image_levels: [bool; 3],
    rule: Rule,
    channels: usize,
    selection: Selection,
    radius: usize,
    power: f64,
    patch: usize,
    block: (usize, usize),
    regularisation: Regularisation,
    centroids: usize,
    centroid_patch: usize,
    centroid_samples: usize,
}

impl NpadConfig {
    fn new(parameters: &Parameters) -> Self {
        let levels = |name: &str| std::array::from_fn(|level| parameters.includes(name, LEVELS[level]));
        Self {
            map_levels: levels("npad.levels"),
            image_levels: levels("npad.image_levels"),
            rule: match parameters.text("npad.fusion") {
                "minimum" => Rule::Minimum,
                "standardised" => Rule::Standardised,
                _ => Rule::Mean,
            },
            channels: parameters.count("npad.channels"),
            selection: match parameters.text("npad.selection") {
                "variance" => Selection::WithinPosition,
                _ => Selection::Random,
            },
            radius: parameters.count("npad.neighbourhood") / 2,
            power: parameters.number("npad.similarity_power"),
            patch: parameters.count("npad.patch"),
            block: match parameters.text("npad.block") {
                "1x1" => (1, 1),
                "1x2" => (1, 2),
                "2x2" => (2, 2),
                _ => (3, 3),
            },
            regularisation: Regularisation {
                target: match parameters.text("npad.shrinkage_target") {
                    "identity" => Target::Identity,
                    _ => Target::Pooled,
                },
                share: match parameters.text("npad.shrinkage") {
                    "estimated" => Share::Estimated,
                    _ => Share::Fixed(parameters.number("npad.shrinkage")),
                },
                ridge: parameters.number("npad.regularisation"),
            },
            centroids: parameters.count("npad.centroids"),
            centroid_patch: parameters.count("npad.centroid_patch"),
            centroid_samples: parameters.count("npad.centroid_samples"),
        }
    }

    /// The pixel level without neighbours, for PaDiM.
    pub fn pixel_alone(channels: usize, selection: Selection, regularisation: Regularisation) -> Self {
        let pixel = [true, false, false];
        Self {
            map_levels: pixel,
            image_levels: pixel,
            rule: Rule::Mean,
            channels,
            selection,
            radius: 0,
            power: 1.0,
            patch: 1,
            block: (1, 1),
            regularisation,
            centroids: 0,
            centroid_patch: 1,
            centroid_samples: 0,
        }
    }

    /// The samples of an image for a position of the pixel level.
    fn window(&self) -> Window {
        Window { radius: self.radius, power: self.power }
    }

    /// Whether a level is used.
    fn uses(&self, level: usize) -> bool {
        self.map_levels[level] || self.image_levels[level]
    }
}

fn out_of_order() -> Error {
    Error::new(Status::Internal, "a fitter's functions were called in the wrong order")
}
