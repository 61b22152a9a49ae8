//! The threads of a session.
//!
//! ONNX Runtime starts them one by one, and where the system refuses one of them, it waits for ever for those that it has already.
//! They are therefore made before it asks for them.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use ort::environment::ThreadManager;

use crate::exec::memory::check_small_blocks;

type Work = Box<dyn FnOnce() + Send>;

/// A waiting thread: it runs the work that it receives, or ends when the sender is dropped.
type Waiting = (SyncSender<Work>, JoinHandle<()>);

/// The threads of one session, created in advance. Clones share them.
#[derive(Clone, Default)]
pub struct Prepared(Arc<Mutex<Vec<Waiting>>>);

impl Prepared {
    /// Creates `count` threads.
    ///
    /// # Errors
    /// When the system refuses one.
    pub fn new(count: usize) -> std::io::Result<Self> {
        check_small_blocks().map_err(std::io::Error::other)?;
        let prepared = Self::default();
        for index in 0..count {
            let (give, take) = sync_channel::<Work>(1);
            let thread = Builder::new().name(format!("npad-onnx-{index}")).spawn(move || {
                if let Ok(work) = take.recv() {
                    work();
                }
            })?;
            prepared.lock().push((give, thread));
        }
        Ok(prepared)
    }

    /// Ends the threads that ONNX Runtime has not asked for.
    pub fn end_rest(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ThreadManager for Prepared {
    type Thread = JoinHandle<()>;

    fn create(&self, work: impl FnOnce() + Send + 'static) -> ort::Result<JoinHandle<()>> {
        let Some((give, thread)) = self.lock().pop() else {
            return Err(ort::Error::new("ONNX Runtime asks for more threads than it was given"));
        };
        give.send(Box::new(work)).map_err(|_| ort::Error::new("a thread has ended before its work"))?;
        Ok(thread)
    }

    fn join(thread: JoinHandle<()>) -> ort::Result<()> {
        // Its work is ONNX Runtime's, which does not panic.
        let _ = thread.join();
        Ok(())
    }
}
