//! Opening networks on devices.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;

use super::device::{Device, Setup};
use super::threads::Prepared;
use super::{ending, runtime};
use crate::error::{Error, Result, Status};
use crate::exec::refused;

/// An open network. Its clones share it.
#[derive(Clone)]
pub struct SharedSession {
    pub session: Arc<Session>,
    /// Held during a run, where the device takes one at a time.
    pub turn: Option<Arc<Mutex<()>>>,
}

/// Why a network was not opened.
pub enum OpenError {
    /// The device cannot be used, for this cause.
    Device(String),
    /// Something else.
    Other(Error),
}

/// Opens a network on a device; `what` names it in messages.
pub fn open_session(what: &str, bytes: &[u8], device: &Device, threads: usize) -> Result<SharedSession> {
    open(what, bytes, device, threads).map_err(|error| error.on(device))
}

/// As [`open_session`].
pub fn open(
    what: &str,
    bytes: &[u8],
    device: &Device,
    threads: usize,
) -> std::result::Result<SharedSession, OpenError> {
    let environment = runtime::environment().map_err(OpenError::Other)?;
    let failed = |e: &dyn Display| OpenError::Other(failure(e, |cause| format!("{what} cannot be loaded: {cause}")));
    let _inside = ending::enter().map_err(|e| failed(&e))?;
    let builder = Session::builder(&environment).map_err(|e| failed(&e))?;
    let builder = builder.with_optimization_level(GraphOptimizationLevel::All).map_err(|e| failed(&e))?;
    let builder = builder.with_intra_threads(threads).map_err(|e| failed(&e))?;
    let builder = builder.with_inter_threads(1).map_err(|e| failed(&e))?;
    // Threads that spin after a run would take the cores from the scoring that follows.
    let builder = builder.with_intra_op_spinning(false).map_err(|e| failed(&e))?;
    // One thread is the caller's.
    let prepared = Prepared::new(threads.saturating_sub(1)).map_err(|e| OpenError::Other(refused(threads, &e)))?;
    let mut builder = builder.with_thread_manager(prepared.clone()).map_err(|e| failed(&e))?;
    if device.is_cpu() {
        let session = builder.commit_from_memory(bytes).map_err(|e| failed(&e));
        prepared.end_rest();
        let session = session?;
        return Ok(SharedSession { session: Arc::new(session), turn: None });
    }
    let provider = device.provider();
    let known = runtime::providers().map_err(|e| failed(&e))?;
    if !known.iter().any(|name| name == provider.runtime_name) {
        let (file, version) = runtime::in_use().unwrap_or_default();
        let wanted = provider.runtime_name;
        let (file, known) = (file.display(), known.join(", "));
        return Err(OpenError::Device(format!("ONNX Runtime {version} ({file}) has no {wanted}, but only {known}")));
    }
    if let Some(other) = runtime::foreign_providers() {
        let message = format!(
            "device '{device}' cannot be used: the process has loaded {} of another ONNX Runtime first, and the system would give \
             the provider that instead of its own. What to do: let both use the same ONNX Runtime (NPAD_ONNXRUNTIME); device 'cpu' \
             always works",
            other.display()
        );
        return Err(OpenError::Other(Error::new(Status::Device, message)));
    }
    let cache = device.cache().map(|folder| own_folder(folder.to_owned(), bytes)).transpose();
    let cache = cache.map_err(OpenError::Other)?;
    let providers = (provider.dispatch)(device, &Setup { threads, cache: cache.as_deref() });
    if provider.whole_network {
        builder = builder.with_disable_cpu_fallback().map_err(|e| failed(&e))?;
    }
    if provider.one_at_a_time {
        builder = builder.with_memory_pattern(false).map_err(|e| failed(&e))?;
    }
    let (opened, said) = runtime::recorded(|| {
        builder
            .with_execution_providers(providers)
            .map_err(|e| e.to_string())?
            .commit_from_memory(bytes)
            .map_err(|e| e.to_string())
    });
    prepared.end_rest();
    runtime::note_providers();
    let session = opened.map_err(|cause| match failed(&cause) {
        _ if cause.contains(FALLBACK) && said.iter().all(|said| said.contains(FALLBACK)) => {
            let message = format!(
                "device '{device}' cannot run {what}: it does not take all operators of the network, and the CPU would run the others \
                 without a word. What to do: use the device 'cpu', or a network of other operators or of 32-bit floats"
            );
            OpenError::Other(Error::new(Status::Device, message))
        }
        OpenError::Other(error) if error.status() == Status::OutOfMemory => OpenError::Other(error),
        _ => OpenError::Device(with_words(&cause, &said)),
    })?;
    let turn = provider.one_at_a_time.then(Arc::default);
    Ok(SharedSession { session: Arc::new(session), turn })
}

/// A folder for one network: providers name their files without regard to its weights.
fn own_folder(cache: PathBuf, bytes: &[u8]) -> Result<PathBuf> {
    let hash = blake3::hash(bytes).to_hex();
    let folder = cache.join(format!("npad-{}", &hash[..16]));
    let failed = |e| Error::io(format_args!("cannot create the folder {} for the device", folder.display()), &e);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    Ok(folder)
}

/// What ONNX Runtime says of a network that its provider does not take whole.
const FALLBACK: &str = "fallback to CPU EP";

/// The cause with what ONNX Runtime has said besides, without the places in its source.
fn with_words(cause: &str, said: &[String]) -> String {
    let mut words = if cause.contains(FALLBACK) { String::new() } else { tidy(cause) };
    for said in said.iter().map(|said| tidy(said)) {
        if !words.contains(&said) && !said.contains(FALLBACK) {
            words = if words.is_empty() { said } else { format!("{words}; {said}") };
        }
    }
    words
}

/// What stands behind `FILE:LINE FUNCTION [ONNXRuntimeError] : 1 : FAIL : ` or `FILE:LINE FUNCTION [ERROR] `, on one line.
fn tidy(text: &str) -> String {
    let text = text.rsplit("[ERROR] ").next().unwrap_or(text);
    let text =
        text.rsplit_once("[ONNXRuntimeError] : ").and_then(|(_, rest)| rest.splitn(3, " : ").nth(2)).unwrap_or(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

/// Converts an error of ONNX Runtime: [`Status::OutOfMemory`] if that is the cause, else [`Status::Backbone`] with the
/// message of `describe`.
pub fn failure(cause: &dyn Display, describe: impl FnOnce(&str) -> String) -> Error {
    // ONNX Runtime has no error code for it; these are the messages of its arena, the C++ library and its thread pool.
    const SAYINGS: [&str; 5] =
        ["Failed to allocate memory", "bad_alloc", "bad allocation", "out of memory", "pthread_create failed"];
    let cause = cause.to_string();
    if SAYINGS.iter().any(|saying| cause.contains(saying)) {
        let message = format!(
            "{}. Out of memory: use a smaller size or fewer threads, set the option tile, or close other programs",
            describe(&cause)
        );
        return Error::new(Status::OutOfMemory, message);
    }
    Error::new(Status::Backbone, describe(&cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_without_the_places_in_the_source() {
        let library = "/src/bridge.cc:19 onnxruntime::Provider& Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library x.so \
                       with error: libcudart.so.13: cannot open shared object file: No such file or directory\n";
        let expected = "Failed to load library x.so with error: libcudart.so.13: cannot open shared object file: No such file \
                        or directory";
        assert_eq!(with_words(library, &[library.to_owned()]), expected);
        let said =
            ["/src/factory.cc:141 std::string Parse() [ERROR] [OpenVINO] Device GPU is not available\n".to_owned()];
        let expected = "Failed to load provider OpenVINO; [OpenVINO] Device GPU is not available";
        assert_eq!(with_words("Failed to load provider OpenVINO", &said), expected);
        let fallback = "graph nodes that are assigned to the default CPU EP, but fallback to CPU EP has been disabled";
        assert_eq!(
            with_words(fallback, &[fallback.to_owned(), said[0].clone()]),
            "[OpenVINO] Device GPU is not available"
        );
    }
}
