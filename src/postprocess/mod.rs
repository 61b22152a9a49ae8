//! From grid scores to what a user sees: the anomaly map in the image's geometry, regions, and pictures of them.

mod heatmap;
mod regions;

pub use heatmap::{Heatmap, draw_boxes};
pub use regions::{Components, Map, Region, RegionFinder, Run};

use crate::exec::Threads;
use crate::math::axis::{Axis, Separable};
use crate::math::kernels::dispatch;
use crate::preprocess::InputSize;

/// One grid map per displacement at which an image was scored, becoming one smooth map of the network's input size.
#[derive(Default)]
pub struct Smoother {
    /// What the maps below are for.
    geometry: Option<MapGeometry>,
    /// From the grid of each displacement to the size of the input, smooth already where there is no mask.
    up: Vec<Separable>,
    /// Smoothing on its own, where there is a mask.
    blur: Option<Separable>,
    plane: Vec<f32>,
    weight: Vec<f32>,
}

/// How grids become a map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapGeometry {
    /// Rows and columns of the grid.
    pub grid: (usize, usize),
    /// The network's input size, which is that of the map.
    pub size: InputSize,
    /// Standard deviation of the smoothing, in pixels of the input.
    pub sigma: f64,
    /// Whether a mask leaves pixels out.
    pub masked: bool,
}

/// The least share of a smoothed value that must come from pixels that count; below it, the map is 0.
const LEAST_WEIGHT: f32 = 1e-2;

impl Smoother {
    /// Resizes each map to the input's size, shifts it back, averages, and blurs, into `out`.
    ///
    /// `maps` yields each displacement `(dy, dx)`, the same each time, with its grid of values. With `inside`, which tells the
    /// pixels of the input that count, others have no influence (normalised convolution, Knutsson and Westin 1993).
    pub fn run<'a>(
        &mut self,
        maps: impl ExactSizeIterator<Item = ((isize, isize), &'a [f32])> + Clone,
        geometry: MapGeometry,
        inside: Option<&[bool]>,
        threads: &Threads,
        out: &mut Vec<f32>,
    ) {
        if self.geometry != Some(geometry) {
            self.prepare(geometry, maps.clone().map(|(displacement, _)| displacement));
        }
        let width = geometry.size.width;
        let clear = |plane: &mut Vec<f32>| {
            plane.clear();
            plane.resize(geometry.size.height * width, 0.0);
        };
        clear(out);
        let (Some(inside), Some(blur)) = (inside, &mut self.blur) else {
            self.up.iter_mut().zip(maps).for_each(|(up, (_, map))| up.add(map, out, width, threads));
            return;
        };
        clear(&mut self.plane);
        self.up.iter_mut().zip(maps).for_each(|(up, (_, map))| up.add(map, &mut self.plane, width, threads));
        self.plane.iter_mut().zip(inside).filter(|(_, inside)| !**inside).for_each(|(value, _)| *value = 0.0);
        blur.add(&self.plane, out, width, threads);
        self.plane.clear();
        self.plane.extend(inside.iter().map(|inside| f32::from(u8::from(*inside))));
        clear(&mut self.weight);
        blur.add(&self.plane, &mut self.weight, width, threads);
        for (value, weight) in out.iter_mut().zip(&self.weight) {
            *value = if *weight < LEAST_WEIGHT { 0.0 } else { *value / weight };
        }
    }

    fn prepare(&mut self, geometry: MapGeometry, displacements: impl ExactSizeIterator<Item = (isize, isize)>) {
        let MapGeometry { grid: (rows, cols), size: InputSize { height, width }, sigma, masked } = geometry;
        let blur = [Axis::gaussian(height, sigma), Axis::gaussian(width, sigma)];
        let up = [Axis::bilinear(rows, height), Axis::bilinear(cols, width)];
        let share = 1.0 / displacements.len() as f64;
        self.up = displacements
            .map(|(dy, dx)| {
                let back = [up[0].then(&Axis::shift(height, -dy)), up[1].then(&Axis::shift(width, -dx))];
                let [down, across] = if masked { back } else { [back[0].then(&blur[0]), back[1].then(&blur[1])] };
                Separable::new(down.scaled(share), across)
            })
            .collect();
        self.blur = masked.then(|| {
            let [down, across] = blur;
            Separable::new(down, across)
        });
        self.geometry = Some(geometry);
    }
}

/// Bilinear resizing of a map, remembered for the next of the same size.
#[derive(Default)]
pub struct Resizer {
    sizes: Option<[(usize, usize); 2]>,
    resize: Option<Separable>,
}

impl Resizer {
    /// Resizes `map` to rows of `out` that are `stride` values apart; sizes are rows and columns.
    pub fn run(
        &mut self,
        map: &[f32],
        from: (usize, usize),
        to: (usize, usize),
        out: &mut [f32],
        stride: usize,
        threads: &Threads,
    ) {
        if self.sizes != Some([from, to]) {
            let new = || Separable::new(Axis::bilinear(from.0, to.0), Axis::bilinear(from.1, to.1));
            self.resize = (from != to).then(new);
            self.sizes = Some([from, to]);
        }
        match &mut self.resize {
            Some(resize) => {
                out.chunks_mut(stride).for_each(|row| row[..to.1].fill(0.0));
                resize.add(map, out, stride, threads);
            }
            None => {
                let rows = out.chunks_mut(stride).zip(map.chunks_exact(to.1));
                rows.for_each(|(row, from)| row[..to.1].copy_from_slice(from));
            }
        }
    }
}

/// The mean of the highest `share` of the map's values that `inside` keeps, at least one: with a share of 0 the maximum.
///
/// A defect of some size raises it as much as a maximum, a single noisy pixel does not.
pub fn peak(map: &[f32], inside: Option<&[bool]>, share: f64, scratch: &mut Vec<u32>) -> f32 {
    scratch.clear();
    let share_of = |length: usize| ((length as f64 * share) as usize).max(1);
    let count = match inside {
        None => {
            let count = share_of(map.len());
            candidates(map, count, scratch);
            count
        }
        Some(inside) => {
            scratch.extend(map.iter().zip(inside).filter(|(_, inside)| **inside).map(|(v, _)| key(*v)));
            share_of(scratch.len())
        }
    };
    if scratch.is_empty() {
        return f32::NEG_INFINITY;
    }
    let rest = scratch.len() - count;
    scratch.select_nth_unstable(rest);
    (scratch[rest..].iter().map(|key| f64::from(value(*key))).sum::<f64>() / count as f64) as f32
}

/// Lanes whose largest values are found together, and values of each that one stands for.
const LANES: usize = 16;
const DEPTH: usize = 8;

/// Writes the keys of the `count` highest values to `out`, and of some that are hardly lower.
///
/// Of groups of [`DEPTH`] values, each group's largest: none of the highest is below the `count`-th of these. Few are left to
/// select among.
fn candidates(map: &[f32], count: usize, out: &mut Vec<u32>) {
    let blocks = map.chunks_exact(LANES * DEPTH);
    out.resize(blocks.len() * LANES, 0);
    largest(map, out);
    if out.len() < count {
        out.clear();
        out.extend(map.iter().copied().map(key));
        return;
    }
    let at = out.len() - count;
    let least = *out.select_nth_unstable(at).1;
    out.clear();
    for block in map.chunks(LANES * DEPTH) {
        // A look at all of a block vectorises, and most blocks have nothing.
        if block.iter().fold(false, |any, v| any | (key(*v) >= least)) {
            out.extend(block.iter().copied().map(key).filter(|key| *key >= least));
        }
    }
}

/// The largest key of each lane of each block.
fn largest(map: &[f32], out: &mut [u32]) {
    dispatch!(largest_body(map: &[f32], out: &mut [u32]))
}

#[inline(always)]
fn largest_body<const FMA: bool>(map: &[f32], out: &mut [u32]) {
    for (block, out) in map.chunks_exact(LANES * DEPTH).zip(out.chunks_exact_mut(LANES)) {
        for line in block.chunks_exact(LANES) {
            out.iter_mut().zip(line).for_each(|(out, v)| *out = key(*v).max(*out));
        }
    }
}

/// A whole number for each value, in the same order: they are selected several times as fast.
#[inline(always)]
fn key(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

/// The value of a key.
fn value(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// The largest value.
pub fn maximum(map: &[f32]) -> f32 {
    map.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_peak_is_the_mean_of_the_highest_values() {
        let map: Vec<f32> = (0..100).map(|i| (i * 37 % 100) as f32).collect();
        let mut scratch = Vec::new();
        assert_eq!(peak(&map, None, 0.0, &mut scratch), 99.0);
        assert_eq!(peak(&map, None, 0.04, &mut scratch), 97.5);
        assert_eq!(peak(&map, None, 1.0, &mut scratch), 49.5);
        let inside: Vec<bool> = map.iter().map(|v| *v < 50.0).collect();
        assert_eq!(peak(&map, Some(&inside), 0.04, &mut scratch), 48.5, "the highest two of fifty");
        let below: Vec<f32> = map.iter().map(|v| v - 98.5).collect();
        assert_eq!(peak(&below, None, 0.03, &mut scratch), -0.5, "of 0.5, -0.5 and -1.5");
    }

    proptest! {
        #[test]
        fn a_peak_is_what_sorting_gives(length in 1usize..3000, share in 0.0f64..0.3, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            // Few different values, so that many are equal.
            let map: Vec<f32> = (0..length).map(|_| random.below(300) as f32 / 10.0 - 10.0).collect();
            let mut sorted = map.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let count = ((length as f64 * share) as usize).max(1);
            let expected = sorted[..count].iter().map(|v| f64::from(*v)).sum::<f64>() / count as f64;
            let got = peak(&map, None, share, &mut Vec::new());
            prop_assert!((f64::from(got) - expected).abs() < 1e-4, "{got} instead of {expected}");
        }
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
        let geometry = MapGeometry { grid: (8, 8), size, sigma: 0.0, masked: false };
        let threads = Threads::new(1).unwrap();
        let mut out = Vec::new();
        smoother.run(maps.into_iter(), geometry, None, &threads, &mut out);
        assert_eq!(out, still);
    }

    #[test]
    fn what_does_not_count_has_no_influence() {
        let size = InputSize { height: 8, width: 8 };
        let inside: Vec<bool> = (0..64).map(|i| i % 8 < 5).collect();
        let run = |outside: f32| {
            let map: Vec<f32> = inside.iter().map(|inside| if *inside { 2.0 } else { outside }).collect();
            let geometry = MapGeometry { grid: (8, 8), size, sigma: 1.0, masked: true };
            let maps = [((0, 0), &map[..])].into_iter();
            let mut out = Vec::new();
            Smoother::default().run(maps, geometry, Some(&inside), &Threads::new(1).unwrap(), &mut out);
            out
        };
        assert_eq!(run(0.0), run(1e6));
        let smooth = run(7.0);
        assert!((0..5).all(|x| (smooth[x] - 2.0).abs() < 1e-5), "{:?}", &smooth[..8]);
        assert_eq!(smooth[7], 0.0, "too far from anything that counts");
    }
}
