//! Plug-ins: detection methods in shared libraries.

use std::ffi::{c_char, c_void};

use safer_ffi::prelude::*;

use super::callbacks::{npad_callback_error, npad_write_callback};

/// Version of the interface between npad and plug-ins. npad refuses plug-ins of another version.
pub const NPAD_PLUGIN_ABI: u32 = 2;

/// The features of one image: a grid of `rows` x `cols` positions with `channels` values each, in row-major order,
/// channels last. npad creates it and passes a pointer to it; later versions may append fields.
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
    /// Always 0.
    pub reserved: i32,
    /// rows * cols * channels finite values.
    pub data: *const f32,
}

/// A parameter of a plug-in's method. Users set it as the option "METHOD.NAME"; the plug-in must check its value.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_plugin_parameter {
    /// Name of the parameter without the method's name: 1 to 64 lower-case letters, digits, '-' or '_'.
    pub name: *const c_char,
    /// The default value; UTF-8.
    pub default_value: *const c_char,
    /// What the parameter does, in one line; UTF-8.
    pub help: *const c_char,
}

/// A detection method of a plug-in. A plug-in is a shared library that exports `const npad_plugin
/// *npad_plugin_entry(void)`. The returned table must stay valid until the process ends. Unused fields must be 0:
/// declare the table static, or initialise it to zero.
///
/// A fitter learns the features of good images, all of the same shape, and computes a scorer from them. A scorer
/// computes anomaly maps. `values` are the values of the parameters as text, in the order of `parameters`. Callbacks
/// return 0 on success; on failure they write the reason to `error`, return any other number and create no object. A
/// fitter is used by one thread at a time. A scorer is used by several threads at once and must be immutable. npad
/// computes the thresholds by cross-validation: it fits several times, each time without some of the images.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_plugin {
    /// sizeof(npad_plugin).
    pub size: usize,
    /// NPAD_PLUGIN_ABI.
    pub abi_version: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Name of the method in options and model files: 1 to 64 lower-case letters, digits, '-' or '_'.
    pub name: *const c_char,
    /// The parameters of the method; null for none.
    pub parameters: *const npad_plugin_parameter,
    /// Number of parameters, at most 1000.
    pub parameter_count: usize,
    /// sizeof(npad_plugin_parameter). Ignored where `parameters` is null.
    pub parameter_size: usize,
    /// Creates a fitter and writes it to `*fitter`; it must not be null. The same images, values and seed must give the
    /// same scorer.
    pub fitter_new: Option<
        unsafe extern "C" fn(
            values: *const *const c_char,
            seed: u64,
            fitter: *mut *mut c_void,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Learns the features of one good image. `features` is valid during the call only.
    pub fitter_observe: Option<
        unsafe extern "C" fn(
            fitter: *mut c_void,
            features: *const npad_features,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Computes a scorer from the images learnt so far and writes it to `*scorer`; it must not be null. The fitter
    /// remains usable: it may learn more images and finish again.
    pub fitter_finish: Option<
        unsafe extern "C" fn(fitter: *mut c_void, scorer: *mut *mut c_void, error: *mut npad_callback_error) -> i32,
    >,
    /// Frees a fitter. Called once for each fitter.
    pub fitter_free: Option<unsafe extern "C" fn(fitter: *mut c_void)>,
    /// Writes the anomaly score of each position to `map`: rows * cols finite values of 0 or above, row after row.
    pub scorer_score: Option<
        unsafe extern "C" fn(
            scorer: *const c_void,
            features: *const npad_features,
            map: *mut f32,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Saves a scorer: passes to `write` the bytes that `scorer_load` needs.
    pub scorer_save: Option<
        unsafe extern "C" fn(
            scorer: *const c_void,
            write: npad_write_callback,
            sink: *mut c_void,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Creates a scorer from the bytes that `scorer_save` wrote and writes it to `*scorer`; it must not be null. `data`
    /// is valid during the call only.
    pub scorer_load: Option<
        unsafe extern "C" fn(
            values: *const *const c_char,
            data: *const u8,
            size: usize,
            scorer: *mut *mut c_void,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Frees a scorer. Called once for each scorer.
    pub scorer_free: Option<unsafe extern "C" fn(scorer: *mut c_void)>,
}
