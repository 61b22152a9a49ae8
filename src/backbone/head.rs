//! Networks that methods make to be run on the features of a backbone.

use ort::value::{Outlet, TensorElementType, ValueType};
use prost::bytes::Bytes;

use super::device::Device;
use super::open::{SharedSession, failure, open_session};
use super::session::BoundSession;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::try_reserve;
use crate::exec::scratch::Pool;

/// Largest value of a map. Features far from those of good images overflow f32 within a network.
pub const MOST: f32 = 1e12;

/// An ONNX network that turns the features of one image, given as one list of values, into an anomaly map and, where it has
/// two output channels, the evidence of the image score. May be called from several threads at once.
pub struct Head {
    bytes: Bytes,
    inputs: usize,
    /// Channels, rows and columns of the output.
    shape: (usize, usize, usize),
    /// One for all callers: of large inputs it has hundreds of megabytes.
    session: SharedSession,
    /// What each concurrent caller has for itself.
    runs: Pool<BoundSession>,
}

impl Head {
    /// Opens a network that [`crate::onnx::check`] accepts, of one float input [1, 1, 1, `inputs`] and one float output [1, 1 or 2, rows, columns] for these
    /// rows and columns, on a device with `threads` threads for each run (0: one per core).
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when it is another network, [`Status::Runtime`] without ONNX Runtime, [`Status::Device`] when
    /// the device cannot be used, [`Status::OutOfMemory`].
    pub fn open(
        bytes: Bytes,
        inputs: usize,
        (rows, cols): (usize, usize),
        device: &Device,
        threads: usize,
    ) -> Result<Self> {
        if let Err(found) = crate::onnx::check(bytes.clone()) {
            let message = format!("the model's network {found}; npad writes no such network, and it is refused");
            return Err(Error::new(Status::InvalidModel, message));
        }
        let opened =
            open_session("the model's network", &bytes, device, Threads::resolve(threads)).map_err(|error| {
                // Bytes of a model file that are no network are a damaged file; a user's backbone is another matter.
                if error.status() == Status::Backbone {
                    Error::new(Status::InvalidModel, error.message())
                } else {
                    error
                }
            })?;
        let channels = match (opened.session.inputs(), opened.session.outputs()) {
            ([input], [output]) if is(input, &[1, 1, 1, inputs]) => {
                [1, 2].into_iter().find(|channels| is(output, &[1, *channels, rows, cols]))
            }
            _ => None,
        };
        let Some(channels) = channels else {
            let message = "the model's network does not have the input and the output that its features need";
            return Err(Error::new(Status::InvalidModel, message));
        };
        let shape = (channels, rows, cols);
        let head = Self { bytes, inputs, shape, session: opened, runs: Pool::default() };
        head.runs.put(head.bind()?);
        Ok(head)
    }

    /// The bytes of the network.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Number of output channels: 2 with the evidence of the image score, else 1.
    pub fn channels(&self) -> usize {
        self.shape.0
    }

    /// Writes the map for the features of one image to `map`, row by row, and the second channel to `evidence`, which is
    /// empty where there is none. Values above 1e12, and those that are not numbers because the network overflowed, become
    /// 1e12.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the network fails or gives values that are negative; [`Status::OutOfMemory`].
    ///
    /// # Panics
    /// Where there are not as many features as the network has inputs.
    pub fn run(&self, features: &[f32], map: &mut Vec<f32>, evidence: &mut Vec<f32>) -> Result<()> {
        let failed = |e: ort::Error| failure(&e, |cause| format!("the model's network failed: {cause}"));
        self.runs.try_with(
            || self.bind(),
            |session| {
                let outputs = session.run([1, 1, 1, self.inputs], features).map_err(failed)?;
                let (_, values) = outputs[0].try_extract_tensor::<f32>().map_err(failed)?;
                let (channels, rows, cols) = self.shape;
                if values.len() != channels * rows * cols || values.iter().any(|v| *v < 0.0) {
                    let message = "the model's network gave values that are negative, or not one for each position";
                    return Err(Error::new(Status::Backbone, message));
                }
                let (first, second) = values.split_at(rows * cols);
                for (out, values) in [(map, first), (evidence, second)] {
                    out.clear();
                    try_reserve(out, values.len())?;
                    out.extend(values.iter().map(|v| if *v < MOST { *v } else { MOST }));
                }
                Ok(())
            },
        )
    }

    /// Makes what `calls` concurrent runs need.
    ///
    /// # Errors
    /// As [`Head::run`].
    pub fn warm_up(&self, calls: usize) -> Result<()> {
        let features = crate::exec::memory::try_vec(self.inputs, 0.0)?;
        let failed = |e: ort::Error| failure(&e, |cause| format!("the model's network failed: {cause}"));
        self.runs.warm_up(
            calls,
            || self.bind(),
            |session| session.run([1, 1, 1, self.inputs], &features).map(|_| ()).map_err(failed),
        )
    }

    fn bind(&self) -> Result<BoundSession> {
        BoundSession::new(self.session.clone()).map_err(|e| Error::new(Status::InvalidModel, e.to_string()))
    }
}

/// Whether it is a tensor of f32 with this shape.
fn is(outlet: &Outlet, sides: &[usize]) -> bool {
    matches!(outlet.dtype(), ValueType::Tensor { ty: TensorElementType::Float32, shape, .. }
        if shape.iter().copied().eq(sides.iter().map(|side| *side as i64)))
}
