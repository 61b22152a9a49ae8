//! PatchCore (Roth, Pemula, Zepeda, Schölkopf, Brox, Gehler; CVPR 2022): distance to the nearest patch of a memory
//! bank.
//!
//! Patch features are neighbourhood means, the bank is a greedy k-centre coreset of the good images' patches, chosen in
//! a random projection, and the image score is the largest patch distance, weighted by the distances of the matched
//! patch's neighbours in the bank (the paper's equations 2, 5, 6 and 7).
//!
//! Differences from the paper: the features of each tap of the backbone are scaled to unit length, so that every tap has
//! the same weight and distances do not depend on an image's contrast; the coreset is chosen from a bounded number of candidates out of a bounded sample of images, so
//! that neither memory nor time grows with the number of images; and the threshold comes from good images scored
//! against the bank without their own patches.

mod graph;

use super::features::{draw, patch_mean};
use super::scaling::{SCALINGS, Scaling};
use super::state::unfit;
use super::whitening::{NearestScratch, Transform, nearest_distances};
use super::{
    Array, Environment, FitOutcome, Fitter, GridGraph, GridScore, Kind, Method, Parameter, Parameters, Sample, Scorer,
    State, check_shape, held_out_images,
};
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::{try_copy, try_reserve, try_resize};
use crate::exec::progress::Progress;
use crate::exec::scratch::Pool;
use crate::math::kernels::{Panels, multiply};
use crate::math::knn::{Points, k_centre};
use crate::math::random::Random;
use crate::math::rows::{as_slice, from_vec, select, try_zeros};
use crate::onnx::{Value, Writer};
use ndarray::{Array2, ArrayView2};

static PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "patchcore.patch",
        default: "3",
        kind: Kind::Odd(1, 15),
        help: "side of the neighbourhood that is averaged to a patch feature, in grid positions",
    },
    Parameter {
        name: "patchcore.bank",
        default: "2000",
        kind: Kind::Count(1, 100_000),
        help: "number of patches in the memory bank",
    },
    Parameter {
        name: "patchcore.candidates",
        default: "20000",
        kind: Kind::Count(1, 1_000_000),
        help: "number of patches that the memory bank is selected from",
    },
    Parameter {
        name: "patchcore.projection",
        default: "64",
        kind: Kind::Count(0, 1024),
        help: "dimensions of the random projection for the coreset selection; 0: no projection",
    },
    Parameter {
        name: "patchcore.neighbours",
        default: "9",
        kind: Kind::Count(1, 100),
        help: "number of neighbours in the memory bank for the weight of the image score; 1: no weight",
    },
    Parameter {
        name: "patchcore.scaling",
        default: "unit",
        kind: SCALINGS,
        help: "scaling of the patch features: unit length of each tap of the backbone, whitening with one global \
               covariance, or none",
    },
];

/// The method in the registry.
pub struct PatchCore;

impl Method for PatchCore {
    fn name(&self) -> &'static str {
        "patchcore"
    }

    fn help(&self) -> &'static str {
        "distance to the nearest patch of a memory bank (Roth et al. 2022)"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn has_graph(&self) -> bool {
        true
    }

    fn shifts(&self, _: &Parameters) -> Vec<(isize, isize)> {
        vec![(0, 0)]
    }

    fn fitter(&self, parameters: &Parameters, seed: u64, _: &Environment) -> Result<Box<dyn Fitter>> {
        Ok(Box::new(PatchCoreFitter { config: PatchCoreConfig::new(parameters), seed }))
    }

    fn load(&self, parameters: &Parameters, mut state: State, _: &Environment) -> Result<Box<dyn Scorer>> {
        let config = PatchCoreConfig::new(parameters);
        let [rows, cols, channels] = state.take_u32("shape")?[..] else { return Err(unfit("shape")) };
        let channels = channels as usize;
        if channels == 0 {
            return Err(unfit("shape"));
        }
        let count = *state.shape("bank").first().filter(|count| **count > 0).ok_or_else(|| unfit("bank"))?;
        let scaling = Scaling::load(&config.scaling, channels, &mut state)?;
        Ok(Box::new(PatchCoreScorer {
            shape: (rows as usize, cols as usize, channels),
            bank: Points::new(from_vec(state.take_f32("bank", &[count, channels])?, channels))?,
            scaling,
            config,
            scratch: Pool::default(),
        }))
    }
}

/// The parsed parameters.
#[derive(Debug, Clone)]
struct PatchCoreConfig {
    patch: usize,
    bank: usize,
    candidates: usize,
    projection: usize,
    neighbours: usize,
    scaling: String,
}

impl PatchCoreConfig {
    fn new(parameters: &Parameters) -> Self {
        Self {
            patch: parameters.count("patchcore.patch"),
            bank: parameters.count("patchcore.bank"),
            candidates: parameters.count("patchcore.candidates"),
            projection: parameters.count("patchcore.projection"),
            neighbours: parameters.count("patchcore.neighbours"),
            scaling: parameters.text("patchcore.scaling").to_owned(),
        }
    }
}

struct PatchCoreFitter {
    config: PatchCoreConfig,
    seed: u64,
}

impl Fitter for PatchCoreFitter {
    fn finish(&mut self, sample: &Sample, threads: &Threads, progress: &Progress) -> Result<FitOutcome> {
        let Self { config, seed } = self;
        let mut random = Random::new(*seed);
        let (mut features, mut patches) = (FeatureMap::default(), FeatureMap::default());
        let share = config.candidates.div_ceil(sample.images().len().max(1));
        let (mut rows, mut origin) = (Vec::new(), Vec::new());
        for (number, image) in sample.images().iter().enumerate() {
            image.maps[0].read(&mut features)?;
            patch_mean(&features, config.patch, threads, &mut patches)?;
            let drawn = draw(&patches, share, &mut random, &mut rows)?;
            origin.resize(origin.len() + drawn, number);
        }
        let rows = from_vec(rows, patches.channels());
        let scaling = Scaling::new(&config.scaling, patches.taps(), rows.view())?;
        let rows = scaling.apply_all(rows.view(), threads)?;
        progress.report("bank", 0, 1)?;
        let chosen = match project(rows.view(), config.projection, &mut random)? {
            Some(low) => k_centre(low.view(), config.bank, threads)?,
            None => k_centre(rows.view(), config.bank, threads)?,
        };
        let origin: Vec<usize> = chosen.iter().map(|&i| origin[i]).collect();
        let scorer = PatchCoreScorer {
            shape: patches.shape(),
            scaling,
            bank: Points::new(select(rows.view(), &chosen)?)?,
            config: config.clone(),
            scratch: Pool::default(),
        };

        let numbers = held_out_images(sample);
        let mut held_out = Vec::with_capacity(numbers.len());
        for (done, &number) in numbers.iter().enumerate() {
            progress.report("held-out scores", done, numbers.len())?;
            let others: Vec<usize> = (0..scorer.bank.count()).filter(|&i| origin[i] != number).collect();
            if others.is_empty() {
                let message =
                    "the memory bank has patches of one image only; use more varied images or a larger patchcore.bank";
                return Err(Error::new(Status::NotEnoughImages, message));
            }
            let others = Points::new(select(scorer.bank.rows(), &others)?)?;
            let mut grid = GridScore::default();
            sample.images()[number].maps[0].read(&mut features)?;
            scorer.score_against(&others, &features, threads, &mut grid)?;
            held_out.push(vec![grid]);
        }
        Ok(FitOutcome { scorer: Box::new(scorer), held_out })
    }
}

/// A random projection of the rows to fewer dimensions, which nearly preserves distances (Johnson and Lindenstrauss
/// 1984); none if there would not be fewer.
fn project(rows: ArrayView2<'_, f32>, dimension: usize, random: &mut Random) -> Result<Option<Array2<f32>>> {
    let (number, channels) = rows.dim();
    if dimension == 0 || dimension >= channels {
        return Ok(None);
    }
    // Signs serve as well as Gaussians (Achlioptas 2003).
    let signs: Vec<f32> = (0..dimension * channels).map(|_| if random.below(2) == 0 { 1.0 } else { -1.0 }).collect();
    let mut low = try_zeros(number, dimension)?;
    multiply(as_slice(rows), &Panels::from_rows(&signs, channels)?, low.as_slice_mut().expect("just made"));
    Ok(Some(low))
}

struct PatchCoreScorer {
    shape: (usize, usize, usize),
    config: PatchCoreConfig,
    scaling: Scaling,
    bank: Points,
    scratch: Pool<Scratch>,
}

/// Working memory of a score.
#[derive(Default)]
struct Scratch {
    patches: FeatureMap,
    nearest: NearestScratch,
    /// The patch that is farthest from the bank, scaled, and what its scaling needs.
    patch: Vec<f32>,
    relative: Vec<f32>,
    /// Squared distances of the bank's patches from the match.
    near: Vec<(f32, usize)>,
}

impl PatchCoreScorer {
    fn score_against(
        &self,
        bank: &Points,
        features: &FeatureMap,
        threads: &Threads,
        out: &mut GridScore,
    ) -> Result<()> {
        (out.rows, out.cols) = (features.rows(), features.cols());
        self.scratch.try_with(
            || Ok(Default::default()),
            |Scratch { patches, nearest, patch, relative, near }| {
                patch_mean(features, self.config.patch, threads, patches)?;
                nearest_distances(Some(&self.scaling), bank, patches, threads, nearest, &mut out.map)?;
                let worst = (0..out.map.len()).max_by(|a, b| out.map[*a].total_cmp(&out.map[*b])).unwrap_or(0);
                patch.clear();
                try_resize(patch, patches.channels(), 0.0)?;
                self.scaling.apply(patches.at(worst), relative, patch);
                let (mut match_of, mut square) = ([0], [0.0]);
                bank.nearest(patch, &mut match_of, &mut square);
                near.clear();
                try_reserve(near, bank.count())?;
                around(bank, match_of[0] as usize, self.config.neighbours, near);
                let score = out.map[worst] * loneliness(bank, patch, near, out.map[worst]);
                out.evidence.clear();
                try_resize(&mut out.evidence, out.map.len(), score)
            },
        )
    }
}

/// The paper's weight (equation 7): one less the softmax share of the match among its neighbours in the bank, by their distances from
/// the test patch.
fn loneliness(bank: &Points, patch: &[f32], near: &[(f32, usize)], distance: f32) -> f32 {
    if near.len() <= 1 {
        return 1.0;
    }
    let distances = near.iter().map(|(_, i)| squared_distance(bank.row(*i), patch).sqrt());
    // Relative to the match, so that nothing overflows.
    1.0 - 1.0 / distances.map(|d| (d - distance).exp()).sum::<f32>()
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Finds the patches of the bank around patch `m`, itself included, at most `count`, with their squared distances.
fn around(bank: &Points, m: usize, count: usize, near: &mut Vec<(f32, usize)>) {
    let count = count.min(bank.count());
    near.clear();
    if count > 1 {
        near.extend((0..bank.count()).map(|i| (squared_distance(bank.row(i), bank.row(m)), i)));
        near.select_nth_unstable_by(count - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        near.truncate(count);
    }
}

impl Scorer for PatchCoreScorer {
    fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    fn score(&self, features: &FeatureMap, threads: &Threads, out: &mut GridScore) -> Result<()> {
        check_shape(self.shape, features)?;
        self.score_against(&self.bank, features, threads, out)
    }

    fn state(&self) -> Result<State> {
        let (rows, cols, channels) = self.shape;
        let mut state = State::default();
        state.put("shape", Array::U32(vec![3], [rows, cols, channels].map(|n| n as u32).to_vec()));
        state.put("bank", Array::F32(vec![self.bank.count(), channels], try_copy(as_slice(self.bank.rows()))?));
        self.scaling.save(&mut state)?;
        Ok(state)
    }

    fn to_graph(&self, writer: &mut Writer, features: &Value) -> Result<GridGraph> {
        self.write(writer, features)
    }
}
