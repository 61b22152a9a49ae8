//! Lloyd's K-means on a sample of bounded size.
//!
//! Starting from the first points of a random sample, as the reference does: k-means++ seeding was not worth its cost,
//! since hundreds of centroids over smooth features cover the data either way.

use rayon::prelude::*;

use super::kernels::{Panels, nearest};
use crate::exec::Threads;

/// Points that one task assigns.
const CHUNK: usize = 256;

/// Centroids and which one each point is nearest to.
#[derive(Debug, Clone)]
pub struct Clusters {
    /// `count * dimension` values.
    pub centroids: Vec<f32>,
    /// For each point, the index of the centroid whose mean it went into.
    pub assignment: Vec<u32>,
}

/// Clusters the rows of `points` around `count` centroids (fewer if there are fewer points) in so many rounds.
pub fn kmeans(points: &[f32], dimension: usize, count: usize, rounds: usize, threads: &Threads) -> Clusters {
    let number = points.len() / dimension;
    let mut clusters =
        Clusters { centroids: points[..count.min(number) * dimension].to_vec(), assignment: vec![0; number] };
    let mut distance = vec![0.0; number];
    for _ in 0..rounds {
        let Clusters { centroids, assignment } = &mut clusters;
        let before = assignment.clone();
        let panels = Panels::from_rows(centroids, dimension);
        threads.run(|| {
            points
                .par_chunks(CHUNK * dimension)
                .zip(assignment.par_chunks_mut(CHUNK))
                .zip(distance.par_chunks_mut(CHUNK))
                .for_each(|((x, index), distance)| nearest(x, &panels, index, distance));
        });
        move_to_means(points, dimension, assignment, centroids);
        if before == *assignment {
            break;
        }
    }
    clusters
}

/// Moves each centroid to the mean of its points; one without points stays where it is.
fn move_to_means(points: &[f32], dimension: usize, assignment: &[u32], centroids: &mut [f32]) {
    let count = centroids.len() / dimension;
    let mut sums = vec![0.0f64; centroids.len()];
    let mut members = vec![0usize; count];
    for (x, &c) in points.chunks_exact(dimension).zip(assignment) {
        members[c as usize] += 1;
        let sum = &mut sums[c as usize * dimension..][..dimension];
        sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    for ((centroid, sum), &n) in centroids.chunks_exact_mut(dimension).zip(sums.chunks_exact(dimension)).zip(&members) {
        if n > 0 {
            centroid.iter_mut().zip(sum).for_each(|(c, s)| *c = (s / n as f64) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::Random;

    #[test]
    fn separated_groups_are_found_whatever_the_threads() {
        let mut random = Random::new(5);
        let points: Vec<f32> = (0..300)
            .flat_map(|i| [(i % 3) as f32 * 10.0, (i % 3) as f32 * -5.0].map(|v| v + random.below(100) as f32 / 100.0))
            .collect();
        let one = kmeans(&points, 2, 3, 20, &Threads::new(1).unwrap());
        let two = kmeans(&points, 2, 3, 20, &Threads::new(2).unwrap());
        assert_eq!(one.centroids, two.centroids);
        for (i, &c) in one.assignment.iter().enumerate() {
            assert_eq!(c, one.assignment[i % 3]);
            assert!((one.centroids[c as usize * 2] - (i % 3) as f32 * 10.0 - 0.5).abs() < 0.2);
        }
    }

    #[test]
    fn fewer_points_than_centroids_is_fine() {
        let clusters = kmeans(&[1.0, 2.0], 1, 9, 5, &Threads::new(1).unwrap());
        assert_eq!(clusters.centroids, [1.0, 2.0]);
    }
}
