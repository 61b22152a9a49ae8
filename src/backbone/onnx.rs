//! A backbone in ONNX format, run by ONNX Runtime.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};
use prost::bytes::Bytes;

use super::device::Device;
use super::open::{SharedSession, failure, open_session};
use super::session::BoundSession;
use super::{FeatureExtractor, MAX_TAPS, TapMap};
use crate::error::{Error, Result, Status};
use crate::exec::memory::{try_copy, try_vec};
use crate::exec::scratch::Pool;
use crate::preprocess::{InputSize, Normalisation};

/// The embedded backbone: EfficientNet-Lite0 up to its fifth stage, see `assets/README.md`.
static BUILTIN_ONNX: &[u8] = include_bytes!("../../assets/efficientnet-lite0-stage5.onnx");

/// The embedded backbone's name.
pub const BUILTIN: &str = "efficientnet-lite0-stage5";

/// The normalisation that the embedded backbone was trained with.
const BUILTIN_NORMALISATION: Normalisation = Normalisation { mean: [0.498; 3], std: [0.502; 3] };

/// A network's file and the normalisation of its input.
pub struct Network {
    name: &'static str,
    bytes: Bytes,
    normalisation: Normalisation,
}

impl Network {
    /// The network embedded in this library.
    pub fn builtin() -> Self {
        Self { name: BUILTIN, bytes: Bytes::from_static(BUILTIN_ONNX), normalisation: BUILTIN_NORMALISATION }
    }

    /// The file of the network embedded in this library.
    pub fn builtin_bytes() -> &'static [u8] {
        BUILTIN_ONNX
    }

    /// A custom network.
    pub fn onnx(bytes: Bytes, normalisation: Normalisation) -> Self {
        Self { name: "onnx", bytes, normalisation }
    }

    /// Name and checksum.
    fn identity(&self) -> String {
        format!("{}/{:08x}", self.name, crc32fast::hash(&self.bytes))
    }
}

/// An ONNX network with one image input and one or more feature maps as outputs.
///
/// On the CPU each concurrent caller takes a session with threads of its own from a pool; on other devices, whose memory is
/// scarce, all callers share one. All models of a process with the same network, device and number of threads share them.
pub struct OnnxBackbone {
    network: Network,
    device: Device,
    threads: usize,
    identity: String,
    /// Whether a run accepts several images.
    several: bool,
    /// The session of all callers; none on the CPU.
    shared: Option<SharedSession>,
    sessions: Pool<BoundSession>,
}

/// Maximum number of pixels per run. Two images of the usual sizes take 5 % less time together, since threads
/// synchronise half as often; more no longer fit in the caches.
const PIXELS: usize = 2 * 256 * 256;

/// What messages call the network.
const NAME: &str = "the backbone";

/// Advice for a network that fails on several images.
const ONE: &str = "; if it takes one image at a time, give its first dimension the size 1";

/// Key of a shared backbone: name, checksum and length of the network, bits of its normalisation, device, and number of
/// threads.
type Key = (String, usize, [u32; 6], Device, usize);

/// The backbones in use.
static SHARED: LazyLock<Mutex<HashMap<Key, Weak<OnnxBackbone>>>> = LazyLock::new(Mutex::default);

impl OnnxBackbone {
    /// Returns the network on a device with `threads` threads for each run, shared with other users in the process that
    /// open the same. It is freed with the last user.
    ///
    /// # Errors
    /// [`Status::Runtime`] without ONNX Runtime, [`Status::Device`] when the device cannot be used, [`Status::Backbone`] when
    /// the network is not one that maps an image to feature maps, [`Status::OutOfMemory`].
    pub fn shared(network: Network, device: &Device, threads: usize) -> Result<Arc<Self>> {
        let Normalisation { mean: [r, g, b], std: [u, v, w] } = network.normalisation;
        let normalisation = [r, g, b, u, v, w].map(f32::to_bits);
        let identity = network.identity();
        let key = (identity.clone(), network.bytes.len(), normalisation, device.clone(), threads);
        // Locked while a backbone is opened, so that others that need the same one wait for it. Different ones are
        // rarely opened at the same time.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let open = shared.get(&key).and_then(Weak::upgrade);
        // Different networks may have the same checksum.
        if let Some(backbone) = open.filter(|backbone| backbone.network.bytes == network.bytes) {
            return Ok(backbone);
        }
        shared.retain(|_, backbone| backbone.strong_count() > 0);
        let backbone = Arc::new(Self::open(network, identity, device.clone(), threads)?);
        shared.insert(key, Arc::downgrade(&backbone));
        Ok(backbone)
    }

    fn open(network: Network, identity: String, device: Device, threads: usize) -> Result<Self> {
        log::info!("opening the backbone {identity} on {device} with {threads} threads");
        let first = open_session(NAME, &network.bytes, &device, threads)?;
        let several = takes_several(&first.session)?;
        let shared = (!device.is_cpu()).then(|| first.clone());
        let backbone = Self { network, device, threads, identity, several, shared, sessions: Pool::default() };
        backbone.sessions.put(bound(first)?);
        Ok(backbone)
    }

    /// What one more concurrent caller needs.
    fn new_session(&self) -> Result<BoundSession> {
        bound(match &self.shared {
            Some(session) => session.clone(),
            None => open_session(NAME, &self.network.bytes, &self.device, self.threads)?,
        })
    }
}

/// Runs a network that this library has written once, on the CPU, and returns the values of its outputs.
///
/// # Errors
/// [`Status::Runtime`] without ONNX Runtime, [`Status::Backbone`] when it cannot be loaded or fails, [`Status::OutOfMemory`].
///
/// # Panics
/// Where the input does not have its shape.
pub fn run_network(bytes: &[u8], threads: usize, shape: [usize; 4], input: &[f32]) -> Result<Vec<Vec<f32>>> {
    let failed = |e: ort::Error| failure(&e, |cause| format!("the network failed: {cause}"));
    let mut session = bound(open_session("the network", bytes, &Device::CPU, threads)?)?;
    let outputs = session.run(shape, input).map_err(failed)?;
    outputs.iter().map(|output| try_copy(output.try_extract_tensor::<f32>().map_err(failed)?.1)).collect()
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
            failure(&e, |cause| {
                format!("the backbone failed on {inputs} of {height} x {width} (height x width): {cause}{hint}")
            })
        };
        self.sessions.try_with(
            || self.new_session(),
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

    fn warm_up(&self, size: InputSize, images: usize, calls: usize) -> Result<()> {
        let max_batch = self.max_batch(size).min(images);
        let inputs = try_vec(max_batch * 3 * size.height * size.width, 0.0)?;
        // Full batches, and the remaining images of the call.
        let batches = [max_batch, images % max_batch.max(1)];
        self.sessions.warm_up(
            calls,
            || self.new_session(),
            |session| {
                for batch in batches.into_iter().filter(|batch| *batch > 0) {
                    let length = batch * 3 * size.height * size.width;
                    let outcome = session.run([batch, 3, size.height, size.width], &inputs[..length]);
                    outcome
                        .map_err(|e| failure(&e, |cause| format!("the backbone failed on {batch} inputs: {cause}")))?;
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
            "the ONNX file cannot be used as a backbone: {found}. Expected one float input [1, 3, height, width] and 1 \
             to {MAX_TAPS} float outputs [1, channels, rows, columns], with a fixed or dynamic first dimension; cut \
             the network before its pooling and classifier"
        ),
    )
}

fn bound(session: SharedSession) -> Result<BoundSession> {
    BoundSession::new(session).map_err(|e| unfit(&e.to_string()))
}

/// Checks inputs and outputs without a run; dynamic dimensions are -1 and are checked when the network runs. Returns
/// whether a run accepts several images, which requires a dynamic first dimension of the input and all outputs.
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
