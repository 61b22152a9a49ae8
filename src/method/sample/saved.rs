//! A sample as named arrays.

use super::{BUDGET, FEWEST, HalfMap, MOST, Sample, SampleImage};
use crate::backbone::Tap;
use crate::error::Result;
use crate::exec::memory::{try_copy, try_reserve};
use crate::image::MAX_SIDE;
use crate::method::{Array, State, unfit};

/// Words of a hash and of a content in an array.
const HASH_WORDS: usize = 2;
const CONTENT_WORDS: usize = 4;
/// Maximum number of maps of an image.
const MOST_MAPS: usize = 64;

impl Sample {
    /// The images, and how many there may be, as arrays.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn save(&self) -> Result<State> {
        let mut state = State::default();
        let (Some(capacity), Some(first)) = (self.capacity, self.images.first()) else { return Ok(state) };
        let Some(map) = first.maps.first() else { return Ok(state) };
        let (rows, cols, channels) = map.shape();
        let maps = || self.images.iter().flat_map(|image| &image.maps);
        let mut values = Vec::new();
        try_reserve(&mut values, maps().map(|map| map.values().len()).sum())?;
        maps().for_each(|map| values.extend_from_slice(map.values()));
        let count = self.images.len();
        state.put("maps", Array::F16(vec![count, first.maps.len(), rows, cols, channels], values));
        let taps = map.taps().iter().flat_map(|tap| [tap.channels as u32, tap.step as u32]);
        let sizes = self.images.iter().flat_map(|image| [image.size.0 as u32, image.size.1 as u32]);
        let hashes =
            self.images.iter().flat_map(|image| (0..HASH_WORDS).map(|word| (image.hash >> (32 * word)) as u32));
        let contents =
            self.images.iter().flat_map(|image| (0..CONTENT_WORDS).map(|word| (image.content >> (32 * word)) as u32));
        state.put("taps", Array::U32(vec![map.taps().len(), 2], taps.collect()));
        state.put("sizes", Array::U32(vec![count, 2], sizes.collect()));
        state.put("hashes", Array::U32(vec![count, HASH_WORDS], hashes.collect()));
        state.put("contents", Array::U32(vec![count, CONTENT_WORDS], contents.collect()));
        state.put("capacity", Array::U32(vec![1], vec![capacity as u32]));
        Ok(state)
    }

    /// Restores a sample that was saved after `seen` images.
    ///
    /// # Errors
    /// [`crate::error::Status::InvalidModel`] when the state is inconsistent.
    pub fn load(mut state: State, seen: usize, seed: u64) -> Result<Self> {
        if state.arrays.is_empty() {
            return Ok(Self { seen, ..Self::new(seed) });
        }
        let [count, maps, rows, cols, channels] = *state.shape("maps") else { return Err(unfit("maps")) };
        let (side, length) =
            (1..=usize::from(u16::MAX), [rows, cols, channels].iter().try_fold(1usize, |a, b| a.checked_mul(*b)));
        let Some(length) = length.filter(|length| *length <= BUDGET && side.contains(&rows) && side.contains(&cols))
        else {
            return Err(unfit("maps"));
        };
        let [capacity] = state.take_u32("capacity")?[..] else { return Err(unfit("capacity")) };
        let capacity = capacity as usize;
        if !(FEWEST..=MOST).contains(&capacity)
            || !(1..=capacity.min(seen)).contains(&count)
            || !(1..=MOST_MAPS).contains(&maps)
        {
            return Err(unfit("capacity"));
        }
        let values = state.take_f16("maps", &[count, maps, rows, cols, channels])?;
        let mut words = |name: &str, words: usize| {
            let found = state.take_u32(name)?;
            if found.len() == count * words { Ok(found) } else { Err(unfit(name)) }
        };
        let (sizes, hashes, contents) =
            (words("sizes", 2)?, words("hashes", HASH_WORDS)?, words("contents", CONTENT_WORDS)?);
        let taps = state.take_u32("taps")?;
        let taps: Vec<Tap> = taps
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[channels, step]| Tap { channels: *channels as usize, step: *step as usize })
            .collect();
        let all = taps.iter().try_fold(0usize, |sum, tap| sum.checked_add(tap.channels));
        if all != Some(channels) || taps.iter().any(|tap| tap.channels == 0 || tap.step == 0) {
            return Err(unfit("taps"));
        }
        let number = |words: &[u32]| words.iter().rev().fold(0u128, |number, word| number << 32 | u128::from(*word));
        let mut images = Vec::new();
        try_reserve(&mut images, count)?;
        for (index, values) in values.chunks_exact(maps * length).enumerate() {
            let map = |values: &[_]| Ok(HalfMap::of((rows, cols, channels), taps.clone(), try_copy(values)?));
            images.push(SampleImage {
                maps: values.chunks_exact(length).map(map).collect::<Result<_>>()?,
                size: (sizes[2 * index] as usize, sizes[2 * index + 1] as usize),
                hash: number(&hashes[HASH_WORDS * index..][..HASH_WORDS]) as u64,
                content: number(&contents[CONTENT_WORDS * index..][..CONTENT_WORDS]),
            });
        }
        let ascending = images.is_sorted_by_key(|image: &SampleImage| image.hash);
        let side = 1..=MAX_SIDE;
        if !ascending || !images.iter().all(|image| side.contains(&image.size.0) && side.contains(&image.size.1)) {
            return Err(unfit("hashes"));
        }
        Ok(Self { images, capacity: Some(capacity), seen, seed })
    }
}
