//! Lloyd's K-means on a sample of bounded size.
//!
//! It starts from the first points of a random sample, as the reference does. k-means++ seeding did not improve
//! results: hundreds of centroids over smooth features cover the data either way.

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use super::kernels::{Panels, nearest};
use super::rows::{as_slice, try_zeros};
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::{try_copy, try_vec};

/// Number of points per task.
const CHUNK: usize = 256;

/// Centroids and the assignment of the points.
#[derive(Debug, Clone, Default)]
pub struct Clusters {
    /// One centroid per row.
    pub centroids: Array2<f32>,
    /// Index of the centroid of each point.
    pub assignment: Vec<u32>,
}

/// Clusters the rows of `points` around `count` centroids (fewer if there are fewer points) in `rounds` iterations.
///
/// # Errors
/// [`crate::error::Status::OutOfMemory`].
pub fn kmeans(points: ArrayView2<'_, f32>, count: usize, rounds: usize, threads: &Threads) -> Result<Clusters> {
    let (number, dimension) = points.dim();
    let mut centroids = try_zeros(count.min(number), dimension)?;
    centroids.assign(&points.slice(s![..count.min(number), ..]));
    let mut assignment = try_vec(number, 0)?;
    let mut distance = try_vec(number, 0.0)?;
    for _ in 0..rounds {
        let before = try_copy(&assignment)?;
        let panels = Panels::from_rows(as_slice(centroids.view()), dimension)?;
        threads.run(|| {
            as_slice(points)
                .par_chunks(CHUNK * dimension)
                .zip(assignment.par_chunks_mut(CHUNK))
                .zip(distance.par_chunks_mut(CHUNK))
                .for_each(|((x, index), distance)| nearest(x, &panels, index, distance));
        });
        move_to_means(points, &assignment, &mut centroids)?;
        if before == assignment {
            break;
        }
    }
    Ok(Clusters { centroids, assignment })
}

/// Moves each centroid to the mean of its points; a centroid without points is unchanged.
fn move_to_means(points: ArrayView2<'_, f32>, assignment: &[u32], centroids: &mut Array2<f32>) -> Result<()> {
    let dimension = points.ncols();
    let mut sums = try_vec(centroids.len(), 0.0f64)?;
    let mut members = try_vec(centroids.nrows(), 0usize)?;
    for (x, &c) in points.rows().into_iter().zip(assignment) {
        members[c as usize] += 1;
        sums[c as usize * dimension..][..dimension].iter_mut().zip(x).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    for ((mut centroid, sum), &n) in centroids.rows_mut().into_iter().zip(sums.chunks_exact(dimension)).zip(&members) {
        if n > 0 {
            centroid.iter_mut().zip(sum).for_each(|(c, s)| *c = (s / n as f64) as f32);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::Random;
    use ndarray::array;

    #[test]
    fn separated_groups_are_found_whatever_the_threads() {
        let mut random = Random::new(5);
        let points = Array2::from_shape_fn((300, 2), |(i, axis)| {
            (i % 3) as f32 * [10.0, -5.0][axis] + random.below(100) as f32 / 100.0
        });
        let one = kmeans(points.view(), 3, 20, &Threads::new(1).unwrap()).unwrap();
        let two = kmeans(points.view(), 3, 20, &Threads::new(2).unwrap()).unwrap();
        assert_eq!(one.centroids, two.centroids);
        for (i, &c) in one.assignment.iter().enumerate() {
            assert_eq!(c, one.assignment[i % 3]);
            assert!((one.centroids[(c as usize, 0)] - (i % 3) as f32 * 10.0 - 0.5).abs() < 0.2);
        }
    }

    #[test]
    fn fewer_points_than_centroids_is_fine() {
        let points = array![[1.0], [2.0]];
        assert_eq!(kmeans(points.view(), 9, 5, &Threads::new(1).unwrap()).unwrap().centroids, points);
    }
}
