//! Detection methods of others.

use std::ffi::{c_char, c_void};

use safer_ffi::prelude::*;

use super::callbacks::{npad_callback_error, npad_write_callback};

/// Version of the interface between npad and plug-ins. npad refuses plug-ins of another version.
pub const NPAD_PLUGIN_ABI: u32 = 2;

/// The features of one image: `channels` values for each position, position after position, row after row. npad creates it
/// and passes a pointer to it; later versions may append fields.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_features {
    /// Rows of the grid.
    pub rows: i32,
    /// Columns of the grid.
    pub cols: i32,
    /// Values per position.
    pub channels: i32,
    /// 0.
    pub reserved: i32,
    /// rows * cols * channels finite values.
    pub data: *const f32,
}

/// A parameter of a plug-in's method. It is set as the option "METHOD.NAME"; the plug-in checks its value.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_plugin_parameter {
    /// 1 to 64 lower-case letters, digits, '-' or '_', without the method's name.
    pub name: *const c_char,
    /// The default value; UTF-8.
    pub default_value: *const c_char,
    /// What it does, in one line; UTF-8.
    pub help: *const c_char,
}

/// A detection method of a plug-in: a shared library that exports `const npad_plugin *npad_plugin_entry(void)`, which returns
/// a table that lives as long as the library, that is, until the process ends. Fields that the plug-in does not know must be
/// 0: declare the table static, or initialise it to zero.
///
/// A method learns from feature maps and scores them. A fitter observes the maps of good images, all of one shape, and
/// finishes into a scorer. `values` are the values of the parameters as text, in the order of `parameters`. Callbacks return
/// 0 on success; on failure they return any other number after writing the reason to `error`, and create nothing. One fitter
/// is used by one thread at a time; one scorer is used by several threads at once and must not change. For the thresholds
/// npad fits several times, each time without a part of the images.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_plugin {
    /// sizeof(npad_plugin).
    pub size: usize,
    /// NPAD_PLUGIN_ABI.
    pub abi_version: u32,
    /// 0.
    pub reserved: u32,
    /// Name of the method in options and model files: 1 to 64 lower-case letters, digits, '-' or '_'.
    pub name: *const c_char,
    /// The parameters of the method; null if there are none.
    pub parameters: *const npad_plugin_parameter,
    /// Number of parameters, at most 1000.
    pub parameter_count: usize,
    /// sizeof(npad_plugin_parameter). Ignored where `parameters` is null.
    pub parameter_size: usize,
    /// Starts a fit and stores the fitter, which must not be null. The same images, parameters and seed must give the same
    /// scorer.
    pub fitter_new: Option<
        unsafe extern "C" fn(
            values: *const *const c_char,
            seed: u64,
            fitter: *mut *mut c_void,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Learns the features of one good image, which are valid during the call.
    pub fitter_observe: Option<
        unsafe extern "C" fn(
            fitter: *mut c_void,
            features: *const npad_features,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Computes the scorer from what the fitter has learnt and stores it; it must not be null. The fitter stays usable: it may
    /// observe more images and finish again.
    pub fitter_finish: Option<
        unsafe extern "C" fn(fitter: *mut c_void, scorer: *mut *mut c_void, error: *mut npad_callback_error) -> i32,
    >,
    /// Frees a fitter.
    pub fitter_free: Option<unsafe extern "C" fn(fitter: *mut c_void)>,
    /// Writes rows * cols values to `map`: the anomaly of each position, finite, 0 or above.
    pub scorer_score: Option<
        unsafe extern "C" fn(
            scorer: *const c_void,
            features: *const npad_features,
            map: *mut f32,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Passes to `write` the bytes that scorer_load needs.
    pub scorer_save: Option<
        unsafe extern "C" fn(
            scorer: *const c_void,
            write: npad_write_callback,
            sink: *mut c_void,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Creates a scorer, which must not be null, from saved bytes, which are valid during the call.
    pub scorer_load: Option<
        unsafe extern "C" fn(
            values: *const *const c_char,
            data: *const u8,
            size: usize,
            scorer: *mut *mut c_void,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Frees a scorer.
    pub scorer_free: Option<unsafe extern "C" fn(scorer: *mut c_void)>,
}
