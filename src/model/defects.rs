//! Known defects: images of defective parts that show what a threshold finds, and choose it where the options ask for it.
//!
//! They are never learnt, since a few defects do not show what others look like. Nor do they raise the threshold above
//! that of the false-alarm rate: all that they prove about a defect between the good images and the lowest of them is
//! that they are not one.

use serde::{Deserialize, Serialize};

use super::decision::GoodScores;
use super::{Metadata, Model, Options, ThresholdSource};
use crate::backbone::{FeatureMap, Tap};
use crate::error::{Error, Result, Status};
use crate::exec::memory::try_reserve;
use crate::exec::progress::Progress;
use crate::image::MAX_SIDE;
use crate::method::{Array, State, unfit};

/// Maximum memory of the known defects of a fit in bytes.
const BUDGET: usize = 384 << 20;
/// Bounds of the maximum number of known defects.
const FEWEST: usize = 16;
pub(super) const MOST: usize = 1024;

/// What determines the threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatingPoint {
    /// The false-alarm rate.
    #[default]
    Rate,
    /// The highest threshold, up to that of the false-alarm rate, at which all known defects are found.
    CatchAll,
    /// The threshold, up to that of the false-alarm rate, with the least `miss_cost * share of the known defects that are
    /// missed + estimated false-alarm rate`.
    Cost,
}

impl OperatingPoint {
    /// The names, as the option takes them.
    pub(super) const NAMES: &[&str] = &["rate", "catch_all", "cost"];

    pub(super) fn named(name: &str) -> Option<Self> {
        let number = Self::NAMES.iter().position(|known| *known == name)?;
        Some([Self::Rate, Self::CatchAll, Self::Cost][number])
    }

    pub(super) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// How the threshold is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThresholdRule {
    /// What determines the threshold.
    pub operating_point: OperatingPoint,
    /// Weight of the share of known defects that are missed against the false-alarm rate.
    pub miss_cost: f64,
}

impl Default for ThresholdRule {
    fn default() -> Self {
        Self { operating_point: OperatingPoint::Rate, miss_cost: 1.0 }
    }
}

/// What a threshold does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ThresholdEffect {
    /// The threshold, in the units of raw scores.
    pub threshold: f32,
    /// Number of known defects whose score does not exceed it.
    pub missed: usize,
    /// Estimated share of good images whose score exceeds it, by the distribution that thresholds are computed from.
    pub false_alarm_rate: f64,
}

/// The known defects of a fit, and what they say about thresholds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KnownDefects {
    /// Number of known defects.
    pub count: usize,
    /// The model's threshold.
    pub in_use: ThresholdEffect,
    /// The threshold of the operating point `rate`.
    pub rate: ThresholdEffect,
    /// The threshold of the operating point `catch_all`. A threshold no higher than the score of a typical good image
    /// cannot be used. It is 0 where a known defect scores 0, which no threshold finds.
    pub catch_all: ThresholdEffect,
    /// The threshold of the operating point `cost`.
    pub cost: ThresholdEffect,
    /// The raw image scores, in ascending order. A known defect is found at every threshold below its score.
    pub scores: Vec<f32>,
}

impl KnownDefects {
    /// Known defects with these scores, of which nothing is computed yet.
    pub(super) fn unmeasured(scores: Vec<f32>) -> Self {
        Self { scores, ..Self::default() }
    }

    /// Computes all thresholds; the one in use is that of the false-alarm rate.
    pub(super) fn measured(scores: &[f32], good: &GoodScores, rate: f64, miss_cost: f64) -> Self {
        let mut scores = scores.to_vec();
        scores.sort_by(f32::total_cmp);
        let count = scores.len();
        let effect = |threshold| effect(&scores, good, threshold);
        let rate = effect(good.threshold(rate));
        // The highest thresholds that find one known defect more each.
        let below = scores.iter().map(|score| score.next_down().min(rate.threshold).max(0.0));
        let catch_all = effect(below.clone().next().unwrap_or(rate.threshold));
        let cost =
            |effect: &ThresholdEffect| miss_cost * effect.missed as f64 / count.max(1) as f64 + effect.false_alarm_rate;
        let usable = below.filter(|threshold| *threshold >= good.least_threshold());
        // In ascending order, so that of equal costs the highest threshold is taken.
        let best = usable.map(effect).chain([rate]).rev().min_by(|a, b| cost(a).total_cmp(&cost(b)));
        Self { count, in_use: rate, rate, catch_all, cost: best.unwrap_or(rate), scores }
    }

    /// The number of known defects that are found at the model's threshold.
    pub fn found(&self) -> usize {
        self.count - self.in_use.missed
    }
}

fn effect(ascending: &[f32], good: &GoodScores, threshold: f32) -> ThresholdEffect {
    let missed = ascending.partition_point(|score| *score <= threshold);
    ThresholdEffect { threshold, missed, false_alarm_rate: good.rate(threshold) }
}

impl Metadata {
    /// Measures the known defects and sets the threshold of the operating point; that of the false-alarm rate is set.
    ///
    /// # Errors
    /// [`Status::WrongState`] when the operating point needs known defects and there are none, or no usable threshold
    /// finds them all.
    pub(super) fn operate(&mut self, good: &GoodScores) -> Result<()> {
        let ThresholdRule { operating_point, miss_cost } = self.threshold_rule;
        let point = operating_point.name();
        let Some(known) = &self.known_defects else {
            if operating_point == OperatingPoint::Rate {
                return Ok(());
            }
            let message = format!(
                "the option operating_point is {point}, but there are no known defects: add at least one image of a \
                 defective part to the fit, or set operating_point to rate"
            );
            return Err(Error::new(Status::WrongState, message));
        };
        let mut known = KnownDefects::measured(&known.scores, good, self.false_alarm_rate, miss_cost);
        known.in_use = match operating_point {
            OperatingPoint::Rate => known.rate,
            OperatingPoint::CatchAll => known.catch_all,
            OperatingPoint::Cost => known.cost,
        };
        let ThresholdEffect { threshold, false_alarm_rate, .. } = known.in_use;
        if threshold < good.least_threshold() {
            let hidden = known.scores.partition_point(|score| *score <= good.least_threshold());
            let message = format!(
                "the option operating_point is {point}, but {hidden} of the {} known defects score no higher than a \
                 typical good image, and finding all of them costs {:.0} % false alarms: do not give those whose defect \
                 hardly shows, or set operating_point to rate or cost",
                known.count,
                100.0 * false_alarm_rate
            );
            return Err(Error::new(Status::WrongState, message));
        }
        self.image.threshold = threshold;
        self.known_defects = Some(known);
        Ok(())
    }

    /// Makes the numbers of the known defects true for the model's threshold and good images.
    pub(super) fn measure_defects(&mut self, good_scores: &[f32]) -> Result<()> {
        let Some(known) = &self.known_defects else { return Ok(()) };
        let good = GoodScores::new(good_scores)?;
        let mut known =
            KnownDefects::measured(&known.scores, &good, self.false_alarm_rate, self.threshold_rule.miss_cost);
        known.in_use = effect(&known.scores, &good, self.image.threshold);
        self.known_defects = Some(known);
        Ok(())
    }
}

impl Model {
    /// What defects with these raw scores would say about the model's thresholds, if they had been known in its fit.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when there are no scores or one is not finite.
    pub fn assess_defects(&self, scores: &[f32]) -> Result<KnownDefects> {
        check_scores(scores)?;
        let mut metadata = self.metadata.clone();
        metadata.known_defects = Some(KnownDefects::unmeasured(scores.to_vec()));
        metadata.measure_defects(&self.good_scores)?;
        Ok(metadata.known_defects.unwrap_or_default())
    }

    /// Returns the model with the thresholds that its fit would have computed if defects with these raw scores had been known, of
    /// which there may be none, by the operating point and the cost of a miss of its fit or, where they have been set, of `options`.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when a score is not finite, [`Status::WrongState`] when the operating point needs known defects
    /// and there are none, or no usable threshold finds all of them and the operating point asks for it.
    pub fn with_known_defects(&self, scores: &[f32], options: &Options) -> Result<Self> {
        let mut metadata = self.metadata.clone();
        metadata.threshold_rule = options.threshold_rule_over(metadata.threshold_rule);
        metadata.known_defects = None;
        if !scores.is_empty() {
            check_scores(scores)?;
            metadata.known_defects = Some(KnownDefects::unmeasured(scores.to_vec()));
        }
        metadata.calibrate(&self.good_scores)?;
        metadata.threshold_source =
            ThresholdSource::computed(metadata.recalibration.as_ref(), metadata.images_hash.as_ref());
        Ok(self.with_settings(metadata, self.good_scores.clone()))
    }
}

fn check_scores(scores: &[f32]) -> Result<()> {
    if scores.is_empty() || !scores.iter().all(|score| score.is_finite()) {
        return Err(Error::new(Status::InvalidArgument, "scores of known defects must be finite, and one at least"));
    }
    Ok(())
}

/// The known defects of a fit in progress. Their features stay in f32: the model will score those of the same image, and
/// rounded ones would score differently.
#[derive(Default)]
pub struct DefectImages {
    images: Vec<DefectImage>,
}

struct DefectImage {
    /// Features at each of the method's shifts.
    maps: Vec<FeatureMap>,
    /// Columns and rows of the image.
    size: (usize, usize),
    /// See [`ImageHash::id`](super::images_hash::ImageHash::id).
    id: u64,
}

impl DefectImages {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Checks that one more image with such feature maps may be kept.
    ///
    /// # Errors
    /// [`Status::WrongState`] when there are as many as possible.
    pub fn check_room(&self, values: usize) -> Result<()> {
        let most = most(values);
        if self.images.len() < most { Ok(()) } else { Err(full(most)) }
    }

    /// The ids of the images.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.images.iter().map(|image| image.id)
    }

    /// The images as arrays.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn save(&self) -> Result<State> {
        let mut state = State::default();
        let Some(map) = self.images.first().and_then(|image| image.maps.first()) else { return Ok(state) };
        let ((rows, cols, channels), count, maps) = (map.shape(), self.images.len(), self.images[0].maps.len());
        let all = || self.images.iter().flat_map(|image| &image.maps);
        let mut values = Vec::new();
        try_reserve(&mut values, all().map(|map| map.as_slice().len()).sum())?;
        all().for_each(|map| values.extend_from_slice(map.as_slice()));
        state.put("maps", Array::F32(vec![count, maps, rows, cols, channels], values));
        let taps = map.taps().iter().flat_map(|tap| [tap.channels as u32, tap.step as u32]);
        state.put("taps", Array::U32(vec![map.taps().len(), 2], taps.collect()));
        let sizes = self.images.iter().flat_map(|image| [image.size.0 as u32, image.size.1 as u32]);
        state.put("sizes", Array::U32(vec![count, 2], sizes.collect()));
        let ids = self.images.iter().flat_map(|image| [image.id as u32, (image.id >> 32) as u32]);
        state.put("ids", Array::U32(vec![count, 2], ids.collect()));
        Ok(state)
    }

    /// Restores images that were saved.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when the state is inconsistent, [`Status::OutOfMemory`].
    pub fn load(mut state: State) -> Result<Self> {
        let mut defects = Self::default();
        if state.arrays.is_empty() {
            return Ok(defects);
        }
        let [count, maps, rows, cols, channels] = *state.shape("maps") else { return Err(unfit("maps")) };
        let values = state.take_f32("maps", &[count, maps, rows, cols, channels])?;
        let (taps, sizes, ids) = (state.take_u32("taps")?, state.take_u32("sizes")?, state.take_u32("ids")?);
        let taps = taps
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[channels, step]| Tap { channels: *channels as usize, step: *step as usize });
        let taps: Vec<Tap> = taps.collect();
        let all = taps.iter().try_fold(0usize, |sum, tap| sum.checked_add(tap.channels));
        let is_whole = count > 0 && maps > 0 && !values.is_empty() && all == Some(channels);
        let sides = 1..=MAX_SIDE as u32;
        if !is_whole
            || sizes.len() != 2 * count
            || ids.len() != 2 * count
            || !sizes.iter().all(|side| sides.contains(side))
        {
            return Err(unfit("maps"));
        }
        let (sizes, ids) = (sizes.as_chunks::<2>().0, ids.as_chunks::<2>().0);
        for (image, (size, id)) in values.chunks_exact(values.len() / count).zip(sizes.iter().zip(ids)) {
            let mut features = Vec::new();
            try_reserve(&mut features, maps)?;
            for values in image.chunks_exact(image.len() / maps) {
                let mut map = FeatureMap::default();
                map.reshape((rows, cols, channels))?;
                map.as_mut_slice().copy_from_slice(values);
                map.set_taps(taps.iter().copied());
                features.push(map);
            }
            let id = u64::from(id[0]) | u64::from(id[1]) << 32;
            defects.add(&features, (size[0] as usize, size[1] as usize), id).map_err(|_| unfit("maps"))?;
        }
        Ok(defects)
    }

    /// Whether all images have so many maps, of the shape and the taps of `map`.
    pub fn fit(&self, map: &FeatureMap, maps: usize) -> bool {
        let alike = |own: &FeatureMap| own.shape() == map.shape() && own.taps() == map.taps();
        self.images.iter().all(|image| image.maps.len() == maps && image.maps.iter().all(alike))
    }

    /// Makes room for the images of another fit, those that equal own ones aside.
    ///
    /// # Errors
    /// As [`DefectImages::check_room`]; [`Status::OutOfMemory`].
    pub fn reserve(&mut self, other: &Self) -> Result<()> {
        let Some(image) = other.images.first() else { return Ok(()) };
        let count = other.ids().filter(|id| !self.contains(*id)).count();
        let most = most(image.maps.iter().map(|map| map.as_slice().len()).sum());
        if self.images.len() + count > most {
            return Err(full(most));
        }
        try_reserve(&mut self.images, count)
    }

    /// Adds the images of another fit, for which [`DefectImages::reserve`] has made room.
    pub fn merge(&mut self, other: Self) {
        for image in other.images {
            if !self.contains(image.id) {
                self.images.push(image);
            }
        }
    }

    /// Whether one of the images has this id.
    pub fn contains(&self, id: u64) -> bool {
        self.images.iter().any(|image| image.id == id)
    }

    /// Keeps an image of so many columns and rows. On failure nothing changes.
    ///
    /// # Errors
    /// As [`DefectImages::check_room`]; [`Status::OutOfMemory`].
    pub fn add(&mut self, maps: &[FeatureMap], size: (usize, usize), id: u64) -> Result<()> {
        self.check_room(maps.iter().map(|map| map.as_slice().len()).sum())?;
        let maps = maps.iter().map(FeatureMap::try_clone).collect::<Result<_>>()?;
        try_reserve(&mut self.images, 1)?;
        self.images.push(DefectImage { maps, size, id });
        Ok(())
    }

    /// The scores of all images, in ascending order; none without images.
    ///
    /// # Errors
    /// [`Status::Cancelled`] by the progress callback; as [`Model::score`].
    pub fn scores(&self, model: &Model, progress: &Progress) -> Result<Option<Vec<f32>>> {
        let mut scores = Vec::new();
        for (number, image) in self.images.iter().enumerate() {
            progress.report("known defects", number, self.images.len())?;
            let score = model.score_features(&image.maps, image.size);
            scores.push(score.map_err(|error| error.context(format!("known defect {number}")))?);
        }
        scores.sort_by(f32::total_cmp);
        Ok(Some(scores).filter(|scores| !scores.is_empty()))
    }
}

/// The maximum number of known defects with so many values.
fn most(values: usize) -> usize {
    (BUDGET / (size_of::<f32>() * values).max(1)).clamp(FEWEST, MOST)
}

fn full(most: usize) -> Error {
    let message = format!(
        "a trainer can keep {most} known defects for images of this size ({} MiB, at least {FEWEST} and at most {MOST}), and has as \
         many: give fewer, of the kinds that matter most",
        BUDGET >> 20
    );
    Error::new(Status::WrongState, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::Random;
    use proptest::prelude::*;

    fn good(count: usize, random: &mut Random) -> Vec<f32> {
        (0..count).map(|_| (random.below(1000) as f32 / 1000.0).exp()).collect()
    }

    proptest! {
        #[test]
        fn operating_points_are_what_they_are_defined_as(
            seed in any::<u64>(), count in 1..12_usize, images in 5..80_usize, miss_cost in 0.0..5.0,
        ) {
            let mut random = Random::new(seed);
            let good = GoodScores::new(&good(images, &mut random)).unwrap();
            let scores: Vec<f32> = (0..count).map(|_| 1.0 + random.below(400) as f32 / 100.0).collect();
            let known = KnownDefects::measured(&scores, &good, 0.01, miss_cost);
            let missed = |threshold: f32| scores.iter().filter(|score| **score <= threshold).count();
            for effect in [known.rate, known.catch_all, known.cost] {
                prop_assert_eq!(effect.missed, missed(effect.threshold));
                prop_assert_eq!(effect.false_alarm_rate, good.rate(effect.threshold));
                prop_assert!(effect.threshold <= known.rate.threshold);
            }
            prop_assert_eq!(known.rate.threshold, good.threshold(0.01));
            prop_assert_eq!(known.catch_all.missed, 0);
            let next = known.catch_all.threshold.next_up();
            prop_assert!(known.catch_all.threshold == known.rate.threshold || missed(next) > 0);
            let cost = |threshold: f32| miss_cost * missed(threshold) as f64 / count as f64 + good.rate(threshold);
            let (low, high) = (good.least_threshold(), known.rate.threshold);
            prop_assert!(known.cost.threshold >= low);
            for step in 0..=300 {
                let threshold = (low + (high - low) * step as f32 / 300.0).min(high);
                prop_assert!(cost(threshold) >= cost(known.cost.threshold), "{threshold} costs less");
            }
            let mut reversed = scores.clone();
            reversed.reverse();
            prop_assert_eq!(KnownDefects::measured(&reversed, &good, 0.01, miss_cost), known);
        }
    }

    #[test]
    fn a_worthless_miss_leaves_the_threshold_and_a_dear_one_finds_all() {
        let good = GoodScores::new(&good(50, &mut Random::new(1))).unwrap();
        let scores = [2.0, 2.5, 9.0];
        let at = |miss_cost| KnownDefects::measured(&scores, &good, 0.01, miss_cost);
        assert_eq!(at(0.0).cost, at(0.0).rate);
        assert_eq!(at(1e6).cost, at(1e6).catch_all);
        assert!(at(1.0).rate.missed > 0 && at(1.0).catch_all.missed == 0);
        assert_eq!(
            KnownDefects::measured(&[9.0], &good, 0.01, 1.0).cost.threshold,
            good.threshold(0.01),
            "never raised"
        );
    }

    #[test]
    fn no_threshold_is_below_zero() {
        let good = GoodScores::new(&good(50, &mut Random::new(1))).unwrap();
        let known = KnownDefects::measured(&[2.0, 0.0], &good, 0.01, 1.0);
        assert_eq!((known.catch_all.threshold, known.catch_all.missed), (0.0, 1));
    }

    #[test]
    fn names_are_those_of_the_option_and_the_file() {
        for name in OperatingPoint::NAMES {
            let point = OperatingPoint::named(name).unwrap();
            assert_eq!((point.name(), serde_json::to_value(point).unwrap()), (*name, (*name).into()));
        }
        assert_eq!(OperatingPoint::named("none"), None);
    }

    #[test]
    fn room_is_bounded_by_memory_and_number() {
        let map = FeatureMap::from(ndarray::Array3::zeros((1, 1, 1)));
        let mut images = DefectImages::default();
        (0..MOST).for_each(|_| images.add(std::slice::from_ref(&map), (1, 1), 0).unwrap());
        let error = images.add(std::slice::from_ref(&map), (1, 1), 0).unwrap_err();
        assert!(error.status() == Status::WrongState && error.message().contains("1024 known defects"), "{error}");
        images.images.truncate(FEWEST);
        assert!(images.check_room(BUDGET / (4 * (FEWEST + 1))).is_ok(), "17 fit");
        assert!(images.check_room(BUDGET).is_err());
    }
}
