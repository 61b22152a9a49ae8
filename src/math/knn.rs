//! Exact nearest neighbours by brute force on blocked products.
//!
//! With hundreds of dimensions and thousands of points, trees and graphs gain nothing over a pass at the machine's peak,
//! and an approximate answer would make scores depend on the order of insertion.

use super::kernels::{Panels, nearest};

/// Points to be searched.
#[derive(Debug, Clone)]
pub struct Points {
    dimension: usize,
    rows: Vec<f32>,
    panels: Panels,
}

impl Points {
    /// The rows of `rows`, `dimension` values each.
    pub fn new(rows: Vec<f32>, dimension: usize) -> Self {
        Self { dimension, panels: Panels::from_rows(&rows, dimension), rows }
    }

    /// Their number.
    pub fn count(&self) -> usize {
        self.panels.outputs()
    }

    /// All of them, row after row.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// One of them.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.rows[index * self.dimension..][..self.dimension]
    }

    /// For each row of `x`, the index of the nearest point (the lowest among equals) and the squared distance to it.
    pub fn nearest(&self, x: &[f32], index: &mut [u32], distance: &mut [f32]) {
        nearest(x, &self.panels, index, distance);
    }
}

/// Greedy k-centre: starting with the first point, again and again the one that is farthest from all chosen so far, until
/// there are `count` (fewer if there are fewer points). Its radius is at most twice the best possible (Gonzalez 1985).
pub fn k_centre(points: &[f32], dimension: usize, count: usize) -> Vec<usize> {
    use rayon::prelude::*;

    /// Points that one task measures.
    const CHUNK: usize = 1024;
    let number = points.len() / dimension;
    let mut distance = vec![f32::INFINITY; number];
    let mut chosen: Vec<usize> = Vec::with_capacity(count.min(number));
    let mut next = 0;
    while chosen.len() < count.min(number) {
        chosen.push(next);
        let centre = &points[next * dimension..][..dimension];
        let farthest = |a: (f32, usize), b: (f32, usize)| if b.0 > a.0 || (b.0 == a.0 && b.1 < a.1) { b } else { a };
        next = points
            .par_chunks(CHUNK * dimension)
            .zip(distance.par_chunks_mut(CHUNK))
            .enumerate()
            .map(|(chunk, (points, distance))| {
                let mut best = (f32::NEG_INFINITY, usize::MAX);
                for (i, (point, distance)) in points.chunks_exact(dimension).zip(distance).enumerate() {
                    *distance = distance.min(squared_distance(point, centre));
                    best = farthest(best, (*distance, chunk * CHUNK + i));
                }
                best
            })
            .reduce(|| (f32::NEG_INFINITY, usize::MAX), farthest)
            .1;
        if distance[next] == 0.0 {
            break;
        }
    }
    chosen
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| (a - b) * (a - b)).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for l in 0..LANES {
            lanes[l] += (a[l] - b[l]) * (a[l] - b[l]);
        }
    }
    rest + lanes.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::Random;
    use proptest::prelude::*;

    fn points(number: usize, dimension: usize, seed: u64) -> Vec<f32> {
        let mut random = Random::new(seed);
        (0..number * dimension).map(|_| random.below(1000) as f32 / 100.0).collect()
    }

    proptest! {
        #[test]
        fn each_centre_is_the_farthest_of_the_rest(number in 1usize..60, dimension in 1usize..40, seed in any::<u64>()) {
            let points = points(number, dimension, seed);
            let chosen = k_centre(&points, dimension, 12);
            let gap = |i: usize, upto: usize| {
                let to = |c: &usize| {
                    let pair = points[i * dimension..][..dimension].iter().zip(&points[c * dimension..]);
                    pair.map(|(a, b)| (a - b).powi(2)).sum::<f32>()
                };
                chosen[..upto].iter().map(to).fold(f32::INFINITY, f32::min)
            };
            prop_assert_eq!(chosen[0], 0);
            for (at, next) in chosen.iter().enumerate().skip(1) {
                let best = (0..number).map(|i| gap(i, at)).fold(0.0, f32::max);
                prop_assert!(gap(*next, at) >= best * 0.9999);
            }
        }
    }

    #[test]
    fn points_that_are_equal_are_chosen_once() {
        assert_eq!(k_centre(&[1.0, 1.0, 1.0, 5.0], 1, 4), [0, 3]);
    }
}
