//! Whether recent scores differ from those that the thresholds were computed from.
//!
//! Two samples of a distribution always differ a little, and with thousands of scores any difference is significant. A
//! change therefore counts as drift if it is significant and large: a small one neither fills the rejects nor hides
//! defects, and held-out scores of a fit differ slightly from those of new images in any case.
//!
//! Ranks are compared, not scores, since the products that are taken to be good include some defective ones, whose scores
//! may be any number.

use super::Model;
use super::decision::GoodScores;
use crate::error::{Error, Result, Status};
use crate::exec::memory::try_copy;
use crate::math::ranks::{RankTest, mann_whitney};
use crate::math::stats::share_interval;

/// Minimum number of recent scores: scores that all lie above those of the good images of the smallest model, three, are
/// significant then (p = 0.007).
const MIN_SCORES: usize = 10;
/// The p-value up to which a difference is significant.
const LEVEL: f64 = 0.01;
/// Probability that the interval of the share above the threshold contains it.
const CONFIDENCE: f64 = 0.95;

/// How recent scores differ from those of the model's held-out good images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// Whether the scores have drifted: the magnitude of the effect is at least `least_effect`.
    pub drifted: bool,
    /// The probability that a recent score exceeds that of a held-out good image, minus that of the opposite (Cliff's
    /// delta): from -1 to 1, and above 0 where scores have risen. See [`Drift::SMALL`], [`Drift::MEDIUM`] and
    /// [`Drift::LARGE`].
    pub effect: f64,
    /// The magnitude from which an effect is drift: [`Drift::MEDIUM`], or more where so few scores would show such an
    /// effect by chance. Above 1 where there are too few for any effect.
    pub least_effect: f64,
    /// The probability that scores differ as much if nothing has changed, by the two-sided test of Mann and Whitney.
    pub p_value: f64,
    /// Number of held-out good images; of a recalibrated model, those of the recalibration.
    pub good_count: usize,
    /// Number of recent scores.
    pub recent_count: usize,
    /// The median score of the held-out good images.
    pub good_median: f32,
    /// The median of the recent scores.
    pub recent_median: f32,
    /// Number of recent scores above the model's threshold.
    pub above_count: usize,
    /// An interval that contains the share of scores above the threshold with a confidence of 95 %.
    pub above_interval: (f64, f64),
    /// The share of good images above the threshold that the held-out ones let expect: the target rate, unless the
    /// threshold was given or is that of known defects.
    pub false_alarm_rate: f64,
}

impl Drift {
    /// Magnitude of a small effect. The limits are those of Vargha and Delaney (2000): a probability of 0.56, 0.64 and
    /// 0.71 that a value of one sample exceeds one of the other.
    pub const SMALL: f64 = 0.12;
    /// Magnitude of a medium effect.
    pub const MEDIUM: f64 = 0.28;
    /// Magnitude of a large effect.
    pub const LARGE: f64 = 0.42;

    /// The share of recent scores above the model's threshold.
    pub fn above_share(&self) -> f64 {
        self.above_count as f64 / self.recent_count as f64
    }
}

impl Model {
    /// Compares recent raw scores, of products taken to be good, with those of the model's held-out good images. Some
    /// defective products among them do not matter. The order of the scores does not matter.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] with fewer than ten scores, or for one that is not finite or below 0;
    /// [`Status::OutOfMemory`].
    pub fn drift(&self, scores: &[f32]) -> Result<Drift> {
        Drift::between(&self.good_scores, scores, self.metadata.image.threshold)
    }
}

impl Drift {
    fn between(good_scores: &[f32], scores: &[f32], threshold: f32) -> Result<Self> {
        check(scores)?;
        let false_alarm_rate = GoodScores::new(good_scores)?.rate(threshold);
        let (good, recent) = (ascending(good_scores)?, ascending(scores)?);
        let RankTest { effect, p_value, least_effect } = mann_whitney(&good, &recent, LEVEL);
        let least_effect = least_effect.max(Self::MEDIUM);
        let above_count = recent.len() - recent.partition_point(|score| *score <= threshold);
        Ok(Self {
            drifted: effect.abs() >= least_effect,
            effect,
            least_effect,
            p_value,
            good_count: good.len(),
            recent_count: recent.len(),
            good_median: median(&good),
            recent_median: median(&recent),
            above_count,
            above_interval: share_interval(above_count, recent.len(), CONFIDENCE),
            false_alarm_rate,
        })
    }
}

fn check(scores: &[f32]) -> Result<()> {
    let invalid = |message| Err(Error::new(Status::InvalidArgument, message));
    if let Some(number) = scores.iter().position(|score| !score.is_finite() || *score < 0.0) {
        return invalid(format!(
            "score {number} is {}, but raw image scores are finite and 0 or above: give the raw scores, not the calibrated ones",
            scores[number]
        ));
    }
    if scores.len() < MIN_SCORES {
        return invalid(format!(
            "{} recent scores are too few to tell drift from chance: at least {MIN_SCORES} are needed, 50 or more are recommended",
            scores.len()
        ));
    }
    Ok(())
}

/// The median of values in ascending order.
fn median(ascending: &[f32]) -> f32 {
    let middle = ascending.len() / 2;
    if ascending.len() % 2 == 1 { ascending[middle] } else { ascending[middle - 1].midpoint(ascending[middle]) }
}

fn ascending(scores: &[f32]) -> Result<Vec<f32>> {
    let mut scores = try_copy(scores)?;
    scores.sort_unstable_by(f32::total_cmp);
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::math::random::Random;
    use crate::math::stats::normal_quantile;

    /// A threshold that one of a hundred scores exceeds.
    fn threshold(good: &[f32]) -> f32 {
        GoodScores::new(good).unwrap().threshold(0.01)
    }

    /// Log-normal scores whose logarithms lie `shift` deviations higher.
    fn scores(count: usize, shift: f64, random: &mut Random) -> Vec<f32> {
        let mut uniform = || (random.below(99_999) + 1) as f64 / 1e5;
        (0..count).map(|_| (0.2 * (normal_quantile(uniform()) + shift)).exp() as f32).collect()
    }

    fn drift(good: &[f32], recent: &[f32]) -> Drift {
        Drift::between(good, recent, threshold(good)).unwrap()
    }

    /// How many of 300 comparisons find drift.
    fn found(good: usize, recent: usize, shift: f64) -> usize {
        let mut random = Random::new(5);
        let one = |_: &usize| {
            let good = scores(good, 0.0, &mut random);
            drift(&good, &scores(recent, shift, &mut random)).drifted
        };
        (0..300).filter(one).count()
    }

    #[test]
    fn scores_that_have_not_changed_are_rarely_drift() {
        for (good, recent) in [(3, 10), (10, 20), (50, 50), (50, 500), (200, 30)] {
            let alarms = found(good, recent, 0.0);
            assert!(alarms <= 9, "{alarms} alarms among 300 for {good} and {recent}");
        }
        assert_eq!(found(200, 200, 0.0), 0, "chance makes no medium effect of so many scores");
    }

    #[test]
    fn changes_are_found_by_enough_scores() {
        for (good, recent, shift) in [(20, 20, 1.5), (50, 50, 1.0), (100, 200, 0.7), (50, 50, -1.0)] {
            let found = found(good, recent, shift);
            assert!(found > 270, "{found} of 300 are found with {good} and {recent}");
        }
    }

    #[test]
    fn a_significant_but_small_change_is_no_drift() {
        let mut random = Random::new(1);
        let good = scores(1000, 0.0, &mut random);
        let found = drift(&good, &scores(20_000, 0.2, &mut random));
        assert!(!found.drifted && found.p_value < 1e-4 && found.least_effect == Drift::MEDIUM, "{found:?}");
    }

    #[test]
    fn defects_among_the_products_are_no_drift() {
        let mut random = Random::new(2);
        let good = scores(200, 0.0, &mut random);
        let mut recent = scores(200, 0.0, &mut random);
        recent[..20].fill(f32::MAX);
        let found = drift(&good, &recent);
        assert!(!found.drifted && found.above_interval.0 > 0.05, "{found:?}");
        let mut changed = scores(200, 1.0, &mut random);
        changed[..20].fill(f32::MAX);
        assert!(drift(&good, &changed).drifted);
    }

    #[test]
    fn the_facts_are_those_of_the_scores() {
        let good: Vec<f32> = (0..20_u8).map(|i| 1.0 + f32::from(i) / 10.0).collect();
        let recent = [3.0, 1.0, 2.0, 9.0, 1.0, 2.0, 0.0, 2.5, 1.5, 8.0, 3.0];
        let found = Drift::between(&good, &recent, 3.0).unwrap();
        assert_eq!((found.good_count, found.recent_count), (20, 11));
        assert_eq!((found.good_median, found.recent_median), (1.95, 2.0));
        assert_eq!(found.above_count, 2, "a score that equals the threshold is not above it");
        assert_eq!(found.above_share(), 2.0 / 11.0);
        assert!((Drift::between(&good, &recent, threshold(&good)).unwrap().false_alarm_rate - 0.01).abs() < 1e-6);
    }

    #[test]
    fn scores_that_are_none_are_refused() {
        let good = [1.0, 2.0, 3.0];
        let message = |scores: &[f32]| {
            let error = Drift::between(&good, scores, 4.0).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
            error.message().to_owned()
        };
        for (wrong, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (-0.5, "-0.5")] {
            let mut scores = [1.0; 12];
            scores[7] = wrong;
            assert!(message(&scores).starts_with(&format!("score 7 is {name}, but")), "{}", message(&scores));
        }
        assert!(message(&[1.0; 9]).starts_with("9 recent scores are too few") && message(&[]).contains("at least 10"));
        assert!(Drift::between(&good, &[0.0; 10], 4.0).is_ok());
        assert!(Drift::between(&[1.0, f32::NAN], &[1.0; 10], 4.0).is_err());
    }

    proptest! {
        #[test]
        fn the_order_of_the_scores_does_not_matter(recent in prop::collection::vec(0.0..9.0_f32, 10..60)) {
            let good = [4.0, 1.0, 3.0, 5.0, 2.0];
            let reversed: Vec<f32> = recent.iter().rev().copied().collect();
            prop_assert_eq!(drift(&good, &recent), drift(&[5.0, 2.0, 3.0, 4.0, 1.0], &reversed));
        }
    }
}
