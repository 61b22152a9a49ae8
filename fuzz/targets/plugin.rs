//! Tables of plug-ins, and callbacks of one that fail, lie about what they made, or write anything.
#![no_main]

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use npad::abi::callbacks::{npad_callback_error, npad_write_callback};
use npad::abi::plugin::{NPAD_PLUGIN_ABI, npad_features, npad_plugin, npad_plugin_parameter};
use npad::error::Status;
use npad::fuzzing::read_table;
use npad::model::{Model, Trainer};
use npad_fuzz::{good_images, keep_threads, options, view};

#[derive(Arbitrary, Debug)]
struct Input {
    table: Table,
    /// What the callbacks do, one after the other; then they do what they should.
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
struct Table {
    size: u16,
    version: u8,
    reserved: u8,
    name: Option<Vec<u8>>,
    parameters: Vec<(Option<Vec<u8>>, Option<Vec<u8>>)>,
    parameter_size: u8,
    missing: u8,
}

#[derive(Arbitrary, Debug, Clone)]
enum Step {
    Right,
    Code(i32, Vec<u8>),
    Null,
    Values(Vec<f32>),
    Bytes(Vec<u8>),
    Nothing,
}

thread_local! {
    static STEPS: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
}

fn next() -> Step {
    STEPS.with_borrow_mut(|steps| steps.pop().unwrap_or(Step::Right))
}

/// The outcome of a callback that makes nothing.
unsafe fn plain(step: &Step, error: *mut npad_callback_error) -> i32 {
    let Step::Code(code, message) = step else { return 0 };
    let to = unsafe { &mut (*error).message };
    to.iter_mut().zip(message).for_each(|(to, byte)| *to = *byte as c_char);
    *code
}

unsafe fn make(made: *mut *mut c_void, error: *mut npad_callback_error) -> i32 {
    static THING: u8 = 0;
    let step = next();
    let code = unsafe { plain(&step, error) };
    if code == 0 {
        unsafe { *made = if matches!(step, Step::Null) { null_mut() } else { (&raw const THING).cast_mut().cast() } };
    }
    code
}

unsafe extern "C" fn fitter_new(
    _: *const *const c_char,
    _: u64,
    made: *mut *mut c_void,
    error: *mut npad_callback_error,
) -> i32 {
    unsafe { make(made, error) }
}

unsafe extern "C" fn observe(_: *mut c_void, _: *const npad_features, error: *mut npad_callback_error) -> i32 {
    unsafe { plain(&next(), error) }
}

unsafe extern "C" fn finish(_: *mut c_void, made: *mut *mut c_void, error: *mut npad_callback_error) -> i32 {
    unsafe { make(made, error) }
}

unsafe extern "C" fn free(_: *mut c_void) {}

unsafe extern "C" fn score(
    _: *const c_void,
    features: *const npad_features,
    map: *mut f32,
    error: *mut npad_callback_error,
) -> i32 {
    let features = unsafe { &*features };
    let (positions, channels) = ((features.rows * features.cols) as usize, features.channels as usize);
    let data = unsafe { std::slice::from_raw_parts(features.data, positions * channels) };
    let map = unsafe { std::slice::from_raw_parts_mut(map, positions) };
    let step = next();
    match &step {
        Step::Values(values) => map.iter_mut().zip(values).for_each(|(to, value)| *to = *value),
        Step::Nothing => {}
        _ => map.iter_mut().zip(data.chunks(channels)).for_each(|(to, features)| *to = features[0].abs()),
    }
    unsafe { plain(&step, error) }
}

unsafe extern "C" fn save(
    _: *const c_void,
    write: npad_write_callback,
    sink: *mut c_void,
    error: *mut npad_callback_error,
) -> i32 {
    let (step, write) = (next(), write.expect("npad gives one"));
    match &step {
        Step::Bytes(bytes) => bytes.chunks(7).for_each(|part| unsafe { write(sink, part.as_ptr(), part.len()) }),
        Step::Null => unsafe { write(sink, null(), 5) },
        _ => {}
    }
    unsafe { plain(&step, error) }
}

unsafe extern "C" fn load(
    _: *const *const c_char,
    data: *const u8,
    size: usize,
    made: *mut *mut c_void,
    error: *mut npad_callback_error,
) -> i32 {
    // What npad passes can be read.
    let _ = unsafe { std::slice::from_raw_parts(data, size) }.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    unsafe { make(made, error) }
}

fn table(name: *const c_char) -> npad_plugin {
    npad_plugin {
        size: size_of::<npad_plugin>(),
        abi_version: NPAD_PLUGIN_ABI,
        reserved: 0,
        name,
        parameters: null(),
        parameter_count: 0,
        parameter_size: 0,
        fitter_new: Some(fitter_new),
        fitter_observe: Some(observe),
        fitter_finish: Some(finish),
        fitter_free: Some(free),
        scorer_score: Some(score),
        scorer_save: Some(save),
        scorer_load: Some(load),
        scorer_free: Some(free),
    }
}

struct Registered {
    _table: npad_plugin,
}

// SAFETY: a table is not written to.
unsafe impl Send for Registered {}
// SAFETY: as above.
unsafe impl Sync for Registered {}

static REGISTERED: LazyLock<Registered> = LazyLock::new(|| {
    let own = table(c"fuzzed".as_ptr());
    unsafe { read_table(&own, true) }.expect("a right table");
    Registered { _table: own }
});

fn check_table(given: Table) {
    let text = |text: Option<Vec<u8>>| {
        text.map(|bytes| CString::new(bytes.split(|b| *b == 0).next().unwrap_or(&[])).expect("no zero"))
    };
    let at = |text: &Option<CString>| text.as_ref().map_or(null(), |text| text.as_ptr());
    let name = text(given.name);
    let texts: Vec<_> = given.parameters.into_iter().map(|(name, value)| (text(name), text(value))).collect();
    let parameters: Vec<npad_plugin_parameter> = texts
        .iter()
        .map(|(name, value)| npad_plugin_parameter { name: at(name), default_value: at(value), help: null() })
        .collect();
    // Room for every size that the table may claim.
    #[repr(C)]
    struct Padded(npad_plugin, [u64; 8192]);
    let mut padded = Box::new(Padded(table(at(&name)), [0; 8192]));
    let own = &mut padded.0;
    let natural = size_of::<npad_plugin>();
    (own.size, own.reserved) =
        (if given.size % 4 == 0 { given.size.into() } else { natural }, (given.reserved == 1).into());
    own.abi_version = if given.version == 0 { 1 } else { NPAD_PLUGIN_ABI };
    own.parameters = if parameters.is_empty() { null() } else { parameters.as_ptr() };
    own.parameter_count = parameters.len();
    // An element of another size would be read beyond the end.
    own.parameter_size = if given.parameter_size == 1 { 3 } else { size_of::<npad_plugin_parameter>() };
    match given.missing {
        0 => own.fitter_new = None,
        1 => own.scorer_score = None,
        2 => own.scorer_free = None,
        _ => {}
    }
    if let Err(error) = unsafe { read_table(&padded.0, false) } {
        // A size that no version has had; a load says that the plug-in cannot be used.
        assert!(matches!(error.status(), Status::Plugin | Status::InvalidArgument), "{error}");
    }
}

fn run() -> npad::error::Result<()> {
    let options = options("fuzzed");
    let mut trainer = Trainer::new(&options)?;
    for pixels in &good_images() {
        trainer.add(&view(pixels))?;
    }
    let model = trainer.finish()?;
    let pixels = &good_images()[0];
    let inspection = model.score(&view(pixels))?;
    assert!(inspection.score.is_finite() && inspection.map.iter().all(|v| v.is_finite() && *v >= 0.0));
    Model::from_bytes(&model.to_bytes()?, &options)?.score(&view(pixels)).map(drop)
}

fuzz_target!(|input: Input| {
    keep_threads();
    LazyLock::force(&REGISTERED);
    check_table(input.table);
    STEPS.set(input.steps);
    if let Err(error) = run() {
        assert_ne!(error.status(), Status::Internal, "{error}");
    }
});
