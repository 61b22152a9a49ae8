//! Numerics: kernels on plain slices, decompositions by nalgebra, arrays by ndarray. Independent of ONNX Runtime, files
//! and global thread pools. No result depends on the number of threads.

pub mod axis;
pub mod filters;
pub mod gaussian;
pub mod kernels;
pub mod kmeans;
pub mod knn;
pub mod linalg;
pub mod random;
pub mod ranks;
pub mod rows;
pub mod stats;
pub mod vector;
