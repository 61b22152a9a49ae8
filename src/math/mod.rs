//! Numerics on plain slices. Nothing here knows ONNX Runtime, files or threads: callers split the work.

pub mod filters;
pub mod gaussian;
pub mod kernels;
pub mod kmeans;
pub mod knn;
pub mod linalg;
pub mod random;
pub mod stats;
