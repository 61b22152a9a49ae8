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

    /// The distances of vectors, the rows of the matrix `x`, to the nearest of `points`, which are as many rows of `length` values, and
    /// the numbers of these points: two columns.
    ///
    /// The nearest one is found by products, in which close values would cancel; so all are taken relative to the mean point, and the
    /// distance is computed from the differences.
    pub fn nearest(&mut self, x: &Value, points: &[f32], length: usize) -> [Value; 2] {
        let count = points.len() / length;
        let mean: Vec<f32> = (0..length)
            .map(|i| points[i..].iter().step_by(length).map(|v| f64::from(*v)).sum::<f64>() / count as f64)
            .map(|mean| mean as f32)
            .collect();
        let relative = || points.iter().enumerate().map(|(at, value)| value - mean[at % length]);
        let square =
            |at: usize| (0..length).map(|i| f64::from(points[at * length + i] - mean[i]).powi(2)).sum::<f64>() as f32;
        let squares = self.constant_of(&[1, count], (0..count).map(square));
        let points = self.constant_of(&[count, length], relative());
        let mean = self.constant(&[1, length], &mean);
        let x = self.apply("Sub", &[x, &mean]);
        let columns = self.transposed(&points, &[1, 0]);
        let products = self.apply("MatMul", &[&x, &columns]);
        let products = self.scaled(&products, -2.0);
        let distances = self.apply("Add", &[&products, &squares]);
        let one = self.integers(&[1]);
        let [_, number] = self.nodes("TopK", &[&distances, &one], &[("largest", Setting::Int(0))]);
        let list = self.reshaped(&number, &[-1]);
        let near = self.node("Gather", &[&points, &list], &[("axis", Setting::Int(0))]);
        let differences = self.apply("Sub", &[&x, &near]);
        let squares = self.squares(&differences, 1);
        [self.apply("Sqrt", &[&squares]), number]
    }

    /// The values of the numbers `at` along the last axis of a matrix.
    pub fn at(&mut self, x: &Value, at: &Value) -> Value {
        self.node("GatherElements", &[x, at], &[("axis", Setting::Int(1))])
    }
}
