//! Numerics on plain slices. Nothing here knows ONNX Runtime or files.

pub mod axis;
pub mod filters;
pub mod gaussian;
pub mod kernels;
pub mod kmeans;
pub mod knn;
pub mod linalg;
pub mod random;
pub mod stats;
