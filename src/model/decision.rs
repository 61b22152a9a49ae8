//! Thresholds from good images alone.
//!
//! Good images are scored held out, and the threshold is set so that a further good image exceeds it with the target
//! probability. Scores are taken to follow a log-Pearson III distribution: mean, standard deviation and skewness of their
//! logarithms give the quantile, as in flood-frequency analysis (U.S. Geological Survey, Bulletin 17C), which has the
//! same task: a rare quantile of positive, skewed values from few observations.
//!
//! All scores contribute to the three moments, so the threshold hardly depends on which good images were at hand. On
//! eight data sets, with 1 % as target and all good images held out, 1.1 % of the good test images exceeded it. Other
//! estimators were rejected:
//!
//! - log-normal and normal prediction bounds: 5.5 % to 5.8 % false alarms, since they ignore the skewness;
//! - Pearson III of the scores themselves: 1.9 %;
//! - generalised Pareto and exponential tails fitted to the highest fifth of the scores: the target is kept, but 2.5
//!   to 3.5 percentage points more defects are missed, and the share depends more on the seed of the fit;
//! - the conformal order statistic, exact for any distribution: at a rate of 1 % it rests on the one or two most unusual
//!   of the good images and jumps with them.
//!
//! Low scores say nothing about high ones, and a copy of a learnt image has a very low one, which would raise deviation and
//! threshold. No score therefore counts as further below the median than twice the distance of the highest one (in the
//! spirit of the bulletin's test for low outliers).
//!
//! The skewness of the logarithms is bounded from below, so that a distribution without rare high scores gives fewer
//! alarms than the target, never more.

use safer_ffi::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Status};
use crate::math::stats::{normal_quantile, normal_survival, t_quantile, t_survival};

/// Bounds of the skewness: few scores do not determine it, and a distribution with an upper end would allow no score
/// beyond.
const SKEWNESS: std::ops::RangeInclusive<f64> = 0.05..=1.5;
/// Number of scores from which the moments count as known.
const MANY: usize = 50;
/// Number of scores below which [`LEAST_DEVIATION`] applies.
const VERY_FEW: usize = 5;
/// Least standard deviation of the logarithms where very few scores may agree by chance.
const LEAST_DEVIATION: f64 = 0.05;
/// Lower scores count as this share of the highest one, and no threshold exceeds the highest score by more than the
/// inverse: two or three scores would otherwise set a threshold that overflows.
const RANGE: f64 = 1e-3;
/// The least score that has a logarithm.
const TINY: f64 = 1e-12;
/// Probability that the interval of a threshold contains the quantile.
const CONFIDENCE: f64 = 0.9;

/// Verdict on an image. The numbers are part of the C ABI.
#[derive_ReprC]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Verdict {
    /// The score exceeds no threshold.
    Good = 0,
    /// The score exceeds the review threshold only: a person should inspect the image. Returned only if a review rate
    /// or a review threshold is set.
    Review = 1,
    /// The score exceeds the threshold.
    Defective = 2,
}

impl Verdict {
    /// The verdict as a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Review => "review",
            Self::Defective => "DEFECTIVE",
        }
    }
}

/// The calibrated scale: 0 is a typical good image, 0.5 the threshold, and 1 as far above the threshold as the typical
/// image is below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The median score of held-out good images.
    pub typical: f32,
    /// The score above which an image is anomalous.
    pub threshold: f32,
}

impl Calibration {
    /// The calibrated score: 0 for a typical good image, 0.5 at the threshold, unbounded on both sides.
    pub fn apply(&self, score: f32) -> f32 {
        let calibrated = 0.5 * (score - self.typical) / (self.threshold - self.typical);
        // Rounding must not hide that the score exceeds the threshold.
        if score > self.threshold { calibrated.max(0.5f32.next_up()) } else { calibrated }
    }

    /// Whether the values are usable; those of a model file are not trusted.
    pub fn is_valid(&self) -> bool {
        self.typical.is_finite() && self.threshold.is_finite() && self.threshold > self.typical
    }
}

/// The distribution of the scores of good images.
pub struct GoodScores {
    fitted: LogPearson,
    typical: f32,
}

impl GoodScores {
    /// Fits the distribution to held-out scores.
    ///
    /// # Errors
    /// [`Status::Internal`] when there are none or one is not finite.
    pub fn new(scores: &[f32]) -> Result<Self> {
        let mut sorted = scores.to_vec();
        sorted.sort_by(f32::total_cmp);
        if sorted.is_empty() || !sorted.iter().all(|s| s.is_finite()) {
            return Err(Error::new(Status::Internal, "scores of good images are not finite"));
        }
        Ok(Self { fitted: LogPearson::new(&sorted), typical: sorted[sorted.len() / 2] })
    }

    /// The calibration for a target false-alarm rate.
    pub fn calibration(&self, rate: f64) -> Calibration {
        Calibration { typical: self.typical, threshold: self.threshold(rate) }
    }

    /// The score that a further good image exceeds with probability `rate`.
    pub fn threshold(&self, rate: f64) -> f32 {
        (self.fitted.threshold(rate) as f32).max(self.least_threshold())
    }

    /// The probability that a further good image exceeds `threshold`: the inverse of [`GoodScores::threshold`].
    pub fn rate(&self, threshold: f32) -> f64 {
        self.fitted.rate(f64::from(threshold))
    }

    /// The least threshold: without variation it would equal the typical score.
    pub fn least_threshold(&self) -> f32 {
        let typical = f64::from(self.typical);
        (typical + 1e-3 * typical.abs() + 1e-6) as f32
    }

    /// An interval that contains the score that good images exceed with probability `rate`, with a confidence of about
    /// 90 %. It contains the threshold for that rate.
    pub fn interval(&self, rate: f64) -> (f32, f32) {
        let ((low, high), threshold) = (self.fitted.interval(rate), self.threshold(rate));
        ((low as f32).min(threshold), (high as f32).max(threshold))
    }
}

/// A log-Pearson III distribution by the moments of the logarithms.
struct LogPearson {
    count: f64,
    mean: f64,
    deviation: f64,
    skewness: f64,
    /// The highest threshold.
    limit: f64,
}

impl LogPearson {
    fn new(sorted: &[f32]) -> Self {
        let count = sorted.len() as f64;
        let highest = f64::from(sorted[sorted.len() - 1]);
        // In logarithms, twice as far below the median as the highest score is above it.
        let outlier = f64::from(sorted[sorted.len() / 2]).powi(3) / highest.max(TINY).powi(2);
        let least = outlier.max(RANGE * highest).max(TINY);
        let logs = || sorted.iter().map(|score| f64::from(*score).max(least).ln());
        let mean = logs().sum::<f64>() / count;
        let central = |power| logs().map(|x| (x - mean).powi(power)).sum::<f64>();
        let mut deviation = (central(2) / (count - 1.0).max(1.0)).sqrt();
        let mut skewness = *SKEWNESS.start();
        if sorted.len() >= 3 && deviation > 0.0 {
            let skew = count * central(3) / ((count - 1.0) * (count - 2.0) * deviation.powi(3));
            skewness = skew.clamp(*SKEWNESS.start(), *SKEWNESS.end());
        }
        if sorted.len() < VERY_FEW {
            deviation = deviation.max(LEAST_DEVIATION);
        }
        let limit = (highest.max(TINY) / RANGE).min(f64::from(f32::MAX));
        Self { count, mean, deviation, skewness, limit }
    }

    fn freedom(&self) -> f64 {
        (self.count - 1.0).max(1.0)
    }

    /// The prediction bound: the quantile at `1 - rate`, raised where few scores leave the moments uncertain.
    fn threshold(&self, rate: f64) -> f64 {
        let normal = if self.count < MANY as f64 {
            t_quantile(1.0 - rate, self.freedom()) * (1.0 + 1.0 / self.count).sqrt()
        } else {
            normal_quantile(1.0 - rate)
        };
        self.limited(self.mean + self.deviation * self.factor(normal, self.skewness))
    }

    /// The inverse of [`LogPearson::threshold`], below its limit.
    fn rate(&self, threshold: f64) -> f64 {
        let distance = threshold.max(TINY).ln() - self.mean;
        if self.deviation == 0.0 {
            // All scores are equal.
            return if distance > 0.0 { 0.0 } else { 1.0 };
        }
        let (k, g) = (distance / self.deviation, self.skewness);
        let normal = 6.0 / g * ((1.0 + g * k / 2.0).cbrt() - 1.0 + g * g / 36.0);
        if self.count < MANY as f64 {
            t_survival(normal / (1.0 + 1.0 / self.count).sqrt(), self.freedom())
        } else {
            normal_survival(normal)
        }
    }

    /// The quantile that corresponds to `normal` of the standard normal distribution, in standard deviations above the
    /// mean (Wilson and Hilferty 1931).
    fn factor(&self, normal: f64, skewness: f64) -> f64 {
        let g = skewness;
        2.0 / g * ((1.0 + g * normal / 6.0 - g * g / 36.0).powi(3) - 1.0)
    }

    /// The interval of the quantile, from the sampling variance of the three moments (Kite 1975).
    fn interval(&self, rate: f64) -> (f64, f64) {
        let (g, normal) = (self.skewness, normal_quantile(1.0 - rate));
        let k = self.factor(normal, g);
        let slope = (self.factor(normal, g + 1e-4) - self.factor(normal, g - 1e-4)) / 2e-4;
        let variance = 1.0
            + k * g
            + k * k / 2.0 * (0.75 * g * g + 1.0)
            + 3.0 * k * slope * (g + g.powi(3) / 4.0)
            + 3.0 * slope * slope * (2.0 + 3.0 * g * g + 0.625 * g.powi(4));
        let reach = t_quantile(0.5 + CONFIDENCE / 2.0, self.freedom()) * (variance / self.count).sqrt();
        (self.limited(self.mean + self.deviation * (k - reach)), self.limited(self.mean + self.deviation * (k + reach)))
    }

    /// From the logarithm.
    fn limited(&self, log: f64) -> f64 {
        log.exp().min(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::Random;
    use proptest::prelude::*;
    use statrs::distribution::{ContinuousCDF, Gamma};

    /// Distributions of scores.
    #[derive(Debug, Clone, Copy)]
    enum Shape {
        LogNormal,
        /// With the skewness of the logarithms, above zero.
        LogPearson(f64),
        Gamma(f64),
    }

    impl Shape {
        fn quantile(self, p: f64) -> f64 {
            let gamma = |shape: f64| Gamma::new(shape, 1.0).unwrap().inverse_cdf(p);
            match self {
                Self::LogNormal => (1.0 + 0.2 * normal_quantile(p)).exp(),
                Self::LogPearson(skewness) => {
                    let shape = 4.0 / (skewness * skewness);
                    (1.0 + 0.2 * (gamma(shape) - shape) / shape.sqrt()).exp()
                }
                Self::Gamma(shape) => gamma(shape),
            }
        }

        /// The quantiles at many probabilities, from which scores are drawn.
        fn table(self) -> Vec<f32> {
            (0..20_000).map(|i| self.quantile((f64::from(i) + 0.5) / 20_000.0) as f32).collect()
        }
    }

    fn draw(table: &[f32], count: usize, random: &mut Random) -> Vec<f32> {
        (0..count).map(|_| table[random.below(table.len())]).collect()
    }

    /// Mean share of further good images above the threshold, and how often the interval contains the quantile.
    fn measured(shape: Shape, table: &[f32], count: usize, rate: f64) -> (f64, f64) {
        const TRIALS: u64 = 400;
        let (mut above, mut inside) = (0, 0);
        let quantile = shape.quantile(1.0 - rate) as f32;
        for seed in 0..TRIALS {
            let scores = draw(table, count, &mut Random::new(seed * 7919 + count as u64));
            let fitted = GoodScores::new(&scores).unwrap();
            let threshold = fitted.threshold(rate);
            above += table.len() - table.partition_point(|score| *score <= threshold);
            let (low, high) = fitted.interval(rate);
            assert!(low <= threshold && threshold <= high);
            inside += u64::from((low..=high).contains(&quantile));
        }
        (above as f64 / (TRIALS as f64 * table.len() as f64), inside as f64 / TRIALS as f64)
    }

    /// Highest share of further good images above the threshold, relative to the rate, by number of scores.
    const MOST: [(usize, [(f64, f64); 3]); 4] = [
        (20, [(0.001, 5.0), (0.01, 2.1), (0.05, 1.4)]),
        (50, [(0.001, 4.0), (0.01, 1.8), (0.05, 1.3)]),
        (100, [(0.001, 2.5), (0.01, 1.5), (0.05, 1.2)]),
        (500, [(0.001, 1.4), (0.01, 1.15), (0.05, 1.1)]),
    ];

    #[test]
    fn further_good_images_exceed_the_threshold_at_the_target_rate() {
        for shape in [Shape::LogNormal, Shape::LogPearson(0.5), Shape::LogPearson(1.0)] {
            let table = shape.table();
            for (count, limits) in MOST {
                for (rate, most) in limits {
                    let (share, covered) = measured(shape, &table, count, rate);
                    let relative = share / rate;
                    assert!((0.6..most).contains(&relative), "{shape:?}, {count} at {rate}: {relative} of the rate");
                    assert!(covered > 0.78, "{shape:?}, {count} at {rate}: {covered} of the intervals");
                }
            }
        }
    }

    /// The logarithms of gamma distributed scores are skewed to the left, which [`SKEWNESS`] excludes.
    #[test]
    fn lighter_tails_give_fewer_alarms() {
        for (shape, least) in [(Shape::Gamma(4.0), 0.5), (Shape::Gamma(30.0), 0.8)] {
            let table = shape.table();
            for (count, limits) in MOST {
                for (rate, _) in limits {
                    let relative = measured(shape, &table, count, rate).0 / rate;
                    assert!(relative < 1.0, "{shape:?}, {count} at {rate}: {relative} of the rate");
                    assert!(rate < 0.05 || relative > least, "{shape:?}, {count} at {rate}: {relative} of the rate");
                }
            }
        }
    }

    fn good(count: usize, seed: u64) -> Vec<f32> {
        draw(&Shape::LogNormal.table(), count, &mut Random::new(seed))
    }

    #[test]
    fn the_threshold_is_a_half_and_nothing_is_clamped() {
        let calibration = GoodScores::new(&good(50, 1)).unwrap().calibration(0.01);
        assert!((calibration.apply(calibration.threshold) - 0.5).abs() < 1e-6);
        assert!(calibration.apply(calibration.typical).abs() < 1e-6);
        assert!(calibration.apply(100.0) > 1.0 && calibration.apply(0.0) < 0.0);
    }

    #[test]
    fn degenerate_scores_still_give_a_threshold() {
        let few = [vec![3.0], vec![2.0; 2], vec![1.0, 5.0], vec![1.0, 2.0, 9.0], vec![0.0, 0.0, 1.0]];
        let equal = [vec![0.0; 5], vec![2.0; 50], vec![1e-30; 200], vec![1e30; 3]];
        for scores in few.iter().chain(&equal) {
            let fitted = GoodScores::new(scores).unwrap();
            for rate in [1e-5, 0.001, 0.01, 0.05, 0.5] {
                let calibration = fitted.calibration(rate);
                assert!(calibration.is_valid() && calibration.threshold > scores[0], "{scores:?} at {rate}");
                let (low, high) = fitted.interval(rate);
                assert!(low.is_finite() && high.is_finite(), "{scores:?} at {rate}");
                assert!((low..=high).contains(&calibration.threshold), "{scores:?} at {rate}");
                for threshold in [-1.0, 0.0, scores[0], calibration.threshold, 1e30, f32::MAX] {
                    assert!((0.0..=1.0).contains(&fitted.rate(threshold)), "{scores:?} above {threshold}");
                }
            }
        }
        assert!(GoodScores::new(&[1.0, f32::NAN]).is_err());
        assert!(GoodScores::new(&[]).is_err());
    }

    fn threshold(scores: &[f32], rate: f64) -> f32 {
        GoodScores::new(scores).unwrap().threshold(rate)
    }

    proptest! {
        #[test]
        fn the_rate_of_a_threshold_is_the_one_that_it_was_computed_for(
            seed in any::<u64>(), count in 2..120_usize, rate in 1e-5..0.5_f64, spread in 0.01..3.0_f64, skew in -1.0..2.0_f64,
        ) {
            let mut random = Random::new(seed);
            let score = |z: f64| (spread * (z + skew * z * z / 4.0)).exp() as f32;
            let mut scores: Vec<f32> =
                (0..count).map(|_| score(normal_quantile((random.below(999) + 1) as f64 / 1000.0))).collect();
            scores.sort_by(f32::total_cmp);
            let fitted = LogPearson::new(&scores);
            let threshold = fitted.threshold(rate);
            if fitted.deviation > 0.0 && threshold < fitted.limit {
                let found = fitted.rate(threshold);
                prop_assert!((found - rate).abs() < 1e-6 * rate.max(1e-3), "{found} for {rate}");
            }
            let rates = [0.0, 0.5, 0.9, 1.0, 1.1, 2.0].map(|factor| fitted.rate(factor * threshold));
            prop_assert!(rates.is_sorted_by(|a, b| a >= b), "{rates:?}");
        }
    }

    #[test]
    fn a_copy_of_a_learnt_image_among_the_scores_hardly_changes_the_threshold() {
        for count in [20, 50, 200] {
            let mut scores = good(count, 9);
            let without = GoodScores::new(&scores).unwrap().threshold(0.01);
            for low in [0.0, 1e-3, 0.1] {
                scores[0] = low;
                let with = GoodScores::new(&scores).unwrap().threshold(0.01);
                assert!((0.9..1.2).contains(&(with / without)), "{low} of {count}: {with} and {without}");
            }
        }
    }

    #[test]
    fn a_lower_rate_gives_a_higher_threshold_in_any_order_of_the_scores() {
        for count in [2, 3, 10, 49, 50, 300] {
            let mut scores = good(count, 3);
            let thresholds = [0.5, 0.2, 0.05, 0.01, 0.001].map(|rate| threshold(&scores, rate));
            assert!(thresholds.windows(2).all(|pair| pair[0] <= pair[1]), "{count}: {thresholds:?}");
            scores.reverse();
            assert_eq!(threshold(&scores, 0.01), thresholds[3]);
        }
    }
}
