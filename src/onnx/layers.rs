//! Steps of a computation that several networks share, each of a few operators.
//!
//! Operators and their forms are those that mean the same from opset 13 on, so that a network can be written for any of them.

use super::messages::Setting;
use super::writer::{Value, Writer};
use crate::math::axis::Axis;

impl Writer {
    /// An operator without settings.
    pub fn apply(&mut self, operator: &str, inputs: &[&Value]) -> Value {
        self.node(operator, inputs, &[])
    }

    /// `x` times a factor.
    pub fn scaled(&mut self, x: &Value, factor: f32) -> Value {
        let factor = self.constant(&[1], &[factor]);
        self.apply("Mul", &[x, &factor])
    }

    /// Each value, or `least` if that is larger.
    pub fn at_least(&mut self, x: &Value, least: f32) -> Value {
        let least = self.constant(&[1], &[least]);
        self.apply("Max", &[x, &least])
    }

    /// The axes in another order.
    pub fn transposed(&mut self, x: &Value, order: &[i64]) -> Value {
        self.node("Transpose", &[x], &[("perm", Setting::Ints(order))])
    }

    /// Another shape of as many values; -1 stands for the extent that follows from the others.
    pub fn reshaped(&mut self, x: &Value, shape: &[i64]) -> Value {
        let shape = self.integers(shape);
        self.apply("Reshape", &[x, &shape])
    }

    /// The elements `first..end` along an axis.
    pub fn part(&mut self, x: &Value, axis: usize, first: usize, end: usize) -> Value {
        let [from, to, axis] = [first, end, axis].map(|n| self.integers(&[n as i64]));
        self.apply("Slice", &[x, &from, &to, &axis])
    }

    /// The elements of these numbers along an axis.
    pub fn chosen(&mut self, x: &Value, axis: usize, numbers: &[usize]) -> Value {
        let numbers = self.integers_of(&[numbers.len()], numbers.iter().map(|number| *number as i64));
        self.node("Gather", &[x, &numbers], &[("axis", Setting::Int(axis as i64))])
    }

    /// Values one after the other along an axis.
    pub fn joined(&mut self, parts: &[&Value], axis: usize) -> Value {
        self.node("Concat", parts, &[("axis", Setting::Int(axis as i64))])
    }

    /// The sums along an axis, whose extent becomes 1.
    pub fn sums(&mut self, x: &Value, axis: usize) -> Value {
        let axes = self.integers(&[axis as i64]);
        self.apply("ReduceSum", &[x, &axes])
    }

    /// The sums of the squares along an axis, whose extent becomes 1.
    pub fn squares(&mut self, x: &Value, axis: usize) -> Value {
        let squares = self.apply("Mul", &[x, x]);
        self.sums(&squares, axis)
    }

    /// The `count` largest values along the last axis, and their numbers.
    pub fn largest(&mut self, x: &Value, count: usize) -> [Value; 2] {
        let count = self.integers(&[count as i64]);
        self.nodes("TopK", &[x, &count], &[])
    }

    /// Planes, the last two axes of `x`, mapped along their rows and columns.
    pub fn mapped(&mut self, x: &Value, down: &Axis, across: &Axis) -> Value {
        let mut planes = x.clone();
        if !across.is_identity() {
            let (inputs, outputs) = (across.inputs(), across.outputs());
            let matrix = self.constant_of(&[inputs, outputs], across.dense(true));
            planes = self.apply("MatMul", &[&planes, &matrix]);
        }
        if !down.is_identity() {
            let (inputs, outputs) = (down.inputs(), down.outputs());
            let matrix = self.constant_of(&[outputs, inputs], down.dense(false));
            planes = self.apply("MatMul", &[&matrix, &planes]);
        }
        planes
    }

    /// The squared distances of vectors, the rows of the matrix `x`, to `points`, which are as many rows of `length` values: a matrix
    /// with a column for each point.
    pub fn squared_distances(&mut self, x: &Value, points: &[f32], length: usize) -> Value {
        let count = points.len() / length;
        let columns = (0..points.len()).map(|at| -2.0 * points[at % count * length + at / count]);
        let columns = self.constant_of(&[length, count], columns);
        let products = self.apply("MatMul", &[x, &columns]);
        let square = |point: &[f32]| point.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>() as f32;
        let squares = self.constant_of(&[1, count], points.chunks_exact(length).map(square));
        let sums = self.apply("Add", &[&products, &squares]);
        let own = self.squares(x, 1);
        let distances = self.apply("Add", &[&sums, &own]);
        self.apply("Relu", &[&distances])
    }

    /// The values of the numbers `at` along the last axis of a matrix.
    pub fn at(&mut self, x: &Value, at: &Value) -> Value {
        self.node("GatherElements", &[x, at], &[("axis", Setting::Int(1))])
    }

    /// The smallest value of each row of a matrix, a column, and its number.
    pub fn smallest(&mut self, x: &Value) -> [Value; 2] {
        let one = self.integers(&[1]);
        self.nodes("TopK", &[x, &one], &[("largest", Setting::Int(0))])
    }
}
