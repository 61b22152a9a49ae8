//! From a sample of good images to the scorer.

use super::super::layout::{Layout, Plane};
use super::super::scorer::NetworkScorer;
use super::gaussians::Gaussians;
use super::graph::Graph;
use super::memory;
use super::network::{Network, measure};
use super::normaliser::{Features, Normaliser};
use super::training::{Data, Settings, Training};
use super::weights::Weights;
use crate::backbone::{FeatureMap, Tap};
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::progress::Progress;
use crate::math::random::Random;
use crate::method::{Environment, FitOutcome, Fitter, GridScore, Parameters, Sample, Scorer};

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
    /// The last training, ended or not, and a checksum of what it depends on.
    last: Option<([u8; 32], Training)>,
    /// Whether the checkpoint, if there is one, is of this fitter.
    owns_checkpoint: bool,
}

impl<N: Network> FlowFitter<N> {
    /// Starts a fit.
    pub fn new(plan: Plan<N>, parameters: &Parameters, seed: u64, environment: &Environment) -> Self {
        let rate_option = format!("{}.learning_rate", plan.method);
        let settings = Settings {
            epochs: parameters.count(&format!("{}.epochs", plan.method)) as u64,
            batch: parameters.count(&format!("{}.batch", plan.method)),
            rate: parameters.number(&rate_option),
            seed,
            rate_option,
        };
        Self {
            plan,
            parameters: parameters.clone(),
            settings,
            environment: environment.clone(),
            last: None,
            owns_checkpoint: false,
        }
    }

    /// A checksum of everything that the training depends on.
    fn identity(&self, sample: &Sample) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let version = env!("CARGO_PKG_VERSION");
        hasher.update(format!("{version} {} {}", self.plan.method, self.settings.seed).as_bytes());
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
        if sample.seen() > count {
            log::warn!(
                "the network learns from {count} of {} good images, those that a fit keeps; a smaller size or a larger grid_step \
                 keeps more",
                sample.seen()
            );
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
        memory::check(&network, &weights, layout.planes(), threads.count())?;
        self.train(&network, &mut weights, &data, self.identity(sample), (threads, progress))?;
        let (learnt, planes) = (&training, &layout);
        let images = |pass: usize| {
            learnt.iter().enumerate().map(move |(number, image)| {
                progress.report("measuring", pass * learnt.len() + number, 2 * learnt.len())?;
                image.tensors(planes)
            })
        };
        measure(&network, &mut weights, images(0), threads)?;
        let gaussians = Gaussians::new(&network, &weights, images(1), threads)?;
        let bytes = Graph { normaliser: &normaliser, network: &network, weights: &weights, gaussians: &gaussians }
            .write(&layout, self.plan.method)?;
        let scorer = NetworkScorer::new(layout, bytes, &self.environment)?;
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
        // What this fitter has saved of other images is replaced.
        let last = self.last.take().filter(|(of, _)| *of == identity).map(|(_, training)| training);
        let saved = match &self.environment.checkpoint {
            Some(checkpoint) if !self.owns_checkpoint => checkpoint.load(&identity)?,
            _ => None,
        };
        let mut save = |training: &Training| {
            let checkpoint = self.environment.checkpoint.as_ref();
            checkpoint.map_or(Ok(()), |checkpoint| checkpoint.save(&identity, training.state()))
        };
        let mut training = match (last, saved) {
            (Some(training), _) => training,
            (None, Some(state)) => Training::load(weights, &self.settings, state)?,
            (None, None) => {
                let training = Training::new(weights, &self.settings);
                // A file that cannot be written is noticed before minutes of training.
                save(&training)?;
                training
            }
        };
        self.owns_checkpoint = true;
        let outcome = training.run(network, weights, data, &self.settings, reporting, &mut save);
        self.last = Some((identity, training));
        outcome
    }
}
