//! The table of the general options: names, defaults, ranges and descriptions.

use std::ops::RangeInclusive;

use safer_ffi::prelude::*;

use crate::backbone::DEVICE_FORM;
use crate::error::{Error, Result, Status};
use crate::method::{Kind, Parameter, methods};
use crate::model::OperatingPoint;
use crate::model::export::{MAX_BATCH, OPSETS};
use crate::model::graph::Scoring;

/// Upper limit of the grid step.
pub(in crate::model) const MAX_GRID_STEP: usize = 8;
/// Upper limit of the smoothing.
pub(in crate::model) const MAX_SMOOTHING: f64 = 64.0;
/// Range of the false-alarm rate.
pub(in crate::model) const ALARM_RATES: RangeInclusive<f64> = 1e-5..=0.5;
/// Range of the review rate.
pub(in crate::model) const REVIEW_RATES: RangeInclusive<f64> = 0.0..=0.5;
/// Upper limit of the cost of a miss.
pub(in crate::model) const MAX_MISS_COST: f64 = 1e9;
/// Upper limit of the numbers of threads and of concurrent calls.
const MAX_THREADS: usize = 1024;
/// Upper limit of the call timeout in milliseconds.
const MAX_WAIT_MS: f64 = 1e9;

/// The general options; the methods' parameters are separate.
const OPTIONS: &[Parameter] = &[
    Parameter { name: "method", default: "npad", kind: Kind::Form("the name of a method"), help: "detection method" },
    Parameter {
        name: "size",
        default: "240",
        kind: Kind::Form("a side ('240'), height x width ('320x256') or 'native'"),
        help: "size of the network's input in pixels: a number N (as many pixels as an N x N square, with the aspect \
               ratio of the first image), height x width, or 'native' (the size of the first image)",
    },
    Parameter {
        name: "scales",
        default: "1",
        kind: Kind::Form("1, or 1 to 3 ascending factors from 1 to 4 joined by '+', the first of which is 1"),
        help: "factors of the network's input size that images are scored at; the anomaly maps are averaged. '1+1.6' finds \
               smaller defects and takes about 3 times the time",
    },
    Parameter {
        name: "grid_step",
        default: "2",
        kind: Kind::Count(1, MAX_GRID_STEP),
        help: "side of a grid cell in positions of the backbone's finest output at scale 1: 1 is finest, 2 takes a quarter of \
               the time",
    },
    Parameter {
        name: "tile",
        default: "0",
        kind: Kind::Form("0 or a multiple of 64 from 256 to 8192"),
        help: "maximum side of a tile in pixels of the network's input: larger inputs are split into overlapping \
               tiles, which limits memory; 0: no tiles",
    },
    Parameter {
        name: "device",
        default: "cpu",
        kind: Kind::Form(DEVICE_FORM),
        help: "device that the networks run on. 'auto' takes the best usable one of cuda, directml, openvino:GPU and cpu; any \
               other that cannot be used is an error, there is no fallback",
    },
    Parameter {
        name: "device_cache",
        default: "",
        kind: Kind::Path,
        help: "path of a folder in which tensorrt and openvino keep what they build for a network, so that the next load is \
               fast; it must exist. Empty: nothing is kept",
    },
    Parameter {
        name: "scoring",
        default: "auto",
        kind: Kind::Choice(Scoring::NAMES),
        help: "what scores the features: npad's own kernels on the CPU, or a graph of the whole detector that runs on the device like \
               the backbone, so that only its result leaves the device. 'auto': kernels for the devices cpu and openvino:CPU and \
               for models that have no graph, else the graph",
    },
    Parameter {
        name: "threads",
        default: "0",
        kind: Kind::Count(0, MAX_THREADS),
        help: "number of worker threads; 0: one per core. Results do not depend on it",
    },
    Parameter {
        name: "max_calls",
        default: "0",
        kind: Kind::Count(0, MAX_THREADS),
        help: "maximum number of concurrent scoring calls of a model, each with its own working memory; further calls \
               block. 0: one per core",
    },
    Parameter {
        name: "call_timeout",
        default: "none",
        kind: Kind::NumberOr(0.0, MAX_WAIT_MS, &["none"]),
        help: "milliseconds that a blocked scoring call waits before it fails; 0: it fails at once, 'none': no limit",
    },
    Parameter {
        name: "seed",
        default: "0",
        kind: Kind::Count(0, usize::MAX),
        help: "seed of the random number generator of a fit",
    },
    Parameter {
        name: "checkpoint",
        default: "",
        kind: Kind::Path,
        help: "path of the file in which a fit of fastflow, cflow or pefm keeps its state: the same fit continues from it \
               after a crash. Several scales have a file each, whose names end in .0, .1 and so on. The files stay after the \
               fit; empty: no file",
    },
    Parameter {
        name: "trusted_keys",
        default: "",
        kind: Kind::Form("public keys of 64 hexadecimal digits, separated by commas"),
        help: "public keys, of which one must have signed a model that is loaded. Empty: models need no signature",
    },
    Parameter {
        name: "foreign_backbones",
        default: "allow",
        kind: Kind::Choice(&["allow", "refuse"]),
        help: "what is to be done with a model file that contains a backbone of its own, an ONNX network that ONNX Runtime \
               would run: 'allow', or 'refuse' the model",
    },
    Parameter {
        name: "date",
        default: "today",
        kind: Kind::Form("'today', a day YYYY-MM-DD or 'none'"),
        help: "day of the fit or the recalibration, which the model records: 'today' (in UTC), a day, or 'none' for no \
               record. With 'today' the same fit gives another model file on another day",
    },
    Parameter {
        name: "export_opset",
        default: "auto",
        kind: Kind::CountOr(*OPSETS.start() as usize, *OPSETS.end() as usize, &["auto"]),
        help: "version of ONNX's operators that an export is written in; 'auto': 17, or that of the backbone where it cannot be \
               written in 17",
    },
    Parameter {
        name: "export_batch",
        default: "any",
        kind: Kind::CountOr(1, MAX_BATCH, &["any"]),
        help: "number of images that an exported network takes in a run; 'any': each run's own, or 1 where the backbone or the \
               method takes one",
    },
    Parameter {
        name: "export_size",
        default: "input",
        kind: Kind::Form("'input' or height x width ('1024x1280'), both from 32 to 8192"),
        help: "size of the images of an export: that of the network's input, for which the host resizes images and maps, or \
               that of the host's images, which the exported network then resizes itself",
    },
    Parameter {
        name: "false_alarm_rate",
        default: "0.01",
        kind: Kind::Number(*ALARM_RATES.start(), *ALARM_RATES.end()),
        help: "target share of good images that are judged defective; sets the threshold",
    },
    Parameter {
        name: "review_rate",
        default: "0",
        kind: Kind::Number(*REVIEW_RATES.start(), *REVIEW_RATES.end()),
        help: "target share of good images that are judged defective or for review; sets a second, lower threshold. \
               Must be above false_alarm_rate to have an effect; 0: no review",
    },
    Parameter {
        name: "operating_point",
        default: "rate",
        kind: Kind::Choice(OperatingPoint::NAMES),
        help: "what sets the threshold: false_alarm_rate, or, up to its threshold, the known defects: the highest threshold \
               that finds them all, or the one with the least miss_cost * share of known defects missed + estimated \
               false-alarm rate",
    },
    Parameter {
        name: "miss_cost",
        default: "1",
        kind: Kind::Number(0.0, MAX_MISS_COST),
        help: "weight of the share of known defects missed against the false-alarm rate. If a missed defect costs as much \
               as 500 false alarms and 2 of 1000 parts are defective: 500 * 0.002 / 0.998 = 1",
    },
    Parameter {
        name: "smoothing",
        default: "4",
        kind: Kind::Number(0.0, MAX_SMOOTHING),
        help: "standard deviation of the anomaly map's Gaussian smoothing, in pixels of the network's input at scale 1",
    },
    Parameter {
        name: "peak_share",
        default: "0.01",
        kind: Kind::Number(0.0, 1.0),
        help: "share of the map's highest values whose mean is the image score; 0: the maximum",
    },
    Parameter {
        name: "min_region_area",
        default: "1",
        kind: Kind::Count(1, usize::MAX),
        help: "minimum area of a region in pixels of the image; smaller regions are dropped",
    },
    Parameter {
        name: "backbone",
        default: "",
        kind: Kind::Path,
        help: "path of a custom ONNX backbone; empty: the built-in backbone",
    },
    Parameter {
        name: "backbone_mean",
        default: "0.485,0.456,0.406",
        kind: Kind::Form("three numbers, R,G,B"),
        help: "means of R, G and B that the custom backbone was trained with, for values 0 to 1",
    },
    Parameter {
        name: "backbone_std",
        default: "0.229,0.224,0.225",
        kind: Kind::Form("three numbers above 0, R,G,B"),
        help: "standard deviations of R, G and B that the custom backbone was trained with, for values 0 to 1",
    },
];

/// The options of the machine, of a call or of an export. A fitted model depends on the others.
const RUN_OPTIONS: &[&str] = &[
    "device",
    "device_cache",
    "scoring",
    "threads",
    "max_calls",
    "call_timeout",
    "checkpoint",
    "trusted_keys",
    "foreign_backbones",
    "date",
    "export_opset",
    "export_batch",
    "export_size",
    // The backbone is known by its identity.
    "backbone",
];

/// The general options that a fitted model depends on.
pub fn fit_options() -> impl Iterator<Item = &'static Parameter> {
    OPTIONS.iter().filter(|option| !RUN_OPTIONS.contains(&option.name))
}

/// Type of an option's value. The numbers are part of the C ABI.
#[derive_ReprC]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum OptionKind {
    /// A whole number.
    Integer = 0,
    /// A real number.
    Number = 1,
    /// One of several words.
    Choice = 2,
    /// Any of several words, joined by '+'.
    Flags = 3,
    /// Text.
    Text = 4,
    /// The path of a file.
    Path = 5,
}

impl OptionKind {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Count(..) | Kind::CountOr(..) | Kind::Odd(..) => Self::Integer,
            Kind::Number(..) | Kind::NumberOr(..) => Self::Number,
            Kind::Choice(_) | Kind::Preset(_) => Self::Choice,
            Kind::Set(_) => Self::Flags,
            Kind::Text | Kind::Form(_) => Self::Text,
            Kind::Path => Self::Path,
        }
    }
}

/// Description of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionInfo {
    /// Name, as [`Options::set`](super::Options::set) takes it.
    pub name: &'static str,
    /// Type of its value.
    pub kind: OptionKind,
    /// Default value.
    pub default: &'static str,
    /// Range of values, in words.
    pub range: String,
    /// What the option does, in one line.
    pub help: &'static str,
}

/// All options: first the general ones, then the parameters of each method, named `METHOD.name`.
pub fn options() -> Vec<OptionInfo> {
    let parameters = methods().into_iter().flat_map(|method| method.parameters().to_vec());
    let all = OPTIONS.iter().copied().chain(parameters);
    all.map(|Parameter { name, default, kind, help }| OptionInfo {
        name,
        kind: OptionKind::of(kind),
        default,
        range: kind.to_string(),
        help,
    })
    .collect()
}

/// The option of that name.
pub fn option(key: &str) -> Result<&'static Parameter> {
    OPTIONS.iter().find(|option| option.name == key).ok_or_else(|| {
        let known: Vec<_> = OPTIONS.iter().map(|option| option.name).collect();
        Error::new(
            Status::InvalidOption,
            format!("there is no option '{key}'; known are {} and METHOD.parameter", known.join(", ")),
        )
    })
}
