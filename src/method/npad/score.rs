//! N-pad's scorer: computes the levels and fuses them into the anomaly map and the values for the image score.

use half::f16;

use super::centroids::Centroids;
use super::gaussians::Gaussians;
use super::layout::Layout;
use super::{LEVELS, NpadConfig, Rule};
use crate::backbone::FeatureMap;
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::try_resize;
use crate::exec::scratch::Pool;
use crate::math::kernels::padded;
use crate::method::features::{patch_mean, select};
use crate::method::state::unfit;
use crate::method::whitening::NearestScratch;
use crate::method::{Array, GridGraph, GridScore, Scorer, State, check_shape};
use crate::onnx::{Value, Writer};

/// Weights of the levels in the map and in the image score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fusion {
    /// Whether the map is the smallest of the weighted levels, instead of their sum.
    pub minimum: bool,
    /// Weights in the anomaly map; 0 for an unused level.
    pub map: [f32; 3],
    /// Weights in the values that the image score is computed from.
    pub image: [f32; 3],
}

impl Fusion {
    /// Weights for the chosen levels from the mean and the standard deviation of each level's distances of held-out images.
    pub fn new(config: &NpadConfig, moments: [Spread; 3]) -> Self {
        let weights = |chosen: [bool; 3], count: usize| {
            std::array::from_fn(|level| {
                let scale = match config.rule {
                    Rule::Minimum => moments[level].mean,
                    Rule::Standardised => moments[level].deviation,
                    Rule::Mean => 1.0,
                };
                if chosen[level] { (1.0 / (scale * count as f64)) as f32 } else { 0.0 }
            })
        };
        let count = |chosen: [bool; 3]| chosen.iter().filter(|c| **c).count();
        let minimum = config.rule == Rule::Minimum;
        Self {
            minimum,
            map: weights(config.map_levels, if minimum { 1 } else { count(config.map_levels) }),
            image: weights(config.image_levels, count(config.image_levels)),
        }
    }

    /// Whether map and image score rest on the same values.
    pub fn is_single(&self) -> bool {
        self.image == self.map && (!self.minimum || self.map.iter().filter(|weight| **weight > 0.0).count() == 1)
    }

    /// Combines the levels' distances.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn apply(&self, distances: [&[f32]; 3], rows: usize, cols: usize, out: &mut GridScore) -> Result<()> {
        (out.rows, out.cols) = (rows, cols);
        if self.minimum {
            out.map.clear();
            try_resize(&mut out.map, rows * cols, f32::INFINITY)?;
            for (weight, distance) in self.map.into_iter().zip(distances).filter(|(weight, _)| *weight > 0.0) {
                out.map.iter_mut().zip(distance).for_each(|(out, d)| *out = out.min(weight * d));
            }
        } else {
            add(self.map, distances, rows * cols, &mut out.map)?;
        }
        if self.is_single() {
            out.evidence.clear();
            return Ok(());
        }
        self.evidence(distances, rows * cols, &mut out.evidence)
    }

    /// What the image score is computed from, alone: the levels of the map need not be there.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn evidence(&self, distances: [&[f32]; 3], positions: usize, out: &mut Vec<f32>) -> Result<()> {
        add(self.image, distances, positions, out)
    }
}

/// The weighted sum of the levels.
fn add(weights: [f32; 3], distances: [&[f32]; 3], positions: usize, out: &mut Vec<f32>) -> Result<()> {
    out.clear();
    try_resize(out, positions, 0.0)?;
    for (weight, distance) in weights.into_iter().zip(distances).filter(|(weight, _)| *weight > 0.0) {
        out.iter_mut().zip(distance).for_each(|(out, d)| *out += weight * d);
    }
    Ok(())
}

/// Mean and standard deviation of a level's distances.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spread {
    pub mean: f64,
    pub deviation: f64,
}

/// The fitted levels; none for an unused level.
pub struct Levels<W = f16> {
    pub pixel: Option<Gaussians<W>>,
    pub patch: Option<Gaussians<W>>,
    pub centroids: Option<Centroids>,
}

/// Maximum side of the blocks of the patch level.
const MAX_BLOCK: u32 = 4;
/// Maximum number of grid positions of a model file.
const MAX_POSITIONS: usize = 1 << 24;

/// N-pad's scorer.
pub struct NpadScorer {
    pub shape: (usize, usize, usize),
    pub channels: Vec<u32>,
    pub patch: usize,
    /// Rows and columns of the patch level's blocks.
    pub block: (usize, usize),
    pub centroid_patch: usize,
    pub levels: Levels,
    pub fusion: Fusion,
    pub scratch: Pool<Scratch>,
}

/// Working memory of one call.
#[derive(Default)]
pub struct Scratch {
    maps: Vec<Maps>,
    relative: Vec<Vec<f32>>,
    nearest: NearestScratch,
    /// Distances of one level: for each position, those of all maps.
    all: Vec<f32>,
}

/// Inputs and outputs of the levels for one feature map.
#[derive(Default)]
struct Maps {
    selected: FeatureMap,
    mean: FeatureMap,
    cells: FeatureMap,
    distances: [Vec<f32>; 3],
}

/// Gives each map the distances of one level, which `all` has for each position of `grid` in turn, one per map.
fn hand_out(all: &[f32], grid: &[usize], level: usize, maps: &mut [Maps]) -> Result<()> {
    let count = maps.len();
    for (number, maps) in maps.iter_mut().enumerate() {
        let out = &mut maps.distances[level];
        try_resize(out, grid.len(), 0.0)?;
        grid.iter().zip(all.chunks_exact(count)).for_each(|(&p, distances)| out[p] = distances[number]);
    }
    Ok(())
}

/// The features for the centroids: those of single positions, or means over a patch.
pub fn cells_of<'a>(
    features: &'a FeatureMap,
    patch: usize,
    threads: &Threads,
    scratch: &'a mut FeatureMap,
) -> Result<&'a FeatureMap> {
    if patch == 1 {
        return Ok(features);
    }
    patch_mean(features, patch, threads, scratch)?;
    Ok(scratch)
}

impl Scorer for NpadScorer {
    fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    fn score(&self, features: &FeatureMap, threads: &Threads, out: &mut GridScore) -> Result<()> {
        self.score_all(std::slice::from_ref(features), threads, &|| Ok(()), std::slice::from_mut(out))
    }

    fn score_all(
        &self,
        features: &[FeatureMap],
        threads: &Threads,
        check: &dyn Fn() -> Result<()>,
        out: &mut [GridScore],
    ) -> Result<()> {
        features.iter().try_for_each(|map| check_shape(self.shape, map))?;
        self.scratch.try_with(|| Ok(Scratch::default()), |scratch| self.run(features, threads, check, scratch, out))
    }

    fn warm_up(&self, maps: usize, calls: usize, threads: &Threads) -> Result<()> {
        let mut blank = FeatureMap::default();
        blank.reshape(self.shape)?;
        let (features, mut out) = (vec![blank; maps], vec![GridScore::default(); maps]);
        self.scratch.warm_up(
            calls,
            || Ok(Scratch::default()),
            |scratch| self.run(&features, threads, &|| Ok(()), scratch, &mut out),
        )
    }

    fn state(&self) -> Result<State> {
        let (rows, cols, channels) = self.shape;
        let mut state = State::default();
        state.put("shape", Array::U32(vec![3], [rows, cols, channels].map(|n| n as u32).to_vec()));
        state.put("channels", Array::U32(vec![self.channels.len()], self.channels.clone()));
        state.put("fusion", Array::F32(vec![2, 3], [self.fusion.map, self.fusion.image].concat()));
        state.put("block", Array::U32(vec![2], vec![self.block.0 as u32, self.block.1 as u32]));
        if let Some(level) = &self.levels.pixel {
            level.save(LEVELS[0], &mut state)?;
        }
        if let Some(level) = &self.levels.patch {
            level.save(LEVELS[1], &mut state)?;
        }
        if let Some(level) = &self.levels.centroids {
            level.save(&mut state)?;
        }
        Ok(state)
    }

    fn to_graph(&self, writer: &mut Writer, features: &Value) -> Result<GridGraph> {
        self.write(writer, features)
    }
}

impl NpadScorer {
    /// Scores feature maps of the scorer's shape. `check` is called before each map and each level.
    fn run(
        &self,
        features: &[FeatureMap],
        threads: &Threads,
        check: &dyn Fn() -> Result<()>,
        scratch: &mut Scratch,
        out: &mut [GridScore],
    ) -> Result<()> {
        let Levels { pixel, patch, centroids } = &self.levels;
        let Scratch { maps, relative, nearest, all } = scratch;
        if maps.len() < features.len() {
            maps.resize_with(features.len(), Maps::default);
        }
        let maps = &mut maps[..features.len()];
        // Where all channels are selected and need no padding, nothing is copied.
        let channels = self.shape.2;
        let is_whole = padded(channels) == channels && self.channels.iter().copied().eq(0..channels as u32);
        for (maps, features) in maps.iter_mut().zip(features) {
            check()?;
            if !is_whole && (pixel.is_some() || patch.is_some()) {
                select(features, &self.channels, threads, &mut maps.selected)?;
            }
            if patch.is_some() {
                let selected = if is_whole { features } else { &maps.selected };
                patch_mean(selected, self.patch, threads, &mut maps.mean)?;
            }
            if let Some(level) = centroids {
                let cells = cells_of(features, self.centroid_patch, threads, &mut maps.cells)?;
                level.distances(cells, threads, nearest, &mut maps.distances[2])?;
            }
        }
        check()?;
        if let Some(level) = pixel {
            let pairs = maps.iter().zip(features);
            let selected = pairs.map(|(maps, features)| if is_whole { features } else { &maps.selected });
            level.distances(selected, threads, relative, all)?;
            hand_out(all, level.grid(), 0, maps)?;
        }
        check()?;
        if let Some(level) = patch {
            level.distances(maps.iter().map(|maps| &maps.mean), threads, relative, all)?;
            hand_out(all, level.grid(), 1, maps)?;
        }
        for (maps, out) in maps.iter().zip(out) {
            self.fusion.apply(maps.distances.each_ref().map(Vec::as_slice), self.shape.0, self.shape.1, out)?;
        }
        Ok(())
    }

    /// Restores a scorer from its state.
    pub fn load(config: &NpadConfig, mut state: State) -> Result<Self> {
        let shape = state.take_u32("shape")?;
        let [rows, cols, total] = shape[..] else { return Err(unfit("shape")) };
        let shape = (rows as usize, cols as usize, total as usize);
        let channels = state.take_u32("channels")?;
        if channels.is_empty() || channels.iter().any(|&c| c >= total) {
            return Err(unfit("channels"));
        }
        let positions = shape.0.checked_mul(shape.1).filter(|p| *p > 0 && *p <= MAX_POSITIONS);
        positions.ok_or_else(|| unfit("shape"))?;
        let fusion = state.take_f32("fusion", &[2, 3])?;
        // Models before 0.2 have a covariance for each position.
        let block = match state.take_u32("block").as_deref() {
            Ok([rows @ 1..=MAX_BLOCK, cols @ 1..=MAX_BLOCK]) => (*rows as usize, *cols as usize),
            Ok(_) => return Err(unfit("block")),
            Err(_) => (1, 1),
        };
        let mut gaussians = |level: usize| {
            let layout = Layout::new(shape.0, shape.1, if level == 1 { block } else { (1, 1) });
            let load = || Gaussians::load(LEVELS[level], channels.len(), layout?, &mut state);
            config.uses(level).then(load).transpose()
        };
        let (pixel, patch) = (gaussians(0)?, gaussians(1)?);
        let centroids = config.uses(2).then(|| Centroids::load(shape.2, &mut state)).transpose()?;
        Ok(Self {
            shape,
            channels,
            patch: config.patch,
            centroid_patch: config.centroid_patch,
            levels: Levels { pixel, patch, centroids },
            block,
            fusion: Fusion {
                minimum: config.rule == Rule::Minimum,
                map: std::array::from_fn(|level| fusion[level]),
                image: std::array::from_fn(|level| fusion[3 + level]),
            },
            scratch: Pool::default(),
        })
    }
}
