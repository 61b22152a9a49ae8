//! Training the networks.

mod adam;
mod cflow;
mod coupling;
mod density;
mod encoding;
mod export;
mod fastflow;
mod fitter;
mod gaussians;
mod graph;
mod memory;
#[cfg(test)]
mod naive;
mod network;
mod normaliser;
mod ops;
#[cfg(test)]
mod parity;
mod pefm;
mod tape;
mod training;
mod weights;

use crate::backbone::Tap;
use crate::error::Result;
use crate::method::{Environment, Fitter, Parameters};
use fitter::{FlowFitter, Plan};

/// Starts a fit with parameters, seed and environment.
pub type NewFitter = fn(&Parameters, u64, &Environment) -> Result<Box<dyn Fitter>>;

/// Starts a fit of FastFlow.
///
/// # Errors
/// None.
pub fn fastflow(parameters: &Parameters, seed: u64, environment: &Environment) -> Result<Box<dyn Fitter>> {
    let plan = Plan { method: "fastflow", taps: <[Tap]>::to_vec, network: fastflow::network, least_taps: 1 };
    Ok(Box::new(FlowFitter::new(plan, parameters, seed, environment)))
}

/// Starts a fit of CFLOW-AD.
///
/// # Errors
/// None.
pub fn cflow(parameters: &Parameters, seed: u64, environment: &Environment) -> Result<Box<dyn Fitter>> {
    let plan = Plan { method: "cflow", taps: <[Tap]>::to_vec, network: cflow::network, least_taps: 1 };
    Ok(Box::new(FlowFitter::new(plan, parameters, seed, environment)))
}

/// Starts a fit of PEFM.
///
/// # Errors
/// None.
pub fn pefm(parameters: &Parameters, seed: u64, environment: &Environment) -> Result<Box<dyn Fitter>> {
    let plan = Plan { method: "pefm", taps: on_one_grid, network: pefm::Pefm::new, least_taps: 2 };
    Ok(Box::new(FlowFitter::new(plan, parameters, seed, environment)))
}

/// The taps on the grid of the middle one.
fn on_one_grid(taps: &[Tap]) -> Vec<Tap> {
    let mut steps: Vec<usize> = taps.iter().map(|tap| tap.step).collect();
    steps.sort_unstable();
    taps.iter().map(|tap| Tap { step: steps[steps.len() / 2], ..*tap }).collect()
}
