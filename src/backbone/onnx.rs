//! A backbone in ONNX format, run by ONNX Runtime.

use std::sync::Arc;

use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Outlet, TensorElementType, ValueType};

use super::device::Device;
use super::session::BoundSession;
use super::{FeatureExtractor, MAX_TAPS, TapMap, runtime};
use crate::error::{Error, Result, Status};
use crate::exec::scratch::Pool;
use crate::preprocess::{InputSize, Normalisation};

/// The embedded backbone: EfficientNet-Lite0 up to its fifth stage, see `assets/README.md`.
static BUILTIN_ONNX: &[u8] = include_bytes!("../../assets/efficientnet-lite0-stage5.onnx");

/// The embedded backbone's name.
pub const BUILTIN: &str = "efficientnet-lite0-stage5";

/// The normalisation that the embedded backbone was trained with.
const BUILTIN_NORMALISATION: Normalisation = Normalisation { mean: [0.498; 3], std: [0.502; 3] };

/// A network's file and how its input is normalised.
pub struct Network {
    name: &'static str,
    bytes: Bytes,
    normalisation: Normalisation,
}

enum Bytes {
    Embedded(&'static [u8]),
    Shared(Arc<[u8]>),
}

impl Network {
    /// The network embedded in this library.
    pub fn builtin() -> Self {
        Self { name: BUILTIN, bytes: Bytes::Embedded(BUILTIN_ONNX), normalisation: BUILTIN_NORMALISATION }
    }

    /// A user's own network.
    pub fn onnx(bytes: Arc<[u8]>, normalisation: Normalisation) -> Self {
        Self { name: "onnx", bytes: Bytes::Shared(bytes), normalisation }
    }

    fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Embedded(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

/// An ONNX network with one image input and one or more feature maps as outputs.
///
/// `ort` runs a session only through `&mut`, so there is a pool: each concurrent caller gets a session of its own, and
/// later ones reuse it.
pub struct OnnxBackbone {
    network: Network,
    device: Device,
    threads: usize,
    identity: String,
    /// Whether a run takes several images.
    several: bool,
    sessions: Pool<BoundSession>,
}

/// Pixels that a run takes together. Two images of the usual sizes cost a twentieth less than one after the other, since
/// threads meet half as often; more of them no longer fit in a processor's caches.
const PIXELS: usize = 2 * 256 * 256;

/// What to do about a network that fails on several images.
const ONE: &str = "; if it takes one image at a time, give its first dimension the size 1";

impl OnnxBackbone {
    /// Opens the network on a device with so many threads for each run.
    ///
    /// # Errors
    /// [`Status::Runtime`] without ONNX Runtime, [`Status::Device`] when the device cannot be used,
    /// [`Status::Backbone`] when the network is not one that maps an image to feature maps.
    pub fn open(network: Network, device: Device, threads: usize) -> Result<Self> {
        let identity = format!("{}/{:08x}", network.name, crc32fast::hash(network.bytes()));
        log::info!("opening the backbone {identity} on {device} with {threads} threads");
        let mut backbone = Self { network, device, threads, identity, several: false, sessions: Pool::default() };
        let session = backbone.new_session()?;
        backbone.several = takes_several(&session)?;
        backbone.sessions.put(bound(session)?);
        Ok(backbone)
    }

    fn new_session(&self) -> Result<Session> {
        let environment = runtime::environment()?;
        let failed =
            |e: &dyn std::fmt::Display| Error::new(Status::Backbone, format!("the backbone cannot be loaded: {e}"));
        let builder = Session::builder(&environment).map_err(|e| failed(&e))?;
        let builder = builder.with_optimization_level(GraphOptimizationLevel::All).map_err(|e| failed(&e))?;
        let builder = builder.with_intra_threads(self.threads).map_err(|e| failed(&e))?;
        let builder = builder.with_inter_threads(1).map_err(|e| failed(&e))?;
        // Threads that spin after a run would steal the cores from the scoring that follows it.
        let mut builder = builder.with_intra_op_spinning(false).map_err(|e| failed(&e))?;
        let Some(provider) = self.device.dispatch() else {
            return builder.commit_from_memory(self.network.bytes()).map_err(|e| failed(&e));
        };
        builder = builder.with_execution_providers([provider]).map_err(|e| self.device.unusable(&e))?;
        builder.commit_from_memory(self.network.bytes()).map_err(|e| self.device.unusable(&e))
    }
}

impl FeatureExtractor for OnnxBackbone {
    fn max_batch(&self, size: InputSize) -> usize {
        if self.several { (PIXELS / (size.height * size.width)).max(1) } else { 1 }
    }

    fn extract(
        &self,
        inputs: &[f32],
        size: InputSize,
        consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
    ) -> Result<()> {
        let count = inputs.len() / (3 * size.height * size.width);
        let failed = |e: ort::Error| {
            let (inputs, hint) =
                if count == 1 { ("an input".to_owned(), "") } else { (format!("{count} inputs"), ONE) };
            let InputSize { height, width } = size;
            let message = format!("the backbone failed on {inputs} of {height} x {width} (height x width): {e}{hint}");
            Error::new(Status::Backbone, message)
        };
        self.sessions.try_with(
            || bound(self.new_session()?),
            |session| {
                let outputs = session.run([count, 3, size.height, size.width], inputs).map_err(failed)?;
                let mut taps = [TapMap::default(); MAX_TAPS];
                for image in 0..count {
                    for (index, (tap, output)) in taps.iter_mut().zip(outputs).enumerate() {
                        let (shape, data) = output.try_extract_tensor::<f32>().map_err(failed)?;
                        let [images, channels @ 1..=i64::MAX, rows @ 1..=i64::MAX, cols @ 1..=i64::MAX] = shape[..]
                        else {
                            return Err(unfit(&format!("output {index} has the shape {shape:?}")));
                        };
                        if images != count as i64 {
                            return Err(unfit(&format!(
                                "output {index} has the shape {shape:?} for {count} images{ONE}"
                            )));
                        }
                        let length = data.len() / count;
                        let data = &data[image * length..][..length];
                        *tap = TapMap { channels: channels as usize, rows: rows as usize, cols: cols as usize, data };
                    }
                    consume(image, &taps[..outputs.len()])?;
                }
                Ok(())
            },
        )
    }

    fn normalisation(&self) -> Normalisation {
        self.network.normalisation
    }

    fn identity(&self) -> &str {
        &self.identity
    }
}

fn unfit(found: &str) -> Error {
    Error::new(
        Status::Backbone,
        format!(
            "the ONNX file does not fit as a backbone: {found}. Expected one float input [1, 3, height, width] and 1 to \
             {MAX_TAPS} float outputs [1, channels, rows, columns], the first dimension fixed or free; cut the network before \
             its pooling and classifier"
        ),
    )
}

fn bound(session: Session) -> Result<BoundSession> {
    BoundSession::new(session).map_err(|e| unfit(&e.to_string()))
}

/// The checks that need no run; unknown (dynamic) dimensions are -1 and checked when the network runs. Returns whether a run
/// takes several images, which needs a free first dimension of the input and of all outputs.
fn takes_several(session: &Session) -> Result<bool> {
    let rank_four = |outlet: &Outlet| match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } if shape.len() == 4 => Ok(shape.to_vec()),
        other => Err(unfit(&format!("'{}' is {other}", outlet.name()))),
    };
    let [input] = session.inputs() else {
        return Err(unfit(&format!("it has {} inputs", session.inputs().len())));
    };
    let shape = rank_four(input)?;
    if !matches!(shape[0], 1 | -1) || !matches!(shape[1], 3 | -1) {
        return Err(unfit(&format!("input '{}' has the shape {shape:?}", input.name())));
    }
    if !(1..=MAX_TAPS).contains(&session.outputs().len()) {
        return Err(unfit(&format!("it has {} outputs", session.outputs().len())));
    }
    let mut free = shape[0] == -1;
    for output in session.outputs() {
        free &= rank_four(output)?[0] == -1;
    }
    Ok(free)
}
