//! Writing networks as ONNX.

use super::ops::Ops;
use super::weights::{Convolution, Entry, Weight, Weights};
use crate::error::Result;
use crate::onnx::{Setting, Value, Writer};

/// Writes the operations of a network. Maps are 1 x channels x rows x columns.
pub struct Exporter<'a> {
    weights: &'a Weights,
    pub writer: Writer,
}

impl<'a> Exporter<'a> {
    /// Writes operations with these weights.
    pub fn new(weights: &'a Weights) -> Self {
        Self { weights, writer: Writer::default() }
    }

    fn entry(&self, weight: Weight) -> &'a Entry {
        &self.weights.entries()[Weights::index(weight)]
    }
}

impl Ops for Exporter<'_> {
    type Value = Value;

    fn weight(&mut self, weight: Weight) -> Result<Value> {
        let Entry { shape, values, .. } = self.entry(weight);
        Ok(self.writer.constant(&[&[1], &shape[..]].concat(), values))
    }

    fn convolution(&mut self, x: &Value, convolution: Convolution) -> Result<Value> {
        let (weight, bias) = (self.entry(convolution.weight), self.entry(convolution.bias));
        let (side, pad) = (weight.shape[2] as i64, weight.shape[2] as i64 / 2);
        let weight = self.writer.constant(&weight.shape, &weight.values);
        let bias = self.writer.constant(&bias.shape, &bias.values);
        let (sides, pads) = ([side; 2], [pad; 4]);
        let settings = [("kernel_shape", Setting::Ints(&sides)), ("pads", Setting::Ints(&pads))];
        Ok(self.writer.node("Conv", &[x, &weight, &bias], &settings))
    }

    fn channels(&mut self, x: &Value, first: usize, count: usize) -> Result<Value> {
        let [from, to, axis] = [first, first + count, 1].map(|n| self.writer.integers(&[n as i64]));
        Ok(self.writer.node("Slice", &[x, &from, &to, &axis], &[]))
    }

    fn join(&mut self, parts: &[&Value]) -> Result<Value> {
        Ok(self.writer.node("Concat", parts, &[("axis", Setting::Int(1))]))
    }

    fn permute(&mut self, x: &Value, order: &[usize]) -> Result<Value> {
        let order: Vec<i64> = order.iter().map(|channel| *channel as i64).collect();
        let order = self.writer.integers(&order);
        Ok(self.writer.node("Gather", &[x, &order], &[("axis", Setting::Int(1))]))
    }

    fn relu(&mut self, x: &Value) -> Result<Value> {
        Ok(self.writer.node("Relu", &[x], &[]))
    }

    fn tanh(&mut self, x: &Value) -> Result<Value> {
        Ok(self.writer.node("Tanh", &[x], &[]))
    }

    fn exp(&mut self, x: &Value) -> Result<Value> {
        Ok(self.writer.node("Exp", &[x], &[]))
    }

    fn add(&mut self, a: &Value, b: &Value) -> Result<Value> {
        Ok(self.writer.node("Add", &[a, b], &[]))
    }

    fn subtract(&mut self, a: &Value, b: &Value) -> Result<Value> {
        Ok(self.writer.node("Sub", &[a, b], &[]))
    }

    fn multiply(&mut self, a: &Value, b: &Value) -> Result<Value> {
        Ok(self.writer.node("Mul", &[a, b], &[]))
    }

    fn divide(&mut self, a: &Value, b: &Value) -> Result<Value> {
        Ok(self.writer.node("Div", &[a, b], &[]))
    }

    fn sqrt(&mut self, x: &Value) -> Result<Value> {
        Ok(self.writer.node("Sqrt", &[x], &[]))
    }

    fn scale(&mut self, x: &Value, factor: f32) -> Result<Value> {
        let factor = self.writer.constant(&[1], &[factor]);
        Ok(self.writer.node("Mul", &[x, &factor], &[]))
    }

    fn sum_channels(&mut self, x: &Value) -> Result<Value> {
        let axes = self.writer.integers(&[1]);
        Ok(self.writer.node("ReduceSum", &[x, &axes], &[]))
    }
}
