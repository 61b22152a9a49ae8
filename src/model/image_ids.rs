//! Which images a model has learnt, so that their copies are recognised.

use crate::error::Result;
use crate::exec::memory::{try_copy, try_grow, try_reserve, try_vec};

/// Maximum number of ids, which take 512 KiB.
pub const MOST_IDS: usize = 1 << 16;

/// Words of an id in a model file.
const WORDS: usize = 2;

/// The ids of a set of images, see [`ImageHash::id`]. Of more than [`MOST_IDS`] images the smallest ids are kept
/// (bottom-k), so that the set does not depend on the images' order.
///
/// [`ImageHash::id`]: super::images_hash::ImageHash::id
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ImageIds {
    /// In ascending order.
    ids: Vec<u64>,
}

impl ImageIds {
    /// Whether the set has the image. It may lack one that was inserted only if there were more than [`MOST_IDS`].
    pub fn contains(&self, id: u64) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// Makes room for one more image, so that [`ImageIds::insert`] needs no memory.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn reserve(&mut self) -> Result<()> {
        try_grow(&mut self.ids, 1)
    }

    /// Adds an image.
    pub fn insert(&mut self, id: u64) {
        if let Err(place) = self.ids.binary_search(&id)
            && place < MOST_IDS
        {
            self.ids.truncate(MOST_IDS - 1);
            self.ids.insert(place, id);
        }
    }

    /// The number of ids.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The ids, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = &u64> {
        self.ids.iter()
    }

    /// The ids that two sets have in common, in ascending order.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn common(&self, other: &Self) -> Result<Self> {
        let mut ids = Vec::new();
        try_reserve(&mut ids, self.ids.len().min(other.ids.len()))?;
        ids.extend(self.ids.iter().filter(|id| other.contains(**id)));
        Ok(Self { ids })
    }

    /// The ids of both sets.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn merged(&self, other: &Self) -> Result<Self> {
        let mut ids = Vec::new();
        try_reserve(&mut ids, self.ids.len() + other.ids.len())?;
        ids.extend(self.ids.iter().chain(&other.ids));
        ids.sort_unstable();
        ids.dedup();
        ids.truncate(MOST_IDS);
        Ok(Self { ids })
    }

    /// A copy.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self { ids: try_copy(&self.ids)? })
    }

    /// The ids for a model file: the lower and the upper half of each.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn to_words(&self) -> Result<Vec<u32>> {
        let mut words = try_vec(WORDS * self.ids.len(), 0)?;
        words
            .as_chunks_mut()
            .0
            .iter_mut()
            .zip(&self.ids)
            .for_each(|(words, id)| *words = [*id as u32, (id >> 32) as u32]);
        Ok(words)
    }

    /// The ids of a model file; none if they are damaged.
    pub fn from_words(words: &[u32]) -> Option<Self> {
        let (pairs, rest) = words.as_chunks::<WORDS>();
        if !rest.is_empty() || pairs.len() > MOST_IDS {
            return None;
        }
        let ids: Vec<u64> = pairs.iter().map(|[low, high]| u64::from(*low) | u64::from(*high) << 32).collect();
        ids.is_sorted_by(|a, b| a < b).then_some(Self { ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::Random;

    fn set(ids: impl IntoIterator<Item = u64>) -> ImageIds {
        let mut set = ImageIds::default();
        for id in ids {
            set.reserve().unwrap();
            set.insert(id);
        }
        set
    }

    #[test]
    fn it_is_exact_up_to_its_bound_and_has_the_smallest_ids_beyond() {
        let mut random = Random::new(3);
        let mut ids: Vec<u64> = (0..MOST_IDS + 100).map(|_| random.next_u64()).collect();
        let exact = set(ids[..MOST_IDS].iter().copied());
        assert!(ids[..MOST_IDS].iter().all(|id| exact.contains(*id)) && !exact.contains(ids[MOST_IDS]));
        let all = set(ids.iter().copied());
        assert_eq!(set(ids.iter().rev().chain(&ids[..9]).copied()), all, "another order, and copies");
        ids.sort_unstable();
        assert_eq!(all.ids, ids[..MOST_IDS]);
        assert_eq!(all.try_clone().unwrap(), all);
        let (even, odd) = (set(ids.iter().copied().step_by(2)), set(ids.iter().copied().skip(1).step_by(2)));
        assert_eq!((even.merged(&odd).unwrap(), even.merged(&even).unwrap()), (all, even));
        assert_eq!((set([1, 3, 5]).common(&set([3, 4, 5])).unwrap(), odd.len()), (set([3, 5]), ids.len() / 2));
    }

    #[test]
    fn a_file_keeps_it_and_damage_is_recognised() {
        let some = set([u64::MAX, 0, 7 << 32 | 5]);
        let words = some.to_words().unwrap();
        assert_eq!(words, [0, 0, 5, 7, u32::MAX, u32::MAX]);
        assert_eq!(ImageIds::from_words(&words), Some(some));
        assert_eq!(ImageIds::from_words(&[]), Some(ImageIds::default()));
        let many: Vec<u32> = (0..=MOST_IDS as u32).flat_map(|id| [id, 0]).collect();
        assert!(ImageIds::from_words(&many[2..]).is_some());
        for damaged in [&[1, 0, 2][..], &[2, 0, 1, 0], &[1, 0, 1, 0], &[0, 1, 5, 0], &many] {
            assert_eq!(ImageIds::from_words(damaged), None);
        }
    }
}
