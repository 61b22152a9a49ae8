//! Values that are costly to make, of which the last used ones stay.

use std::sync::{Arc, Mutex};

use super::state::lock;

type Slot<T> = Arc<Mutex<Option<Arc<T>>>>;

/// Values by the numbers of versions. Each is made once; others can be had meanwhile.
pub struct Recent<T> {
    most: usize,
    /// The last one used at the end.
    slots: Mutex<Vec<(u32, Slot<T>)>>,
}

impl<T> Recent<T> {
    /// None yet, and never more than `most`.
    pub fn new(most: usize) -> Self {
        Self { most, slots: Mutex::default() }
    }

    fn slot(&self, number: u32) -> Slot<T> {
        let mut slots = lock(&self.slots);
        let slot = match slots.iter().position(|(of, _)| *of == number) {
            Some(index) => slots.remove(index).1,
            None => Slot::default(),
        };
        slots.push((number, slot.clone()));
        let surplus = slots.len().saturating_sub(self.most);
        slots.drain(..surplus);
        slot
    }

    /// The value of a version, made at the first use.
    ///
    /// # Errors
    /// Those of `make`, which is called again then.
    pub fn get<E>(&self, number: u32, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let slot = self.slot(number);
        let mut value = lock(&slot);
        if let Some(value) = &*value {
            return Ok(value.clone());
        }
        Ok(value.insert(Arc::new(make()?)).clone())
    }

    /// Replaces the value of a version.
    pub fn set(&self, number: u32, value: Arc<T>) {
        *lock(&self.slot(number)) = Some(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_used_stay_and_failures_do_not() {
        let recent = Recent::new(2);
        let get = |number, made: Result<u32, ()>| recent.get(number, || made).map(|value| *value);
        assert_eq!(get(1, Err(())), Err(()));
        assert_eq!((get(1, Ok(10)), get(1, Ok(11))), (Ok(10), Ok(10)));
        assert_eq!((get(2, Ok(20)), get(1, Ok(12)), get(3, Ok(30))), (Ok(20), Ok(10), Ok(30)));
        assert_eq!((get(1, Ok(13)), get(2, Ok(21))), (Ok(10), Ok(21)), "2 was the oldest");
        recent.set(1, Arc::new(14));
        assert_eq!(get(1, Ok(15)), Ok(14));
    }
}
