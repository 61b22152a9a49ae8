//! SPADE (Cohen, Hoshen; arXiv:2005.02357): finds the nearest good images by a global feature, then for each pixel the
//! nearest feature at any position of these images.
//!
//! The image score is the mean distance to the K nearest images (the paper's equation 2), multiplied by a factor that takes
//! good images' scores to the scale of their maps' maxima. The map is the distance to the nearest pixel feature in their
//! gallery (equation 4 with one neighbour). Where the score exceeds the map's peak, the peak is raised to it; where it does
//! not, the peak decides.
//!
//! Differences from the paper: the global feature is the mean of the deepest tap rather than a last layer, which a
//! truncated backbone does not have; the features of each tap are scaled to unit length, since raw distances of this
//! backbone's features perform poorly; and the gallery is a bounded sample of the good images.

use half::f16;

use super::features::draw;
use super::scaling::{SCALINGS, Scaling};
use super::state::unfit;
use super::{
    Array, Environment, FitOutcome, Fitter, GridScore, Kind, Method, Parameter, Parameters, Sample, Scorer, State,
    check_shape, held_out_images,
};
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::{try_reserve, try_resize, try_vec};
use crate::exec::progress::Progress;
use crate::exec::scratch::Pool;
use crate::math::kernels::widen;
use crate::math::knn::Points;
use crate::math::random::Random;
use crate::math::rows::{from_vec, view};
use ndarray::{Array2, ArrayView2, s};

static PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "spade.images",
        default: "10",
        kind: Kind::Count(1, 1000),
        help: "number of nearest good images that an image is compared with",
    },
    Parameter {
        name: "spade.gallery",
        default: "100",
        kind: Kind::Count(2, 256),
        help: "maximum number of good images kept in the model, chosen at random",
    },
    Parameter {
        name: "spade.scaling",
        default: "unit",
        kind: SCALINGS,
        help: "scaling of the features: unit length of each tap of the backbone, whitening with one global covariance, or \
               none",
    },
];

/// Number of features that a whitening is estimated from.
const WHITENING_SAMPLE: usize = 10_000;
/// Number of positions per task.
const CHUNK: usize = 60;

/// The method in the registry.
pub struct Spade;

impl Method for Spade {
    fn name(&self) -> &'static str {
        "spade"
    }

    fn help(&self) -> &'static str {
        "distance to the nearest features of the nearest good images (Cohen, Hoshen 2020)"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn shifts(&self, _: &Parameters) -> Vec<(isize, isize)> {
        vec![(0, 0)]
    }

    fn fitter(&self, parameters: &Parameters, seed: u64, _: &Environment) -> Result<Box<dyn Fitter>> {
        let count = |name: &str| parameters.count(name);
        let scaling = parameters.text("spade.scaling").to_owned();
        Ok(Box::new(SpadeFitter { images: count("spade.images"), gallery: count("spade.gallery"), scaling, seed }))
    }

    fn load(&self, parameters: &Parameters, mut state: State, _: &Environment) -> Result<Box<dyn Scorer>> {
        let [rows, cols, channels] = state.take_u32("shape")?[..] else { return Err(unfit("shape")) };
        let shape = (rows as usize, cols as usize, channels as usize);
        let size = [shape.0, shape.1].iter().try_fold(shape.2, |a, b| a.checked_mul(*b)).filter(|n| *n > 0);
        let size = size.ok_or_else(|| unfit("shape"))?;
        let count = *state.shape("gallery").first().filter(|count| **count > 0).ok_or_else(|| unfit("gallery"))?;
        let gallery = state.take_f16("gallery", &[count, size])?;
        let scaling = Scaling::load(parameters.text("spade.scaling"), shape.2, &mut state)?;
        // Models of npad 0.1 have no factor.
        let is_there = !state.shape("factor").is_empty();
        let factor = is_there.then(|| state.take_f32("factor", &[1])).transpose()?.map(|factor| factor[0]);
        if factor.is_some_and(|factor| factor <= 0.0) {
            return Err(unfit("factor"));
        }
        let images = gallery.chunks_exact(size).map(|features| {
            let mut rows = try_vec(size, 0.0)?;
            widen(features, &mut rows);
            GalleryImage::new(from_vec(rows, shape.2), &scaling)
        });
        let gallery = images.collect::<Result<_>>()?;
        let images = parameters.count("spade.images");
        Ok(Box::new(SpadeScorer { shape, images, scaling, gallery, factor, scratch: Pool::default() }))
    }
}

struct SpadeFitter {
    images: usize,
    gallery: usize,
    scaling: String,
    seed: u64,
}

impl Fitter for SpadeFitter {
    fn finish(&mut self, sample: &Sample, threads: &Threads, progress: &Progress) -> Result<FitOutcome> {
        let mut random = Random::new(self.seed);
        let mut features = FeatureMap::default();
        let share = WHITENING_SAMPLE.div_ceil(sample.images().len().max(1));
        let mut rows = Vec::new();
        for image in sample.images() {
            image.maps[0].read(&mut features)?;
            draw(&features, share, &mut random, &mut rows)?;
        }
        let rows = from_vec(rows, features.channels());
        let scaling = Scaling::new(&self.scaling, features.taps(), rows.view())?;
        let mut members = random.choose(self.gallery, sample.images().len())?;
        members.sort_unstable();
        let gallery = members
            .iter()
            .map(|&number| {
                sample.images()[number].maps[0].read(&mut features)?;
                let mut scaled = scaling.apply_all(features.vectors(), threads)?;
                // Rounded as in the model file, so that a model scores the same before and after saving.
                scaled.mapv_inplace(|v| f16::from_f32(v).to_f32());
                GalleryImage::new(scaled, &scaling)
            })
            .collect::<Result<_>>()?;
        let (shape, images) = (features.shape(), self.images);
        let mut scorer = SpadeScorer { shape, images, scaling, gallery, factor: None, scratch: Pool::default() };

        let numbers = held_out_images(sample);
        let mut held_out = Vec::with_capacity(numbers.len());
        for (done, &number) in numbers.iter().enumerate() {
            progress.report("held-out scores", done, numbers.len())?;
            sample.images()[number].maps[0].read(&mut features)?;
            let mut grid = GridScore::default();
            scorer.score_without(members.binary_search(&number).ok(), &features, threads, &mut grid)?;
            held_out.push(vec![grid]);
        }
        scorer.factor = Some(factor(&held_out));
        for grid in held_out.iter_mut().flatten() {
            scorer.join(grid);
        }
        Ok(FitOutcome { scorer: Box::new(scorer), held_out })
    }
}

/// The factor that takes the image scores to the scale of the maps: the median of the maps' maxima over good images,
/// divided by the median of the scores.
fn factor(held_out: &[Vec<GridScore>]) -> f32 {
    let median = |of: fn(&GridScore) -> f32| {
        let mut values: Vec<f32> = held_out.iter().flatten().map(of).collect();
        let middle = values.len() / 2;
        if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f32::total_cmp).1 }
    };
    let peak = median(|grid| grid.map.iter().copied().fold(0.0, f32::max));
    let score = median(|grid| grid.evidence.first().copied().unwrap_or(0.0));
    let factor = peak / score;
    if factor.is_finite() && factor > 0.0 { factor } else { 1.0 }
}

/// A good image: its scaled features, prepared for the search, and its global feature.
struct GalleryImage {
    features: Points,
    pooled: Vec<f32>,
}

impl GalleryImage {
    fn new(rows: Array2<f32>, scaling: &Scaling) -> Result<Self> {
        let mut mean = Vec::new();
        pooled(rows.view(), scaling, &mut mean)?;
        Ok(Self { pooled: mean, features: Points::new(rows)? })
    }
}

/// The global feature of an image with these scaled features: the mean of the deepest tap's, or of all channels.
fn pooled(rows: ArrayView2<'_, f32>, scaling: &Scaling, mean: &mut Vec<f32>) -> Result<()> {
    let channels = match scaling {
        Scaling::Unit(taps) => taps.last().copied().unwrap_or(0),
        _ => rows.ncols(),
    };
    let rows = rows.slice_move(s![.., rows.ncols() - channels..]);
    mean.clear();
    try_resize(mean, rows.ncols(), 0.0)?;
    let share = rows.ncols() as f32 / rows.len() as f32;
    for row in rows.rows() {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += share * v);
    }
    Ok(())
}

struct SpadeScorer {
    shape: (usize, usize, usize),
    images: usize,
    scaling: Scaling,
    gallery: Vec<GalleryImage>,
    /// Takes the image score to the map's scale; none in models of npad 0.1, whose image score is the evidence.
    factor: Option<f32>,
    scratch: Pool<Scratch>,
}

/// Working memory of a score.
#[derive(Default)]
struct Scratch {
    scaled: Vec<f32>,
    /// What each thread's scaling needs.
    relative: Vec<Vec<f32>>,
    pooled: Vec<f32>,
    /// Distances of the gallery's images and their numbers, nearest first.
    near: Vec<(f32, usize)>,
}

impl SpadeScorer {
    /// Scores against the gallery without one of its images.
    fn score_without(
        &self,
        without: Option<usize>,
        features: &FeatureMap,
        threads: &Threads,
        out: &mut GridScore,
    ) -> Result<()> {
        self.scratch
            .try_with(|| Ok(Default::default()), |scratch| self.score_with(scratch, without, features, threads, out))
    }

    fn score_with(
        &self,
        scratch: &mut Scratch,
        without: Option<usize>,
        features: &FeatureMap,
        threads: &Threads,
        out: &mut GridScore,
    ) -> Result<()> {
        let channels = features.channels();
        let Scratch { scaled, relative, pooled: own, near } = scratch;
        self.scaling.apply_into(features.vectors(), threads, relative, scaled)?;
        pooled(view(scaled, channels), &self.scaling, own)?;
        let distance =
            |image: &GalleryImage| image.pooled.iter().zip(&*own).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
        near.clear();
        try_reserve(near, self.gallery.len())?;
        let others = self.gallery.iter().enumerate().filter(|(number, _)| Some(*number) != without);
        near.extend(others.map(|(number, image)| (distance(image), number)));
        near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        near.truncate(self.images);
        if near.is_empty() {
            return Err(Error::new(Status::NotEnoughImages, "SPADE needs at least two good images in its gallery"));
        }
        (out.rows, out.cols) = (features.rows(), features.cols());
        out.map.clear();
        try_resize(&mut out.map, features.positions(), f32::INFINITY)?;
        threads.chunks(&mut out.map, CHUNK, |chunk, map| {
            let rows = &scaled[chunk * CHUNK * channels..][..map.len() * channels];
            let (mut index, mut distance) = ([0; CHUNK], [0.0; CHUNK]);
            for (_, number) in &*near {
                self.gallery[*number].features.nearest(rows, &mut index[..map.len()], &mut distance[..map.len()]);
                map.iter_mut().zip(&distance).for_each(|(map, d)| *map = map.min(*d));
            }
            map.iter_mut().for_each(|d| *d = d.sqrt());
        });
        let score = near.iter().map(|(distance, _)| distance).sum::<f32>() / near.len() as f32;
        out.evidence.clear();
        try_resize(&mut out.evidence, out.map.len(), score)
    }
}

impl SpadeScorer {
    /// Gives the evidence, which is the image score, the shape of the map, with the larger of the map's peak and the score
    /// as its peak. The map shows defects that change the global feature too little for the score, and would otherwise be
    /// cut off at it.
    fn join(&self, grid: &mut GridScore) {
        let peak = grid.map.iter().copied().fold(0.0, f32::max);
        let Some(factor) = self.factor.filter(|_| peak > 0.0) else { return };
        let evidence = grid.evidence.iter_mut().zip(&grid.map);
        evidence.for_each(|(evidence, map)| *evidence = map * (*evidence * factor / peak).max(1.0));
    }
}

impl Scorer for SpadeScorer {
    fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    fn score(&self, features: &FeatureMap, threads: &Threads, out: &mut GridScore) -> Result<()> {
        check_shape(self.shape, features)?;
        self.score_without(None, features, threads, out)?;
        self.join(out);
        Ok(())
    }

    fn state(&self) -> Result<State> {
        let (rows, cols, channels) = self.shape;
        let mut state = State::default();
        state.put("shape", Array::U32(vec![3], [rows, cols, channels].map(|n| n as u32).to_vec()));
        let all = self.gallery.iter().flat_map(|image| image.features.rows());
        let shape = vec![self.gallery.len(), rows * cols * channels];
        let mut gallery = Vec::new();
        try_reserve(&mut gallery, shape.iter().product())?;
        gallery.extend(all.map(|v| f16::from_f32(*v)));
        state.put("gallery", Array::F16(shape, gallery));
        self.scaling.save(&mut state)?;
        if let Some(factor) = self.factor {
            state.put("factor", Array::F32(vec![1], vec![factor]));
        }
        Ok(state)
    }
}
