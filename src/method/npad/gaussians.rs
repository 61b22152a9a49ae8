//! A level of Gaussians, with a mean for each position and a covariance for each block of neighbouring positions: the
//! pixel level or the patch level, which differ only in their samples and blocks.

use half::f16;
use nalgebra::DMatrix;
use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;

use super::layout::Layout;
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::{try_collect, try_copy, try_reserve, try_resize, try_vec};
use crate::math::gaussian::{
    Estimate, Estimator, FittedGaussians, Gaussian, LeaveOut, Moments, Regularisation, Samples, on_grid,
};
use crate::math::kernels::{blocked_index, blocked_len, narrow, padded, scatter_add, squared_mahalanobis, widen};
use crate::math::rows::try_zeros;
use crate::method::features::Neighbours;
use crate::method::{Array, State};

/// The samples of an image for a position's estimate.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The window's radius in positions.
    pub radius: usize,
    /// The similarity's exponent.
    pub power: f64,
}

/// A patch mean is a window of a single position.
pub const ALONE: Window = Window { radius: 0, power: 1.0 };

/// Number of images that are added in one pass over the statistics.
pub const GROUP: usize = 8;

/// Number of positions per task.
const CHUNK: usize = 16;

/// Adds images, as padded maps, to the statistics, without any rounding of the sums: see [`on_grid`].
///
/// # Errors
/// [`Status::OutOfMemory`].
pub fn observe(
    moments: &mut Moments,
    layout: &Layout,
    maps: &[FeatureMap],
    window: Window,
    threads: &Threads,
) -> Result<()> {
    #[derive(Default)]
    struct Scratch {
        neighbours: Neighbours,
        rows: Vec<f64>,
        roots: Vec<f64>,
        owners: Vec<usize>,
    }
    let blocks = moments.blocks_mut()?;
    threads.run(|| {
        blocks.enumerate().for_each_init(Scratch::default, |scratch, (b, mut block)| {
            let Scratch { neighbours, rows, roots, owners } = scratch;
            rows.clear();
            roots.clear();
            owners.clear();
            for (owner, &p) in layout.block(b).iter().enumerate() {
                for map in maps {
                    neighbours.collect(map, p, window.radius, window.power);
                    for (row, weight) in neighbours.rows.chunks_exact(map.channels()).zip(&neighbours.weights) {
                        let root = weight.sqrt();
                        rows.extend(row.iter().map(|x| on_grid(root * x)));
                        roots.push(on_grid(root));
                        owners.push(owner);
                    }
                }
            }
            block.add(rows, roots, owners);
        });
    });
    Ok(())
}

/// The fitted level, with whiteners in the precision of `W`: f16 for scoring, f32 for held-out distances.
pub struct Gaussians<W = f16> {
    dimension: usize,
    layout: Layout,
    /// For each position, in the order of the layout.
    mean: Vec<f32>,
    /// For each block.
    whitener: Vec<W>,
    /// For each block.
    kept: Vec<f32>,
    /// For each position.
    weight: Vec<f32>,
    /// The mean covariance of all positions, for resuming a fit: the lower triangle, row-major.
    pooled: Vec<f32>,
}

impl Gaussians<f32> {
    /// Estimates all blocks from the statistics of `images` images. `pooled` is the target of pooled shrinkage, see
    /// [`Moments::pooled`].
    pub fn new(
        moments: &Moments,
        layout: &Layout,
        pooled: &DMatrix<f64>,
        images: usize,
        regularisation: Regularisation,
        threads: &Threads,
    ) -> Result<Self> {
        let (dimension, positions) = (moments.dimension(), moments.positions());
        let (row_len, triangle) = (padded(dimension), blocked_len(dimension));
        let mut level = Self {
            dimension,
            layout: layout.try_clone()?,
            mean: try_vec(positions * row_len, 0.0)?,
            whitener: try_vec(layout.blocks() * triangle, 0.0)?,
            kept: try_vec(layout.blocks(), 0.0)?,
            weight: try_collect(moments.weights().iter().map(|weight| *weight as f32))?,
            pooled: try_vec(dimension * dimension, 0.0)?,
        };
        for (i, row) in level.pooled.chunks_exact_mut(dimension).enumerate() {
            row.iter_mut().enumerate().for_each(|(j, value)| *value = pooled[(i, j)] as f32);
        }
        let means = by_block(&mut level.mean, layout, row_len)?;
        let regular = threads.run(|| {
            means
                .into_par_iter()
                .zip(level.whitener.par_chunks_exact_mut(triangle))
                .zip(level.kept.par_iter_mut())
                .enumerate()
                .map_init(
                    || Estimator::new(pooled),
                    |estimator, (b, ((means, whitener), kept))| {
                        let estimator = estimator.as_mut().map_err(|error| error.clone())?;
                        let out = Gaussian { means, whitener, kept };
                        Ok(estimator.estimate(moments, b, images, regularisation, out))
                    },
                )
                .try_reduce(|| true, |a, b| Ok(a & b))
        })?;
        if regular {
            return Ok(level);
        }
        Err(Error::new(
            Status::NotEnoughImages,
            format!(
                "the features of {images} good images vary too little for their covariance to be inverted; add more varied \
                 good images or raise npad.regularisation (now {})",
                regularisation.ridge
            ),
        ))
    }

    /// Leave-one-out distances of learnt images: one row per position of the grid, with the values of every map of every
    /// image. An image's first map is the learnt one; maps are padded, and all images have equally many.
    pub fn held_out(&self, images: &[Vec<FeatureMap>], window: Window, threads: &Threads) -> Result<Array2<f32>> {
        #[derive(Default)]
        struct Scratch {
            neighbours: Neighbours,
            leave_out: LeaveOut,
            rows: Vec<f32>,
            weights: Vec<f32>,
            counts: Vec<usize>,
            queries: Vec<f32>,
        }
        let (row_len, triangle) = (padded(self.dimension), blocked_len(self.dimension));
        let (count, maps) = (images.iter().map(Vec::len).sum(), images.first().map_or(0, Vec::len));
        let mut values = try_vec(self.layout.grid().len() * count, 0.0f32)?;
        let blocks = by_block(&mut values, &self.layout, count)?;
        threads.run(|| {
            blocks.into_par_iter().enumerate().for_each_init(Scratch::default, |scratch, (b, out)| {
                let Scratch { neighbours, leave_out, rows, weights, counts, queries } = scratch;
                let (bounds, positions) = (&self.layout.starts()[b..], self.layout.block(b));
                let gaussian = Estimate {
                    dimension: self.dimension,
                    means: &self.mean[bounds[0] * row_len..bounds[1] * row_len],
                    whitener: &self.whitener[b * triangle..][..triangle],
                    kept: self.kept[b],
                    weights: &self.weight[bounds[0]..bounds[1]],
                };
                let mut distances = vec![0.0; positions.len() * maps];
                for (image, own) in images.iter().enumerate() {
                    rows.clear();
                    weights.clear();
                    counts.clear();
                    queries.clear();
                    for &p in positions {
                        neighbours.collect(&own[0], p, window.radius, window.power);
                        rows.extend_from_slice(&neighbours.rows);
                        weights.extend_from_slice(&neighbours.weights);
                        counts.push(neighbours.weights.len());
                        own.iter().for_each(|map| queries.extend_from_slice(map.at(p)));
                    }
                    leave_out.distances(gaussian, Samples { rows, weights, counts }, queries, &mut distances);
                    for (out, distances) in out.chunks_exact_mut(count).zip(distances.chunks_exact(maps)) {
                        out[image * maps..][..maps].copy_from_slice(distances);
                    }
                }
            });
        });
        let mut distances = try_zeros(self.layout.grid().len(), count)?;
        for (row, &p) in values.chunks_exact(count).zip(self.layout.grid()) {
            distances.row_mut(p).assign(&ArrayView1::from(row));
        }
        Ok(distances)
    }

    /// Converts the level for scoring.
    pub fn rounded(self) -> Result<Gaussians> {
        let mut whitener = try_vec(self.whitener.len(), f16::ZERO)?;
        narrow(&self.whitener, &mut whitener);
        if !whitener.iter().all(|w| w.is_finite()) {
            let message = "some features of the good images hardly vary at all; raise npad.regularisation";
            return Err(Error::new(Status::NotEnoughImages, message));
        }
        let Self { dimension, layout, mean, kept, weight, pooled, .. } = self;
        Ok(Gaussians { dimension, layout, mean, whitener, kept, weight, pooled })
    }
}

impl Gaussians {
    /// Writes the Mahalanobis distances to `out`: for each position of the layout, one value per padded map. All maps share
    /// one pass over the whiteners, whose memory traffic dominates the time of scoring. `scratch` is working memory, one
    /// vector per thread.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn distances<'a, M>(
        &self,
        maps: M,
        threads: &Threads,
        scratch: &mut Vec<Vec<f32>>,
        out: &mut Vec<f32>,
    ) -> Result<()>
    where
        M: ExactSizeIterator<Item = &'a FeatureMap> + Clone + Sync,
    {
        let (row_len, triangle, count) = (padded(self.dimension), blocked_len(self.dimension), maps.len());
        let (starts, grid) = (self.layout.starts(), self.layout.grid());
        try_resize(out, grid.len() * count, 0.0)?;
        // Features relative to the means, and distances, of the positions of a block that one task has.
        let prepare = |scratch: &mut Vec<f32>| try_resize(scratch, CHUNK * (row_len + 1), 0.0);
        threads.chunks_with(out, CHUNK * count, scratch, prepare, |scratch, chunk, out| {
            let (relative, distances) = scratch.split_at_mut(CHUNK * row_len);
            let (mut first, end) = (chunk * CHUNK, chunk * CHUNK + out.len() / count);
            let mut rest = out;
            while first < end {
                let b = starts.partition_point(|start| *start <= first) - 1;
                let run = first..starts[b + 1].min(end);
                let whitener = &self.whitener[b * triangle..][..triangle];
                let out;
                (out, rest) = rest.split_at_mut(run.len() * count);
                for (m, map) in maps.clone().enumerate() {
                    let relative = &mut relative[..run.len() * row_len];
                    let means = self.mean[first * row_len..].chunks_exact(row_len);
                    for ((relative, p), mean) in relative.chunks_exact_mut(row_len).zip(&grid[run.clone()]).zip(means) {
                        relative.iter_mut().zip(map.at(*p)).zip(mean).for_each(|((r, f), m)| *r = f - m);
                    }
                    let distances = &mut distances[..run.len()];
                    squared_mahalanobis(whitener, self.dimension, relative, distances);
                    out.iter_mut().skip(m).step_by(count).zip(distances).for_each(|(out, d)| *out = d.sqrt());
                }
                first = run.end;
            }
        })
    }

    /// The positions of the grid, in the order of [`Gaussians::distances`].
    pub fn grid(&self) -> &[usize] {
        self.layout.grid()
    }

    /// Number of channels.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The blocks of positions.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The mean of a position, in the order of the layout.
    pub fn mean(&self, at: usize) -> &[f32] {
        &self.mean[at * padded(self.dimension)..][..self.dimension]
    }

    /// The whitener of a block: a lower triangle in blocks.
    pub fn whitener(&self, block: usize) -> &[f16] {
        let length = blocked_len(self.dimension);
        &self.whitener[block * length..][..length]
    }

    /// The statistics that the level was estimated from.
    pub fn moments(&self, regularisation: Regularisation, threads: &Threads) -> Result<Moments> {
        let mut whitener = try_vec(self.whitener.len(), 0.0)?;
        widen(&self.whitener, &mut whitener);
        let fitted = FittedGaussians {
            dimension: self.dimension,
            mean: &self.mean,
            starts: self.layout.starts(),
            whitener: &whitener,
            kept: &self.kept,
            weight: &self.weight,
            pooled: &DMatrix::from_row_slice(self.dimension, self.dimension, &self.pooled).cast(),
        };
        Moments::recover(fitted, regularisation, threads)
    }

    /// Saves under names that start with `level`.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn save(&self, level: &str, state: &mut State) -> Result<()> {
        let (positions, blocks) = (self.weight.len(), self.kept.len());
        let mean = vec![positions, padded(self.dimension)];
        state.put(format!("{level}.mean"), Array::F32(mean, try_copy(&self.mean)?));
        let whitener = vec![blocks, blocked_len(self.dimension)];
        state.put(format!("{level}.whitener"), Array::F16(whitener, try_copy(&self.whitener)?));
        state.put(format!("{level}.kept"), Array::F32(vec![blocks], try_copy(&self.kept)?));
        state.put(format!("{level}.weight"), Array::F32(vec![positions], try_copy(&self.weight)?));
        state.put(format!("{level}.pooled"), Array::F32(vec![self.dimension; 2], try_copy(&self.pooled)?));
        Ok(())
    }

    /// Loads the level.
    pub fn load(level: &str, dimension: usize, layout: Layout, state: &mut State) -> Result<Self> {
        let (positions, blocks) = (layout.grid().len(), layout.blocks());
        Ok(Self {
            dimension,
            mean: state.take_f32(&format!("{level}.mean"), &[positions, padded(dimension)])?,
            whitener: state.take_f16(&format!("{level}.whitener"), &[blocks, blocked_len(dimension)])?,
            kept: state.take_f32(&format!("{level}.kept"), &[blocks])?,
            weight: state.take_f32(&format!("{level}.weight"), &[positions])?,
            pooled: state.take_f32(&format!("{level}.pooled"), &[dimension; 2])?,
            layout,
        })
    }
}

/// The values of each block, where each position has `count`.
fn by_block<'a>(mut values: &'a mut [f32], layout: &Layout, count: usize) -> Result<Vec<&'a mut [f32]>> {
    let mut blocks = Vec::new();
    try_reserve(&mut blocks, layout.blocks())?;
    for bounds in layout.starts().windows(2) {
        let block;
        (block, values) = values.split_at_mut((bounds[1] - bounds[0]) * count);
        blocks.push(block);
    }
    Ok(blocks)
}

/// The pooled covariance of `images` images without some of them, given by their padded maps, of which the first is the
/// learnt one: the lower triangle.
pub fn pooled_without(
    pooled: &DMatrix<f64>,
    level: &Gaussians<f32>,
    left_out: &[Vec<FeatureMap>],
    images: usize,
) -> Result<DMatrix<f64>> {
    let (d, row_len, positions) = (level.dimension, padded(level.dimension), level.layout.grid().len());
    let rest = (images - left_out.len()) as f64;
    let mut scatter = try_vec(blocked_len(d), 0.0)?;
    let mut rows = Vec::new();
    for (&p, mean) in level.layout.grid().iter().zip(level.mean.chunks_exact(row_len)) {
        rows.clear();
        rows.resize(row_len, 0.0);
        for maps in left_out {
            rows.extend(maps[0].at(p).iter().zip(mean).map(|(x, m)| f64::from(x - m)));
        }
        // The mean of the rest differs from that of all by the sum of those left out.
        let (shift, own) = rows.split_at_mut(row_len);
        for row in own.chunks_exact(row_len) {
            shift.iter_mut().zip(row).for_each(|(s, x)| *s += x / rest.sqrt());
        }
        scatter_add(&rows, d, &mut scatter);
    }
    let mut out = pooled * images as f64;
    for j in 0..d {
        for i in j..d {
            out[(i, j)] -= scatter[blocked_index(i, j)] / positions as f64;
        }
    }
    Ok(out / rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::gaussian::{Share, Target};
    use crate::math::random::Random;
    use ndarray::Array3;

    const DIMENSION: usize = 5;

    /// Padded maps of a grid of 3 x 5 positions.
    fn maps(count: u64) -> Vec<FeatureMap> {
        let map = |seed| {
            let mut random = Random::new(seed);
            let mut value = |c: usize| if c < DIMENSION { random.below(1000) as f32 / 128.0 } else { 0.0 };
            FeatureMap::from(Array3::from_shape_fn((3, 5, padded(DIMENSION)), |(_, _, c)| value(c)))
        };
        (0..count).map(map).collect()
    }

    fn statistics(layout: &Layout, maps: &[FeatureMap], threads: &Threads) -> Moments {
        let mut moments = Moments::new(DIMENSION, layout.starts().to_vec()).unwrap();
        observe(&mut moments, layout, maps, ALONE, threads).unwrap();
        moments
    }

    #[test]
    fn the_pooled_covariance_without_some_images_is_that_of_the_others() {
        let regularisation = Regularisation { target: Target::Pooled, share: Share::Fixed(0.1), ridge: 0.01 };
        let threads = Threads::new(2).unwrap();
        for block in [(1, 1), (1, 2), (2, 2)] {
            let (layout, maps) = (Layout::new(3, 5, block).unwrap(), maps(9));
            let all = statistics(&layout, &maps, &threads);
            let pooled = all.pooled().unwrap();
            let level = Gaussians::new(&all, &layout, &pooled, maps.len(), regularisation, &threads).unwrap();
            let left_out: Vec<Vec<FeatureMap>> = maps[..3].iter().map(|map| vec![map.clone()]).collect();
            let got = pooled_without(&pooled, &level, &left_out, maps.len()).unwrap();
            let expected = statistics(&layout, &maps[3..], &threads).pooled().unwrap();
            for j in 0..DIMENSION {
                for i in j..DIMENSION {
                    let (got, expected) = (got[(i, j)], expected[(i, j)]);
                    assert!((got - expected).abs() < 1e-4, "({i}, {j}): {got} instead of {expected}");
                }
            }
        }
    }

    #[test]
    fn positions_of_a_block_are_scored_with_its_covariance_whatever_the_tasks() {
        let regularisation = Regularisation { target: Target::Identity, share: Share::Fixed(0.0), ridge: 0.1 };
        let threads = Threads::new(2).unwrap();
        let (layout, maps) = (Layout::new(3, 5, (2, 2)).unwrap(), maps(12));
        let all = statistics(&layout, &maps, &threads);
        let level =
            Gaussians::new(&all, &layout, &all.pooled().unwrap(), maps.len(), regularisation, &threads).unwrap();
        let whitener = |b: usize| level.whitener[b * blocked_len(DIMENSION)..][..blocked_len(DIMENSION)].to_vec();
        let whiteners: Vec<_> = (0..layout.blocks()).map(whitener).collect();
        let means = level.mean.clone();
        let level = level.rounded().unwrap();
        let mut out = Vec::new();
        level.distances(maps[..2].iter(), &threads, &mut Vec::new(), &mut out).unwrap();
        for (b, whitener) in whiteners.iter().enumerate() {
            for at in layout.starts()[b]..layout.starts()[b + 1] {
                let (p, mean) = (layout.grid()[at], &means[at * padded(DIMENSION)..][..padded(DIMENSION)]);
                for (m, map) in maps[..2].iter().enumerate() {
                    let relative: Vec<f32> = map.at(p).iter().zip(mean).map(|(x, mean)| x - mean).collect();
                    let mut white = vec![0.0; relative.len()];
                    crate::math::kernels::whiten(whitener, DIMENSION, &relative, &mut white);
                    let expected = white.iter().map(|z| z * z).sum::<f32>().sqrt();
                    let got = out[at * 2 + m];
                    assert!((got - expected).abs() < 5e-3 * expected, "position {p}: {got} instead of {expected}");
                }
            }
        }
    }
}
