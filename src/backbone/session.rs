//! A network that runs again and again on inputs of the same shapes, without allocating.
//!
//! `ort`'s own `run` makes a handful of small objects each time: names, handles, a list of outputs. Here names are made once and
//! the outputs of a shape's first run are written to again by those that follow. What is left, a handle on the caller's
//! pixels, is ONNX Runtime's.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};

use ort::AsPointer;
use ort::memory::MemoryInfo;
use ort::session::Session;
use ort::sys::{ONNXTensorElementDataType, OrtStatusPtr, OrtValue};
use ort::value::{DynValue, TensorRef};

use super::MAX_TAPS;

/// Shapes of input whose outputs are kept. A model runs on one shape or two (whole batches and what is left), on tiles of up
/// to nine sizes (first, inner and last ones along both axes), and several models of different sizes share a session.
const SHAPES: usize = 32;

/// A session with the outputs of its last runs.
pub struct BoundSession {
    session: Session,
    input: CString,
    outputs: Vec<CString>,
    memory: MemoryInfo<'static>,
    /// The latest first.
    bindings: Vec<Binding>,
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
    /// When a name cannot be passed on.
    pub fn new(session: Session) -> ort::Result<Self> {
        let name = |name: &str| CString::new(name).map_err(ort::Error::wrap);
        Ok(Self {
            input: name(session.inputs()[0].name())?,
            outputs: session.outputs().iter().map(|output| name(output.name())).collect::<ort::Result<_>>()?,
            memory: MemoryInfo::default(),
            bindings: Vec::with_capacity(SHAPES),
            session,
        })
    }

    /// Runs on `input` of the given shape and returns the outputs, which are valid until the next run.
    ///
    /// # Errors
    /// Errors of ONNX Runtime.
    pub fn run(&mut self, shape: [usize; 4], input: &[f32]) -> ort::Result<&[DynValue]> {
        assert_eq!(input.len(), shape.iter().product::<usize>(), "the input has its shape");
        match self.bindings.iter().position(|binding| binding.shape == shape) {
            Some(at) => {
                self.bindings[..=at].rotate_right(1);
                self.run_bound(input)?;
            }
            None => {
                let outputs = self.session.run(ort::inputs![TensorRef::from_array_view((shape, input))?])?;
                let values = outputs.into_iter().map(|(_, value)| value).collect();
                self.bindings.truncate(SHAPES - 1);
                self.bindings.insert(0, Binding { shape, values });
            }
        }
        Ok(&self.bindings[0].values)
    }

    /// Runs into the outputs of the first binding.
    fn run_bound(&mut self, input: &[f32]) -> ort::Result<()> {
        let Self { session, memory, bindings, .. } = self;
        let Binding { shape, values } = &mut bindings[0];
        let (mut names, mut outputs) = ([null::<c_char>(); MAX_TAPS], [null_mut::<OrtValue>(); MAX_TAPS]);
        for ((name, output), (of, value)) in names.iter_mut().zip(&mut outputs).zip(self.outputs.iter().zip(values)) {
            (*name, *output) = (of.as_ptr(), value.ptr_mut());
        }
        let shape = shape.map(|side| side as i64);
        let mut handle = null_mut();
        // SAFETY: the handle is on memory of that shape, which outlives it; ONNX Runtime only reads from an input.
        check(unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                memory.ptr(),
                input.as_ptr().cast_mut().cast(),
                size_of_val(input),
                shape.as_ptr(),
                shape.len(),
                ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                &raw mut handle,
            )
        })?;
        // SAFETY: the session is this call's alone; one input, and as many names as outputs, which are those of a run on an
        // input of this shape.
        let status = unsafe {
            (ort::api().Run)(
                session.ptr().cast_mut(),
                null(),
                [self.input.as_ptr()].as_ptr(),
                [handle.cast_const()].as_ptr(),
                1,
                names.as_ptr(),
                self.outputs.len(),
                outputs.as_mut_ptr(),
            )
        };
        // SAFETY: made above, and given to nobody.
        unsafe { (ort::api().ReleaseValue)(handle) };
        check(status)
    }
}

fn check(status: OrtStatusPtr) -> ort::Result<()> {
    // SAFETY: ONNX Runtime has just returned it.
    unsafe { ort::Error::result_from_status(status) }
}
