//! Any method at several scales: one fit for each scale, whose anomaly maps are averaged.
//!
//! The feature maps of all scales lie on one grid and come as one map, whose channels are in equal parts, one for each
//! scale. Scores of different scales have different units. Each scale's scores are therefore divided by their mean over
//! held-out good images, and the average is given in the units of the first scale.

use super::{
    Accumulator, Array, Environment, FitOutcome, Fitter, GridGraph, GridScore, Leaving, Method, Parameters, Sample,
    SampleImage, Scorer, State, check_shape,
};
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::try_resize;
use crate::exec::progress::Progress;
use crate::exec::scratch::Pool;
use crate::onnx::{Value, Writer};

use super::state::unfit;

/// Name of the array of [`Factors`].
const FACTORS: &str = "scales";

/// Starts a fit of `method` at `scales` scales.
///
/// # Errors
/// As [`Method::fitter`].
pub fn fitter(
    method: &dyn Method,
    parameters: &Parameters,
    seed: u64,
    environment: &Environment,
    scales: usize,
) -> Result<Box<dyn Fitter>> {
    if scales == 1 {
        return method.fitter(parameters, seed, environment);
    }
    let fitter = |scale| method.fitter(parameters, seed, &environment.part(scale));
    let fitters = (0..scales).map(fitter).collect::<Result<_>>()?;
    Ok(Box::new(ScalesFitter::new(fitters, None)))
}

/// Resumes a fit at `scales` scales.
///
/// # Errors
/// As [`Method::resume`]; [`Status::InvalidModel`] when the state is inconsistent.
pub fn resume(
    method: &dyn Method,
    parameters: &Parameters,
    seed: u64,
    mut state: State,
    images: usize,
    scales: usize,
) -> Result<Box<dyn Fitter>> {
    if scales == 1 {
        return method.resume(parameters, seed, state, images);
    }
    let factors = Factors::take(&mut state, scales)?;
    let parts = split(state, scales)?.into_iter().map(|part| method.resume(parameters, seed, part, images));
    Ok(Box::new(ScalesFitter::new(parts.collect::<Result<_>>()?, Some(factors))))
}

/// Restores a scorer at `scales` scales.
///
/// # Errors
/// As [`Method::load`].
pub fn load(
    method: &dyn Method,
    parameters: &Parameters,
    mut state: State,
    environment: &Environment,
    scales: usize,
) -> Result<Box<dyn Scorer>> {
    if scales == 1 {
        return method.load(parameters, state, environment);
    }
    let factors = Factors::take(&mut state, scales)?;
    let parts = split(state, scales)?.into_iter().map(|part| method.load(parameters, part, environment));
    let scorers = parts.collect::<Result<Vec<_>>>()?;
    if scorers.iter().any(|scorer| scorer.shape() != scorers[0].shape()) {
        return Err(unfit(FACTORS));
    }
    Ok(Box::new(ScalesScorer { scorers, factors, scratch: Pool::default() }))
}

/// The scale that an array belongs to is a prefix of its name.
fn split(state: State, scales: usize) -> Result<Vec<State>> {
    let mut parts = vec![State::default(); scales];
    for (name, array) in state.arrays {
        let place = name.split_once('.').and_then(|(scale, own)| Some((scale.parse::<usize>().ok()?, own)));
        let (part, own) =
            place.and_then(|(scale, own)| Some((parts.get_mut(scale)?, own))).ok_or_else(|| unfit(&name))?;
        part.put(own, array);
    }
    Ok(parts)
}

/// What the scores of each scale are multiplied by before they are added.
#[derive(Debug, Clone)]
struct Factors {
    map: Vec<f32>,
    evidence: Vec<f32>,
}

impl Factors {
    /// From the held-out scores of each scale.
    fn of(held_out: &[Vec<Vec<GridScore>>]) -> Self {
        Self { map: factors(held_out, |score| &score.map), evidence: factors(held_out, |score| &score.evidence) }
    }

    fn take(state: &mut State, scales: usize) -> Result<Self> {
        let values = state.take_f32(FACTORS, &[2, scales])?;
        let (map, evidence) = values.split_at(scales);
        Ok(Self { map: map.to_vec(), evidence: evidence.to_vec() })
    }

    fn save(&self) -> Array {
        Array::F32(vec![2, self.map.len()], [&self.map[..], &self.evidence].concat())
    }

    /// Adds the scores of scale `scale`, of which the first sets the shape.
    fn add(&self, scale: usize, score: &GridScore, out: &mut GridScore) -> Result<()> {
        if scale == 0 {
            (out.rows, out.cols) = (score.rows, score.cols);
        }
        let parts = [(&score.map, &self.map, &mut out.map), (&score.evidence, &self.evidence, &mut out.evidence)];
        for (values, factors, out) in parts {
            if scale == 0 {
                out.clear();
                try_resize(out, values.len(), 0.0)?;
            }
            out.iter_mut().zip(values).for_each(|(out, value)| *out += factors[scale] * value);
        }
        Ok(())
    }
}

fn factors(held_out: &[Vec<Vec<GridScore>>], values: impl Fn(&GridScore) -> &[f32]) -> Vec<f32> {
    let means: Vec<f64> = held_out
        .iter()
        .map(|images| {
            let all = || images.iter().flatten().flat_map(&values);
            all().map(|value| f64::from(*value)).sum::<f64>() / all().count().max(1) as f64
        })
        .collect();
    // Scores without variation have no scale.
    let factor = |mean: &f64| if *mean > 0.0 && means[0] > 0.0 { means[0] / mean } else { 1.0 };
    means.iter().map(|mean| (factor(mean) / means.len() as f64) as f32).collect()
}

struct ScalesFitter {
    fitters: Vec<Box<dyn Fitter>>,
    /// Those of the fit that is resumed.
    factors: Option<Factors>,
    part: FeatureMap,
    /// Whether images have been added at some scales only.
    uneven: bool,
}

impl ScalesFitter {
    fn new(fitters: Vec<Box<dyn Fitter>>, factors: Option<Factors>) -> Self {
        Self { fitters, factors, part: FeatureMap::default(), uneven: false }
    }

    fn check_even(&self) -> Result<()> {
        if !self.uneven {
            return Ok(());
        }
        let message = "the fit ran out of memory within an image; start a new one, or go on from a saved state";
        Err(Error::new(Status::OutOfMemory, message))
    }
}

impl Fitter for ScalesFitter {
    fn accumulator(&mut self) -> Option<&mut dyn Accumulator> {
        // All scales have the same method.
        let accumulates = self.fitters[0].accumulator().is_some();
        accumulates.then_some(self)
    }

    fn finish(&mut self, sample: &Sample, threads: &Threads, progress: &Progress) -> Result<FitOutcome> {
        self.check_even()?;
        let scales = self.fitters.len();
        let (mut scorers, mut held_out) = (Vec::new(), Vec::new());
        for (scale, fitter) in self.fitters.iter_mut().enumerate() {
            let outcome = fitter.finish(&sample.part(scale, scales), threads, progress)?;
            scorers.push(outcome.scorer);
            held_out.push(outcome.held_out);
        }
        let factors = self.factors.clone().unwrap_or_else(|| Factors::of(&held_out));
        let mut merged: Vec<Vec<GridScore>> =
            held_out[0].iter().map(|grids| vec![GridScore::default(); grids.len()]).collect();
        for (scale, images) in held_out.iter().enumerate() {
            let mut pairs = images.iter().flatten().zip(merged.iter_mut().flatten());
            pairs.try_for_each(|(score, out)| factors.add(scale, score, out))?;
        }
        Ok(FitOutcome {
            scorer: Box::new(ScalesScorer { scorers, factors, scratch: Pool::default() }),
            held_out: merged,
        })
    }
}

impl Accumulator for ScalesFitter {
    fn observe(&mut self, image: Leaving<'_>, sample: &Sample, threads: &Threads) -> Result<()> {
        self.check_even()?;
        let scales = self.fitters.len();
        for (scale, fitter) in self.fitters.iter_mut().enumerate() {
            let Some(accumulator) = fitter.accumulator() else { continue };
            let observed = image.features.part(scale, scales, &mut self.part);
            observed
                .and_then(|()| {
                    let image = Leaving { features: &self.part, ..image };
                    accumulator.observe(image, &sample.part(scale, scales), threads)
                })
                .inspect_err(|_| self.uneven = scale > 0)?;
        }
        Ok(())
    }

    fn save(&mut self, threads: &Threads) -> Result<State> {
        self.check_even()?;
        let mut state = State::default();
        for (scale, fitter) in self.fitters.iter_mut().enumerate() {
            let Some(accumulator) = fitter.accumulator() else { continue };
            accumulator
                .save(threads)?
                .arrays
                .into_iter()
                .for_each(|(name, array)| state.put(format!("{scale}.{name}"), array));
        }
        Ok(state)
    }

    fn stage(&mut self, state: State, leaving: &[&SampleImage], sample: &Sample, threads: &Threads) -> Result<()> {
        self.check_even()?;
        let scales = self.fitters.len();
        for ((scale, fitter), state) in self.fitters.iter_mut().enumerate().zip(split(state, scales)?) {
            let Some(accumulator) = fitter.accumulator() else { continue };
            let parts: Vec<SampleImage> = leaving.iter().map(|image| image.part(scale, scales)).collect();
            accumulator.stage(state, &parts.iter().collect::<Vec<_>>(), &sample.part(scale, scales), threads)?;
        }
        Ok(())
    }

    fn merge(&mut self) {
        self.fitters.iter_mut().filter_map(|fitter| fitter.accumulator()).for_each(Accumulator::merge);
    }
}

struct ScalesScorer {
    scorers: Vec<Box<dyn Scorer>>,
    factors: Factors,
    scratch: Pool<Scratch>,
}

/// Working memory of one call.
#[derive(Default)]
struct Scratch {
    parts: Vec<FeatureMap>,
    scores: Vec<GridScore>,
}

impl Scorer for ScalesScorer {
    fn shape(&self) -> (usize, usize, usize) {
        let (rows, cols, channels) = self.scorers[0].shape();
        (rows, cols, channels * self.scorers.len())
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
        self.scratch.try_with(|| Ok(Scratch::default()), |scratch| self.run(features, threads, check, scratch, out))
    }

    fn warm_up(&self, maps: usize, calls: usize, threads: &Threads) -> Result<()> {
        self.scorers.iter().try_for_each(|scorer| scorer.warm_up(maps, calls, threads))?;
        let mut blank = FeatureMap::default();
        blank.reshape(self.shape())?;
        let (features, mut out) = (vec![blank; maps], vec![GridScore::default(); maps]);
        self.scratch.warm_up(
            calls,
            || Ok(Scratch::default()),
            |scratch| self.run(&features, threads, &|| Ok(()), scratch, &mut out),
        )
    }

    fn state(&self) -> Result<State> {
        let mut state = State::default();
        for (scale, scorer) in self.scorers.iter().enumerate() {
            for (name, array) in scorer.state()?.arrays {
                state.put(format!("{scale}.{name}"), array);
            }
        }
        state.put(FACTORS, self.factors.save());
        Ok(state)
    }

    fn to_graph(&self, writer: &mut Writer, features: &Value) -> Result<GridGraph> {
        let mut parts = Vec::new();
        for (scale, scorer) in self.scorers.iter().enumerate() {
            let channels = scorer.shape().2;
            let features = writer.part(features, 1, scale * channels, (scale + 1) * channels);
            let GridGraph { map, evidence } = scorer.to_graph(writer, &features)?;
            let evidence = evidence.map(|evidence| writer.scaled(&evidence, self.factors.evidence[scale]));
            parts.push(GridGraph { map: writer.scaled(&map, self.factors.map[scale]), evidence });
        }
        let mut sum = |values: Vec<&Value>| writer.apply("Sum", &values);
        let map = sum(parts.iter().map(|part| &part.map).collect());
        let evidence: Vec<&Value> = parts.iter().filter_map(|part| part.evidence.as_ref()).collect();
        Ok(GridGraph { map, evidence: (!evidence.is_empty()).then(|| sum(evidence)) })
    }

    fn graph_takes_several(&self) -> bool {
        self.scorers.iter().all(|scorer| scorer.graph_takes_several())
    }
}

impl ScalesScorer {
    fn run(
        &self,
        features: &[FeatureMap],
        threads: &Threads,
        check: &dyn Fn() -> Result<()>,
        Scratch { parts, scores }: &mut Scratch,
        out: &mut [GridScore],
    ) -> Result<()> {
        let scales = self.scorers.len();
        parts.resize_with(parts.len().max(features.len()), FeatureMap::default);
        scores.resize_with(scores.len().max(features.len()), GridScore::default);
        let (parts, scores) = (&mut parts[..features.len()], &mut scores[..features.len()]);
        for (scale, scorer) in self.scorers.iter().enumerate() {
            for (map, part) in features.iter().zip(&mut *parts) {
                check_shape(self.shape(), map)?;
                map.part(scale, scales, part)?;
            }
            scorer.score_all(parts, threads, check, scores)?;
            scores.iter().zip(&mut *out).try_for_each(|(score, out)| self.factors.add(scale, score, out))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HalfMap, SampleImage, method};
    use super::*;
    use crate::backbone::Tap;
    use crate::math::random::Random;
    use ndarray::{Array3, Axis, concatenate};

    const SHAPE: (usize, usize, usize) = (4, 5, 6);

    fn map(seed: u64) -> Array3<f32> {
        let mut random = Random::new(seed);
        Array3::from_shape_fn(SHAPE, |(y, x, _)| (y * x) as f32 / 4.0 + random.below(1000) as f32 / 500.0)
    }

    /// The channels of several maps beside one another, each map with two taps.
    fn joined(maps: &[Array3<f32>]) -> FeatureMap {
        let views: Vec<_> = maps.iter().map(|map| map.view()).collect();
        let mut joined = FeatureMap::from(concatenate(Axis(2), &views).unwrap());
        let taps = [Tap { channels: 2, step: 1 }, Tap { channels: 4, step: 2 }];
        joined.set_taps(maps.iter().flat_map(|_| taps));
        joined
    }

    /// Fits to 12 images that consist of `parts` of their map.
    fn fitted(name: &str, parts: impl Fn(Array3<f32>) -> Vec<Array3<f32>>, scales: usize) -> FitOutcome {
        let (method, mut sample, threads) = (method(name).unwrap(), Sample::new(0), Threads::new(2).unwrap());
        for seed in 0..12 {
            let map = HalfMap::new(&joined(&parts(map(seed)))).unwrap();
            let offer = sample.offer(1, seed);
            sample.accept(offer, Some(SampleImage { maps: vec![map], size: (1, 1), hash: seed, content: seed.into() }));
        }
        let mut fitter =
            fitter(method, &Parameters::new(method.parameters()), 0, &Environment::default(), scales).unwrap();
        fitter.finish(&sample, &threads, &Progress::default()).unwrap()
    }

    fn close(a: &GridScore, b: &GridScore) -> bool {
        let near = |a: &[f32], b: &[f32]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + b.abs()))
        };
        (a.rows, a.cols) == (b.rows, b.cols) && near(&a.map, &b.map) && near(&a.evidence, &b.evidence)
    }

    #[test]
    fn the_same_features_at_each_scale_give_the_scores_of_one() {
        let threads = Threads::new(2).unwrap();
        for name in ["npad", "padim", "patchcore", "spade"] {
            let one = fitted(name, |map| vec![map], 1);
            let two = fitted(name, |map| vec![map.clone(), map], 2);
            for (two, one) in two.held_out.iter().flatten().zip(one.held_out.iter().flatten()) {
                assert!(close(two, one), "{name}, held out");
            }
            let (mut alone, mut both) = (GridScore::default(), GridScore::default());
            one.scorer.score(&joined(&[map(99)]), &threads, &mut alone).unwrap();
            two.scorer.score(&joined(&[map(99), map(99)]), &threads, &mut both).unwrap();
            assert!(close(&both, &alone), "{name}: {both:?} and {alone:?}");
        }
    }

    /// The second scale has features of twice the size. Its distances are as large as those of the first only after
    /// division by their means.
    #[test]
    fn a_scale_counts_whatever_the_units_of_its_features() {
        let threads = Threads::new(2).unwrap();
        let parts = |map: Array3<f32>| vec![map.clone(), map * 8.0];
        let outcome = fitted("patchcore", parts, 2);
        let mean = |outcome: &FitOutcome| {
            let values: Vec<f32> = outcome.held_out.iter().flatten().flat_map(|score| score.map.clone()).collect();
            values.iter().sum::<f32>() / values.len() as f32
        };
        let one = mean(&fitted("patchcore", |map| vec![map], 1));
        assert!((mean(&outcome) / one - 1.0).abs() < 1e-3, "{} and {one}", mean(&outcome));
        // An anomaly at one scale alone has half the effect.
        let mut odd = map(99);
        odd[(2, 2, 3)] += 50.0;
        let mut scores = [const { GridScore { rows: 0, cols: 0, map: Vec::new(), evidence: Vec::new() } }; 3];
        for (features, score) in [[map(99), map(99)], [odd.clone(), map(99)], [map(99), odd]].iter().zip(&mut scores) {
            let features = joined(&[features[0].clone(), features[1].clone() * 8.0]);
            outcome.scorer.score(&features, &threads, score).unwrap();
        }
        let at = |score: &GridScore| score.map[2 * SHAPE.1 + 2] - scores[0].map[2 * SHAPE.1 + 2];
        assert!(at(&scores[1]) > 0.02 && (at(&scores[1]) / at(&scores[2]) - 1.0).abs() < 0.05, "{scores:?}");
    }

    #[test]
    fn a_state_of_other_scales_is_refused() {
        let method = method("padim").unwrap();
        let parameters = Parameters::new(method.parameters());
        let state = fitted("padim", |map| vec![map.clone(), map], 2).scorer.state().unwrap();
        let load = |state: State, scales| load(method, &parameters, state, &Environment::default(), scales);
        assert!(load(state.clone(), 2).is_ok());
        for scales in [1, 3] {
            let error = load(state.clone(), scales).err().unwrap();
            assert_eq!(error.status(), Status::InvalidModel, "{error}");
        }
        for name in ["scales", "0.", "1."] {
            let mut state = state.clone();
            state.arrays.retain(|found, _| !found.starts_with(name));
            assert_eq!(load(state, 2).err().unwrap().status(), Status::InvalidModel, "{name}");
        }
    }
}
