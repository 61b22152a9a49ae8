//! PatchCore's scoring as a part of an ONNX graph.

use super::{PatchCoreScorer, around};
use crate::error::Result;
use crate::math::rows::as_slice;
use crate::method::GridGraph;
use crate::method::features::{mean_planes, vectors};
use crate::onnx::{Setting, Value, Writer};

impl PatchCoreScorer {
    /// Adds the scoring to a graph, see [`crate::method::Scorer::to_graph`].
    pub(super) fn write(&self, writer: &mut Writer, features: &Value) -> Result<GridGraph> {
        let (rows, cols, channels) = self.shape;
        let positions = (rows * cols) as i64;
        let patches = mean_planes(writer, features, (rows, cols), self.config.patch);
        let patches = vectors(writer, &patches, channels);
        let patches = self.scaling.write(writer, &patches);
        let bank = as_slice(self.bank.rows());
        let [distances, _] = writer.nearest(&patches, bank, channels);
        let distances = writer.reshaped(&distances, &[-1, positions]);
        let map = writer.reshaped(&distances, &[-1, 1, rows as i64, cols as i64]);

        // The worst patch of each image, as a sum over its patches that leaves out all others; equally bad ones are averaged.
        let [worst, _] = writer.largest(&distances, 1);
        let is_worst = writer.apply("Equal", &[&distances, &worst]);
        let is_worst = writer.node("Cast", &[&is_worst], &[("to", Setting::FLOAT)]);
        let number = writer.sums(&is_worst, 1);
        let shares = writer.apply("Div", &[&is_worst, &number]);
        let shares = writer.reshaped(&shares, &[-1, 1, positions]);
        let patches = writer.reshaped(&patches, &[-1, positions, channels as i64]);
        let patch = writer.apply("MatMul", &[&shares, &patches]);
        let patch = writer.reshaped(&patch, &[-1, channels as i64]);
        let score = self.write_score(writer, &patch, &worst);
        let score = writer.reshaped(&score, &[-1, 1, 1, 1]);
        let nothing = writer.scaled(&map, 0.0);
        Ok(GridGraph { map, evidence: Some(writer.apply("Add", &[&nothing, &score])) })
    }

    /// The image scores, a column, from the worst patch of each image and its distance (equation 7 of the paper).
    fn write_score(&self, writer: &mut Writer, patch: &Value, distance: &Value) -> Value {
        let (count, channels) = (self.config.neighbours.min(self.bank.count()), self.shape.2);
        if count <= 1 {
            return distance.clone();
        }
        let bank = as_slice(self.bank.rows());
        let [_, matched] = writer.nearest(patch, bank, channels);
        let neighbours = (0..self.bank.count()).flat_map(|m| {
            let mut near = Vec::new();
            around(&self.bank, m, count, &mut near);
            near.into_iter().map(|(_, i)| i as i64)
        });
        let neighbours = writer.integers_of(&[self.bank.count(), count], neighbours);
        let matched = writer.reshaped(&matched, &[-1]);
        let first = [("axis", Setting::Int(0))];
        let near = writer.node("Gather", &[&neighbours, &matched], &first);
        let points = writer.constant(&[self.bank.count(), channels], bank);
        let near = writer.node("Gather", &[&points, &near], &first);
        let patch = writer.reshaped(patch, &[-1, 1, channels as i64]);
        let differences = writer.apply("Sub", &[&near, &patch]);
        let squares = writer.squares(&differences, 2);
        let distances = writer.apply("Sqrt", &[&squares]);
        let distances = writer.reshaped(&distances, &[-1, count as i64]);
        let relative = writer.apply("Sub", &[&distances, distance]);
        let powers = writer.apply("Exp", &[&relative]);
        let sum = writer.sums(&powers, 1);
        let one = writer.constant(&[1], &[1.0]);
        let share = writer.apply("Div", &[&one, &sum]);
        let weight = writer.apply("Sub", &[&one, &share]);
        writer.apply("Mul", &[distance, &weight])
    }
}
