//! Numerics: kernels on plain slices, decompositions by nalgebra, arrays by ndarray. Nothing here knows ONNX Runtime, files or
//! a global thread pool, and no result depends on the number of threads.

pub mod axis;
pub mod filters;
pub mod gaussian;
pub mod kernels;
pub mod kmeans;
pub mod knn;
pub mod linalg;
pub mod random;
pub mod rows;
pub mod stats;
pub mod vector;
