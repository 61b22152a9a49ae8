//! Feature extractors of the host, for programs that already have an inference engine.

use std::ffi::c_void;

use super::{call, name};
use crate::abi::UserData;
use crate::abi::callbacks::{npad_callback_error, npad_free_callback};
use crate::abi::extractor::npad_extractor;
use crate::backbone::{FeatureExtractor, HOST, MAX_TAPS, TapMap};
use crate::error::{Error, Result, Status};
use crate::exec::memory::try_resize;
use crate::exec::scratch::Pool;
use crate::preprocess::{InputSize, Normalisation};

/// The bounds of outputs' strides and channels.
const MAX_STRIDE: i32 = 64;
const MAX_CHANNELS: i32 = 8192;

struct Tap {
    stride: usize,
    channels: usize,
}

/// Implements the crate's trait for a host's extractor.
pub struct HostExtractor {
    identity: String,
    taps: Vec<Tap>,
    normalisation: Normalisation,
    extract: unsafe extern "C" fn(*mut c_void, *const f32, i32, i32, *const *mut f32, *mut npad_callback_error) -> i32,
    free: npad_free_callback,
    user_data: UserData,
    outputs: Pool<Vec<Vec<f32>>>,
}

impl HostExtractor {
    /// Checks the table and takes ownership of it. On failure `free` is not called, and the caller keeps ownership of
    /// `user_data`.
    ///
    /// # Errors
    /// [`Status::Plugin`] when a value in the table is out of range.
    ///
    /// # Safety
    /// The table must fulfil its documentation.
    pub unsafe fn new(table: &npad_extractor) -> Result<Self> {
        let wrong = |text: String| Error::new(Status::Plugin, format!("the feature extractor cannot be used: {text}"));
        // SAFETY: by contract.
        let name = unsafe { name(table.name, "feature extractor") }?;
        if !(1..=MAX_TAPS).contains(&table.tap_count) || table.strides.is_null() || table.channels.is_null() {
            return Err(wrong(format!("it needs 1 to {MAX_TAPS} outputs with strides and channels")));
        }
        // SAFETY: not null, and as long as `tap_count` by contract.
        let (strides, channels) = unsafe {
            (
                std::slice::from_raw_parts(table.strides, table.tap_count),
                std::slice::from_raw_parts(table.channels, table.tap_count),
            )
        };
        let fit = |(stride, channels): (&i32, &i32)| {
            (1..=MAX_STRIDE).contains(stride) && (1..=MAX_CHANNELS).contains(channels)
        };
        if !strides.iter().zip(channels).all(fit) {
            return Err(wrong(format!("strides must be 1 to {MAX_STRIDE}, channels 1 to {MAX_CHANNELS}")));
        }
        if !table.mean.iter().all(|m| m.is_finite()) || !table.std.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err(wrong("mean must be finite and std above 0".to_owned()));
        }
        let extract = table.extract.ok_or_else(|| wrong("its function 'extract' is null".to_owned()))?;
        let tap = |(stride, channels): (&i32, &i32)| Tap { stride: *stride as usize, channels: *channels as usize };
        Ok(Self {
            identity: format!("{HOST}{name}"),
            taps: strides.iter().zip(channels).map(tap).collect(),
            normalisation: Normalisation { mean: table.mean, std: table.std },
            extract,
            free: table.free,
            user_data: UserData::new(table.user_data),
            outputs: Pool::default(),
        })
    }
}

impl Tap {
    /// Rows and columns for an input of that size.
    fn shape(&self, size: InputSize) -> (usize, usize) {
        (size.height.div_ceil(self.stride), size.width.div_ceil(self.stride))
    }
}

impl HostExtractor {
    /// Sets all outputs for an input of that size to NaN, so that missing values are detected.
    fn clear(&self, outputs: &mut [Vec<f32>], size: InputSize) -> Result<()> {
        for (output, tap) in outputs.iter_mut().zip(&self.taps) {
            let (rows, cols) = tap.shape(size);
            output.clear();
            try_resize(output, tap.channels * rows * cols, f32::NAN)?;
        }
        Ok(())
    }
}

impl FeatureExtractor for HostExtractor {
    fn extract(
        &self,
        inputs: &[f32],
        size: InputSize,
        consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
    ) -> Result<()> {
        let user_data = self.user_data;
        self.outputs.try_with(
            || Ok(vec![Vec::new(); self.taps.len()]),
            |outputs: &mut Vec<Vec<f32>>| {
                self.clear(outputs, size)?;
                let mut pointers = [std::ptr::null_mut(); MAX_TAPS];
                pointers
                    .iter_mut()
                    .zip(outputs.iter_mut())
                    .for_each(|(pointer, output)| *pointer = output.as_mut_ptr());
                call(&self.identity, Status::Backbone, |error| {
                    let (height, width) = (size.height as i32, size.width as i32);
                    // SAFETY: the table's owner promised what it does; the buffers are as large as documented.
                    unsafe { (self.extract)(user_data.get(), inputs.as_ptr(), height, width, pointers.as_ptr(), error) }
                })?;
                let mut maps = [TapMap::default(); MAX_TAPS];
                for ((map, tap), output) in maps.iter_mut().zip(&self.taps).zip(outputs.iter()) {
                    let (rows, cols) = tap.shape(size);
                    *map = TapMap { channels: tap.channels, rows, cols, data: output };
                }
                consume(0, &maps[..self.taps.len()])
            },
        )
    }

    fn warm_up(&self, size: InputSize, _images: usize, calls: usize) -> Result<()> {
        let new = || Ok(vec![Vec::new(); self.taps.len()]);
        self.outputs.warm_up(calls, new, |outputs| self.clear(outputs, size))
    }

    fn normalisation(&self) -> Normalisation {
        self.normalisation
    }

    fn identity(&self) -> &str {
        &self.identity
    }
}

impl Drop for HostExtractor {
    fn drop(&mut self) {
        if let Some(free) = self.free {
            // SAFETY: called once, and nothing uses the table any more.
            unsafe { free(self.user_data.get()) };
        }
    }
}
