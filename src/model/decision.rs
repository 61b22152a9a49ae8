//! Thresholds from good images alone.
//!
//! Good images are scored held out, and the threshold is set so that a further good image exceeds it with the target
//! probability. It is the higher of two estimates, since false alarms that stop a line cost users most:
//!
//! - the upper prediction bound of a log-normal distribution: scores are positive and skewed, and the bound widens by
//!   itself when there are few images;
//! - from [`ENOUGH_FOR_A_TAIL`] images on, the quantile of a generalised Pareto distribution fitted to the highest
//!   scores (peaks over threshold, Pickands 1975), which covers heavier tails.
//!
//! The conformal order statistic, exact for any distribution, was rejected: at a rate of 1 % it rests on the one or two
//! most unusual of the good images and jumps with them.

use safer_ffi::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Status};
use crate::math::stats::t_quantile;

/// Number of scores from which the tail is estimated.
const ENOUGH_FOR_A_TAIL: usize = 50;
/// Share of the scores that form the tail.
const TAIL: f64 = 0.2;
/// Bounds of the tail's shape parameter, since few scores do not determine it.
const SHAPE: std::ops::RangeInclusive<f64> = -0.25..=0.4;

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
    /// Calibrates on held-out scores of good images for a target false-alarm rate.
    ///
    /// # Errors
    /// [`Status::Internal`] when a score is not finite.
    pub fn new(scores: &[f32], rate: f64) -> Result<Self> {
        let sorted = sorted(scores)?;
        Ok(Self { typical: median(&sorted), threshold: bound(&sorted, rate) })
    }

    /// The calibrated score: 0 for a typical good image, 0.5 at the threshold, unbounded on both sides.
    pub fn apply(&self, score: f32) -> f32 {
        0.5 * (score - self.typical) / (self.threshold - self.typical)
    }

    /// Whether the values are usable; those of a model file are not trusted.
    pub fn is_valid(&self) -> bool {
        self.typical.is_finite() && self.threshold.is_finite() && self.threshold > self.typical
    }
}

/// The score that a further good image exceeds with probability `rate`.
///
/// # Errors
/// [`Status::Internal`] when a score is not finite.
pub fn exceeded_at(scores: &[f32], rate: f64) -> Result<f32> {
    Ok(bound(&sorted(scores)?, rate))
}

fn sorted(scores: &[f32]) -> Result<Vec<f32>> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    if sorted.is_empty() || !sorted.iter().all(|s| s.is_finite()) {
        return Err(Error::new(Status::Internal, "scores of good images are not finite"));
    }
    Ok(sorted)
}

fn median(sorted: &[f32]) -> f32 {
    sorted[sorted.len() / 2]
}

fn bound(sorted: &[f32], rate: f64) -> f32 {
    let bound = prediction_bound(sorted, rate).max(tail_quantile(sorted, rate));
    // Without variation the threshold would equal the typical score.
    let typical = f64::from(median(sorted));
    bound.max(typical + 1e-3 * typical.abs() + 1e-6) as f32
}

/// The score that is exceeded at `rate` according to the tail of `sorted`, by probability-weighted moments (Hosking and
/// Wallis 1987); the lowest score where there are too few or the rate reaches into the bulk.
fn tail_quantile(sorted: &[f32], rate: f64) -> f64 {
    let count = (sorted.len() as f64 * TAIL) as usize;
    if sorted.len() < ENOUGH_FOR_A_TAIL || rate >= TAIL {
        return f64::from(sorted[0]);
    }
    let (below, tail) = sorted.split_at(sorted.len() - count);
    let start = f64::from(below[below.len() - 1]);
    let excess: Vec<f64> = tail.iter().map(|s| f64::from(*s) - start).collect();
    let mean = excess.iter().sum::<f64>() / count as f64;
    let weighted = |(i, y): (usize, &f64)| y * (1.0 - (i as f64 + 0.65) / count as f64);
    let weighted = excess.iter().enumerate().map(weighted).sum::<f64>() / count as f64;
    let shape = (2.0 - mean / (mean - 2.0 * weighted)).clamp(*SHAPE.start(), *SHAPE.end());
    if !shape.is_finite() {
        return f64::from(sorted[sorted.len() - 1]);
    }
    let scale = mean * (1.0 - shape);
    let odds = TAIL / rate;
    start + if shape.abs() < 1e-6 { scale * odds.ln() } else { scale / shape * (odds.powf(shape) - 1.0) }
}

/// `exp(m + t s sqrt(1 + 1/n))` with mean and standard deviation of the scores' logarithms.
fn prediction_bound(sorted: &[f32], rate: f64) -> f64 {
    let n = sorted.len() as f64;
    let logs: Vec<f64> = sorted.iter().map(|s| f64::from(*s).max(1e-12).ln()).collect();
    if logs.len() < 2 {
        return f64::from(sorted[0]);
    }
    let mean = logs.iter().sum::<f64>() / n;
    let variance = logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean + t_quantile(1.0 - rate, n - 1.0) * (variance * (1.0 + 1.0 / n)).sqrt()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::Random;

    fn good(count: usize, seed: u64) -> Vec<f32> {
        let mut random = Random::new(seed);
        // Sums of uniforms: bell-shaped, positive.
        (0..count).map(|_| (0..12).map(|_| random.below(1000) as f32 / 1000.0).sum::<f32>() + 4.0).collect()
    }

    #[test]
    fn unseen_good_images_stay_below_at_the_target_rate() {
        for (count, limit) in [(20, 0.02), (100, 0.015), (600, 0.015)] {
            let mut alarms = 0;
            for seed in 0..200 {
                let calibration = Calibration::new(&good(count, seed), 0.01).unwrap();
                alarms += good(200, 1000 + seed).iter().filter(|s| **s > calibration.threshold).count();
            }
            let rate = alarms as f64 / 40_000.0;
            assert!(rate < limit && rate > 0.001, "{count} images: {rate}");
        }
    }

    #[test]
    fn the_threshold_is_a_half_and_nothing_is_clamped() {
        let calibration = Calibration::new(&good(50, 1), 0.01).unwrap();
        assert!((calibration.apply(calibration.threshold) - 0.5).abs() < 1e-6);
        assert!(calibration.apply(calibration.typical).abs() < 1e-6);
        assert!(calibration.apply(100.0) > 1.0 && calibration.apply(0.0) < 0.0);
    }

    #[test]
    fn degenerate_scores_still_give_a_threshold() {
        for scores in [vec![0.0; 5], vec![2.0; 2], vec![3.0]] {
            let calibration = Calibration::new(&scores, 0.01).unwrap();
            assert!(calibration.is_valid() && calibration.threshold > scores[0]);
        }
        assert!(Calibration::new(&[1.0, f32::NAN], 0.01).is_err());
        assert!(Calibration::new(&[], 0.01).is_err());
    }
}
