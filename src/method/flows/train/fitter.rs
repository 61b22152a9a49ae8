//! From a sample of good images to the scorer.

use super::super::layout::{Layout, Plane};
use super::super::scorer::NetworkScorer;
use super::export::Exporter;
use super::network::{Network, measure};
use super::normaliser::{Features, Normaliser};
use super::ops::Ops;
use super::training::{Data, Settings, Training};
use super::weights::Weights;
use crate::backbone::{FeatureMap, Tap};
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::progress::Progress;
use crate::math::random::Random;
use crate::method::{Environment, FitOutcome, Fitter, GridScore, Parameters, Sample, Scorer};
use crate::onnx::{Setting, Value};

/// Least number of images: as many as are held out are left to learn from.
const LEAST_IMAGES: usize = 6;
/// Number of images that are held out of few, if half of them are as many.
const FEW_HELD_OUT: usize = 10;

/// What distinguishes the methods.
pub struct Plan<N> {
    /// Name of the method, which its parameters start with.
    pub method: &'static str,
    /// The taps as the network takes them, from those of the feature maps.
    pub taps: fn(&[Tap]) -> Vec<Tap>,
    /// Makes the network and its weights.
    pub network: fn(&Parameters, &[Plane], &mut Weights, &mut Random) -> N,
    /// Least number of taps.
    pub least_taps: usize,
}

/// A fit that trains a network.
pub struct FlowFitter<N> {
    plan: Plan<N>,
    parameters: Parameters,
    settings: Settings,
    environment: Environment,
    /// The training of a call that failed or was cancelled, and the images that it is about.
    unfinished: Option<([u8; 32], Training)>,
}

impl<N: Network> FlowFitter<N> {
    /// Starts a fit.
    pub fn new(plan: Plan<N>, parameters: &Parameters, seed: u64, environment: &Environment) -> Self {
        let rate_option = format!("{}.learning_rate", plan.method);
        let settings = Settings {
            epochs: parameters.count(&format!("{}.epochs", plan.method)) as u64,
            batch: parameters.count(&format!("{}.batch", plan.method)),
            rate: parameters.number(&rate_option).unwrap_or(1e-3),
            seed,
            rate_option,
        };
        Self { plan, parameters: parameters.clone(), settings, environment: environment.clone(), unfinished: None }
    }

    /// A checksum of everything that the training depends on.
    fn identity(&self, sample: &Sample) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{} {}", self.plan.method, self.settings.seed).as_bytes());
        self.parameters.values().for_each(|(name, value)| {
            hasher.update(format!("\n{name}={value}").as_bytes());
        });
        sample.images().iter().for_each(|image| image.maps[0].add_to(&mut hasher));
        hasher.finalize().into()
    }
}

impl<N: Network> Fitter for FlowFitter<N> {
    fn finish(&mut self, sample: &Sample, threads: &Threads, progress: &Progress) -> Result<FitOutcome> {
        let count = sample.images().len();
        if count < LEAST_IMAGES {
            let message = format!(
                "{count} good images are too few for the method '{}': at least {LEAST_IMAGES} are needed, since a part is \
                 held out of the training",
                self.plan.method
            );
            return Err(Error::new(Status::NotEnoughImages, message));
        }
        let mut map = FeatureMap::default();
        sample.images()[0].maps[0].read(&mut map)?;
        if map.taps().len() < self.plan.least_taps {
            let message = format!(
                "the method '{}' needs a backbone with {} outputs or more, but this one has {}",
                self.plan.method,
                self.plan.least_taps,
                map.taps().len()
            );
            return Err(Error::new(Status::InvalidOption, message));
        }
        let layout = Layout::new(map.shape(), &(self.plan.taps)(map.taps()));
        // The order of the sample is that of hashes, so the first ones are as random as any.
        let held_out = (count / 5).max(FEW_HELD_OUT.min(count / 2));
        let learnt: Vec<usize> = (held_out..count).collect();
        let mut random = Random::new(self.settings.seed);
        let normaliser = Normaliser::new(&layout, sample, &learnt, (threads, progress), &mut random)?;
        let features = |numbers: std::ops::Range<usize>| {
            let features = numbers.map(|number| normaliser.features(&layout, sample, number, threads));
            features.collect::<Result<Vec<Features>>>()
        };
        let (held, training) = (features(0..held_out)?, features(held_out..count)?);
        let data = Data { layout: &layout, training: &training, held_out: &held };
        let mut weights = Weights::default();
        let network = (self.plan.network)(&self.parameters, layout.planes(), &mut weights, &mut random);
        self.train(&network, &mut weights, &data, self.identity(sample), (threads, progress))?;
        threads.run(|| measure(&network, &mut weights, training.iter().map(|image| image.tensors(&layout))))?;
        let bytes = export(&network, &weights, &layout, &normaliser, self.plan.method)?;
        let scorer = NetworkScorer::new(layout, bytes.into(), &self.environment)?;
        let mut scores = Vec::with_capacity(held_out);
        for number in 0..held_out {
            progress.report("held-out scores", number, held_out)?;
            let mut score = GridScore::default();
            sample.images()[number].maps[0].read(&mut map)?;
            scorer.score(&map, threads, &mut score)?;
            scores.push(vec![score]);
        }
        Ok(FitOutcome { scorer: Box::new(scorer), held_out: scores })
    }
}

impl<N: Network> FlowFitter<N> {
    /// Trains the network, from the saved state if there is one.
    fn train(
        &mut self,
        network: &N,
        weights: &mut Weights,
        data: &Data<'_>,
        identity: [u8; 32],
        reporting: (&Threads, &Progress),
    ) -> Result<()> {
        // A checkpoint of this fitter with fewer images is replaced.
        let own = self.unfinished.is_some();
        let unfinished = self.unfinished.take().filter(|(of, _)| *of == identity).map(|(_, training)| training);
        let saved = match &self.environment.checkpoint {
            Some(checkpoint) if !own => checkpoint.load(&identity)?,
            _ => None,
        };
        let mut save = |training: &Training| {
            let checkpoint = self.environment.checkpoint.as_ref();
            checkpoint.map_or(Ok(()), |checkpoint| checkpoint.save(&identity, training.state()))
        };
        let mut training = match (unfinished, saved) {
            (Some(training), _) => training,
            (None, Some(state)) => Training::load(weights, state)?,
            (None, None) => {
                let training = Training::new(weights, &self.settings);
                // A file that cannot be written is noticed before minutes of training.
                save(&training)?;
                training
            }
        };
        let outcome = training.run(network, weights, data, &self.settings, reporting, &mut save);
        if outcome.as_ref().is_err_and(|error| error.status() != Status::InvalidOption) {
            self.unfinished = Some((identity, training));
        }
        outcome
    }
}

/// Writes whitening and network as ONNX: from the planes, one after the other, to the anomaly map.
fn export<N: Network>(
    network: &N,
    weights: &Weights,
    layout: &Layout,
    normaliser: &Normaliser,
    name: &str,
) -> Result<Vec<u8>> {
    let mut ops = Exporter::new(weights);
    let input = ops.writer.input(&[1, 1, 1, layout.len()]);
    let (mut taps, mut start) = (Vec::new(), 0);
    for ((plane, mean), whitening) in layout.planes().iter().zip(&normaliser.means).zip(&normaliser.whitenings) {
        let writer = &mut ops.writer;
        let Plane { rows, cols, channels, .. } = *plane;
        let [from, to, axis] = [start, start + plane.len(), 3].map(|n| writer.integers(&[n as i64]));
        let values = writer.node("Slice", &[&input, &from, &to, &axis], &[]);
        let shape = writer.integers(&[1, rows as i64, cols as i64, channels as i64]);
        let map = writer.node("Reshape", &[&values, &shape], &[]);
        let mean = writer.constant(&[1, rows, cols, channels], mean);
        let relative = writer.node("Sub", &[&map, &mean], &[]);
        let planes = writer.node("Transpose", &[&relative], &[("perm", Setting::Ints(&[0, 3, 1, 2]))]);
        let matrix = writer.constant(&[channels, channels, 1, 1], whitening.matrix());
        // W (x - mean), where the mean is that of the differences.
        let bias: Vec<f32> = whitening.offset();
        let bias = writer.constant(&[channels], &bias);
        taps.push(writer.node("Conv", &[&planes, &matrix, &bias], &[("kernel_shape", Setting::Ints(&[1, 1]))]));
        start += plane.len();
    }
    let scores = network.scores(&mut ops, &taps)?;
    let (rows, cols, _) = layout.shape();
    let mut sum: Option<Value> = None;
    for (score, grid) in scores.iter().zip(network.grids()) {
        let resized = resize(&mut ops, score, grid, (rows, cols));
        sum = Some(match sum {
            None => resized,
            Some(sum) => ops.add(&sum, &resized)?,
        });
    }
    let sum = sum.ok_or_else(|| Error::new(Status::Internal, "a network without scores"))?;
    let map = ops.scale(&sum, 1.0 / scores.len() as f32)?;
    ops.writer.output(&map, &[1, 1, rows, cols]);
    Ok(ops.writer.finish(name))
}

/// Resizes a map bilinearly to the grid: by a whole factor, and cut at the lower and right edge.
fn resize(ops: &mut Exporter<'_>, map: &Value, from: (usize, usize), to: (usize, usize)) -> Value {
    if from == to {
        return map.clone();
    }
    let factor = to.0.div_ceil(from.0).max(to.1.div_ceil(from.1));
    let writer = &mut ops.writer;
    let factors = writer.constant(&[4], &[1.0, 1.0, factor as f32, factor as f32]);
    let settings = [("mode", Setting::Word("linear")), ("coordinate_transformation_mode", Setting::Word("half_pixel"))];
    let absent = crate::onnx::Writer::absent();
    let large = writer.node("Resize", &[map, &absent, &factors], &settings);
    let [from, to, axes] = [[0, 0], [to.0 as i64, to.1 as i64], [2, 3]].map(|values| writer.integers(&values));
    writer.node("Slice", &[&large, &from, &to, &axes], &[])
}
