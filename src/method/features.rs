//! The features of the levels: selected channels, patch means, and weighted neighbours of a position.

use crate::backbone::FeatureMap;
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::try_reserve;
use crate::math::axis::Axis;
use crate::math::filters::box_mean;
use crate::math::kernels::padded;
use crate::math::random::Random;
use crate::math::vector;
use crate::onnx::{Value, Writer};

/// Copies the selected channels of `features`, padded to whole kernel blocks with zeros.
pub fn select(features: &FeatureMap, channels: &[u32], threads: &Threads, out: &mut FeatureMap) -> Result<()> {
    let (rows, cols, _) = features.shape();
    let row_len = padded(channels.len());
    out.reshape((rows, cols, row_len))?;
    threads.chunks(out.as_mut_slice(), cols * row_len, |y, row| {
        for (x, out) in row.chunks_exact_mut(row_len).enumerate() {
            let source = features.at(y * cols + x);
            let (out, padding) = out.split_at_mut(channels.len());
            out.iter_mut().zip(channels).for_each(|(out, &c)| *out = source[c as usize]);
            padding.fill(0.0);
        }
    });
    Ok(())
}

/// The k x k neighbourhood mean of each position, edges replicated.
pub fn patch_mean(map: &FeatureMap, k: usize, threads: &Threads, out: &mut FeatureMap) -> Result<()> {
    out.reshape(map.shape())?;
    out.set_taps(map.taps().iter().copied());
    box_mean(map.view(), k, threads, out.view_mut());
    Ok(())
}

/// [`patch_mean`] in a graph, of planes.
pub fn mean_planes(writer: &mut Writer, planes: &Value, (rows, cols): (usize, usize), k: usize) -> Value {
    writer.mapped(planes, &Axis::mean(rows, k), &Axis::mean(cols, k))
}

/// The vectors of planes in a graph as rows of a matrix: of each position of each image.
pub fn vectors(writer: &mut Writer, planes: &Value, channels: usize) -> Value {
    let last = writer.transposed(planes, &[0, 2, 3, 1]);
    writer.reshaped(&last, &[-1, channels as i64])
}

/// Appends the features of `count` random positions (all if there are fewer) to `rows` and returns their number.
pub fn draw(features: &FeatureMap, count: usize, random: &mut Random, rows: &mut Vec<f32>) -> Result<usize> {
    let positions = random.choose(count, features.positions())?;
    try_reserve(rows, positions.len() * features.channels())?;
    positions.iter().for_each(|&p| rows.extend_from_slice(features.at(p)));
    Ok(positions.len())
}

/// The neighbours of one position and their weights.
#[derive(Default)]
pub struct Neighbours {
    /// One padded row per neighbour, including the target. Positions beyond the edge repeat the edge.
    pub rows: Vec<f32>,
    /// `max(0, cos(target, neighbour))^power`.
    pub weights: Vec<f32>,
}

impl Neighbours {
    /// Collects the window of the given radius around position `p` of a padded map. With radius 0 it holds the target
    /// only, with weight 1.
    pub fn collect(&mut self, map: &FeatureMap, p: usize, radius: usize, power: f64) {
        self.rows.clear();
        self.weights.clear();
        let target = map.at(p);
        if radius == 0 {
            self.rows.extend_from_slice(target);
            self.weights.push(1.0);
            return;
        }
        let length = dot(target, target).sqrt() + 1e-12;
        let (rows, cols, _) = map.shape();
        let (y, x) = (p / cols, p % cols);
        let window = |at: usize, len: usize| (at..=at + 2 * radius).map(move |i| i.saturating_sub(radius).min(len - 1));
        for v in window(y, rows) {
            for u in window(x, cols) {
                let neighbour = map.at(v * cols + u);
                let cosine = dot(target, neighbour) / (length * (dot(neighbour, neighbour).sqrt() + 1e-12));
                let similarity = cosine.max(0.0);
                self.weights.push(if power == 1.0 { similarity } else { similarity.powf(power as f32) });
                self.rows.extend_from_slice(neighbour);
            }
        }
    }
}

/// The dot product of padded rows.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    vector::dot::<8, false, f32>(a, b)
}
