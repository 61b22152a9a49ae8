//! A network that runs again and again on inputs of the same shapes, without allocating.
//!
//! `ort`'s own `run` makes a handful of small objects each time: names, handles, a list of outputs. Here names are made once and
//! the outputs of a shape's first run are written to again by those that follow. What is left, a handle on the caller's
//! pixels, is ONNX Runtime's. It also wants a session for itself, while ONNX Runtime lets several threads run one, except
//! with DirectML, where they take turns.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char};
use std::ptr::{NonNull, null, null_mut};
use std::sync::{Once, PoisonError};

use ort::AsPointer;
use ort::memory::MemoryInfo;
use ort::sys::{ONNXTensorElementDataType, OrtStatusPtr, OrtValue};
use ort::value::DynValue;

use super::open::SharedSession;
use super::{MAX_TAPS, ending};

/// Shapes of input whose outputs are kept. A model runs on one shape or two (whole batches and what is left), on tiles of up
/// to nine sizes (first, inner and last ones along both axes), and several models of different sizes share a session.
const SHAPES: usize = 32;

/// A session with the outputs of its last runs. Several may share one session, and run at the same time.
pub struct BoundSession {
    /// The latest first.
    bindings: Vec<Binding>,
    input: CString,
    outputs: Vec<CString>,
    memory: MemoryInfo<'static>,
    session: SharedSession,
}

/// The outputs of one shape of input.
struct Binding {
    shape: [usize; 4],
    values: Vec<DynValue>,
}

impl BoundSession {
    /// Wraps a session with one input and at most [`MAX_TAPS`] outputs.
    ///
    /// # Errors
    /// When an output is the input itself, or a name cannot be passed on.
    pub fn new(shared: SharedSession) -> ort::Result<Self> {
        let session = &shared.session;
        let input = session.inputs()[0].name();
        // ONNX Runtime would return the caller's memory for it, which later runs must not write to.
        if session.outputs().iter().any(|output| output.name() == input) {
            return Err(ort::Error::new(format!("its output '{input}' is its input")));
        }
        let name = |name: &str| CString::new(name).map_err(ort::Error::wrap);
        Ok(Self {
            bindings: Vec::with_capacity(SHAPES),
            input: name(input)?,
            outputs: session.outputs().iter().map(|output| name(output.name())).collect::<ort::Result<_>>()?,
            memory: MemoryInfo::default(),
            session: shared,
        })
    }

    /// Runs on `input` of the given shape and returns the outputs, which are valid until the next run.
    ///
    /// # Errors
    /// Errors of ONNX Runtime.
    pub fn run(&mut self, shape: [usize; 4], input: &[f32]) -> ort::Result<&[DynValue]> {
        assert_eq!(input.len(), shape.iter().product::<usize>(), "the input has its shape");
        let mut outputs = [null_mut(); MAX_TAPS];
        if let Some(at) = self.bindings.iter().position(|binding| binding.shape == shape) {
            self.bindings[..=at].rotate_right(1);
            outputs.iter_mut().zip(&mut self.bindings[0].values).for_each(|(to, value)| *to = value.ptr_mut());
            self.run_into(shape, input, &mut outputs)?;
        } else {
            self.run_into(shape, input, &mut outputs)?;
            let made = outputs[..self.outputs.len()].iter().filter_map(|output| NonNull::new(*output));
            // SAFETY: ONNX Runtime has just made them for this call, with the session's allocator, since none is the input.
            let values =
                made.map(|output| unsafe { DynValue::from_ptr(output, Some(self.session.session.allocator())) });
            let values = values.collect();
            self.bindings.truncate(SHAPES - 1);
            self.bindings.insert(0, Binding { shape, values });
        }
        Ok(&self.bindings[0].values)
    }

    /// Runs into these outputs; into those that are null, ONNX Runtime writes new ones.
    fn run_into(&self, shape: [usize; 4], input: &[f32], outputs: &mut [*mut OrtValue; MAX_TAPS]) -> ort::Result<()> {
        static FIRST: Once = Once::new();
        let _inside = ending::enter()?;
        let mut names = [null::<c_char>(); MAX_TAPS];
        names.iter_mut().zip(&self.outputs).for_each(|(to, name)| *to = name.as_ptr());
        let shape = shape.map(|side| side as i64);
        let mut handle = null_mut();
        // SAFETY: the handle is on memory of that shape, which outlives it; ONNX Runtime only reads from an input.
        check(unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                self.memory.ptr(),
                input.as_ptr().cast_mut().cast(),
                size_of_val(input),
                shape.as_ptr(),
                shape.len(),
                ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                &raw mut handle,
            )
        })?;
        let turn = self.session.turn.as_deref().map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: several threads may run a session, or take turns; one input, and as many names as outputs, which are null or those of
        // an earlier run of this caller on an input of this shape.
        let status = unsafe {
            (ort::api().Run)(
                self.session.session.ptr().cast_mut(),
                null(),
                [self.input.as_ptr()].as_ptr(),
                [handle.cast_const()].as_ptr(),
                1,
                names.as_ptr(),
                self.outputs.len(),
                outputs.as_mut_ptr(),
            )
        };
        drop(turn);
        // SAFETY: made above, and given to nobody.
        unsafe { (ort::api().ReleaseValue)(handle) };
        FIRST.call_once(ending::prepare);
        check(status)
    }
}

fn check(status: OrtStatusPtr) -> ort::Result<()> {
    // SAFETY: ONNX Runtime has just returned it.
    unsafe { ort::Error::result_from_status(status) }
}
