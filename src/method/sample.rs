//! A bounded random sample of the images of a fit, as feature maps in f16.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::check_shape;
use crate::backbone::FeatureMap;
use crate::error::Result;
use crate::exec::memory::try_vec;
use crate::math::random::Random;

/// Maximum memory of a sample in bytes.
const BUDGET: usize = 384 << 20;
/// Bounds of a sample's size in images.
const FEWEST: usize = 16;
const MOST: usize = 256;

/// A feature map in f16.
#[derive(Debug, Clone)]
pub struct HalfMap {
    shape: (usize, usize, usize),
    taps: Vec<usize>,
    values: Vec<f16>,
}

impl HalfMap {
    /// A copy of `map`, rounded.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn new(map: &FeatureMap) -> Result<Self> {
        let mut values = try_vec(map.as_slice().len(), f16::ZERO)?;
        values.convert_from_f32_slice(map.as_slice());
        Ok(Self { shape: map.shape(), taps: map.taps().to_vec(), values })
    }

    /// Writes it to `out` in f32.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn read(&self, out: &mut FeatureMap) -> Result<()> {
        out.reshape(self.shape)?;
        out.set_taps(self.taps.iter().copied());
        self.values.convert_to_f32_slice(out.as_mut_slice());
        Ok(())
    }
}

/// One image of the sample.
#[derive(Debug, Clone)]
pub struct SampleImage {
    /// Feature maps at each of the method's shifts; the first is the learnt one.
    pub maps: Vec<HalfMap>,
}

/// A uniform sample of bounded size from a stream of any length (Vitter's algorithm R).
pub struct Sample {
    images: Vec<SampleImage>,
    capacity: Option<usize>,
    seen: usize,
    random: Random,
}

impl Sample {
    /// An empty sample.
    pub fn new(seed: u64) -> Self {
        Self { images: Vec::new(), capacity: None, seen: 0, random: Random::new(seed) }
    }

    /// The images. Their order is undefined once there were more than the sample holds.
    pub fn images(&self) -> &[SampleImage] {
        &self.images
    }

    /// Images offered so far.
    pub fn seen(&self) -> usize {
        self.seen
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
        let Some(first) = self.images.first().and_then(|image| image.maps.first()) else { return Ok(()) };
        check_shape(first.shape, features)
    }

    /// Draws whether and where the next image, of `bytes` bytes, is stored. The sample is unchanged until `accept`.
    pub fn offer(&self, bytes: usize) -> Offer {
        let capacity = self.capacity.unwrap_or_else(|| (BUDGET / bytes.max(1)).clamp(FEWEST, MOST));
        let mut random = self.random.clone();
        let place = if self.images.len() < capacity { self.images.len() } else { random.below(self.seen + 1) };
        Offer { place: (place < capacity).then_some(place), capacity, random }
    }

    /// Counts the offered image and stores it if the offer has a place.
    pub fn accept(&mut self, offer: Offer, image: Option<SampleImage>) {
        self.seen += 1;
        self.capacity = Some(offer.capacity);
        self.random = offer.random;
        match (offer.place, image) {
            (Some(place), Some(image)) if place < self.images.len() => self.images[place] = image,
            (Some(_), Some(image)) => self.images.push(image),
            _ => {}
        }
    }
}

/// The decision about an image that is offered to a [`Sample`].
pub struct Offer {
    /// The place of the image; none if it is not stored.
    pub place: Option<usize>,
    capacity: usize,
    random: Random,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_stream_is_sampled_evenly_and_bounded() {
        let mut kept_early = 0;
        for seed in 0..40 {
            let mut sample = Sample::new(seed);
            let mut origin = Vec::new();
            for n in 0..1000 {
                let offer = sample.offer(BUDGET / 50);
                if let Some(place) = offer.place {
                    if place == origin.len() { origin.push(n) } else { origin[place] = n }
                }
                sample.accept(offer, Some(SampleImage { maps: Vec::new() }));
            }
            assert_eq!((sample.images().len(), sample.seen()), (50, 1000));
            kept_early += origin.iter().filter(|n| **n < 500).count();
        }
        assert!((900..1100).contains(&kept_early), "{kept_early} of 2000 come from the first half");
    }

    #[test]
    fn maps_survive_the_round_trip_to_f16() {
        let mut map = FeatureMap::from(ndarray::array![[[0.1, -7.5], [1000.0, 0.0]]]);
        map.set_taps([1, 1]);
        let mut back = FeatureMap::default();
        HalfMap::new(&map).unwrap().read(&mut back).unwrap();
        assert_eq!((map.shape(), map.taps()), (back.shape(), back.taps()));
        for (a, b) in map.as_slice().iter().zip(back.as_slice()) {
            assert!((a - b).abs() <= a.abs() * 5e-4);
        }
    }
}
