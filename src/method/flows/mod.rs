//! Methods that train a network on the features of good images by gradient descent: FastFlow, CFLOW-AD and PEFM.
//!
//! Training needs the cargo feature `flows`. The trained network is stored as ONNX in the model file and scores through
//! ONNX Runtime like the backbone, so that a library without the feature scores with it, too.
//!
//! # What the networks see
//!
//! Each tap on its own grid, as means over cells of the feature map's grid, whitened: the mean of the position is subtracted, and the result multiplied with the inverse
//! Cholesky factor of the covariance of all positions. A flow of identity steps is then a Gaussian with a mean for each
//! position, which is where training starts: the last layers of all subnets are zero. The published methods start with
//! random networks on raw features (FastFlow on features that a layer norm with learnt factors for each position
//! scales), and need hundreds of epochs on a graphics processor to arrive there.
//!
//! # What the scores are
//!
//! The anomaly map of FastFlow and CFLOW-AD is the density that the flow learns, which is large where a position of any
//! image would be unlikely. An image, however, is defective because of positions that are unlikely for their place: its
//! score is the largest Mahalanobis distance of a position's latent values from those of good images at that position, with
//! a covariance for each position as PaDiM has (Defard et al. 2021), divided by the root of the number of channels. The
//! published methods take both from the map.
//!
//! # Training
//!
//! Networks learn from the images that a fit keeps, as many as 384 MiB of feature maps hold; a warning says so where that is
//! not all. A fifth of them is held out, but ten of 20 to 50, and half of fewer. Their loss decides when
//! training ends, and which state of the network is kept; they are scored for the thresholds. The gradient of each image
//! of a mini-batch is computed on one thread, and gradients are added in the order of the images, so that results do not
//! depend on the number of threads. Adam (Kingma and Ba 2015) follows them at a rate that falls along a cosine
//! (Loshchilov and Hutter 2017).
//!
//! # Why candle
//!
//! candle-core 0.9 has 92 dependencies in all; burn 0.21 with its CPU backend and automatic differentiation alone locks
//! 593. candle's own convolution takes twice the time of one composed of shifted copies and one matrix product, which is
//! therefore used (`train/tape.rs`). Its optimisers keep their moments to themselves, so a fit could not be resumed; Adam
//! is the project's own.

mod layout;
mod scorer;
#[cfg(feature = "flows")]
mod train;

use super::{Environment, Fitter, Kind, Method, Parameter, Parameters, Scorer, State};
use crate::error::Result;
use scorer::NetworkScorer;

/// A method that trains a network.
pub struct Flow {
    name: &'static str,
    help: &'static str,
    parameters: &'static [Parameter],
    #[cfg(feature = "flows")]
    fitter: train::NewFitter,
}

/// FastFlow.
pub static FASTFLOW: Flow = Flow {
    name: "fastflow",
    help: "2-D normalizing flow over each tap of the backbone (Yu et al. 2021); trains for minutes",
    parameters: &[
        epochs("fastflow.epochs"),
        rate("fastflow.learning_rate", "0.0002"),
        batch("fastflow.batch"),
        Parameter {
            name: "fastflow.steps",
            default: "4",
            kind: Kind::Count(1, 64),
            help: "number of coupling steps of each flow",
        },
        Parameter {
            name: "fastflow.hidden",
            default: "1",
            kind: Kind::Number(0.1, 8.0),
            help: "channels of the subnets' hidden layer as a multiple of their input's",
        },
        clamp("fastflow.clamp", "2"),
    ],
    #[cfg(feature = "flows")]
    fitter: train::fastflow,
};

/// CFLOW-AD.
pub static CFLOW: Flow = Flow {
    name: "cflow",
    help: "normalizing flow conditioned on the position, over each tap of the backbone (Gudovskiy et al. 2022); trains for \
           minutes",
    parameters: &[
        epochs("cflow.epochs"),
        rate("cflow.learning_rate", "0.0001"),
        batch("cflow.batch"),
        Parameter {
            name: "cflow.steps",
            default: "8",
            kind: Kind::Count(1, 64),
            help: "number of coupling steps of each flow",
        },
        Parameter {
            name: "cflow.encoding",
            default: "32",
            kind: Kind::Count(4, 512),
            help: "number of values of the encoding of a position, rounded up to a multiple of 4",
        },
        clamp("cflow.clamp", "1.9"),
    ],
    #[cfg(feature = "flows")]
    fitter: train::cflow,
};

/// PEFM.
pub static PEFM: Flow = Flow {
    name: "pefm",
    help: "mapping of the features of each tap of the backbone to those of the next and back, with the position as input \
           (Wan et al. 2022); trains for minutes",
    parameters: &[
        epochs("pefm.epochs"),
        rate("pefm.learning_rate", "0.001"),
        batch("pefm.batch"),
        Parameter {
            name: "pefm.latent",
            default: "64",
            kind: Kind::Count(4, 1024),
            help: "number of channels between encoder and decoder, which both directions share",
        },
        Parameter {
            name: "pefm.encoding",
            default: "32",
            kind: Kind::Count(4, 512),
            help: "number of values of the encoding of a position, rounded up to a multiple of 4",
        },
    ],
    #[cfg(feature = "flows")]
    fitter: train::pefm,
};

const fn epochs(name: &'static str) -> Parameter {
    Parameter {
        name,
        default: "20",
        kind: Kind::Count(1, 10_000),
        help: "maximum number of passes over the training images; training ends earlier when the loss of the held-out \
               images has not fallen for five",
    }
}

const fn rate(name: &'static str, default: &'static str) -> Parameter {
    Parameter {
        name,
        default,
        kind: Kind::Number(1e-7, 1e3),
        help: "learning rate at the start; it falls to 0 along a cosine, and to a quarter when training diverges",
    }
}

const fn batch(name: &'static str) -> Parameter {
    Parameter { name, default: "8", kind: Kind::Count(1, 1024), help: "number of images of a mini-batch" }
}

const fn clamp(name: &'static str, default: &'static str) -> Parameter {
    Parameter {
        name,
        default,
        kind: Kind::Number(0.01, 10.0),
        help: "largest magnitude of the logarithm of a coupling's scale",
    }
}

impl Method for Flow {
    fn name(&self) -> &str {
        self.name
    }

    fn help(&self) -> &str {
        self.help
    }

    fn parameters(&self) -> &[Parameter] {
        self.parameters
    }

    fn has_graph(&self) -> bool {
        true
    }

    fn shifts(&self, _: &Parameters) -> Vec<(isize, isize)> {
        vec![(0, 0)]
    }

    fn keeps_checkpoint(&self) -> bool {
        true
    }

    #[cfg(feature = "flows")]
    fn fitter(&self, parameters: &Parameters, seed: u64, environment: &Environment) -> Result<Box<dyn Fitter>> {
        (self.fitter)(parameters, seed, environment)
    }

    #[cfg(not(feature = "flows"))]
    fn fitter(&self, _: &Parameters, _: u64, _: &Environment) -> Result<Box<dyn Fitter>> {
        use crate::error::{Error, Status};
        let message = format!(
            "this npad cannot train the method '{}', only score with models of it: it was built without the cargo feature \
             flows",
            self.name
        );
        Err(Error::new(Status::InvalidOption, message))
    }

    fn load(&self, _: &Parameters, state: State, environment: &Environment) -> Result<Box<dyn Scorer>> {
        Ok(Box::new(NetworkScorer::load(state, environment)?))
    }
}
