//! Thresholds from good images alone.
//!
//! Each good image is scored as though it had not been learnt from, and the threshold is set so that a further good
//! image exceeds it with the target probability. Two estimates are made and the higher one taken, since a line that
//! stops for nothing is what users forgive least:
//!
//! - the conformal order statistic (Vovk et al. 2005): exact for any distribution, but it needs at least
//!   `1 / rate - 1` images to exist and rests on one or two of them;
//! - the upper prediction bound of a log-normal distribution: scores are positive and skewed, and the bound widens by
//!   itself when there are few images.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Status};
use crate::math::stats::t_quantile;

/// A score's scale: a typical good image is 0, the threshold 0.5, and what lies as far above it 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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
        let mut sorted = scores.to_vec();
        sorted.sort_by(f32::total_cmp);
        if sorted.is_empty() || !sorted.iter().all(|s| s.is_finite()) {
            return Err(Error::new(Status::Internal, "held-out scores of good images are not finite"));
        }
        let typical = sorted[sorted.len() / 2];
        let threshold = prediction_bound(&sorted, rate).max(conformal(&sorted, rate).unwrap_or(f64::NEG_INFINITY));
        // Images without any variation would put the threshold on the typical score itself.
        let least = f64::from(typical) + 1e-3 * f64::from(typical).abs() + 1e-6;
        Ok(Self { typical, threshold: threshold.max(least) as f32 })
    }

    /// The calibrated score: 0 for a typical good image, 0.5 at the threshold, unbounded on both sides.
    pub fn apply(&self, score: f32) -> f32 {
        0.5 * (score - self.typical) / (self.threshold - self.typical)
    }

    /// Whether the numbers make sense; a model file may hold anything.
    pub fn is_valid(&self) -> bool {
        self.typical.is_finite() && self.threshold.is_finite() && self.threshold > self.typical
    }
}

/// The k-th smallest of n scores with `k = ceil((n + 1) (1 - rate))`, if there is one.
fn conformal(sorted: &[f32], rate: f64) -> Option<f64> {
    let k = ((sorted.len() + 1) as f64 * (1.0 - rate)).ceil() as usize;
    sorted.get(k.max(1) - 1).map(|s| f64::from(*s))
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
        for (count, limit) in [(20, 0.02), (100, 0.015), (400, 0.015)] {
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
