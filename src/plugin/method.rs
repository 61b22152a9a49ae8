//! Detection methods from shared libraries of others.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::sync::Arc;

use libloading::Library;

use super::{call, name, npad_callback_error};
use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::progress::Progress;
use crate::method::{
    Accumulator, Array, FitOutcome, Fitter, GridScore, Kind, Method, Parameter, Parameters, Sample, Scorer, State,
    check_free, register,
};

/// The version of the interface between npad and plug-ins; a plug-in of another one is refused.
pub const NPAD_PLUGIN_ABI: u32 = 1;

/// What a plug-in exports.
const ENTRY: &CStr = c"npad_plugin_entry";

/// Groups of images, each of which is scored by a fit of the others, for the thresholds.
const FOLDS: usize = 5;

/// The features of one image: `channels` values for each position, position after position, row after row.
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

/// A parameter of a plug-in's method, set as the option "METHOD.NAME"; the plug-in itself checks its values.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_plugin_parameter {
    /// 1 to 64 lower-case letters, digits, '-' or '_', without the method's name.
    pub name: *const c_char,
    /// The value where none is set; UTF-8.
    pub default_value: *const c_char,
    /// What it does, in one line; UTF-8.
    pub help: *const c_char,
}

/// Takes `size` bytes that a scorer saves; may be called any number of times.
pub type npad_write_callback = Option<unsafe extern "C" fn(sink: *mut c_void, data: *const u8, size: usize)>;

/// A detection method of a plug-in: a shared library that exports `const npad_plugin *npad_plugin_entry(void)`, which
/// gives a table that lives as long as the library, that is, until the process ends.
///
/// A method learns from feature maps and scores them: a fitter observes the maps of good images, all of one shape, and
/// finishes into a scorer. `values` are the parameters' values as text, in the order of `parameters`. Callbacks return 0,
/// or anything else after writing to `error` why they failed. One fitter is used by one thread at a time; one scorer by
/// several at once, so it must not change. For the thresholds npad fits several times, each time leaving a part of the
/// images out.
#[repr(C)]
pub struct npad_plugin {
    /// NPAD_PLUGIN_ABI.
    pub abi_version: u32,
    /// 0.
    pub reserved: u32,
    /// sizeof(npad_plugin).
    pub size: usize,
    /// The method's name in options and model files: 1 to 64 lower-case letters, digits, '-' or '_'.
    pub name: *const c_char,
    /// The method's parameters; null where there are none.
    pub parameters: *const npad_plugin_parameter,
    /// Their number.
    pub parameter_count: usize,
    /// Starts a fit. The same images, parameters and seed must give the same scorer.
    pub fitter_new: Option<
        unsafe extern "C" fn(
            values: *const *const c_char,
            seed: u64,
            fitter: *mut *mut c_void,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Learns the features of one good image; they may be read during the call only.
    pub fitter_observe: Option<
        unsafe extern "C" fn(
            fitter: *mut c_void,
            features: *const npad_features,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Ends a fit; the fitter is freed afterwards.
    pub fitter_finish: Option<
        unsafe extern "C" fn(fitter: *mut c_void, scorer: *mut *mut c_void, error: *mut npad_callback_error) -> i32,
    >,
    /// Frees a fitter.
    pub fitter_free: Option<unsafe extern "C" fn(fitter: *mut c_void)>,
    /// Writes rows * cols values to `map`: how anomalous each position is, 0 or above, finite.
    pub scorer_score: Option<
        unsafe extern "C" fn(
            scorer: *const c_void,
            features: *const npad_features,
            map: *mut f32,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Gives `write` the bytes that scorer_load needs.
    pub scorer_save: Option<
        unsafe extern "C" fn(
            scorer: *const c_void,
            write: npad_write_callback,
            sink: *mut c_void,
            error: *mut npad_callback_error,
        ) -> i32,
    >,
    /// Makes a scorer of saved bytes, which may be read during the call only.
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

/// The functions of a checked table.
struct Functions {
    name: String,
    fitter_new: unsafe extern "C" fn(*const *const c_char, u64, *mut *mut c_void, *mut npad_callback_error) -> i32,
    fitter_observe: unsafe extern "C" fn(*mut c_void, *const npad_features, *mut npad_callback_error) -> i32,
    fitter_finish: unsafe extern "C" fn(*mut c_void, *mut *mut c_void, *mut npad_callback_error) -> i32,
    fitter_free: unsafe extern "C" fn(*mut c_void),
    scorer_score: unsafe extern "C" fn(*const c_void, *const npad_features, *mut f32, *mut npad_callback_error) -> i32,
    scorer_save: unsafe extern "C" fn(*const c_void, npad_write_callback, *mut c_void, *mut npad_callback_error) -> i32,
    scorer_load:
        unsafe extern "C" fn(*const *const c_char, *const u8, usize, *mut *mut c_void, *mut npad_callback_error) -> i32,
    scorer_free: unsafe extern "C" fn(*mut c_void),
}

impl Functions {
    fn call(&self, what: &str, callback: impl FnOnce(*mut npad_callback_error) -> i32) -> Result<()> {
        call(&format!("the plug-in '{}', {what},", self.name), Status::Plugin, callback)
    }
}

/// Loads the shared library at `path` and registers its method. It stays loaded until the process ends.
///
/// # Errors
/// [`Status::Plugin`] when it is not a plug-in of this interface's version, or its method's name is taken.
pub fn load(path: &Path) -> Result<()> {
    let wrong =
        |text: String| Error::new(Status::Plugin, format!("the plug-in {} cannot be used: {text}", path.display()));
    // SAFETY: loading runs the library's initialisers: the user trusts it by naming it.
    let library = unsafe { Library::new(path) }.map_err(|e| wrong(e.to_string()))?;
    let entry = {
        // SAFETY: a library that exports the name promises the type.
        let symbol = unsafe { library.get::<unsafe extern "C" fn() -> *const npad_plugin>(ENTRY.to_bytes()) };
        *symbol.map_err(|_| wrong(format!("it does not export {}", ENTRY.to_string_lossy())))?
    };
    // SAFETY: as above; a table that is not null begins with its version in every version.
    let table = unsafe { entry().as_ref() }.ok_or_else(|| wrong("its entry point gives null".to_owned()))?;
    if table.abi_version != NPAD_PLUGIN_ABI {
        let found = table.abi_version;
        return Err(wrong(format!(
            "it speaks version {found} of the plug-in interface, this npad version {NPAD_PLUGIN_ABI}: build it with this \
             npad's header"
        )));
    }
    let expected = size_of::<npad_plugin>();
    if table.size != expected {
        return Err(wrong(format!("its table's size is {}, but must be sizeof(npad_plugin), {expected}", table.size)));
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // SAFETY: of this version and size, so of this layout.
    let method = unsafe { PluginMethod::new(table, file) }.map_err(|e| wrong(e.message().to_owned()))?;
    register(Box::new(method));
    std::mem::forget(library);
    Ok(())
}

/// A plug-in's method, as the registry knows it.
struct PluginMethod {
    functions: Arc<Functions>,
    parameters: Vec<Parameter>,
    file: String,
    help: String,
}

impl PluginMethod {
    /// # Safety
    /// The table must be what its documentation says.
    unsafe fn new(table: &npad_plugin, file: String) -> Result<Self> {
        let missing = |what: &str| Error::new(Status::Plugin, format!("its function '{what}' is null"));
        // SAFETY: by contract.
        let own = unsafe { name(table.name, "method") }?;
        check_free(&own)?;
        let functions = Functions {
            name: own.clone(),
            fitter_new: table.fitter_new.ok_or_else(|| missing("fitter_new"))?,
            fitter_observe: table.fitter_observe.ok_or_else(|| missing("fitter_observe"))?,
            fitter_finish: table.fitter_finish.ok_or_else(|| missing("fitter_finish"))?,
            fitter_free: table.fitter_free.ok_or_else(|| missing("fitter_free"))?,
            scorer_score: table.scorer_score.ok_or_else(|| missing("scorer_score"))?,
            scorer_save: table.scorer_save.ok_or_else(|| missing("scorer_save"))?,
            scorer_load: table.scorer_load.ok_or_else(|| missing("scorer_load"))?,
            scorer_free: table.scorer_free.ok_or_else(|| missing("scorer_free"))?,
        };
        let text = |text: *const c_char| {
            // SAFETY: null or a string by contract.
            let text = if text.is_null() { c"" } else { unsafe { CStr::from_ptr(text) } };
            text.to_string_lossy().into_owned()
        };
        let mut parameters = Vec::new();
        if !table.parameters.is_null() {
            // SAFETY: that many by contract.
            for parameter in unsafe { std::slice::from_raw_parts(table.parameters, table.parameter_count) } {
                // SAFETY: by contract.
                let name = format!("{own}.{}", unsafe { name(parameter.name, "parameter") }?);
                parameters.push([name, text(parameter.default_value), text(parameter.help)]);
            }
        }
        // Nothing fails any more, and methods live until the process ends.
        let parameters = parameters.into_iter().map(|texts| {
            let [name, default, help] = texts.map(|text| &*text.leak());
            Parameter { name, default, kind: Kind::Text, help }
        });
        let parameters = parameters.collect();
        let help = format!("method of the plug-in {file}");
        Ok(Self { functions: Arc::new(functions), parameters, file, help })
    }
}

/// Parameters' values as the callbacks take them.
struct Values(Vec<CString>);

impl Values {
    fn new(parameters: &Parameters) -> Result<Self> {
        let text = |(name, value): (&str, &str)| {
            let message = || Error::new(Status::InvalidOption, format!("{name} must not contain a zero byte"));
            CString::new(value).map_err(|_| message())
        };
        // In the order of the table, as `values` keeps it.
        parameters.values().map(text).collect::<Result<_>>().map(Self)
    }

    fn pointers(&self) -> Vec<*const c_char> {
        self.0.iter().map(|value| value.as_ptr()).collect()
    }
}

impl Method for PluginMethod {
    fn name(&self) -> &str {
        &self.functions.name
    }

    fn help(&self) -> &str {
        &self.help
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn shifts(&self, _: &Parameters) -> Vec<(isize, isize)> {
        vec![(0, 0)]
    }

    fn plugin(&self) -> Option<&str> {
        Some(&self.file)
    }

    fn fitter(&self, parameters: &Parameters, seed: u64) -> Result<Box<dyn Fitter>> {
        let start = Start { functions: self.functions.clone(), values: Values::new(parameters)?, seed };
        Ok(Box::new(PluginFitter { fitter: start.fitter()?, start, shape: None }))
    }

    fn load(&self, parameters: &Parameters, mut state: State) -> Result<Box<dyn Scorer>> {
        let [rows, cols, channels] = state.take_u32("shape")?[..] else {
            return Err(Error::new(Status::InvalidModel, "the model's shape does not fit a plug-in"));
        };
        let data = state.take_u8("data")?;
        let values = Values::new(parameters)?;
        let mut scorer = std::ptr::null_mut();
        self.functions.call("loading", |error| {
            // SAFETY: the table's owner promised what it does.
            unsafe {
                (self.functions.scorer_load)(
                    values.pointers().as_ptr(),
                    data.as_ptr(),
                    data.len(),
                    &raw mut scorer,
                    error,
                )
            }
        })?;
        let shape = (rows as usize, cols as usize, channels as usize);
        Ok(Box::new(PluginScorer { functions: self.functions.clone(), scorer, shape }))
    }
}

/// All that a new fit needs.
struct Start {
    functions: Arc<Functions>,
    values: Values,
    seed: u64,
}

/// A fit in the plug-in.
struct Handle {
    functions: Arc<Functions>,
    fitter: *mut c_void,
}

// SAFETY: a fitter may be used by one thread after another; the table's documentation says so.
unsafe impl Send for Handle {}

impl Start {
    fn fitter(&self) -> Result<Handle> {
        let mut fitter = std::ptr::null_mut();
        self.functions.call("starting a fit", |error| {
            // SAFETY: the table's owner promised what it does.
            unsafe { (self.functions.fitter_new)(self.values.pointers().as_ptr(), self.seed, &raw mut fitter, error) }
        })?;
        Ok(Handle { functions: self.functions.clone(), fitter })
    }
}

impl Handle {
    fn observe(&mut self, features: &FeatureMap) -> Result<()> {
        let view = view(features);
        // SAFETY: as above.
        self.functions
            .call("learning", |error| unsafe { (self.functions.fitter_observe)(self.fitter, &raw const view, error) })
    }

    fn finish(&mut self, shape: (usize, usize, usize)) -> Result<PluginScorer> {
        let mut scorer = std::ptr::null_mut();
        // SAFETY: as above.
        self.functions.call("finishing a fit", |error| unsafe {
            (self.functions.fitter_finish)(self.fitter, &raw mut scorer, error)
        })?;
        Ok(PluginScorer { functions: self.functions.clone(), scorer, shape })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by `fitter_new` and not used again.
        unsafe { (self.functions.fitter_free)(self.fitter) };
    }
}

fn view(features: &FeatureMap) -> npad_features {
    npad_features {
        rows: features.rows as i32,
        cols: features.cols as i32,
        channels: features.channels as i32,
        reserved: 0,
        data: features.data.as_ptr(),
    }
}

struct PluginFitter {
    start: Start,
    fitter: Handle,
    shape: Option<(usize, usize, usize)>,
}

impl Accumulator for PluginFitter {
    fn prepare(&mut self, _: &Sample, _: &Threads) -> Result<()> {
        if self.shape.take().is_some() {
            self.fitter = self.start.fitter()?;
        }
        Ok(())
    }

    fn observe(&mut self, features: &FeatureMap, _: &Threads) -> Result<()> {
        self.shape = Some((features.rows, features.cols, features.channels));
        self.fitter.observe(features)
    }
}

impl Fitter for PluginFitter {
    fn accumulator(&mut self) -> Option<&mut dyn Accumulator> {
        Some(self)
    }

    fn finish(&mut self, sample: &Sample, threads: &Threads, progress: &Progress) -> Result<FitOutcome> {
        let Self { start, fitter, shape } = self;
        let shape = shape.ok_or_else(|| Error::new(Status::Internal, "a fit without images"))?;
        let images = sample.images();
        let folds = FOLDS.min(images.len());
        let mut held_out = vec![Vec::new(); images.len()];
        let mut features = FeatureMap::default();
        for fold in 0..folds {
            progress.report("held-out scores", fold, folds)?;
            let mut others = start.fitter()?;
            for (_, image) in images.iter().enumerate().filter(|(number, _)| number % folds != fold) {
                image.maps[0].read(&mut features);
                others.observe(&features)?;
            }
            let scorer = others.finish(shape)?;
            for number in (fold..images.len()).step_by(folds) {
                for map in &images[number].maps {
                    let mut grid = GridScore::default();
                    map.read(&mut features);
                    scorer.score(&features, threads, &mut grid)?;
                    held_out[number].push(grid);
                }
            }
        }
        Ok(FitOutcome { scorer: Box::new(fitter.finish(shape)?), held_out })
    }
}

struct PluginScorer {
    functions: Arc<Functions>,
    scorer: *mut c_void,
    shape: (usize, usize, usize),
}

// SAFETY: a scorer may be used by several threads at once; the table's documentation says so.
unsafe impl Send for PluginScorer {}
// SAFETY: as above.
unsafe impl Sync for PluginScorer {}

impl Scorer for PluginScorer {
    fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    fn score(&self, features: &FeatureMap, _: &Threads, out: &mut GridScore) -> Result<()> {
        if (features.rows, features.cols, features.channels) != self.shape {
            return Err(Error::new(Status::Backbone, "the backbone's features have another shape than in the fit"));
        }
        (out.rows, out.cols) = (features.rows, features.cols);
        out.evidence.clear();
        out.map.clear();
        out.map.resize(out.rows * out.cols, f32::NAN);
        let view = view(features);
        // SAFETY: the map has room for every position, and the table's owner promised the rest.
        self.functions.call("scoring", |error| unsafe {
            (self.functions.scorer_score)(self.scorer, &raw const view, out.map.as_mut_ptr(), error)
        })?;
        let Some(at) = out.map.iter().position(|v| !v.is_finite() || *v < 0.0) else { return Ok(()) };
        let (value, row, column) = (out.map[at], at / out.cols, at % out.cols);
        let message = format!(
            "the plug-in '{}' gave {value} at row {row}, column {column} of its map; values must be 0 or above and finite",
            self.functions.name
        );
        Err(Error::new(Status::Plugin, message))
    }

    fn state(&self) -> Result<State> {
        /// # Safety
        /// `sink` must be a `Vec<u8>`, `data` `size` bytes.
        unsafe extern "C" fn write(sink: *mut c_void, data: *const u8, size: usize) {
            if size > 0 && !data.is_null() {
                // SAFETY: by contract; the vector is borrowed by nobody else during the call.
                unsafe { (*sink.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(data, size)) };
            }
        }
        let mut data: Vec<u8> = Vec::new();
        let sink: *mut Vec<u8> = &raw mut data;
        // SAFETY: the table's owner promised what it does; `write` lives in it no longer than the call.
        self.functions.call("saving", |error| unsafe {
            (self.functions.scorer_save)(self.scorer, Some(write), sink.cast(), error)
        })?;
        let (rows, cols, channels) = self.shape;
        let mut state = State::default();
        state.put("shape", Array::U32(vec![3], [rows, cols, channels].map(|n| n as u32).to_vec()));
        state.put("data", Array::U8(vec![data.len()], data));
        Ok(state)
    }
}

impl Drop for PluginScorer {
    fn drop(&mut self) {
        // SAFETY: made by the plug-in and not used again.
        unsafe { (self.functions.scorer_free)(self.scorer) };
    }
}
