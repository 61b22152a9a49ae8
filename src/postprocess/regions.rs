//! Defect regions: 8-connected components of the anomaly map above a threshold.

/// One connected region; coordinates are pixels of the image, the centre of the first pixel at (0, 0).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Left edge of the bounding box.
    pub x: usize,
    /// Upper edge of the bounding box.
    pub y: usize,
    /// Width of the bounding box.
    pub width: usize,
    /// Height of the bounding box.
    pub height: usize,
    /// Number of pixels.
    pub area: usize,
    /// Mean x of the pixels.
    pub centroid_x: f32,
    /// Mean y of the pixels.
    pub centroid_y: f32,
    /// The largest value of the anomaly map in the region.
    pub peak: f32,
}

/// Finds regions; its working memory is reused.
#[derive(Debug, Default)]
pub struct RegionFinder {
    fill: FloodFill,
    regions: Vec<Region>,
}

impl RegionFinder {
    /// The 8-connected regions of values above `threshold`, of at least `least_area` pixels, in a map of rows of `width`
    /// values; highest peak first.
    pub fn find(&mut self, map: &[f32], width: usize, threshold: f32, least_area: usize) -> &[Region] {
        let Self { fill, regions } = self;
        regions.clear();
        fill.for_each_component(
            map.len(),
            width,
            |at| map[at] > threshold,
            |pixels| {
                if pixels.len() >= least_area {
                    regions.push(measure(map, width, pixels));
                }
            },
        );
        regions.sort_unstable_by(|a, b| b.peak.total_cmp(&a.peak).then((a.y, a.x).cmp(&(b.y, b.x))));
        regions
    }
}

fn measure(map: &[f32], width: usize, pixels: &[usize]) -> Region {
    let (mut left, mut right, mut top, mut bottom) = (usize::MAX, 0, usize::MAX, 0);
    let (mut sum_x, mut sum_y, mut peak) = (0.0f64, 0.0f64, f32::NEG_INFINITY);
    for &at in pixels {
        let (x, y) = (at % width, at / width);
        (left, right, top, bottom) = (left.min(x), right.max(x), top.min(y), bottom.max(y));
        sum_x += x as f64;
        sum_y += y as f64;
        peak = peak.max(map[at]);
    }
    let area = pixels.len();
    Region {
        x: left,
        y: top,
        width: right - left + 1,
        height: bottom - top + 1,
        area,
        centroid_x: (sum_x / area as f64) as f32,
        centroid_y: (sum_y / area as f64) as f32,
        peak,
    }
}

/// A flood fill that keeps its own list: each pixel is visited once, and only those inside cost anything.
#[derive(Debug, Default)]
pub struct FloodFill {
    visited: Vec<bool>,
    pixels: Vec<usize>,
}

impl FloodFill {
    /// Calls `found` with the pixels of each 8-connected component of those that are `inside`.
    pub fn for_each_component(
        &mut self,
        length: usize,
        width: usize,
        inside: impl Fn(usize) -> bool,
        mut found: impl FnMut(&[usize]),
    ) {
        let Self { visited, pixels } = self;
        let height = length / width;
        visited.clear();
        visited.resize(length, false);
        for start in 0..length {
            if visited[start] || !inside(start) {
                continue;
            }
            visited[start] = true;
            pixels.clear();
            pixels.push(start);
            let mut next = 0;
            while let Some(&at) = pixels.get(next) {
                next += 1;
                let (x, y) = (at % width, at / width);
                for v in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                    for u in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                        let neighbour = v * width + u;
                        if !visited[neighbour] && inside(neighbour) {
                            visited[neighbour] = true;
                            pixels.push(neighbour);
                        }
                    }
                }
            }
            found(pixels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn regions_are_measured() {
        #[rustfmt::skip]
        let map = [
            9.0, 0.0, 0.0, 0.0, 0.0,
            0.0, 5.0, 0.0, 0.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 20.0,
            1.0, 0.0, 0.0, 0.0, 7.0,
        ];
        let mut finder = RegionFinder::default();
        assert_eq!(finder.find(&map, 5, 1.0, 3).len(), 0, "both have two pixels");
        let regions = finder.find(&map, 5, 1.0, 1);
        assert_eq!(regions.len(), 2, "diagonal neighbours touch; the threshold itself is not above it");
        let Region { x, y, width, height, area, centroid_x, centroid_y, peak } = regions[0];
        assert_eq!((x, y, width, height, area, peak), (4, 2, 1, 2, 2, 20.0));
        assert_eq!((centroid_x, centroid_y), (4.0, 2.5));
        assert_eq!((regions[1].width, regions[1].height, regions[1].area, regions[1].peak), (2, 2, 2, 9.0));
    }

    proptest! {
        #[test]
        fn areas_add_up_and_regions_do_not_touch(width in 1usize..12, height in 1usize..12, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            let map: Vec<f32> = (0..width * height).map(|_| random.below(3) as f32).collect();
            let mut finder = RegionFinder::default();
            let regions = finder.find(&map, width, 1.0, 1);
            prop_assert_eq!(regions.iter().map(|r| r.area).sum::<usize>(), map.iter().filter(|v| **v > 1.0).count());
            // Joining neighbours until nothing changes gives the same number of regions.
            let mut label: Vec<usize> = (0..map.len()).collect();
            for _ in 0..map.len() {
                for a in 0..map.len() {
                    for b in 0..map.len() {
                        let near = (a % width).abs_diff(b % width) <= 1 && (a / width).abs_diff(b / width) <= 1;
                        if near && map[a] > 1.0 && map[b] > 1.0 {
                            label[a] = label[a].min(label[b]);
                        }
                    }
                }
            }
            let roots = (0..map.len()).filter(|&i| map[i] > 1.0 && label[i] == i).count();
            prop_assert_eq!(regions.len(), roots);
        }
    }
}
