//! A bounded random sample of the images of a fit, as feature maps in f16.
//!
//! The sample keeps the images with the smallest hashes of their content and the seed (bottom-k sampling). It is as
//! random as a draw, but depends on the images alone and not on the order in which they arrive. A fit offers each image
//! once.

mod half_map;
mod saved;

pub use half_map::HalfMap;

use super::check_shape;
use crate::backbone::FeatureMap;
use crate::error::Result;
use crate::exec::memory::try_reserve;
use crate::math::random::Random;

/// Maximum memory of a sample in bytes.
const BUDGET: usize = 384 << 20;
/// Bounds of a sample's size in images.
const FEWEST: usize = 16;
const MOST: usize = 4096;

/// One image of the sample.
#[derive(Debug, Clone)]
pub struct SampleImage {
    /// Feature maps at each of the method's shifts; the first is the learnt one.
    pub maps: Vec<HalfMap>,
    /// Columns and rows of the image.
    pub size: (usize, usize),
    /// See [`Sample::hash`].
    pub hash: u64,
    /// A hash of the image that does not depend on the seed, by which its copies are recognised.
    pub content: u128,
}

/// A uniform sample of bounded size from a stream of any length. Copies share the maps.
#[derive(Clone)]
pub struct Sample {
    /// In ascending order of their hashes.
    images: Vec<SampleImage>,
    capacity: Option<usize>,
    seen: usize,
    seed: u64,
}

impl Sample {
    /// An empty sample.
    pub fn new(seed: u64) -> Self {
        Self { images: Vec::new(), capacity: None, seen: 0, seed }
    }

    /// The images, in ascending order of their hashes.
    pub fn images(&self) -> &[SampleImage] {
        &self.images
    }

    /// The same sample with part `index` of `parts` equal parts of the maps' channels.
    pub fn part(&self, index: usize, parts: usize) -> Self {
        Self { images: self.images.iter().map(|image| image.part(index, parts)).collect(), ..*self }
    }

    /// The shape of the maps; none without images.
    pub fn shape(&self) -> Option<(usize, usize, usize)> {
        self.images.first().and_then(|image| image.maps.first()).map(HalfMap::shape)
    }

    /// The hash of an image with such an input of the network. Fits are reproducible across versions only if it never
    /// changes.
    pub fn hash(&self, tensor: &[f32]) -> u64 {
        let mut hash = Random::new(self.seed).next_u64();
        for pair in tensor.chunks(2) {
            let word = pair.iter().fold(0, |word, v| word << 32 | u64::from(v.to_bits()));
            // A bijection of the hash at every step, so that no word is lost.
            hash = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            hash ^= hash >> 32;
        }
        Random::new(hash ^ tensor.len() as u64).next_u64()
    }

    /// Images offered so far.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Whether all images have so many maps, of the shape and the taps of `map`.
    pub fn fits(&self, map: &FeatureMap, maps: usize) -> bool {
        let alike = |own: &HalfMap| own.shape() == map.shape() && own.taps() == map.taps();
        self.images.iter().all(|image| image.maps.len() == maps && image.maps.iter().all(alike))
    }

    /// Whether the sample is full.
    pub fn is_full(&self) -> bool {
        self.capacity.is_some_and(|capacity| self.images.len() >= capacity)
    }

    /// Checks that `features` has the shape of the sample's maps.
    ///
    /// # Errors
    /// [`crate::error::Status::Backbone`] when it has another.
    pub fn check_shape(&self, features: &FeatureMap) -> Result<()> {
        self.shape().map_or(Ok(()), |shape| check_shape(shape, features))
    }

    /// Whether an image with this hash would be stored.
    pub fn would_store(&self, hash: u64) -> bool {
        !self.is_full() || self.images.last().is_some_and(|highest| hash < highest.hash)
    }

    /// Decides whether and where the next image, of `bytes` bytes, is stored. The sample is unchanged until `accept`.
    pub fn offer(&self, bytes: usize, hash: u64) -> Offer {
        let capacity = self.capacity.unwrap_or_else(|| (BUDGET / bytes.max(1)).clamp(FEWEST, MOST));
        let place = self.images.partition_point(|other| other.hash <= hash);
        Offer { place: (place < capacity).then_some(place), capacity }
    }

    /// The image that leaves the full sample if the offered one is stored.
    pub fn leaving(&self, offer: &Offer) -> Option<&SampleImage> {
        self.images.last().filter(|_| offer.place.is_some() && self.is_full())
    }

    /// Counts the offered image and stores it if the offer has a place. The image with the highest hash leaves a full
    /// sample.
    pub fn accept(&mut self, offer: Offer, image: Option<SampleImage>) {
        self.seen += 1;
        self.capacity = Some(offer.capacity);
        if let (Some(place), Some(image)) = (offer.place, image) {
            self.images.truncate(offer.capacity - 1);
            self.images.insert(place, image);
        }
    }

    /// The sample of the images of two, of which none is in both, and the images that are in neither the result nor the
    /// statistics of one of them.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn merged<'a>(&'a self, other: &'a Self) -> Result<(Self, Vec<&'a SampleImage>)> {
        let mut images = Vec::new();
        try_reserve(&mut images, self.images.len() + other.images.len())?;
        images.extend(self.images.iter().chain(&other.images));
        images.sort_by_key(|image| image.hash);
        let capacity = self.capacity.into_iter().chain(other.capacity).min();
        let leaving = images.split_off(images.len().min(capacity.unwrap_or(usize::MAX)));
        let images = images.into_iter().cloned().collect();
        Ok((Self { images, capacity, seen: self.seen + other.seen, seed: self.seed }, leaving))
    }

    /// Takes out the images that `keep` refuses. They no longer count as seen.
    pub fn retain(&mut self, keep: impl FnMut(&SampleImage) -> bool) {
        let before = self.images.len();
        self.images.retain(keep);
        self.seen -= before - self.images.len();
    }
}

impl SampleImage {
    /// The same image with part `index` of `parts` equal parts of the maps' channels.
    pub fn part(&self, index: usize, parts: usize) -> Self {
        Self { maps: self.maps.iter().map(|map| map.part(index, parts)).collect(), ..*self }
    }
}

/// The decision about an image that is offered to a [`Sample`].
pub struct Offer {
    /// The place of the image; none if it is not stored.
    pub place: Option<usize>,
    capacity: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image whose map consists of `number`.
    fn image(number: usize, hash: u64) -> SampleImage {
        let map = FeatureMap::from(ndarray::Array3::from_elem((1, 1, 1), number as f32));
        SampleImage { maps: vec![HalfMap::new(&map).unwrap()], size: (1, 1), hash, content: 0 }
    }

    fn numbers(sample: &Sample) -> Vec<usize> {
        sample.images().iter().map(|image| image.maps[0].values()[0].to_f32() as usize).collect()
    }

    fn sampled(seed: u64, stream: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut sample = Sample::new(seed);
        let mut count = 0;
        for number in stream {
            let hash = sample.hash(&[number as f32, 1.0, 2.0]);
            let offer = sample.offer(BUDGET / 50, hash);
            assert_eq!(offer.place.is_some(), sample.would_store(hash));
            sample.accept(offer, Some(image(number, hash)));
            count += 1;
        }
        assert_eq!((sample.images().len(), sample.seen()), (50.min(count), count));
        assert!(sample.images.is_sorted_by_key(|image| image.hash));
        numbers(&sample)
    }

    #[test]
    fn a_long_stream_is_sampled_evenly_and_bounded() {
        let kept: Vec<usize> = (0..40).flat_map(|seed| sampled(seed, 0..1000)).collect();
        let early = kept.iter().filter(|number| **number < 500).count();
        assert!((900..1100).contains(&early), "{early} of 2000 come from the first half");
        let odd = kept.iter().filter(|number| **number % 2 == 1).count();
        assert!((900..1100).contains(&odd), "{odd} of 2000 are odd");
    }

    #[test]
    fn the_sample_depends_on_the_images_and_not_on_their_order() {
        for count in [10, 50, 51, 1000] {
            let expected = sampled(1, 0..count);
            assert_eq!(sampled(1, (0..count).rev()), expected);
            assert_eq!(sampled(1, Random::new(5).choose(count, count).unwrap().into_iter()), expected);
            assert_ne!(sampled(2, 0..count), expected, "another seed");
        }
    }

    #[test]
    fn the_hash_never_changes_and_depends_on_all_values_and_the_seed() {
        let sample = Sample::new(0);
        let hash = sample.hash(&[0.5, -1.0, 2.0]);
        assert_eq!(hash, 0x9EC6_32EC_DA49_75B8, "as in earlier versions");
        for other in [&[0.5, -1.0][..], &[0.5, -1.0, 2.5], &[-1.0, 0.5, 2.0], &[0.5, -1.0, 2.0, 0.0], &[2.0, -1.0, 0.5]]
        {
            assert_ne!(hash, sample.hash(other), "{other:?}");
        }
        assert_ne!(hash, Sample::new(1).hash(&[0.5, -1.0, 2.0]));
    }
}
