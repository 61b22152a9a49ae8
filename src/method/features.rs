//! The feature maps that the levels are about: selected channels, patch means, and a pixel's weighted neighbours.

use crate::backbone::FeatureMap;
use crate::exec::Threads;
use crate::math::filters::box_mean_row;
use crate::math::kernels::padded;

/// A map whose positions are padded to whole kernel blocks with zeros.
#[derive(Debug, Clone, Default)]
pub struct PaddedMap {
    pub rows: usize,
    pub cols: usize,
    /// `padded(dimension)`.
    pub row_len: usize,
    pub data: Vec<f32>,
}

impl PaddedMap {
    pub fn at(&self, p: usize) -> &[f32] {
        &self.data[p * self.row_len..][..self.row_len]
    }

    fn shape_as(&mut self, rows: usize, cols: usize, row_len: usize) {
        (self.rows, self.cols, self.row_len) = (rows, cols, row_len);
        self.data.resize(rows * cols * row_len, 0.0);
    }
}

/// Copies the selected channels of `features`.
pub fn select(features: &FeatureMap, channels: &[u32], threads: &Threads, out: &mut PaddedMap) {
    out.shape_as(features.rows, features.cols, padded(channels.len()));
    let row_len = out.row_len;
    threads.chunks(&mut out.data, features.cols * row_len, |y, row| {
        for (x, out) in row.chunks_exact_mut(row_len).enumerate() {
            let source = features.at(y * features.cols + x);
            let (out, padding) = out.split_at_mut(channels.len());
            out.iter_mut().zip(channels).for_each(|(out, &c)| *out = source[c as usize]);
            padding.fill(0.0);
        }
    });
}

/// The k x k neighbourhood mean of each position, edges replicated.
pub fn patch_mean(map: &PaddedMap, k: usize, threads: &Threads, out: &mut PaddedMap) {
    out.shape_as(map.rows, map.cols, map.row_len);
    threads.chunks(&mut out.data, map.cols * map.row_len, |y, row| {
        box_mean_row(&map.data, map.rows, map.cols, map.row_len, k, y, row);
    });
}

/// The patch means of all channels.
pub fn patch_mean_all(features: &FeatureMap, k: usize, threads: &Threads, out: &mut FeatureMap) {
    let FeatureMap { rows, cols, channels, .. } = *features;
    (out.rows, out.cols, out.channels) = (rows, cols, channels);
    out.data.resize(features.data.len(), 0.0);
    threads.chunks(&mut out.data, cols * channels, |y, row| {
        box_mean_row(&features.data, rows, cols, channels, k, y, row);
    });
}

/// The neighbours of one position and how much each counts.
#[derive(Default)]
pub struct Neighbours {
    /// One padded row per neighbour, the target among them; a window over the edge repeats the edge.
    pub rows: Vec<f32>,
    /// `max(0, cos(target, neighbour))^power`.
    pub weights: Vec<f32>,
}

impl Neighbours {
    /// Collects the window of the given radius around position `p`. With radius 0 the target counts once, fully.
    pub fn collect(&mut self, map: &PaddedMap, p: usize, radius: usize, power: f64) {
        self.rows.clear();
        self.weights.clear();
        let target = map.at(p);
        if radius == 0 {
            self.rows.extend_from_slice(target);
            self.weights.push(1.0);
            return;
        }
        let length = dot(target, target).sqrt() + 1e-12;
        let (y, x) = (p / map.cols, p % map.cols);
        let window = |at: usize, len: usize| (at..=at + 2 * radius).map(move |i| i.saturating_sub(radius).min(len - 1));
        for v in window(y, map.rows) {
            for u in window(x, map.cols) {
                let neighbour = map.at(v * map.cols + u);
                let cosine = dot(target, neighbour) / (length * (dot(neighbour, neighbour).sqrt() + 1e-12));
                let similarity = cosine.max(0.0);
                self.weights.push(if power == 1.0 { similarity } else { similarity.powf(power as f32) });
                self.rows.extend_from_slice(neighbour);
            }
        }
    }
}

/// Dot product of rows of whole blocks.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut lanes = [0.0f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for l in 0..LANES {
            lanes[l] += a[l] * b[l];
        }
    }
    lanes.iter().sum()
}
