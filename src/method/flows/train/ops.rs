//! The operations that the networks consist of.
//!
//! A network is written once, against [`Ops`]. In training, a [`Tape`](super::tape::Tape) computes it with candle, which
//! differentiates it; an [`Exporter`](super::export::Exporter) writes it as ONNX.

use super::weights::{Convolution, Weight};
use crate::error::Result;

/// Operations on maps of channels x rows x columns.
pub trait Ops {
    /// A map.
    type Value: Clone;

    /// An array of weights of channels x rows x columns, whose extents of 1 are repeated as needed.
    fn weight(&mut self, weight: Weight) -> Result<Self::Value>;
    /// Convolution over positions, with zeros beyond the edge.
    fn convolution(&mut self, x: &Self::Value, convolution: Convolution) -> Result<Self::Value>;
    /// `count` channels from channel `first` on.
    fn channels(&mut self, x: &Self::Value, first: usize, count: usize) -> Result<Self::Value>;
    /// The channels of all, one after the other.
    fn join(&mut self, parts: &[&Self::Value]) -> Result<Self::Value>;
    /// The channels in another order.
    fn permute(&mut self, x: &Self::Value, order: &[usize]) -> Result<Self::Value>;
    /// Elementwise maximum with 0.
    fn relu(&mut self, x: &Self::Value) -> Result<Self::Value>;
    /// Elementwise hyperbolic tangent.
    fn tanh(&mut self, x: &Self::Value) -> Result<Self::Value>;
    /// Elementwise exponential.
    fn exp(&mut self, x: &Self::Value) -> Result<Self::Value>;
    /// Elementwise sum.
    fn add(&mut self, a: &Self::Value, b: &Self::Value) -> Result<Self::Value>;
    /// Elementwise difference.
    fn subtract(&mut self, a: &Self::Value, b: &Self::Value) -> Result<Self::Value>;
    /// Elementwise product.
    fn multiply(&mut self, a: &Self::Value, b: &Self::Value) -> Result<Self::Value>;
    /// Elementwise quotient.
    fn divide(&mut self, a: &Self::Value, b: &Self::Value) -> Result<Self::Value>;
    /// Elementwise square root.
    fn sqrt(&mut self, x: &Self::Value) -> Result<Self::Value>;
    /// All values times a factor.
    fn scale(&mut self, x: &Self::Value, factor: f32) -> Result<Self::Value>;
    /// The sum of the channels of each position.
    fn sum_channels(&mut self, x: &Self::Value) -> Result<Self::Value>;
}
