//! PaDiM (Defard, Setkov, Loesch, Audigier; ICPR 2021): one Gaussian per position over good images, on randomly chosen
//! channels; the anomaly score is the Mahalanobis distance.
//!
//! It equals N-pad's pixel level without neighbours, whose code it uses. Differences from the paper: the threshold
//! comes from held-out good images, and the options `grid_step` and `peak_share` apply as to all methods; `grid_step=1`
//! and `peak_share=0` are the paper's.

use super::npad::{Npad, NpadConfig, Selection};
use super::{Environment, Fitter, Kind, Method, Parameter, Parameters, Scorer, State};
use crate::error::Result;
use crate::math::gaussian::{Regularisation, Share, Target};

static PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "padim.channels",
        default: "100",
        kind: Kind::Count(1, 4096),
        help: "number of channels kept (all if there are fewer)",
    },
    Parameter {
        name: "padim.selection",
        default: "random",
        kind: Kind::Choice(&["random", "variance"]),
        help: "which channels are kept: a random choice, as in the paper, or those with the largest share of variance \
               within a position",
    },
    Parameter {
        name: "padim.regularisation",
        default: "0.01",
        kind: Kind::Number(1e-6, 1e6),
        help: "variance added to the diagonal of each covariance, in squared feature units",
    },
];

/// The method in the registry.
pub struct Padim;

impl Method for Padim {
    fn name(&self) -> &'static str {
        "padim"
    }

    fn help(&self) -> &'static str {
        "one Gaussian per position (Defard, Setkov, Loesch, Audigier 2021)"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn has_graph(&self) -> bool {
        true
    }

    fn shifts(&self, _: &Parameters) -> Vec<(isize, isize)> {
        vec![(0, 0)]
    }

    fn fitter(&self, parameters: &Parameters, seed: u64, _: &Environment) -> Result<Box<dyn Fitter>> {
        Ok(Npad::start(config(parameters), seed))
    }

    fn resume(&self, parameters: &Parameters, seed: u64, state: State, images: usize) -> Result<Box<dyn Fitter>> {
        Npad::resume(config(parameters), seed, state, images)
    }

    fn load(&self, parameters: &Parameters, state: State, _: &Environment) -> Result<Box<dyn Scorer>> {
        Npad::load(&config(parameters), state)
    }
}

fn config(parameters: &Parameters) -> NpadConfig {
    let ridge = parameters.number("padim.regularisation");
    let selection =
        if parameters.text("padim.selection") == "random" { Selection::Random } else { Selection::WithinPosition };
    let regularisation = Regularisation { target: Target::Identity, share: Share::Fixed(0.0), ridge };
    NpadConfig::pixel_alone(parameters.count("padim.channels"), selection, regularisation)
}
