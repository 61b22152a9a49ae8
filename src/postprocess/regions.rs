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
    components: Components,
    sums: Vec<Sums>,
    regions: Vec<Region>,
}

/// An anomaly map in somebody's memory.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a> {
    /// From the first value of the first row to the last of the last.
    pub values: &'a [f32],
    /// Columns.
    pub width: usize,
    /// Values from one row to the next.
    pub stride: usize,
}

impl Map<'_> {
    fn height(&self) -> usize {
        self.values.len().div_ceil(self.stride)
    }
}

impl RegionFinder {
    /// The 8-connected regions of values above `threshold`, of at least `least_area` pixels; highest peak first.
    pub fn find(&mut self, map: Map<'_>, threshold: f32, least_area: usize) -> &[Region] {
        let Self { components, sums, regions } = self;
        let row = |y: usize| &map.values[y * map.stride..][..map.width];
        // Most rows of most products have nothing above it, which a loop without a way out finds fastest.
        let nothing = |y: usize| !row(y).iter().fold(false, |any, value| any | (*value > threshold));
        let count = components.find((map.width, map.height()), nothing, |x, y| row(y)[x] > threshold);
        sums.clear();
        sums.resize(count, Sums::NOTHING);
        for (number, run) in components.runs() {
            sums[number].add(run, &row(run.y)[run.start..run.end]);
        }
        regions.clear();
        regions.extend(sums.iter().filter(|sums| sums.area >= least_area).map(Sums::region));
        regions.sort_unstable_by(|a, b| b.peak.total_cmp(&a.peak).then((a.y, a.x).cmp(&(b.y, b.x))));
        regions
    }
}

/// What the pixels of a region add up to.
#[derive(Debug, Clone, Copy)]
struct Sums {
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
    area: usize,
    x: f64,
    y: f64,
    peak: f32,
}

impl Sums {
    const NOTHING: Self = Self {
        left: usize::MAX,
        right: 0,
        top: usize::MAX,
        bottom: 0,
        area: 0,
        x: 0.0,
        y: 0.0,
        peak: f32::NEG_INFINITY,
    };

    fn add(&mut self, run: Run, values: &[f32]) {
        let Run { y, start, end } = run;
        let length = end - start;
        (self.left, self.right) = (self.left.min(start), self.right.max(end));
        (self.top, self.bottom) = (self.top.min(y), self.bottom.max(y + 1));
        self.area += length;
        self.x += (start + end - 1) as f64 * 0.5 * length as f64;
        self.y += (y * length) as f64;
        self.peak = values.iter().fold(self.peak, |peak, value| if *value > peak { *value } else { peak });
    }

    fn region(&self) -> Region {
        let area = self.area as f64;
        Region {
            x: self.left,
            y: self.top,
            width: self.right - self.left,
            height: self.bottom - self.top,
            area: self.area,
            centroid_x: (self.x / area) as f32,
            centroid_y: (self.y / area) as f32,
            peak: self.peak,
        }
    }
}

/// Neighbouring pixels of one row, from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The row.
    pub y: usize,
    /// The first column.
    pub start: usize,
    /// The column after the last.
    pub end: usize,
}

/// Connected components by runs: a union-find over the runs of rows, so that a pixel costs one comparison.
#[derive(Debug, Default)]
pub struct Components {
    runs: Vec<Run>,
    /// While finding, a run of the same component at or before each run; then the component's number.
    parents: Vec<usize>,
}

impl Components {
    /// Finds the 8-connected components of the pixels that are `inside`, given by column and row, and returns how many there
    /// are, numbered by their first pixel. Rows of which `nothing` is inside are passed over.
    pub fn find(
        &mut self,
        (width, height): (usize, usize),
        nothing: impl Fn(usize) -> bool,
        inside: impl Fn(usize, usize) -> bool,
    ) -> usize {
        self.runs.clear();
        self.parents.clear();
        let mut above = 0..0;
        for y in 0..height {
            let first = self.runs.len();
            if !nothing(y) {
                let mut x = 0;
                while x < width {
                    if !inside(x, y) {
                        x += 1;
                        continue;
                    }
                    let start = x;
                    while x < width && inside(x, y) {
                        x += 1;
                    }
                    self.parents.push(self.runs.len());
                    self.runs.push(Run { y, start, end: x });
                    self.join(above.clone());
                }
            }
            above = first..self.runs.len();
        }
        let mut count = 0;
        for at in 0..self.runs.len() {
            // Parents come first, so theirs are numbers already.
            let parent = self.parents[at];
            self.parents[at] = if parent == at {
                count += 1;
                count - 1
            } else {
                self.parents[parent]
            };
        }
        count
    }

    /// The runs row by row, each with its component's number.
    pub fn runs(&self) -> impl Iterator<Item = (usize, Run)> {
        self.parents.iter().copied().zip(self.runs.iter().copied())
    }

    /// Joins the last run with those of the row above that it touches.
    fn join(&mut self, above: std::ops::Range<usize>) {
        let last = self.runs.len() - 1;
        let Run { start, end, .. } = self.runs[last];
        let first = above.start + self.runs[above.clone()].partition_point(|run| run.end < start);
        for other in first..above.end {
            if self.runs[other].start > end {
                break;
            }
            let (a, b) = (self.root(last), self.root(other));
            self.parents[a.max(b)] = a.min(b);
        }
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.parents[at] != at {
            self.parents[at] = self.parents[self.parents[at]];
            at = self.parents[at];
        }
        at
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
        let map = Map { values: &map, width: 4, stride: 5 };
        let mut finder = RegionFinder::default();
        assert_eq!(finder.find(map, 1.0, 3).len(), 0, "none has three pixels");
        let regions = finder.find(map, 1.0, 1);
        assert_eq!(regions.len(), 1, "what lies between the rows is not the map's");
        let map = Map { width: 5, ..map };
        assert_eq!(finder.find(map, 1.0, 3).len(), 0, "both have two pixels");
        let regions = finder.find(map, 1.0, 1);
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
            let regions = finder.find(Map { values: &map, width, stride: width }, 1.0, 1);
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
