//! npad: industrial visual anomaly detection that learns from good images only.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod backbone;
mod bundle;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod dataset;
pub mod error;
pub mod ffi;
pub mod image;
pub mod math;
pub mod method;
#[cfg(feature = "cli")]
pub mod metrics;
pub mod model;
mod pool;
pub mod postprocess;
pub mod preprocess;
pub mod threads;
