//! Training: mini-batches, early stopping, and what happens when it diverges.

use std::f64::consts::PI;

use candle_core::Tensor;
use rayon::prelude::*;

use super::super::super::{Array, State, state::unfit};
use super::super::layout::Layout;
use super::adam::Adam;
use super::network::Network;
use super::normaliser::Features;
use super::tape::{Tape, failed};
use super::weights::Weights;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::try_vec;
use crate::exec::progress::Progress;
use crate::math::random::Random;

/// Number of passes without a lower held-out loss after which training ends.
const PATIENCE: u64 = 5;
/// What the learning rate is divided by when training diverges, and how often that is tried.
const SLOWER: f64 = 4.0;
const RETRIES: u64 = 4;

/// Settings of a training.
#[derive(Debug, Clone)]
pub struct Settings {
    pub epochs: u64,
    pub batch: usize,
    pub rate: f64,
    pub seed: u64,
    /// Name of the option of the learning rate, for messages.
    pub rate_option: String,
}

/// The images.
pub struct Data<'a> {
    pub layout: &'a Layout,
    pub training: &'a [Features],
    pub held_out: &'a [Features],
}

/// A training between two passes over the images.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    adam: Adam,
    values: Vec<f32>,
    best: Vec<f32>,
    counters: Counters,
}

/// The numbers of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Counters {
    epoch: u64,
    rate: f64,
    retries: u64,
    /// Held-out loss before the first pass, and the least so far. NaN until they are known.
    start: f64,
    least: f64,
    /// Passes since `least`.
    since: u64,
}

impl Training {
    /// The start of a training.
    pub fn new(weights: &Weights, settings: &Settings) -> Self {
        let values: Vec<f32> = weights.trained_values().collect();
        let counters =
            Counters { epoch: 0, rate: settings.rate, retries: 0, start: f64::NAN, least: f64::NAN, since: 0 };
        Self { adam: Adam::new(values.len()), best: values.clone(), values, counters }
    }

    /// Trains to the end and sets the weights to those with the least held-out loss. `save` is called after each pass.
    /// After a failure, another call continues at the last pass.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] when training diverges at the lowest rate that is tried, [`Status::NotEnoughImages`] when the
    /// loss is not finite before it, [`Status::Cancelled`], and those of `save`.
    pub fn run<N: Network>(
        &mut self,
        network: &N,
        weights: &mut Weights,
        data: &Data<'_>,
        settings: &Settings,
        (threads, progress): (&Threads, &Progress),
        save: &mut dyn FnMut(&Self) -> Result<()>,
    ) -> Result<()> {
        let batches = data.training.len().div_ceil(settings.batch);
        if self.counters.start.is_nan() {
            weights.set_trained_values(&self.values);
            let loss = held_out_loss(network, weights, data, threads)?;
            if !loss.is_finite() {
                let message = "the features of some good images are so far from those of the others that nothing can be learnt \
                               from them; leave these images out";
                return Err(Error::new(Status::NotEnoughImages, message));
            }
            (self.counters.start, self.counters.least) = (loss, loss);
        }
        while self.counters.epoch < settings.epochs && self.counters.since < PATIENCE {
            let total = settings.epochs as usize * batches;
            let stage = format!("training (loss {:.4})", self.counters.least);
            let mut report =
                |batch: usize| progress.report(&stage, self.counters.epoch as usize * batches + batch, total);
            let mut next = self.clone_state();
            let loss = pass(network, weights, data, settings, threads, &mut next, &mut report)?;
            self.conclude(next, loss, settings)?;
            save(self)?;
        }
        if self.counters.least >= self.counters.start {
            log::warn!(
                "training did not lower the loss of the held-out images: the model scores with the state that training starts \
                 from. Add images, or set the option {} to a lower value",
                settings.rate_option
            );
        }
        weights.set_trained_values(&self.best);
        Ok(())
    }

    fn clone_state(&self) -> Next {
        Next {
            adam: self.adam.clone(),
            values: self.values.clone(),
            epoch: self.counters.epoch,
            rate: self.counters.rate,
        }
    }

    /// Accepts a pass that ended with this held-out loss, or starts again from the best state at a lower rate. After a failure
    /// nothing has changed.
    fn conclude(&mut self, next: Next, loss: f64, settings: &Settings) -> Result<()> {
        let counters = &mut self.counters;
        let limit = counters.start + 1.0 + counters.start.abs() / 2.0;
        if loss.is_nan() || loss > limit {
            if counters.retries >= RETRIES {
                return Err(Error::new(
                    Status::InvalidOption,
                    format!(
                        "the training diverged at all of {} learning rates from {} down to {}: set the option {} to a lower \
                         value",
                        RETRIES + 1,
                        settings.rate,
                        counters.rate,
                        settings.rate_option
                    ),
                ));
            }
            log::warn!("the training diverged at the learning rate {}; it goes on at a quarter of it", counters.rate);
            counters.epoch += 1;
            counters.retries += 1;
            counters.rate /= SLOWER;
            self.values.clone_from(&self.best);
            self.adam = Adam::new(self.values.len());
            return Ok(());
        }
        counters.epoch += 1;
        (self.adam, self.values) = (next.adam, next.values);
        if loss < counters.least {
            (counters.least, counters.since) = (loss, 0);
            self.best.clone_from(&self.values);
        } else {
            counters.since += 1;
        }
        Ok(())
    }

    /// The state for a file.
    pub fn state(&self) -> State {
        let mut state = State::default();
        let arrays = [
            ("values", &self.values),
            ("best", &self.best),
            ("first", &self.adam.first),
            ("second", &self.adam.second),
        ];
        for (name, values) in arrays {
            state.put(name, Array::F32(vec![values.len()], values.clone()));
        }
        let Counters { epoch, rate, retries, start, least, since } = self.counters;
        let words = [epoch, rate.to_bits(), retries, start.to_bits(), least.to_bits(), since, self.adam.steps];
        let halves: Vec<u32> = words.iter().flat_map(|word| [*word as u32, (*word >> 32) as u32]).collect();
        state.put("counters", Array::U32(vec![halves.len()], halves));
        state
    }

    /// Continues from [`Training::state`] for as many trained values as `weights` has.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when the state is inconsistent.
    pub fn load(weights: &Weights, settings: &Settings, state: State) -> Result<Self> {
        Self::read(weights, settings, state).map_err(|_| {
            let message =
                "the checkpoint is damaged; it is left as it is. Delete it, or give the option checkpoint another path";
            Error::new(Status::InvalidModel, message)
        })
    }

    fn read(weights: &Weights, settings: &Settings, mut state: State) -> Result<Self> {
        let count = weights.trained_values().count();
        let mut take = |name: &str| state.take_f32(name, &[count]);
        let (values, best, first, second) = (take("values")?, take("best")?, take("first")?, take("second")?);
        let halves = state.take_u32("counters")?;
        let words: Vec<u64> = halves
            .chunks(2)
            .map(|pair| pair.iter().rev().fold(0, |word, half| word << 32 | u64::from(*half)))
            .collect();
        let [epoch, rate, retries, start, least, since, steps] = words[..] else { return Err(unfit("counters")) };
        let [rate, start, least] = [rate, start, least].map(f64::from_bits);
        if !(rate > 0.0 && rate <= settings.rate) || start.is_infinite() || least.is_infinite() {
            return Err(unfit("counters"));
        }
        let counters = Counters { epoch, rate, retries, start, least, since };
        Ok(Self { adam: Adam { first, second, steps }, values, best, counters })
    }
}

/// What a pass changes.
struct Next {
    adam: Adam,
    values: Vec<f32>,
    epoch: u64,
    rate: f64,
}

/// One pass over the training images. Returns the held-out loss after it, or NaN when a value is not finite.
fn pass<N: Network>(
    network: &N,
    weights: &mut Weights,
    data: &Data<'_>,
    settings: &Settings,
    threads: &Threads,
    next: &mut Next,
    report: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<f64> {
    let count = data.training.len();
    // Neighbouring seeds have no passes in common.
    let order = Random::new(Random::new(settings.seed).next_u64().wrapping_add(next.epoch)).choose(count, count)?;
    let batches = count.div_ceil(settings.batch);
    for (number, batch) in order.chunks(settings.batch).enumerate() {
        report(number)?;
        weights.set_trained_values(&next.values);
        let tape = Tape::new(weights)?;
        let image = |&image: &usize| {
            let loss = network.loss(&tape, &data.training[image].tensors(data.layout)?)?;
            Ok((scalar(&loss)?, tape.gradient(&loss)?))
        };
        let mut gradient = try_vec(next.values.len(), 0.0)?;
        // One image on each thread, since each takes much memory.
        for images in batch.chunks(threads.count()) {
            let gradients: Vec<(f64, Vec<f32>)> =
                threads.run(|| images.par_iter().map(image).collect::<Result<_>>())?;
            // In the order of the images, whatever the number of threads.
            for (loss, own) in &gradients {
                if !loss.is_finite() {
                    return Ok(f64::NAN);
                }
                gradient.iter_mut().zip(own).for_each(|(sum, value)| *sum += value / batch.len() as f32);
            }
        }
        if gradient.iter().any(|value| !value.is_finite()) {
            return Ok(f64::NAN);
        }
        let done = (next.epoch as f64 + number as f64 / batches as f64) / settings.epochs as f64;
        let rate = next.rate * (1.0 + (PI * done).cos()) / 2.0;
        next.adam.step(rate, &gradient, &mut next.values);
    }
    weights.set_trained_values(&next.values);
    held_out_loss(network, weights, data, threads)
}

/// The mean loss of the held-out images.
fn held_out_loss<N: Network>(network: &N, weights: &Weights, data: &Data<'_>, threads: &Threads) -> Result<f64> {
    let tape = Tape::new(weights)?;
    let losses: Vec<f64> = threads.run(|| {
        let loss = |image: &Features| scalar(&network.loss(&tape, &image.tensors(data.layout)?)?);
        data.held_out.par_iter().map(loss).collect::<Result<_>>()
    })?;
    Ok(losses.iter().sum::<f64>() / losses.len() as f64)
}

fn scalar(loss: &Tensor) -> Result<f64> {
    loss.to_scalar::<f32>().map(f64::from).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::super::super::super::super::backbone::Tap;
    use super::super::super::layout::Plane;
    use super::super::network::{Measured, Scores};
    use super::super::ops::Ops;
    use super::super::weights::Weight;
    use super::*;

    /// A network of one value, whose loss is its squared distance from 3.
    struct Parabola(Weight);

    impl Network for Parabola {
        fn loss(&self, tape: &Tape, _: &[Tensor]) -> Result<Tensor> {
            let value = (&mut &*tape).weight(self.0)?;
            value.affine(1.0, -3.0).and_then(|distance| distance.sqr()?.sum_all()).map_err(failed)
        }

        fn scores<O: Ops>(&self, _: &mut O, _: &[O::Value]) -> Result<Vec<Scores<O::Value>>> {
            Ok(Vec::new())
        }

        fn measured(&self, _: &Tape, _: &[Tensor]) -> Result<Vec<Measured>> {
            Ok(Vec::new())
        }

        fn planes(&self) -> Vec<Plane> {
            Vec::new()
        }
    }

    /// Trains from 0 and returns the value, the last rate and the number of passes.
    fn train(rate: f64, epochs: u64) -> Result<(f32, f64, u64)> {
        let mut weights = Weights::default();
        let network = Parabola(weights.trained(&[1], vec![0.0]));
        let layout = Layout::new((1, 1, 1), &[Tap { channels: 1, step: 1 }]);
        let images = || (0..4).map(|_| Features::zeros(&layout)).collect::<Vec<_>>();
        let (training, held_out) = (images(), images());
        let data = Data { layout: &layout, training: &training, held_out: &held_out };
        let settings = Settings { epochs, batch: 2, rate, seed: 0, rate_option: "rate".to_owned() };
        let mut run = Training::new(&weights, &settings);
        let threads = Threads::new(2).unwrap();
        let mut save = |training: &Training| {
            assert_eq!(
                Training::load(&weights_of_one(), &settings, training.state()).unwrap(),
                *training,
                "a state survives saving"
            );
            Ok(())
        };
        run.run(&network, &mut weights, &data, &settings, (&threads, &Progress::default()), &mut save)?;
        Ok((weights.trained_values().next().unwrap(), run.counters.rate, run.counters.epoch))
    }

    fn weights_of_one() -> Weights {
        let mut weights = Weights::default();
        weights.trained(&[1], vec![0.0]);
        weights
    }

    #[test]
    fn a_state_of_a_higher_rate_is_damaged() {
        let settings = |rate| Settings { epochs: 1, batch: 2, rate, seed: 0, rate_option: "rate".to_owned() };
        let state = || Training::new(&weights_of_one(), &settings(2.0)).state();
        assert!(Training::load(&weights_of_one(), &settings(2.0), state()).is_ok());
        let error = Training::load(&weights_of_one(), &settings(1.0), state()).unwrap_err();
        assert!(error.status() == Status::InvalidModel && error.message().contains("checkpoint"), "{error}");
    }

    #[test]
    fn the_loss_falls_to_its_minimum() {
        let (value, rate, _) = train(0.1, 60).unwrap();
        assert!((value - 3.0).abs() < 0.05 && rate == 0.1, "{value}");
    }

    #[test]
    fn divergence_lowers_the_rate_from_the_best_state() {
        let (value, rate, _) = train(20.0, 60).unwrap();
        assert!((value - 3.0).abs() < 1.0 && rate < 20.0, "{value} at {rate}");
        let error = train(1e9, 60).err().unwrap();
        assert!(error.status() == Status::InvalidOption && error.message().contains("option rate"), "{error}");
        // Values beyond f32 give a loss that is not finite.
        assert!(train(1e30, 60).is_err());
    }

    #[test]
    fn training_ends_when_the_loss_no_longer_falls() {
        let (value, _, passes) = train(1e-7, 3).unwrap();
        assert!(passes == 3 && value > 0.0);
        let (value, _, passes) = train(8.0, 500).unwrap();
        assert!(passes < 500 && (value - 3.0).abs() < 3.0, "{value} after {passes}");
    }
}
