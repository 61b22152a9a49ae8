//! The networks against PyTorch, whose results `tests/vectors/flows.json` holds (tools/flows/make_vectors.py), and their
//! gradients against finite differences.

use std::collections::BTreeMap;

use candle_core::Tensor;
use ndarray::Array3;
use serde::Deserialize;

use super::super::layout::Plane;
use super::super::{CFLOW, FASTFLOW, Flow, PEFM};
use super::adam::Adam;
use super::naive::{Naive, draw, uniform};
use super::network::{Network, measure};
use super::pefm::Pefm;
use super::tape::{Tape, tensor, values};
use super::weights::Weights;
use super::{cflow, fastflow};
use crate::exec::Threads;
use crate::math::random::Random;
use crate::method::Parameters;

/// The steps of Adam that the vectors have been made with. The first moves each weight by the rate, whatever the decays.
const STEPS: usize = 3;
const RATE: f64 = 0.01;

type NewNetwork<N> = fn(&Parameters, &[Plane], &mut Weights, &mut Random) -> N;

/// A network and the results of PyTorch, which the script describes.
#[derive(Deserialize)]
struct Vectors {
    method: String,
    parameters: BTreeMap<String, String>,
    seed: u64,
    planes: Vec<(usize, usize, usize)>,
    images: Vec<Vec<Vec<f32>>>,
    shapes: Vec<Vec<usize>>,
    weights: Vec<f32>,
    measured: Vec<Vec<Vec<f32>>>,
    loss: f32,
    gradient: Vec<f32>,
    trained: Vec<f32>,
    scores: Vec<Vec<f32>>,
}

impl Vectors {
    fn of(method: &str) -> Self {
        let all: Vec<Self> = serde_json::from_str(include_str!("../../../../tests/vectors/flows.json")).unwrap();
        all.into_iter().find(|vectors| vectors.method == method).unwrap()
    }

    fn tensors(&self, image: usize) -> Vec<Tensor> {
        let taps = self.images[image].iter().zip(&self.planes);
        taps.map(|(tap, &(rows, cols, channels))| tensor(tap, &[channels, rows, cols]).unwrap()).collect()
    }

    /// Compares everything with the network, whose map is the score that `score` gives. Tolerances are 1e-5 of the value, and as much of the largest of the array
    /// that it is in, since small values are differences of large ones; for the moves of the weights, which are rounded as
    /// the weights are, 1e-4.
    fn check<N: Network>(&self, flow: &Flow, new: NewNetwork<N>, score: fn(f32) -> f32) {
        let (network, mut weights) = network(flow, new, &self.parameters, &self.planes, self.seed);
        let trained = weights.entries().iter().filter(|entry| entry.trained);
        assert!(trained.map(|entry| &entry.shape).eq(&self.shapes), "the arrays of the network");
        weights.set_trained_values(&self.weights);

        let tape = Tape::new(&weights).unwrap();
        for (image, expected) in self.measured.iter().enumerate() {
            let measured = network.measured(&tape, &self.tensors(image)).unwrap();
            assert_eq!(measured.len(), expected.len());
            for (measured, expected) in measured.iter().zip(expected) {
                close("measured", &values(&measured.map).unwrap(), expected, 1e-5);
            }
        }

        let mut adam = Adam::new(self.weights.len());
        let mut stepped = self.weights.clone();
        let mut changing = weights.clone();
        for step in 0..STEPS {
            changing.set_trained_values(&stepped);
            let tape = Tape::new(&changing).unwrap();
            let loss = network.loss(&tape, &self.tensors(0)).unwrap();
            let gradient = tape.gradient(&loss).unwrap();
            if step == 0 {
                close("loss", &[loss.to_scalar().unwrap()], &[self.loss], 1e-5);
                close("gradient", &gradient, &self.gradient, 1e-5);
            }
            adam.step(RATE, &gradient, &mut stepped);
        }
        let moves = |to: &[f32]| to.iter().zip(&self.weights).map(|(to, from)| to - from).collect::<Vec<_>>();
        close("moves", &moves(&stepped), &moves(&self.trained), 1e-4);

        let images = (0..self.images.len()).map(|image| Ok(self.tensors(image)));
        measure(&network, &mut weights, images, &Threads::new(2).unwrap()).unwrap();
        let scores = network.scores(&mut &Tape::new(&weights).unwrap(), &self.tensors(1)).unwrap();
        assert_eq!(scores.len(), self.scores.len());
        for (scores, expected) in scores.iter().zip(&self.scores) {
            let found: Vec<f32> = values(&scores.map).unwrap().into_iter().map(score).collect();
            close("scores", &found, expected, 1e-5);
        }
    }
}

fn close(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = tolerance * (expected.abs() + largest);
        assert!((found - expected).abs() <= allowed, "{name} {index}: {found} instead of {expected}");
    }
}

/// A network of a method for planes of rows, columns and channels.
fn network<N>(
    flow: &Flow,
    new: NewNetwork<N>,
    options: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>,
    planes: &[(usize, usize, usize)],
    seed: u64,
) -> (N, Weights) {
    let mut parameters = Parameters::new(flow.parameters);
    for (name, value) in options {
        parameters.set(name.as_ref(), value.as_ref()).unwrap();
    }
    let planes: Vec<Plane> =
        planes.iter().map(|&(rows, cols, channels)| Plane { rows, cols, channels, step: 1 }).collect();
    let mut weights = Weights::default();
    let network = new(&parameters, &planes, &mut weights, &mut Random::new(seed));
    (network, weights)
}

/// How far the negative log-likelihood is above its least, from the map of a flow.
fn above<T: std::ops::Mul<Output = T> + From<f32> + Copy>(map: T) -> T {
    map * map * T::from(0.5)
}

#[test]
fn fastflow_agrees_with_pytorch() {
    Vectors::of("fastflow").check(&FASTFLOW, fastflow::network, above);
}

#[test]
fn cflow_agrees_with_pytorch() {
    Vectors::of("cflow").check(&CFLOW, cflow::network, above);
}

#[test]
fn pefm_agrees_with_pytorch() {
    Vectors::of("pefm").check(&PEFM, Pefm::new, |root| root * root);
}

/// Compares the loss and its gradient with those of the direct implementation in double precision, whose loss `of_scores`
/// computes from the scores of all taps before anything is measured.
fn check_gradient<N: Network>(
    (network, mut weights): (N, Weights),
    planes: &[(usize, usize, usize)],
    of_scores: impl Fn(&[Array3<f64>]) -> f64,
) {
    const STEP: f64 = 1e-6;
    let mut random = Random::new(11);
    draw(&mut weights, 0.6, &mut random);
    let taps: Vec<Vec<f32>> =
        planes.iter().map(|(r, c, channels)| uniform(r * c * channels, 1.5, &mut random)).collect();
    let shapes = planes.iter().map(|&(rows, cols, channels)| [channels, rows, cols]);
    let tensors: Vec<Tensor> =
        taps.iter().zip(shapes.clone()).map(|(tap, shape)| tensor(tap, &shape).unwrap()).collect();
    let tape = Tape::new(&weights).unwrap();
    let loss = network.loss(&tape, &tensors).unwrap();
    let gradient = tape.gradient(&loss).unwrap();

    let maps: Vec<Array3<f64>> = taps
        .iter()
        .zip(shapes)
        .map(|(tap, shape)| Array3::from_shape_vec(shape, tap.iter().copied().map(f64::from).collect()).unwrap())
        .collect();
    let naive = |change| {
        let scores = network.scores(&mut Naive { weights: &weights, change }, &maps).unwrap();
        of_scores(&scores.into_iter().map(|scores| scores.map).collect::<Vec<_>>())
    };
    close("loss", &[loss.to_scalar().unwrap()], &[naive(None) as f32], 1e-5);
    let trained = weights.entries().iter().enumerate().filter(|(_, entry)| entry.trained);
    let places = trained.flat_map(|(array, entry)| (0..entry.values.len()).map(move |value| (array, value)));
    let differences: Vec<f32> = places
        .map(|(array, value)| {
            let [less, more] = [-STEP, STEP].map(|step| naive(Some((array, value, step))));
            ((more - less) / (2.0 * STEP)) as f32
        })
        .collect();
    close("gradient", &gradient, &differences, 1e-5);
}

/// The mean over positions for each tap, added up.
fn total_mean(scores: &[Array3<f64>]) -> f64 {
    scores.iter().filter_map(|scores| scores.mean()).sum()
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let planes = [(3, 4, 4), (2, 1, 5), (1, 1, 2), (1, 3, 1)];
    let options = [("fastflow.steps", "4"), ("fastflow.hidden", "2")];
    let made = network(&FASTFLOW, fastflow::network, options, &planes, 1);
    let likelihoods = |scores: &[Array3<f64>]| scores.iter().map(|map| map.mapv(above)).collect::<Vec<_>>();
    check_gradient(made, &planes, |scores| total_mean(&likelihoods(scores)));

    let made = network(&CFLOW, cflow::network, [("cflow.steps", "3"), ("cflow.encoding", "4")], &planes, 2);
    check_gradient(made, &planes, |scores| {
        let half_log = (2.0 * std::f64::consts::PI).ln() / 2.0;
        let losses: Vec<_> = likelihoods(scores).iter().map(|map| map.mapv(|l| (l + half_log).exp().ln_1p())).collect();
        total_mean(&losses)
    });

    let planes = [(2, 3, 4), (2, 3, 5), (2, 3, 1)];
    let made = network(&PEFM, Pefm::new, [("pefm.latent", "4"), ("pefm.encoding", "4")], &planes, 3);
    // Scores are roots of means over both directions.
    check_gradient(made, &planes, |scores| {
        let squares: Vec<_> = scores.iter().map(|map| map * map).collect();
        2.0 * total_mean(&squares)
    });
}
