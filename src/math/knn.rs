//! Exact nearest neighbours by brute force on blocked products.
//!
//! With hundreds of dimensions and thousands of points, trees and graphs are not faster than blocked products, and
//! approximate search would make scores depend on the order of insertion.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::kernels::{Panels, nearest};
use super::rows::as_slice;
use super::vector::squared_distance;
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::{try_copy, try_vec};

/// The points to search.
#[derive(Debug, Clone)]
pub struct Points {
    rows: Array2<f32>,
    panels: Panels,
}

impl Points {
    /// Prepares the rows of `rows`, which must be contiguous.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn new(rows: Array2<f32>) -> Result<Self> {
        // Relative to their mean, since products of values far from zero would leave little of the distances.
        let mean: Vec<f32> = rows.columns().into_iter().map(|column| mean(column.iter().copied())).collect();
        let mut relative = try_copy(as_slice(rows.view()))?;
        for row in relative.chunks_exact_mut(mean.len().max(1)) {
            row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
        }
        let panels = Panels::from_rows(&relative, rows.ncols())?.around(&mean);
        Ok(Self { rows, panels })
    }

    /// The number of points.
    pub fn count(&self) -> usize {
        self.rows.nrows()
    }

    /// All points.
    pub fn rows(&self) -> ArrayView2<'_, f32> {
        self.rows.view()
    }

    /// One point.
    pub fn row(&self, index: usize) -> &[f32] {
        self.rows.row(index).to_slice().expect("a row's values stand one after the other")
    }

    /// For each row of `x`, the index of the nearest point (the lowest among equals) and the squared distance to it.
    ///
    /// The nearest one is found by products, which leave little of the distance of close points; so that is computed once more.
    pub fn nearest(&self, x: &[f32], index: &mut [u32], distance: &mut [f32]) {
        nearest(x, &self.panels, index, distance);
        for ((x, index), distance) in x.chunks_exact(self.rows.ncols()).zip(index).zip(distance) {
            *distance = squared_distance(x, self.row(*index as usize));
        }
    }
}

fn mean(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = values.len().max(1) as f64;
    (values.map(f64::from).sum::<f64>() / count) as f32
}

/// Greedy k-centre: starts with the first point and repeatedly adds the point that is farthest from all chosen ones, up
/// to `count` points. The radius is at most twice the optimum (Gonzalez 1985).
///
/// # Errors
/// [`crate::error::Status::OutOfMemory`].
pub fn k_centre(points: ArrayView2<'_, f32>, count: usize, threads: &Threads) -> Result<Vec<usize>> {
    /// Number of points per task.
    const CHUNK: usize = 1024;
    let (number, dimension) = points.dim();
    let values = as_slice(points);
    let mut distance = try_vec(number, f32::INFINITY)?;
    let mut chosen: Vec<usize> = Vec::with_capacity(count.min(number));
    let mut next = 0;
    let farthest = |a: (f32, usize), b: (f32, usize)| if b.0 > a.0 || (b.0 == a.0 && b.1 < a.1) { b } else { a };
    threads.run(|| {
        while chosen.len() < count.min(number) {
            chosen.push(next);
            let centre = &values[next * dimension..][..dimension];
            next = values
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
    });
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::Random;
    use ndarray::{ArrayView1, array};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_centre_is_the_farthest_of_the_rest(number in 1usize..60, dimension in 1usize..40, seed in any::<u64>()) {
            let mut random = Random::new(seed);
            let points = Array2::from_shape_simple_fn((number, dimension), || random.below(1000) as f32 / 100.0);
            let chosen = k_centre(points.view(), 12, &Threads::new(2).unwrap()).unwrap();
            let square = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| (&a - &b).mapv(|v| v * v).sum();
            let gap = |i: usize, upto: usize| {
                chosen[..upto].iter().map(|&c| square(points.row(i), points.row(c))).fold(f32::INFINITY, f32::min)
            };
            prop_assert_eq!(chosen[0], 0);
            for (at, next) in chosen.iter().enumerate().skip(1) {
                let best = (0..number).map(|i| gap(i, at)).fold(0.0, f32::max);
                prop_assert!(gap(*next, at) >= best * 0.9999);
            }
        }
    }

    #[test]
    fn close_points_far_from_zero_keep_their_distance() {
        for offset in [0.0, 100.0, 1000.0] {
            let mut random = Random::new(1);
            let rows = Array2::from_shape_simple_fn((70, 20), || offset + random.below(1024) as f32 / 1024.0);
            let near = rows.mapv(|value| value + 1.0 / 1024.0);
            let all = [as_slice(rows.view()), as_slice(near.view())].concat();
            let (mut index, mut distance) = ([0; 140], [1.0; 140]);
            Points::new(rows.clone()).unwrap().nearest(&all, &mut index, &mut distance);
            assert!((0..140).all(|at| index[at] as usize == at % 70), "{offset}: {index:?}");
            let expected = |at: usize| if at < 70 { 0.0 } else { 20.0 / 1024.0f32.powi(2) };
            assert!((0..140).all(|at| distance[at] == expected(at)), "{offset}: {distance:?}");
        }
    }

    #[test]
    fn points_that_are_equal_are_chosen_once() {
        let points = array![[1.0], [1.0], [1.0], [5.0]];
        assert_eq!(k_centre(points.view(), 4, &Threads::new(2).unwrap()).unwrap(), [0, 3]);
    }
}
