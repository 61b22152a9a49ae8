//! Results on their way to a host. The first one stays until the host has taken it, so that a host that is away for a while misses
//! none as long as there is room.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::studio::state::lock;

/// Results that wait; further ones are dropped and counted.
const MOST: usize = 1024;

/// The results for one host.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Arc<str>>,
    closed: bool,
    /// What keeps the first one from being taken.
    trouble: Option<String>,
    dropped: usize,
    refused: usize,
    refusal: String,
}

impl Queue {
    /// Appends a result, or drops it where too many wait.
    pub fn push(&self, line: &Arc<str>) {
        let mut state = lock(&self.state);
        if state.closed || state.lines.len() >= MOST {
            state.dropped += 1;
        } else {
            state.lines.push_back(line.clone());
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the first result, which stays; none once the queue is closed and empty.
    pub async fn first(&self) -> Option<Arc<str>> {
        loop {
            {
                let state = lock(&self.state);
                match state.lines.front() {
                    Some(line) => return Some(line.clone()),
                    None if state.closed => return None,
                    None => {}
                }
            }
            self.changed.notified().await;
        }
    }

    /// The host has the first result.
    pub fn taken(&self) {
        let mut state = lock(&self.state);
        state.lines.pop_front();
        state.trouble = None;
    }

    /// The host does not want the first result, and would not if it were sent again.
    pub fn refused(&self, why: String) {
        self.taken();
        let mut state = lock(&self.state);
        state.refused += 1;
        state.refusal = why;
    }

    /// The first result waits, and why; nothing keeps it any more where there is no reason.
    pub fn waits(&self, why: Option<String>) {
        lock(&self.state).trouble = why;
    }

    /// Takes no more results.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_one();
    }

    /// Gives up what still waits.
    pub fn abandon(&self) {
        let mut state = lock(&self.state);
        state.dropped += state.lines.len();
        state.lines.clear();
    }

    /// What has gone wrong: the present trouble, and all losses.
    pub fn errors(&self) -> Vec<String> {
        let State { trouble, dropped, refused, refusal, .. } = &*lock(&self.state);
        let count = |number: &usize| if *number == 1 { "1 result".to_owned() } else { format!("{number} results") };
        let dropped =
            (*dropped > 0).then(|| format!("{} not delivered, as the host did not take them in time", count(dropped)));
        let refused = (*refused > 0).then(|| format!("{} refused by the host: {refusal}", count(refused)));
        trouble.iter().cloned().chain(dropped).chain(refused).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> Arc<str> {
        number.to_string().into()
    }

    #[tokio::test]
    async fn the_first_stays_until_it_is_taken_and_losses_are_counted() {
        let queue = Queue::default();
        (0..MOST + 2).for_each(|number| queue.push(&line(number)));
        for _ in 0..2 {
            assert_eq!(queue.first().await, Some(line(0)));
        }
        queue.waits(Some("no answer".to_owned()));
        assert_eq!(queue.errors(), ["no answer", "2 results not delivered, as the host did not take them in time"]);
        queue.taken();
        queue.refused("400".to_owned());
        assert_eq!(queue.first().await, Some(line(2)));
        queue.close();
        queue.push(&line(0));
        queue.abandon();
        assert_eq!(queue.first().await, None);
        let lost = MOST + 2 - 2 + 1;
        assert_eq!(
            queue.errors(),
            [
                format!("{lost} results not delivered, as the host did not take them in time"),
                "1 result refused by the host: 400".to_owned()
            ]
        );
    }
}
