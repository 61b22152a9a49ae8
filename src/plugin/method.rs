//! Detection methods from plug-ins.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::sync::Arc;

use libloading::Library;

use super::{call, name};
use crate::abi::callbacks::{npad_callback_error, npad_write_callback};
use crate::abi::plugin::{NPAD_PLUGIN_ABI, npad_features, npad_plugin, npad_plugin_parameter};
use crate::abi::sized::{check_size, read, read_sized, size_at, zeroed};
use crate::backbone::{FeatureMap, check_library_file};
use crate::error::{Error, Result, Status, with_causes};
use crate::exec::Threads;
use crate::exec::memory::{try_grow, try_resize};
use crate::exec::progress::Progress;
use crate::method::{
    Accumulator, Array, Environment, FitOutcome, Fitter, GridScore, Kind, Leaving, Method, Parameter, Parameters,
    Sample, SampleImage, Scorer, State, register, unfit,
};

/// Name of the function that a plug-in exports.
const ENTRY: &CStr = c"npad_plugin_entry";

/// Number of folds of the cross-validation for the thresholds.
const FOLDS: usize = 5;

/// Maximum number of parameters of a method.
const MAX_PARAMETERS: usize = 1000;

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

    /// [`Functions::call`] for a function that returns a fitter or scorer.
    fn make(
        &self,
        what: &str,
        callback: impl FnOnce(*mut *mut c_void, *mut npad_callback_error) -> i32,
    ) -> Result<*mut c_void> {
        let mut made = std::ptr::null_mut();
        self.call(what, |error| callback(&raw mut made, error))?;
        if made.is_null() {
            let message = format!("the plug-in '{}', {what}, returned 0 but stored null", self.name);
            return Err(Error::new(Status::Plugin, message));
        }
        Ok(made)
    }
}

/// Loads the shared library at `path` and registers its method. It stays loaded until the process ends.
///
/// # Errors
/// [`Status::NotFound`] when there is no such file; [`Status::Plugin`] when it is not a plug-in of this interface
/// version, or a method of its name exists already.
pub fn load(path: &Path) -> Result<()> {
    let unusable = |status: Status, text: &str| {
        Error::new(status, format!("the plug-in {} cannot be used: {text}", path.display()))
    };
    let wrong = |text: &str| unusable(Status::Plugin, text);
    // An absolute name: for another one the loader may search its own folders.
    let file = check_library_file(path).map_err(|text| {
        let status = if path.exists() { Status::Plugin } else { Status::NotFound };
        unusable(status, &text)
    })?;
    // SAFETY: loading runs the library's initialisers: the user trusts it by naming it.
    let library = unsafe { Library::new(file) }.map_err(|error| wrong(&with_causes(&error)))?;
    let entry = {
        // SAFETY: a library that exports the name promises the type.
        let symbol = unsafe { library.get::<unsafe extern "C" fn() -> *const npad_plugin>(ENTRY.to_bytes()) };
        *symbol.map_err(|error| {
            wrong(&format!("it does not export {}: {}", ENTRY.to_string_lossy(), with_causes(&error)))
        })?
    };
    // SAFETY: as above.
    let table = unsafe { entry() };
    if table.is_null() {
        return Err(wrong("its entry point returned null"));
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // SAFETY: a table that is not null, by contract.
    unsafe { add(table, file) }.map_err(|error| wrong(error.message()))?;
    std::mem::forget(library);
    Ok(())
}

/// Registers a table's method.
///
/// # Safety
/// As [`checked`] and [`PluginMethod::check`].
unsafe fn add(table: *const npad_plugin, file: String) -> Result<()> {
    // SAFETY: by contract.
    let (name, make) = unsafe { PluginMethod::check(&checked(table)?, file) }?;
    register(&name, make)
}

/// Checks a table and, to `keep` it, registers its method.
///
/// # Safety
/// As [`checked`] and [`PluginMethod::check`].
#[cfg(fuzzing)]
pub unsafe fn read_table(table: *const npad_plugin, keep: bool) -> Result<()> {
    // SAFETY: by contract.
    unsafe {
        if keep {
            add(table, "fuzzing".to_owned())
        } else {
            PluginMethod::check(&checked(table)?, String::new()).map(drop)
        }
    }
}

/// Reads the fields of the table that this npad knows.
///
/// # Safety
/// `table` must point to a table of some version; all begin with their size and their version.
unsafe fn checked(table: *const npad_plugin) -> Result<npad_plugin> {
    // SAFETY: by contract; the size tells whether there is a version.
    let (size, version) = unsafe {
        let size = size_at(table);
        let known = size >= std::mem::offset_of!(npad_plugin, reserved);
        (size, if known { (&raw const (*table).abi_version).read_unaligned() } else { NPAD_PLUGIN_ABI })
    };
    let other = |what: String| {
        let message = format!("{what}: build the plug-in with this npad's header");
        Error::new(Status::Plugin, message)
    };
    if version != NPAD_PLUGIN_ABI {
        return Err(other(format!(
            "it has version {version} of the plug-in interface, but this npad has version {NPAD_PLUGIN_ABI}"
        )));
    }
    check_size::<npad_plugin>(size).map_err(|_| other(format!("its table's size is {size}")))?;
    // SAFETY: by contract.
    let table = unsafe { read_sized(table) }?;
    if table.reserved != 0 {
        let message = format!("its table's field 'reserved' is {}, but must be 0", table.reserved);
        return Err(Error::new(Status::Plugin, message));
    }
    Ok(table)
}

/// A plug-in's method in the registry.
struct PluginMethod {
    functions: Arc<Functions>,
    parameters: Vec<Parameter>,
    file: String,
    help: String,
}

impl PluginMethod {
    /// The name of a table's method, and what makes it.
    ///
    /// # Safety
    /// The table must fulfil its documentation.
    unsafe fn check(table: &npad_plugin, file: String) -> Result<(String, impl FnOnce() -> Self + use<>)> {
        let missing = |what: &str| Error::new(Status::Plugin, format!("its function '{what}' is null"));
        // SAFETY: by contract.
        let own = unsafe { name(table.name, "method") }?;
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
        if table.parameters.is_null() && table.parameter_count > 0 {
            let message = format!("it has {} parameters, but its table of parameters is null", table.parameter_count);
            return Err(Error::new(Status::Plugin, message));
        }
        if !table.parameters.is_null() {
            if table.parameter_count > MAX_PARAMETERS {
                let message = format!("it has {} parameters, more than {MAX_PARAMETERS}", table.parameter_count);
                return Err(Error::new(Status::Plugin, message));
            }
            for index in 0..table.parameter_count {
                let place = table.parameters.cast::<u8>().wrapping_add(index * table.parameter_size);
                // SAFETY: that many of that size by contract.
                let parameter: npad_plugin_parameter = unsafe { read(place, table.parameter_size) }?;
                // SAFETY: by contract.
                let name = format!("{own}.{}", unsafe { name(parameter.name, "parameter") }?);
                if parameters.iter().any(|[known, ..]: &[String; 3]| *known == name) {
                    return Err(Error::new(Status::Plugin, format!("it has two parameters of the name '{name}'")));
                }
                parameters.push([name, text(parameter.default_value), text(parameter.help)]);
            }
        }
        let make = move || {
            // Methods live until the process ends.
            let leak = |texts: [String; 3]| {
                let [name, default, help] = texts.map(|text| &*text.leak());
                Parameter { name, default, kind: Kind::Text, help }
            };
            let parameters = parameters.into_iter().map(leak).collect();
            let help = format!("method of the plug-in {file}");
            Self { functions: Arc::new(functions), parameters, file, help }
        };
        Ok((own, make))
    }
}

/// Values of the parameters for the callbacks.
struct Values(Vec<CString>);

impl Values {
    fn new(parameters: &Parameters) -> Result<Self> {
        let text = |(name, value): (&str, &str)| {
            let message = || Error::new(Status::InvalidOption, format!("{name} must not contain a zero byte"));
            CString::new(value).map_err(|_| message())
        };
        // In the order of the table.
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

    fn fitter(&self, parameters: &Parameters, seed: u64, _: &Environment) -> Result<Box<dyn Fitter>> {
        let start = Start { functions: self.functions.clone(), values: Values::new(parameters)?, seed };
        Ok(Box::new(PluginFitter {
            fitter: start.fitter()?,
            start,
            has_others: false,
            learnt: BTreeSet::new(),
            staged: Vec::new(),
        }))
    }

    fn load(&self, parameters: &Parameters, mut state: State, _: &Environment) -> Result<Box<dyn Scorer>> {
        let [rows, cols, channels] = state.take_u32("shape")?[..] else {
            return Err(Error::new(Status::InvalidModel, "the model's shape does not fit a plug-in"));
        };
        let data = state.take_u8("data")?;
        let values = Values::new(parameters)?;
        let scorer = self.functions.make("loading", |scorer, error| {
            let values = values.pointers();
            // SAFETY: the table's owner promised what it does.
            unsafe { (self.functions.scorer_load)(values.as_ptr(), data.as_ptr(), data.len(), scorer, error) }
        })?;
        let shape = (rows as usize, cols as usize, channels as usize);
        Ok(Box::new(PluginScorer { functions: self.functions.clone(), scorer, shape }))
    }
}

/// The arguments of a new fit.
struct Start {
    functions: Arc<Functions>,
    values: Values,
    seed: u64,
}

/// A fitter of the plug-in.
struct Handle {
    functions: Arc<Functions>,
    fitter: *mut c_void,
}

// SAFETY: a fitter may be used by one thread after another; the table's documentation says so.
unsafe impl Send for Handle {}

impl Start {
    fn fitter(&self) -> Result<Handle> {
        let fitter = self.functions.make("starting a fit", |fitter, error| {
            let values = self.values.pointers();
            // SAFETY: the table's owner promised what it does.
            unsafe { (self.functions.fitter_new)(values.as_ptr(), self.seed, fitter, error) }
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
        // SAFETY: as above.
        let scorer = self.functions.make("finishing a fit", |scorer, error| unsafe {
            (self.functions.fitter_finish)(self.fitter, scorer, error)
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
    let mut view = zeroed::<npad_features>();
    (view.rows, view.cols) = (features.rows() as i32, features.cols() as i32);
    view.channels = features.channels() as i32;
    view.data = features.as_slice().as_ptr();
    view
}

struct PluginFitter {
    start: Start,
    fitter: Handle,
    /// Whether the fitter has learnt images that are not in the sample.
    has_others: bool,
    /// Hashes of the images of the sample that the fitter has learnt.
    learnt: BTreeSet<u64>,
    /// Hashes of the images that are about to leave the sample.
    staged: Vec<u64>,
}

impl PluginFitter {
    /// Lets the fitter learn an image, once.
    fn learn(&mut self, features: &FeatureMap, hash: u64) -> Result<()> {
        if !self.learnt.contains(&hash) {
            self.fitter.observe(features)?;
            self.learnt.insert(hash);
        }
        Ok(())
    }
}

impl Accumulator for PluginFitter {
    fn observe(&mut self, image: Leaving<'_>, _: &Sample, _: &Threads) -> Result<()> {
        self.learn(image.features, image.hash)?;
        self.learnt.remove(&image.hash);
        self.has_others = true;
        Ok(())
    }

    fn save(&mut self, _: &Threads) -> Result<State> {
        if !self.has_others {
            return Ok(State::default());
        }
        let message = format!(
            "the fit has more images than its sample holds, and the plug-in's method '{}' cannot save what it has learnt of the \
             others: finish the fit instead",
            self.start.functions.name
        );
        Err(Error::new(Status::InvalidArgument, message))
    }

    fn stage(&mut self, state: State, leaving: &[&SampleImage], _: &Sample, _: &Threads) -> Result<()> {
        self.staged.clear();
        if let Some(name) = state.arrays.keys().next() {
            return Err(unfit(name));
        }
        let mut features = FeatureMap::default();
        for image in leaving {
            image.maps[0].read(&mut features)?;
            self.learn(&features, image.hash)?;
        }
        self.staged.extend(leaving.iter().map(|image| image.hash));
        Ok(())
    }

    fn merge(&mut self) {
        self.has_others |= !self.staged.is_empty();
        for hash in self.staged.drain(..) {
            self.learnt.remove(&hash);
        }
    }
}

impl Fitter for PluginFitter {
    fn accumulator(&mut self) -> Option<&mut dyn Accumulator> {
        Some(self)
    }

    fn finish(&mut self, sample: &Sample, threads: &Threads, progress: &Progress) -> Result<FitOutcome> {
        let shape = sample.shape().ok_or_else(|| Error::new(Status::Internal, "a fit without images"))?;
        if !self.has_others && !self.learnt.is_empty() {
            self.learnt.clear();
            self.fitter = self.start.fitter()?;
        }
        let images = sample.images();
        let folds = FOLDS.min(images.len());
        let mut held_out = vec![Vec::new(); images.len()];
        let mut features = FeatureMap::default();
        for image in images {
            image.maps[0].read(&mut features)?;
            self.learn(&features, image.hash)?;
        }
        for fold in 0..folds {
            progress.report("held-out scores", fold, folds)?;
            let mut others = self.start.fitter()?;
            for (_, image) in images.iter().enumerate().filter(|(number, _)| number % folds != fold) {
                image.maps[0].read(&mut features)?;
                others.observe(&features)?;
            }
            let scorer = others.finish(shape)?;
            for number in (fold..images.len()).step_by(folds) {
                for map in &images[number].maps {
                    let mut grid = GridScore::default();
                    map.read(&mut features)?;
                    scorer.score(&features, threads, &mut grid)?;
                    held_out[number].push(grid);
                }
            }
        }
        Ok(FitOutcome { scorer: Box::new(self.fitter.finish(shape)?), held_out })
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
        if features.shape() != self.shape {
            return Err(Error::new(
                Status::Backbone,
                "the shape of the backbone's features differs from that in the fit",
            ));
        }
        (out.rows, out.cols) = (features.rows(), features.cols());
        out.evidence.clear();
        out.map.clear();
        try_resize(&mut out.map, out.rows * out.cols, f32::NAN)?;
        let view = view(features);
        // SAFETY: the map has room for every position, and the table's owner promised the rest.
        self.functions.call("scoring", |error| unsafe {
            (self.functions.scorer_score)(self.scorer, &raw const view, out.map.as_mut_ptr(), error)
        })?;
        let Some(at) = out.map.iter().position(|v| !v.is_finite() || *v < 0.0) else { return Ok(()) };
        let (value, row, column) = (out.map[at], at / out.cols, at % out.cols);
        let message = format!(
            "the plug-in '{}' returned {value} at row {row}, column {column} of its map; values must be finite and 0 \
             or above",
            self.functions.name
        );
        Err(Error::new(Status::Plugin, message))
    }

    fn state(&self) -> Result<State> {
        /// # Safety
        /// `sink` must be a `Result<Vec<u8>>`, `data` null or `size` bytes.
        unsafe extern "C" fn write(sink: *mut c_void, data: *const u8, size: usize) {
            // SAFETY: by contract; the sink is borrowed by nobody else during the call.
            let sink = unsafe { &mut *sink.cast::<Result<Vec<u8>>>() };
            let Ok(written) = sink else { return };
            if size == 0 {
                return;
            }
            if data.is_null() {
                *sink = Err(Error::new(Status::Plugin, format!("it wrote {size} bytes from a null pointer")));
            } else if let Err(error) = try_grow(written, size) {
                *sink = Err(error);
            } else {
                // SAFETY: by contract.
                written.extend_from_slice(unsafe { std::slice::from_raw_parts(data, size) });
            }
        }
        let mut data: Result<Vec<u8>> = Ok(Vec::new());
        let sink: *mut Result<Vec<u8>> = &raw mut data;
        // SAFETY: the table's owner promised what it does; `write` lives in it no longer than the call.
        self.functions.call("saving", |error| unsafe {
            (self.functions.scorer_save)(self.scorer, Some(write), sink.cast(), error)
        })?;
        let data = data.map_err(|error| error.context(format!("the plug-in '{}', saving", self.functions.name)))?;
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
