//! Converts grids of values to a smoothed map of the network's input size.

use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::try_resize;
use crate::math::axis::{Axis, Separable};
use crate::preprocess::InputSize;

/// Merges the grids of an image's displacements into a smoothed map of the network's input size.
#[derive(Default)]
pub struct Smoother {
    /// The settings that the linear maps were computed for.
    geometry: Option<MapGeometry>,
    /// For each displacement, the linear map from the grid to the size of the input, with smoothing unless there is a
    /// mask.
    up: Vec<Separable>,
    /// Separate smoothing, if there is a mask.
    blur: Option<Separable>,
    plane: Vec<f32>,
    weight: Vec<f32>,
}

/// Settings of the conversion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapGeometry {
    /// Rows and columns of the grid.
    pub grid: (usize, usize),
    /// The network's input size, which is that of the map.
    pub size: InputSize,
    /// Standard deviation of the smoothing, in pixels of the input.
    pub sigma: f64,
    /// Whether there is a mask.
    pub masked: bool,
}

impl MapGeometry {
    /// The linear map, along rows and columns, from the grid of an image displaced by `(dy, dx)` to the input's size, with the
    /// smoothing unless there is a mask. It is one of `count` that are added.
    pub fn axes(&self, (dy, dx): (isize, isize), count: usize) -> (Axis, Axis) {
        let Self { grid: (rows, cols), size: InputSize { height, width }, sigma, masked } = *self;
        let back = [
            Axis::bilinear(rows, height).then(&Axis::shift(height, -dy)),
            Axis::bilinear(cols, width).then(&Axis::shift(width, -dx)),
        ];
        let [down, across] = if masked {
            back
        } else {
            [back[0].then(&Axis::gaussian(height, sigma)), back[1].then(&Axis::gaussian(width, sigma))]
        };
        (down.scaled(1.0 / count as f64), across)
    }
}

/// Minimum share of a smoothed value's weight on included pixels; below it, the map is 0.
const LEAST_WEIGHT: f32 = 1e-2;

impl Smoother {
    /// Resizes each map to the input's size, shifts it back, averages, and blurs, into `out`.
    ///
    /// `maps` yields each displacement `(dy, dx)` with its grid of values, in the same order each time. Pixels that are
    /// not `inside` have no influence (normalised convolution, Knutsson and Westin 1993).
    ///
    /// # Errors
    /// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory).
    pub fn run<'a>(
        &mut self,
        maps: impl ExactSizeIterator<Item = ((isize, isize), &'a [f32])> + Clone,
        geometry: MapGeometry,
        inside: Option<&[bool]>,
        threads: &Threads,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        if self.geometry != Some(geometry) {
            self.prepare(geometry, maps.clone().map(|(displacement, _)| displacement));
        }
        let clear = |plane: &mut Vec<f32>| {
            plane.clear();
            try_resize(plane, geometry.size.height * geometry.size.width, 0.0)
        };
        clear(out)?;
        let (Some(inside), Some(blur)) = (inside, &mut self.blur) else {
            return self.up.iter_mut().zip(maps).try_for_each(|(up, (_, map))| up.add(map, out, threads));
        };
        clear(&mut self.plane)?;
        self.up.iter_mut().zip(maps).try_for_each(|(up, (_, map))| up.add(map, &mut self.plane, threads))?;
        self.plane.iter_mut().zip(inside).filter(|(_, inside)| !**inside).for_each(|(value, _)| *value = 0.0);
        blur.add(&self.plane, out, threads)?;
        self.plane.clear();
        self.plane.extend(inside.iter().map(|inside| f32::from(u8::from(*inside))));
        clear(&mut self.weight)?;
        blur.add(&self.plane, &mut self.weight, threads)?;
        for (value, weight) in out.iter_mut().zip(&self.weight) {
            *value = if *weight < LEAST_WEIGHT { 0.0 } else { *value / weight };
        }
        Ok(())
    }

    fn prepare(&mut self, geometry: MapGeometry, displacements: impl ExactSizeIterator<Item = (isize, isize)>) {
        let count = displacements.len();
        self.up = displacements
            .map(|displacement| {
                let (down, across) = geometry.axes(displacement, count);
                Separable::new(down, across)
            })
            .collect();
        let MapGeometry { size: InputSize { height, width }, sigma, masked, .. } = geometry;
        self.blur = masked.then(|| Separable::new(Axis::gaussian(height, sigma), Axis::gaussian(width, sigma)));
        self.geometry = Some(geometry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifted_maps_come_back_to_their_place() {
        let size = InputSize { height: 8, width: 8 };
        let mut smoother = Smoother::default();
        let mut still = vec![0.0; 64];
        still[3 * 8 + 4] = 1.0;
        // In an image shifted by (2, 1), the same spot is two rows higher and one column further left.
        let mut moved = vec![0.0; 64];
        moved[8 + 3] = 1.0;
        let maps = [((0, 0), &still[..]), ((2, 1), &moved[..])];
        let geometry = MapGeometry { grid: (8, 8), size, sigma: 0.0, masked: false };
        let threads = Threads::new(1).unwrap();
        let mut out = Vec::new();
        smoother.run(maps.into_iter(), geometry, None, &threads, &mut out).unwrap();
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
            let threads = Threads::new(1).unwrap();
            Smoother::default().run(maps, geometry, Some(&inside), &threads, &mut out).unwrap();
            out
        };
        assert_eq!(run(0.0), run(1e6));
        let smooth = run(7.0);
        assert!((0..5).all(|x| (smooth[x] - 2.0).abs() < 1e-5), "{:?}", &smooth[..8]);
        assert_eq!(smooth[7], 0.0, "too far from anything that counts");
    }
}
