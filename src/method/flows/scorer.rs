//! Scoring with a trained network.

use super::super::state::unfit;
use super::super::{Array, Environment, GridScore, Scorer, State};
use super::layout::Layout;
use crate::backbone::{FeatureMap, Head};
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::try_copy;
use crate::exec::scratch::Pool;

/// Name of the array that has the bytes of the network.
const NETWORK: &str = "network";

/// Scores with an ONNX network that takes the features of all taps and gives the anomaly map, and evidence for the image score.
pub struct NetworkScorer {
    layout: Layout,
    head: Head,
    /// The inputs of the network.
    scratch: Pool<Vec<f32>>,
}

impl NetworkScorer {
    /// Opens a network.
    ///
    /// # Errors
    /// As [`Head::open`].
    pub fn new(layout: Layout, network: Vec<u8>, environment: &Environment) -> Result<Self> {
        let (rows, cols, _) = layout.shape();
        let head = Head::open(network, layout.len(), (rows, cols), &environment.device, environment.threads)?;
        Ok(Self { layout, head, scratch: Pool::default() })
    }

    /// Restores a scorer.
    ///
    /// # Errors
    /// [`crate::error::Status::InvalidModel`] when the state is inconsistent; as [`NetworkScorer::new`].
    pub fn load(mut state: State, environment: &Environment) -> Result<Self> {
        let layout = Layout::load(&mut state)?;
        let network = state.take_u8(NETWORK).map_err(|_| unfit(NETWORK))?;
        Self::new(layout, network, environment)
    }
}

impl Scorer for NetworkScorer {
    fn shape(&self) -> (usize, usize, usize) {
        self.layout.shape()
    }

    fn score(&self, features: &FeatureMap, threads: &Threads, out: &mut GridScore) -> Result<()> {
        (out.rows, out.cols) = (features.rows(), features.cols());
        self.scratch.try_with(
            || Ok(Vec::new()),
            |inputs| {
                self.layout.split(features, threads, inputs)?;
                self.head.run(inputs, &mut out.map, &mut out.evidence)
            },
        )
    }

    fn warm_up(&self, _maps: usize, calls: usize, _threads: &Threads) -> Result<()> {
        self.head.warm_up(calls)
    }

    fn state(&self) -> Result<State> {
        let mut state = State::default();
        self.layout.save(&mut state);
        let bytes = self.head.bytes();
        state.put(NETWORK, Array::U8(vec![bytes.len()], try_copy(bytes)?));
        Ok(state)
    }
}
