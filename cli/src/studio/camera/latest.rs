//! A thread that takes frames from a camera as they come and keeps the newest one.
//!
//! A driver has a few buffers and drops new frames while all are full. So without this thread the frames after a pause
//! would be those from the pause's beginning.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::picture::Picture;
use npad::error::{Error, Result, Status};

/// The frames in the driver's hands and ours: one kept, one being converted, the others for the driver.
pub const BUFFERS: u32 = 5;
/// How long the thread waits for a frame before it looks whether it has to stop.
const INTERVAL: Duration = Duration::from_millis(100);

/// A frame or a picture, or what is wrong with it where it came incomplete.
pub enum Taken<T> {
    Whole(T),
    Damaged(String),
}

/// A camera that is delivering frames. Dropping it stops the camera.
pub trait Source: Send + Sync + 'static {
    /// A filled buffer.
    type Frame: Send;

    /// The next frame; none when there is none in time.
    ///
    /// # Errors
    /// When no more frames will come.
    fn next(&self, timeout: Duration) -> Result<Option<Taken<Self::Frame>>>;

    /// A frame's picture.
    ///
    /// # Errors
    /// When no frame of the camera can be converted.
    fn picture(&self, frame: &Self::Frame) -> Result<Taken<Picture>>;

    /// Gives a buffer back to be filled again.
    fn release(&self, frame: Self::Frame);
}

/// A source with its thread.
pub struct Latest<S: Source> {
    shared: Arc<Shared<S>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<S: Source> {
    // Before the source, since a frame must be dropped first.
    state: Mutex<State<S::Frame>>,
    changed: Condvar,
    source: S,
}

struct State<F> {
    frame: Option<F>,
    /// What was wrong with the last frame, if it was damaged.
    damage: Option<String>,
    /// When the last whole picture came.
    last: Instant,
    /// Number of frames that a newer one has replaced.
    skipped: usize,
    error: Option<Error>,
    stopping: bool,
}

impl<S: Source> Latest<S> {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Status::Io`] when the system starts no more threads.
    pub fn start(source: S) -> Result<Self> {
        let state = State { frame: None, damage: None, last: Instant::now(), skipped: 0, error: None, stopping: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), source });
        let of_thread = shared.clone();
        let thread = Builder::new().name("camera".into()).spawn(move || of_thread.run());
        let thread =
            thread.map_err(|e| Error::new(Status::Io, format!("cannot start a thread for the camera: {e}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The newest picture that was not taken before.
    ///
    /// # Errors
    /// [`Status::TimedOut`] when there is none in time, else the source's errors.
    pub fn grab(&self, timeout: Duration) -> Result<Picture> {
        let started = Instant::now();
        loop {
            let left = timeout.saturating_sub(started.elapsed());
            let frame = self.shared.wait(left).ok_or_else(|| self.shared.timed_out())??;
            let picture = self.shared.source.picture(&frame);
            self.shared.source.release(frame);
            match picture? {
                Taken::Whole(picture) => {
                    self.shared.lock().last = Instant::now();
                    return Ok(picture);
                }
                Taken::Damaged(damage) => self.shared.lock().damage = Some(damage),
            }
        }
    }
}

impl<S: Source> Latest<S> {
    /// Number of frames that were never taken, since a newer one came.
    pub fn skipped(&self) -> usize {
        self.shared.lock().skipped
    }
}

impl<S: Source> Drop for Latest<S> {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by then, and all that is left is to release the camera.
            let _ = thread.join();
        }
    }
}

impl<S: Source> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, State<S::Frame>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while !self.lock().stopping {
            let next = self.source.next(INTERVAL);
            let mut state = self.lock();
            let superseded = match next {
                Ok(None) => continue,
                Ok(Some(Taken::Whole(frame))) => {
                    state.damage = None;
                    state.frame.replace(frame)
                }
                Ok(Some(Taken::Damaged(damage))) => {
                    state.damage = Some(damage);
                    continue;
                }
                Err(error) => {
                    state.error = Some(error);
                    self.changed.notify_all();
                    return;
                }
            };
            drop(state);
            self.changed.notify_all();
            if let Some(frame) = superseded {
                self.lock().skipped += 1;
                self.source.release(frame);
            }
        }
    }

    /// Waits for a frame and takes it; none when the time is over.
    fn wait(&self, timeout: Duration) -> Option<Result<S::Frame>> {
        let waiting = |state: &mut State<S::Frame>| state.frame.is_none() && state.error.is_none();
        let (mut state, _) =
            self.changed.wait_timeout_while(self.lock(), timeout, waiting).unwrap_or_else(PoisonError::into_inner);
        match &state.error {
            Some(error) => Some(Err(error.clone())),
            None => state.frame.take().map(Ok),
        }
    }

    fn timed_out(&self) -> Error {
        let state = self.lock();
        let waited = state.last.elapsed().as_secs();
        let message = match &state.damage {
            Some(damage) => format!(
                "no whole picture has come from the camera for {waited} s, the last one was damaged ({damage}): check \
                 the cable and the network, and lower the frame rate"
            ),
            None => format!(
                "no picture has come from the camera for {waited} s: check its trigger, its exposure time and its cable"
            ),
        };
        Error::new(Status::TimedOut, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use npad::image::PixelFormat;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

    /// Delivers what is sent to it: 0 is a damaged frame, 255 one whose picture is. Ends with its sender.
    struct Scripted {
        frames: Mutex<Receiver<u8>>,
        held: Arc<AtomicUsize>,
    }

    impl Source for Scripted {
        type Frame = u8;

        fn next(&self, timeout: Duration) -> Result<Option<Taken<u8>>> {
            match self.frames.lock().unwrap().recv_timeout(timeout) {
                Ok(0) => Ok(Some(Taken::Damaged("torn".into()))),
                Ok(frame) => {
                    self.held.fetch_add(1, Ordering::SeqCst);
                    Ok(Some(Taken::Whole(frame)))
                }
                Err(RecvTimeoutError::Timeout) => Ok(None),
                Err(RecvTimeoutError::Disconnected) => Err(Error::new(Status::Io, "gone")),
            }
        }

        fn picture(&self, frame: &u8) -> Result<Taken<Picture>> {
            if *frame == 255 {
                return Ok(Taken::Damaged("cut".into()));
            }
            let pixels = vec![*frame];
            Ok(Taken::Whole(Picture { width: 1, height: 1, format: PixelFormat::Gray8, pixels }))
        }

        fn release(&self, _: u8) {
            self.held.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn start() -> (Sender<u8>, Latest<Scripted>, Arc<AtomicUsize>) {
        let (sender, frames) = channel();
        let held = Arc::new(AtomicUsize::new(0));
        let latest = Latest::start(Scripted { frames: Mutex::new(frames), held: held.clone() }).unwrap();
        (sender, latest, held)
    }

    const SHORT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_newest_frame_wins_and_all_others_are_released() {
        let (sender, latest, held) = start();
        for frame in 1..=100 {
            sender.send(frame).unwrap();
        }
        let mut last = 0;
        while last < 100 {
            let picture = latest.grab(LONG).unwrap();
            assert!(picture.pixels[0] > last);
            last = picture.pixels[0];
        }
        assert_eq!(held.load(Ordering::SeqCst), 0);
        assert_eq!(latest.grab(SHORT).err().unwrap().status(), Status::TimedOut, "a frame is taken once");
    }

    #[test]
    fn damaged_frames_are_skipped_and_told_of() {
        let (sender, latest, _) = start();
        for (frame, damage) in [(0, "torn"), (255, "cut")] {
            sender.send(frame).unwrap();
            let error = latest.grab(SHORT * 10).err().unwrap();
            assert!(error.status() == Status::TimedOut && error.message().contains(damage), "{error}");
        }
        sender.send(7).unwrap();
        assert_eq!(latest.grab(LONG).unwrap().pixels, [7]);
        assert!(!latest.grab(SHORT).err().unwrap().message().contains("damaged"));
    }

    #[test]
    fn the_end_of_the_source_is_an_error_that_stays() {
        let (sender, latest, _) = start();
        drop(sender);
        for _ in 0..3 {
            assert_eq!(latest.grab(LONG).err().unwrap().message(), "gone");
        }
    }
}
