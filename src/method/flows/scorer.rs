//! Scoring with a trained network.

use prost::bytes::Bytes;

use super::super::state::unfit;
use super::super::{Array, Environment, GridGraph, GridScore, Scorer, State};
use super::layout::Layout;
use crate::backbone::{FeatureMap, Head, MOST};
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::try_copy;
use crate::exec::scratch::Pool;
use crate::onnx::{Embeddable, Value, Writer};

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
    pub fn new(layout: Layout, network: Bytes, environment: &Environment) -> Result<Self> {
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
        Self::new(layout, network.into(), environment)
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

    fn to_graph(&self, writer: &mut Writer, features: &Value) -> Result<GridGraph> {
        let refused =
            |what: String| Error::new(Status::InvalidArgument, format!("the network of the model's method {what}"));
        let network = Embeddable::read(self.head.bytes().clone()).map_err(refused)?;
        network.check_opset(writer.opset()).map_err(refused)?;
        let inputs = self.layout.write(writer, features);
        let mut network = writer.embed(network);
        let outputs = writer.call(&mut network, &inputs, None);
        // As in a run of the network alone.
        let most = writer.constant(&[1], &[MOST]);
        let is_less = writer.apply("Less", &[&outputs[0], &most]);
        let maps = writer.apply("Where", &[&is_less, &outputs[0], &most]);
        let evidence = (self.head.channels() == 2).then(|| writer.part(&maps, 1, 1, 2));
        Ok(GridGraph { map: writer.part(&maps, 1, 0, 1), evidence })
    }

    /// The networks take the features of one image.
    fn graph_takes_several(&self) -> bool {
        false
    }
}
