//! The limit of concurrent calls.

use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::check_process;
use super::memory::try_grow;
use super::progress::Cancellation;
use crate::error::{Error, Result, Status};

/// How long a call waits when the maximum number of calls is running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wait {
    /// Waits until another call ends.
    #[default]
    Forever,
    /// Waits at most this long; then the call fails with [`Status::TimedOut`].
    For(Duration),
    /// Does not wait: the call fails with [`Status::TimedOut`] at once.
    Refuse,
}

/// How many calls, each inside a callback of the one before, a thread may be in.
const DEEPEST: usize = 8;

thread_local! {
    /// The addresses of the semaphores whose turns this thread has, 0 for none. It never allocates.
    static TURNS: Cell<[usize; DEEPEST]> = const { Cell::new([0; DEEPEST]) };
}

/// A counting semaphore: at most `limit` permits exist at once. Calls that wait for one get it in the order in which they
/// came.
#[derive(Debug)]
pub struct Semaphore {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    in_use: usize,
    /// The tickets of the waiting calls, in the order in which they came.
    queue: Vec<u64>,
    /// The number of tickets so far.
    tickets: u64,
}

impl Semaphore {
    /// A semaphore with `limit` permits.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: Condvar::new(), limit })
    }

    /// The maximum number of permits.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a permit. Dropping it returns it.
    ///
    /// # Errors
    /// [`Status::TimedOut`] when all permits are taken for longer than `wait`; [`Status::Cancelled`] when
    /// `cancellation` is cancelled meanwhile; [`Status::WrongState`] in a child process, where those who hold a permit or the
    /// lock may not be; [`Status::OutOfMemory`].
    pub fn acquire(self: &Arc<Self>, wait: Wait, cancellation: Option<&Cancellation>) -> Result<Permit<'_>> {
        check_process()?;
        // Dropped after `state`, since a cancellation locks the state while it holds its list of waiting calls.
        let _registration = cancellation.map(|cancellation| cancellation.wakes(self)).transpose()?;
        let mut state = self.lock();
        if state.in_use < self.limit && state.queue.is_empty() {
            state.in_use += 1;
            return Ok(Permit(self));
        }
        try_grow(&mut state.queue, 1)?;
        let ticket = state.tickets;
        state.tickets += 1;
        state.queue.push(ticket);
        let (mut state, outcome) = self.wait(state, ticket, wait, cancellation);
        state.queue.retain(|other| *other != ticket);
        state.in_use += usize::from(outcome.is_ok());
        // The next call may have been behind this one.
        if state.in_use < self.limit && !state.queue.is_empty() {
            self.changed.notify_all();
        }
        outcome.map(|()| Permit(self))
    }

    /// Takes a permit for a call on this thread, whose callbacks may make further calls, but not with the same semaphore: they
    /// would wait for this one.
    ///
    /// # Errors
    /// As [`Semaphore::acquire`]; [`Status::WrongState`] for such a call.
    pub fn turn(self: &Arc<Self>, wait: Wait, cancellation: Option<&Cancellation>) -> Result<Turn<'_>> {
        let (own, mut turns) = (Arc::as_ptr(self).addr(), TURNS.get());
        let free = turns.iter().position(|turn| *turn == 0).filter(|_| !turns.contains(&own));
        let place = free.ok_or_else(|| {
            let message = "the model is called from a callback of its own call, from its feature extractor for example; a \
                           callback may use other models, at most 8 deep";
            Error::new(Status::WrongState, message)
        })?;
        let permit = self.acquire(wait, cancellation)?;
        turns[place] = own;
        TURNS.set(turns);
        Ok(Turn { _permit: permit, place })
    }

    /// Waits until the call with this ticket is the first one in the queue and there is a permit.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        ticket: u64,
        wait: Wait,
        cancellation: Option<&Cancellation>,
    ) -> (MutexGuard<'a, State>, Result<()>) {
        let start = Instant::now();
        while state.in_use >= self.limit || state.queue[0] != ticket {
            if let Err(cancelled) = cancellation.map_or(Ok(()), Cancellation::check) {
                return (state, Err(cancelled));
            }
            let left = match wait {
                Wait::Forever => None,
                Wait::For(limit) => Some(limit.saturating_sub(start.elapsed())),
                Wait::Refuse => Some(Duration::ZERO),
            };
            state = match left {
                Some(Duration::ZERO) => {
                    let error = self.timed_out(state.in_use, wait);
                    return (state, Err(error));
                }
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        (state, Ok(()))
    }

    /// Wakes all waiting calls, so that each checks its cancellation.
    pub(super) fn wake(&self) {
        // A call that has just checked its cancellation holds the lock until it waits.
        drop(self.lock());
        self.changed.notify_all();
    }

    fn timed_out(&self, in_use: usize, wait: Wait) -> Error {
        let waited = match wait {
            Wait::For(limit) => format!("none of them ended within {} ms", limit.as_millis()),
            Wait::Forever | Wait::Refuse => "this call may not wait".to_owned(),
        };
        let message = format!(
            "{in_use} calls of this model are running, at most {} may, and {waited}. Call from fewer threads, or change \
             the options max_calls (maximum number of concurrent calls) or call_timeout (how long a blocked call waits)",
            self.limit
        );
        Error::new(Status::TimedOut, message)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A permit of a [`Semaphore`].
#[derive(Debug)]
pub struct Permit<'a>(&'a Semaphore);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_use -= 1;
        let waiting = !state.queue.is_empty();
        drop(state);
        // A notification is a system call even without waiters.
        if waiting {
            self.0.changed.notify_all();
        }
    }
}

/// The permit of a call, held by the thread that makes it.
#[derive(Debug)]
pub struct Turn<'a> {
    _permit: Permit<'a>,
    place: usize,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = TURNS.get();
        turns[self.place] = 0;
        TURNS.set(turns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Returns once `count` calls wait.
    fn until_waiting(semaphore: &Semaphore, count: usize) {
        while semaphore.lock().queue.len() < count {
            std::thread::yield_now();
        }
    }

    #[test]
    fn no_more_than_the_limit_are_in_use() {
        const LIMIT: usize = 3;
        let (semaphore, now) = (Semaphore::new(LIMIT), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _permit = semaphore.acquire(Wait::Forever, None).unwrap();
                        assert!(now.fetch_add(1, Ordering::SeqCst) < LIMIT);
                        std::thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(semaphore.lock().in_use, 0);
    }

    #[test]
    fn a_thread_does_not_wait_for_itself() {
        let (first, second) = (Semaphore::new(1), Semaphore::new(4));
        let turn = |semaphore: &Arc<Semaphore>| semaphore.turn(Wait::Forever, None).map(drop).map_err(|e| e.status());
        for _ in 0..2 {
            let _first = first.turn(Wait::Forever, None).unwrap();
            let _second = second.turn(Wait::Forever, None).unwrap();
            assert_eq!((turn(&first), turn(&second)), (Err(Status::WrongState), Err(Status::WrongState)));
            std::thread::scope(|scope| scope.spawn(|| turn(&second).unwrap()).join().unwrap());
        }
        assert_eq!((turn(&first), turn(&second)), (Ok(()), Ok(())));
    }

    #[test]
    fn a_bounded_wait_ends_with_an_error_that_says_what_to_change() {
        let semaphore = Semaphore::new(2);
        let acquire = |wait| semaphore.acquire(wait, None);
        let (first, _second) = (acquire(Wait::Refuse).unwrap(), acquire(Wait::Refuse).unwrap());
        for wait in [Wait::Refuse, Wait::For(Duration::from_millis(20))] {
            let start = Instant::now();
            let error = acquire(wait).unwrap_err();
            assert_eq!(error.status(), Status::TimedOut);
            for part in ["2 calls", "at most 2", "max_calls", "call_timeout"] {
                assert!(error.message().contains(part), "{error}");
            }
            assert!(wait == Wait::Refuse || start.elapsed() >= Duration::from_millis(20));
        }
        drop(first);
        acquire(Wait::Refuse).unwrap();
    }

    #[test]
    fn who_waits_gets_the_permit_that_comes_back() {
        for wait in [Wait::Forever, Wait::For(Duration::MAX), Wait::For(Duration::from_secs(3600))] {
            let semaphore = Semaphore::new(1);
            let held = semaphore.acquire(Wait::Forever, None).unwrap();
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| semaphore.acquire(wait, None).map(drop));
                until_waiting(&semaphore, 1);
                drop(held);
                waiter.join().unwrap().unwrap();
            });
        }
    }

    #[test]
    fn calls_get_permits_in_the_order_in_which_they_came() {
        let (semaphore, order) = (Semaphore::new(1), Mutex::new(Vec::new()));
        let held = semaphore.acquire(Wait::Forever, None).unwrap();
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (semaphore, order) = (&semaphore, &order);
                scope.spawn(move || {
                    let _permit = semaphore.acquire(Wait::Forever, None).unwrap();
                    order.lock().unwrap().push(number);
                });
                until_waiting(semaphore, number + 1);
            }
            drop(held);
        });
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_call_does_not_overtake_one_that_waits() {
        let semaphore = Semaphore::new(1);
        let held = semaphore.acquire(Wait::Forever, None).unwrap();
        let ended = Mutex::new(());
        std::thread::scope(|scope| {
            let stop = ended.lock().unwrap();
            scope.spawn(|| {
                let _permit = semaphore.acquire(Wait::Forever, None).unwrap();
                drop(ended.lock());
            });
            until_waiting(&semaphore, 1);
            drop(held);
            assert_eq!(semaphore.acquire(Wait::Refuse, None).unwrap_err().status(), Status::TimedOut);
            drop(stop);
        });
        semaphore.acquire(Wait::Refuse, None).unwrap();
    }

    #[test]
    fn a_cancellation_wakes_its_own_waiting_calls_and_no_others() {
        let semaphore = Semaphore::new(1);
        let held = semaphore.acquire(Wait::Forever, None).unwrap();
        let (cancelled, other) = (Cancellation::new(), Cancellation::new());
        let wait = |cancellation| semaphore.acquire(Wait::Forever, cancellation).map(drop);
        std::thread::scope(|scope| {
            let ends = [(); 2].map(|()| scope.spawn(|| wait(Some(&cancelled))));
            let stays = [scope.spawn(|| wait(Some(&other))), scope.spawn(|| wait(None))];
            until_waiting(&semaphore, 4);
            cancelled.cancel();
            for call in ends {
                assert_eq!(call.join().unwrap().unwrap_err().status(), Status::Cancelled);
            }
            // It stays cancelled.
            assert_eq!(wait(Some(&cancelled)).unwrap_err().status(), Status::Cancelled);
            drop(held);
            stays.into_iter().for_each(|call| call.join().unwrap().unwrap());
        });
        assert_eq!(Arc::strong_count(&semaphore), 1, "no cancellation keeps it");
    }
}
