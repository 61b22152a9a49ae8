//! From grid scores to what a user sees: the anomaly map in the image's geometry, regions, and pictures of them.

mod heatmap;
mod regions;

pub use heatmap::{Heatmap, draw_boxes};
pub use regions::{FloodFill, Region, RegionFinder};

use crate::math::filters::{gaussian_blur, resize, shift};
use crate::preprocess::InputSize;

/// One grid map per displacement at which an image was scored, becoming one smooth map of the network's input size.
#[derive(Default)]
pub struct Smoother {
    plane: Vec<f32>,
    moved: Vec<f32>,
    sum: Vec<f32>,
    weight: Vec<f32>,
    scratch: Vec<f32>,
}

/// The least share of a smoothed value that must come from pixels that count; below it, the map is 0.
const LEAST_WEIGHT: f32 = 1e-2;

impl Smoother {
    /// Resizes each map to `size`, shifts it back, averages, and blurs with `sigma` (in pixels of the input).
    ///
    /// `maps` yields each displacement `(dy, dx)` with its `rows * cols` values. With `cover`, which tells the pixels of
    /// `size` that count, others have no influence (normalised convolution, Knutsson and Westin 1993).
    pub fn run<'a>(
        &mut self,
        maps: impl ExactSizeIterator<Item = ((isize, isize), &'a [f32])>,
        grid: (usize, usize),
        size: InputSize,
        sigma: f64,
        cover: Option<&[bool]>,
    ) -> &[f32] {
        let InputSize { height, width } = size;
        let scale = 1.0 / maps.len() as f32;
        self.sum.clear();
        self.sum.resize(height * width, 0.0);
        self.plane.resize(height * width, 0.0);
        for ((dy, dx), map) in maps {
            resize(map, grid, (height, width), &mut self.plane);
            let plane = if (dy, dx) == (0, 0) {
                &self.plane
            } else {
                shift(&self.plane, height, width, (-dy, -dx), &mut self.moved);
                &self.moved
            };
            self.sum.iter_mut().zip(plane).for_each(|(sum, v)| *sum += scale * v);
        }
        let Some(cover) = cover else {
            gaussian_blur(&mut self.sum, height, width, sigma, &mut self.scratch);
            return &self.sum;
        };
        self.sum.iter_mut().zip(cover).filter(|(_, inside)| !**inside).for_each(|(sum, _)| *sum = 0.0);
        self.weight.clear();
        self.weight.extend(cover.iter().map(|inside| f32::from(u8::from(*inside))));
        gaussian_blur(&mut self.sum, height, width, sigma, &mut self.scratch);
        gaussian_blur(&mut self.weight, height, width, sigma, &mut self.scratch);
        for (sum, weight) in self.sum.iter_mut().zip(&self.weight) {
            *sum = if *weight < LEAST_WEIGHT { 0.0 } else { *sum / weight };
        }
        &self.sum
    }
}

/// The mean of the highest `share` of the map's values that `cover` keeps, at least one: with a share of 0 the maximum.
///
/// A defect of some size raises it as much as a maximum, a single noisy pixel does not.
pub fn peak(map: &[f32], cover: Option<&[bool]>, share: f64, scratch: &mut Vec<f32>) -> f32 {
    scratch.clear();
    match cover {
        None => scratch.extend_from_slice(map),
        Some(cover) => scratch.extend(map.iter().zip(cover).filter(|(_, inside)| **inside).map(|(v, _)| *v)),
    }
    let count = (scratch.len() as f64 * share) as usize;
    if count <= 1 {
        return maximum(scratch);
    }
    scratch.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
    (scratch[..count].iter().map(|v| f64::from(*v)).sum::<f64>() / count as f64) as f32
}

/// The largest value.
pub fn maximum(map: &[f32]) -> f32 {
    map.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_the_mean_of_the_highest_values() {
        let map: Vec<f32> = (0..100).map(|i| (i * 37 % 100) as f32).collect();
        let mut scratch = Vec::new();
        assert_eq!(peak(&map, None, 0.0, &mut scratch), 99.0);
        assert_eq!(peak(&map, None, 0.04, &mut scratch), 97.5);
        assert_eq!(peak(&map, None, 1.0, &mut scratch), 49.5);
        let cover: Vec<bool> = map.iter().map(|v| *v < 50.0).collect();
        assert_eq!(peak(&map, Some(&cover), 0.04, &mut scratch), 48.5, "the highest two of fifty");
    }

    #[test]
    fn shifted_maps_come_back_to_their_place() {
        let size = InputSize { height: 8, width: 8 };
        let mut smoother = Smoother::default();
        let mut still = vec![0.0; 64];
        still[3 * 8 + 4] = 1.0;
        // An image moved by (2, 1) shows the same spot two rows higher and one column to the left.
        let mut moved = vec![0.0; 64];
        moved[8 + 3] = 1.0;
        let maps = [((0, 0), &still[..]), ((2, 1), &moved[..])];
        assert_eq!(smoother.run(maps.into_iter(), (8, 8), size, 0.0, None), &still[..]);
    }

    #[test]
    fn what_does_not_count_has_no_influence() {
        let size = InputSize { height: 8, width: 8 };
        let cover: Vec<bool> = (0..64).map(|i| i % 8 < 5).collect();
        let run = |outside: f32| {
            let map: Vec<f32> = cover.iter().map(|inside| if *inside { 2.0 } else { outside }).collect();
            Smoother::default().run([((0, 0), &map[..])].into_iter(), (8, 8), size, 1.0, Some(&cover)).to_vec()
        };
        assert_eq!(run(0.0), run(1e6));
        let smooth = run(7.0);
        assert!((0..5).all(|x| (smooth[x] - 2.0).abs() < 1e-5), "{:?}", &smooth[..8]);
        assert_eq!(smooth[7], 0.0, "too far from anything that counts");
    }
}
