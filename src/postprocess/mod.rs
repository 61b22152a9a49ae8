//! From grid scores to what a user sees: the anomaly map in the image's geometry, regions, and pictures of them.

mod heatmap;
mod regions;

pub use heatmap::{Heatmap, draw_boxes};
pub use regions::{Region, find_regions, for_each_component};

use crate::math::filters::{gaussian_blur, resize, shift};
use crate::preprocess::InputSize;

/// One grid map per displacement at which an image was scored, becoming one smooth map of the network's input size.
#[derive(Default)]
pub struct Smoother {
    plane: Vec<f32>,
    moved: Vec<f32>,
    sum: Vec<f32>,
}

impl Smoother {
    /// Resizes each map to `size`, shifts it back, averages, and blurs with `sigma` (in pixels of the input).
    ///
    /// `maps` yields each displacement `(dy, dx)` with its `rows * cols` values.
    pub fn run<'a>(
        &mut self,
        maps: impl ExactSizeIterator<Item = ((isize, isize), &'a [f32])>,
        grid: (usize, usize),
        size: InputSize,
        sigma: f64,
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
        gaussian_blur(&mut self.sum, height, width, sigma);
        &self.sum
    }
}

/// The mean of the highest `share` of the map's values, at least one: with a share of 0 the maximum.
///
/// A defect of some size raises it as much as a maximum, a single noisy pixel does not.
pub fn peak(map: &[f32], share: f64, scratch: &mut Vec<f32>) -> f32 {
    let count = (map.len() as f64 * share) as usize;
    if count <= 1 {
        return maximum(map);
    }
    scratch.clear();
    scratch.extend_from_slice(map);
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
        assert_eq!(peak(&map, 0.0, &mut scratch), 99.0);
        assert_eq!(peak(&map, 0.04, &mut scratch), 97.5);
        assert_eq!(peak(&map, 1.0, &mut scratch), 49.5);
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
        assert_eq!(smoother.run(maps.into_iter(), (8, 8), size, 0.0), &still[..]);
    }
}
