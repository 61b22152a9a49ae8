//! Defect regions: 8-connected components of the anomaly map above a threshold.

use super::contour::outer_boundary;
use crate::error::{Error, Result, Status};
use crate::exec::memory::{try_grow, try_reserve, try_resize, try_vec};
use crate::exec::rows::{Rows, RowsOut};

/// A connected region. Coordinates are pixels of the image; the centre of the first pixel is at (0, 0).
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

/// Regions with their pixels, highest peak first. It dereferences to the slice of regions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Regions {
    regions: Vec<Region>,
    /// The runs of the first region, then those of the second, and so on.
    runs: Vec<Run>,
    /// Index of the end of each region's runs.
    ends: Vec<usize>,
}

impl std::ops::Deref for Regions {
    type Target = [Region];

    fn deref(&self) -> &[Region] {
        &self.regions
    }
}

impl Regions {
    /// The pixels of region `index` as runs, ordered by row and then by column.
    ///
    /// # Panics
    /// When there is no such region.
    pub fn runs(&self, index: usize) -> &[Run] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.runs[start..self.ends[index]]
    }

    /// The pixels of region `index` as its bounding box, row after row: 255 inside of the region, 0 outside.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    ///
    /// # Panics
    /// When there is no such region.
    pub fn mask(&self, index: usize) -> Result<Vec<u8>> {
        let Region { width, height, .. } = self[index];
        let mut mask = try_vec(width * height, 0)?;
        self.mask_into(index, RowsOut::from_slice(&mut mask, width, height, width)?)?;
        Ok(mask)
    }

    /// As [`Regions::mask`], written to rows of the bounding box's size.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when the rows have another size.
    ///
    /// # Panics
    /// When there is no such region.
    pub fn mask_into(&self, index: usize, out: RowsOut<'_, u8>) -> Result<()> {
        let Region { x, y, width, height, .. } = self[index];
        if (out.width(), out.height()) != (width, height) {
            let message = format!(
                "the region's bounding box has {width} x {height} pixels, but the buffer for its mask has {} x {}",
                out.width(),
                out.height()
            );
            return Err(Error::new(Status::InvalidArgument, message));
        }
        let mut rows = out.fill(0);
        self.runs(index).iter().for_each(|run| rows.row_mut(run.y - y)[run.start - x..run.end - x].fill(255));
        Ok(())
    }

    /// The outer contour of region `index` as x and y of its boundary pixels: a closed chain of 8-connected pixels,
    /// clockwise from the leftmost pixel of the uppermost row. The first pixel is not repeated at the end. Where the
    /// region is one pixel wide, a pixel may occur twice.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    ///
    /// # Panics
    /// When there is no such region.
    pub fn contour(&self, index: usize) -> Result<Vec<(i32, i32)>> {
        outer_boundary(&self[index], self.runs(index))
    }

    /// A copy.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn try_clone(&self) -> Result<Self> {
        let Self { regions, runs, ends } = self;
        Ok(Self { regions: try_copy(regions)?, runs: try_copy(runs)?, ends: try_copy(ends)? })
    }

    fn clear(&mut self) {
        self.regions.clear();
        self.runs.clear();
        self.ends.clear();
    }
}

fn try_copy<T: Copy>(values: &[T]) -> Result<Vec<T>> {
    let mut copy = Vec::new();
    try_reserve(&mut copy, values.len())?;
    copy.extend_from_slice(values);
    Ok(copy)
}

/// Finds regions and reuses its working memory.
#[derive(Debug, Default)]
pub struct RegionFinder {
    components: Components,
    sums: Vec<Sums>,
    /// Numbers of the components that are large enough, highest peak first.
    order: Vec<usize>,
    regions: Regions,
}

impl RegionFinder {
    /// The regions that were found last.
    pub fn regions(&self) -> &Regions {
        &self.regions
    }

    /// Forgets the regions.
    pub fn clear(&mut self) {
        self.regions.clear();
    }

    /// The 8-connected regions of values above `threshold`, of at least `least_area` pixels; highest peak first.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn find(&mut self, map: Rows<'_, f32>, threshold: f32, least_area: usize) -> Result<&Regions> {
        let Self { components, sums, order, regions } = self;
        // Most rows have no value above it, which a loop without an early exit finds fastest.
        let nothing = |y: usize| !map.row(y).iter().fold(false, |any, value| any | (*value > threshold));
        let count = components.find((map.width(), map.height()), nothing, |x, y| map.row(y)[x] > threshold)?;
        sums.clear();
        try_resize(sums, count, Sums::NOTHING)?;
        for (number, run) in components.runs() {
            sums[number].add(run, &map.row(run.y)[run.start..run.end]);
        }
        order.clear();
        try_reserve(order, count)?;
        order.extend((0..count).filter(|number| sums[*number].area >= least_area));
        order.sort_unstable_by(|a, b| sums[*a].order(&sums[*b]).then(a.cmp(b)));

        regions.clear();
        try_reserve(&mut regions.regions, order.len())?;
        try_reserve(&mut regions.ends, order.len())?;
        let mut end = 0;
        for number in order {
            let sums = &mut sums[*number];
            sums.next = Some(end);
            end += sums.runs;
            regions.regions.push(sums.region());
            regions.ends.push(end);
        }
        try_resize(&mut regions.runs, end, Run { y: 0, start: 0, end: 0 })?;
        for (number, run) in components.runs() {
            if let Some(next) = &mut sums[number].next {
                regions.runs[*next] = run;
                *next += 1;
            }
        }
        Ok(regions)
    }

    /// The least threshold, 0 or above, at which the map has no region of at least `least_area` pixels; `maximum` is the
    /// map's largest value.
    ///
    /// # Errors
    /// As [`RegionFinder::find`].
    pub fn highest_level(&mut self, map: Rows<'_, f32>, maximum: f32, least_area: usize) -> Result<f32> {
        if least_area <= 1 || maximum <= 0.0 {
            return Ok(maximum.max(0.0));
        }
        if self.find(map, 0.0, least_area)?.is_empty() {
            return Ok(0.0);
        }
        // Regions grow as the threshold falls, and positive numbers are in the order of their bits.
        let (mut with, mut without) = (0, maximum.to_bits());
        while without - with > 1 {
            let middle = with + (without - with) / 2;
            let none = self.find(map, f32::from_bits(middle), least_area)?.is_empty();
            *if none { &mut without } else { &mut with } = middle;
        }
        Ok(f32::from_bits(without))
    }
}

/// Sums over the pixels of a region.
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
    runs: usize,
    /// Index for the next run of the region; none for a component that is too small.
    next: Option<usize>,
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
        runs: 0,
        next: None,
    };

    fn add(&mut self, run: Run, values: &[f32]) {
        let Run { y, start, end } = run;
        let length = end - start;
        (self.left, self.right) = (self.left.min(start), self.right.max(end));
        (self.top, self.bottom) = (self.top.min(y), self.bottom.max(y + 1));
        self.area += length;
        self.runs += 1;
        self.x += (start + end - 1) as f64 * 0.5 * length as f64;
        self.y += (y * length) as f64;
        self.peak = values.iter().fold(self.peak, |peak, value| if *value > peak { *value } else { peak });
    }

    /// Highest peak first, then from top to bottom and from left to right.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        other.peak.total_cmp(&self.peak).then((self.top, self.left).cmp(&(other.top, other.left)))
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

/// Connected components by union-find over runs, so that a pixel costs one comparison.
#[derive(Debug, Default)]
pub struct Components {
    runs: Vec<Run>,
    /// During the search, the index of a run of the same component at or before each run; afterwards, the component's
    /// number.
    parents: Vec<usize>,
}

impl Components {
    /// Finds the 8-connected components of the pixels that are `inside`, given by column and row, and returns how many
    /// there are, numbered by their first pixel. Rows for which `nothing` returns true are skipped.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn find(
        &mut self,
        (width, height): (usize, usize),
        nothing: impl Fn(usize) -> bool,
        inside: impl Fn(usize, usize) -> bool,
    ) -> Result<usize> {
        self.runs.clear();
        self.parents.clear();
        let mut above = 0..0;
        for y in 0..height {
            let first = self.runs.len();
            if !nothing(y) {
                let most = width.div_ceil(2);
                try_grow(&mut self.runs, most)?;
                try_grow(&mut self.parents, most)?;
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
            // Parents precede their children, so they already have numbers.
            let parent = self.parents[at];
            self.parents[at] = if parent == at {
                count += 1;
                count - 1
            } else {
                self.parents[parent]
            };
        }
        Ok(count)
    }

    /// The runs row by row, each with its component's number.
    pub fn runs(&self) -> impl Iterator<Item = (usize, Run)> {
        self.parents.iter().copied().zip(self.runs.iter().copied())
    }

    /// Merges the last run with the touching runs of the row above.
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
        let narrow = Rows::from_slice(&map, 4, 4, 5).unwrap();
        let mut finder = RegionFinder::default();
        assert_eq!(finder.find(narrow, 1.0, 3).unwrap().len(), 0, "none has three pixels");
        let regions = finder.find(narrow, 1.0, 1).unwrap();
        assert_eq!(regions.len(), 1, "what lies between the rows is not the map's");
        let map = Rows::from_slice(&map, 5, 4, 5).unwrap();
        assert_eq!(finder.find(map, 1.0, 3).unwrap().len(), 0, "both have two pixels");
        let regions = finder.find(map, 1.0, 1).unwrap();
        assert_eq!(regions.len(), 2, "diagonal neighbours touch; the threshold itself is not above it");
        let Region { x, y, width, height, area, centroid_x, centroid_y, peak } = regions[0];
        assert_eq!((x, y, width, height, area, peak), (4, 2, 1, 2, 2, 20.0));
        assert_eq!((centroid_x, centroid_y), (4.0, 2.5));
        assert_eq!((regions[1].width, regions[1].height, regions[1].area, regions[1].peak), (2, 2, 2, 9.0));
    }

    #[test]
    fn a_region_keeps_its_pixels_wherever_it_comes_in_the_order() {
        let rows = ["#..###", "##...#", "..#..#", ".....#"];
        // The last in the order of rows has the highest peak; the single pixel is too small.
        let peak = |x: usize, y: usize| if (x, y) == (3, 0) { 9.0 } else { 2.0 };
        let map: Vec<f32> = (0..24)
            .map(|i| (i % 6, i / 6))
            .map(|(x, y)| if rows[y].as_bytes()[x] == b'#' { peak(x, y) } else { 0.0 })
            .collect();
        let mut finder = RegionFinder::default();
        let regions = finder.find(Rows::from_slice(&map, 6, 4, 6).unwrap(), 1.0, 2).unwrap();
        assert_eq!(regions.iter().map(|region| region.area).collect::<Vec<_>>(), [6, 4]);
        let run = |y, start, end| Run { y, start, end };
        assert_eq!(regions.runs(0), [run(0, 3, 6), run(1, 5, 6), run(2, 5, 6), run(3, 5, 6)]);
        assert_eq!(regions.runs(1), [run(0, 0, 1), run(1, 0, 2), run(2, 2, 3)]);
        assert_eq!(regions.mask(1).unwrap(), [255, 0, 0, 255, 255, 0, 0, 0, 255]);
        assert_eq!(regions.contour(1).unwrap(), [(0, 0), (1, 1), (2, 2), (1, 1), (0, 1)]);
        let error = regions.mask_into(1, RowsOut::from_slice(&mut [0; 9], 9, 1, 9).unwrap()).unwrap_err();
        assert!(error.message().contains("3 x 3") && error.message().contains("9 x 1"), "{error}");
        assert_eq!(&regions.try_clone().unwrap(), regions);
        let again = finder.find(Rows::from_slice(&map, 6, 4, 6).unwrap(), 8.0, 1).unwrap();
        assert_eq!((again.len(), again.runs(0)), (1, &[run(0, 3, 4)][..]), "nothing is left of the last map");
    }

    proptest! {
        #[test]
        fn regions_are_what_flooding_gives(width in 1usize..14, height in 1usize..14, dense in 2usize..6, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            let map: Vec<f32> = (0..width * height).map(|_| random.below(dense) as f32).collect();
            let mut finder = RegionFinder::default();
            let regions = finder.find(Rows::from_slice(&map, width, height, width).unwrap(), 1.0, 1).unwrap();
            prop_assert_eq!(regions.iter().map(|r| r.area).sum::<usize>(), map.iter().filter(|v| **v > 1.0).count());
            prop_assert!(regions.is_sorted_by(|a, b| a.peak >= b.peak));
            for (index, region) in regions.iter().enumerate() {
                let runs = regions.runs(index);
                prop_assert!(runs.is_sorted_by(|a, b| (a.y, a.end) < (b.y, b.start)));
                let start = runs[0].y * width + runs[0].start;
                let mut flooded = vec![false; map.len()];
                let mut open = vec![start];
                while let Some(at) = open.pop() {
                    if map[at] > 1.0 && !std::mem::replace(&mut flooded[at], true) {
                        let near = |a: usize, b: usize| a.abs_diff(b) <= 1;
                        open.extend((0..map.len()).filter(|b| near(at % width, b % width) && near(at / width, b / width)));
                    }
                }
                prop_assert_eq!(flooded.iter().filter(|inside| **inside).count(), region.area);
                let mask = regions.mask(index).unwrap();
                for (at, value) in mask.into_iter().enumerate() {
                    let (x, y) = (region.x + at % region.width, region.y + at / region.width);
                    prop_assert_eq!(value, if flooded[y * width + x] { 255 } else { 0 });
                }
            }
        }
    }
}
