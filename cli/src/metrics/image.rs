//! Metrics of image scores and decisions.

use npad::math::random::Random;

/// The area under the ROC curve: the probability that a positive scores above a negative, ties counting half.
/// None without both.
pub fn auroc(scores: &[(f32, bool)]) -> Option<f64> {
    area(groups(scores).into_iter())
}

/// From counts of (positives, negatives) in ascending order of score.
pub(super) fn area(groups: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (mut below, mut positives, mut wins) = (0.0, 0.0, 0.0);
    for (positive, negative) in groups {
        wins += positive * (below + negative / 2.0);
        below += negative;
        positives += positive;
    }
    (positives > 0.0 && below > 0.0).then(|| wins / (positives * below))
}

/// Average precision: the mean precision over thresholds at each positive, all of a tie at once. None without positives
/// or negatives.
pub fn average_precision(scores: &[(f32, bool)]) -> Option<f64> {
    let total = scores.iter().filter(|(_, positive)| *positive).count() as f64;
    let (mut found, mut alarms, mut sum) = (0.0, 0.0, 0.0);
    for (positives, negatives) in groups(scores).into_iter().rev() {
        found += positives;
        alarms += negatives;
        sum += positives * found / (found + alarms);
    }
    (total > 0.0 && alarms > 0.0).then(|| sum / total)
}

/// The share of the defective images that are missed at the lowest threshold which at most `percent` % of these good images
/// exceed. An image is found if its score exceeds the threshold, so one that ties with it is missed. With fewer than
/// 100 / `percent` good images, the threshold is the highest good score. The threshold is taken from the images that are
/// measured: it says what the ranking would allow, not what a user can expect. None without defective or good images.
pub fn misses_at(scores: &[(f32, bool)], percent: usize) -> Option<f64> {
    let (defective, mut good): (Vec<_>, Vec<_>) = scores.iter().partition(|(_, positive)| *positive);
    good.sort_unstable_by(|a: &(f32, bool), b| b.0.total_cmp(&a.0));
    let (threshold, _) = *good.get(good.len() * percent / 100)?;
    let missed = defective.iter().filter(|(score, _)| *score <= threshold).count();
    (!defective.is_empty()).then(|| missed as f64 / defective.len() as f64)
}

/// Positives and negatives of each score, in ascending order.
fn groups(scores: &[(f32, bool)]) -> Vec<(f64, f64)> {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let group = |group: &[(f32, bool)]| {
        let positives = group.iter().filter(|(_, positive)| *positive).count() as f64;
        (positives, group.len() as f64 - positives)
    };
    sorted.chunk_by(|a, b| a.0 == b.0).map(group).collect()
}

/// Confusion matrix of the decisions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Defective, judged defective.
    pub found: usize,
    /// Defective, judged good.
    pub missed: usize,
    /// Good, judged defective.
    pub false_alarms: usize,
    /// Good, judged good.
    pub passed: usize,
}

impl Confusion {
    /// Counts pairs of (judged defective, is defective).
    pub fn new(decisions: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut counts = Self::default();
        for decision in decisions {
            *match decision {
                (true, true) => &mut counts.found,
                (false, true) => &mut counts.missed,
                (true, false) => &mut counts.false_alarms,
                (false, false) => &mut counts.passed,
            } += 1;
        }
        counts
    }

    /// The harmonic mean of precision and recall; 0 if no defect is found.
    pub fn f1(&self) -> f64 {
        2.0 * self.found as f64 / ((2 * self.found + self.missed + self.false_alarms).max(1)) as f64
    }

    /// The share of defective images that are missed.
    pub fn miss_rate(&self) -> f64 {
        self.missed as f64 / (self.found + self.missed).max(1) as f64
    }

    /// The share of good images that are judged defective.
    pub fn false_alarm_rate(&self) -> f64 {
        self.false_alarms as f64 / (self.false_alarms + self.passed).max(1) as f64
    }

    /// Balanced accuracy: the mean of the shares of good and of defective images that are judged correctly.
    pub fn balanced_accuracy(&self) -> f64 {
        1.0 - (self.miss_rate() + self.false_alarm_rate()) / 2.0
    }
}

/// Number of bootstrap samples for an interval.
const RESAMPLES: usize = 1000;
/// Share of the samples outside the interval on each side.
const TAIL: f64 = 0.025;

/// The 95 % percentile interval of a metric of images, by the bootstrap (Efron 1979): good and defective images are
/// resampled separately with replacement. The interval is deterministic.
pub fn interval<T: Copy>(
    images: &[T],
    is_defective: impl Fn(&T) -> bool,
    metric: impl Fn(&[T]) -> Option<f64>,
) -> Option<(f64, f64)> {
    let mut random = Random::new(0);
    let (defective, good): (Vec<T>, Vec<T>) = images.iter().copied().partition(is_defective);
    if defective.is_empty() || good.is_empty() {
        return None;
    }
    let mut drawn = Vec::with_capacity(images.len());
    let mut values = (0..RESAMPLES)
        .map(|_| {
            drawn.clear();
            for kind in [&defective, &good] {
                drawn.extend((0..kind.len()).map(|_| kind[random.below(kind.len())]));
            }
            metric(&drawn)
        })
        .collect::<Option<Vec<f64>>>()?;
    values.sort_unstable_by(f64::total_cmp);
    let at = (RESAMPLES as f64 * TAIL) as usize;
    Some((values[at], values[RESAMPLES - 1 - at]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn auroc_counts_the_pairs(count in 2usize..40, levels in 1usize..10, seed in any::<u64>()) {
            let mut random = Random::new(seed);
            let scores: Vec<(f32, bool)> = (0..count).map(|_| (random.below(levels) as f32, random.below(2) == 1)).collect();
            let of = |kind: bool| scores.iter().filter(move |s| s.1 == kind).map(|s| s.0);
            let pairs = of(true).count() * of(false).count();
            let wins: f64 = of(true)
                .flat_map(|p| of(false).map(move |n| if p > n { 1.0 } else if p == n { 0.5 } else { 0.0 }))
                .sum();
            match auroc(&scores) {
                Some(area) => prop_assert!((area - wins / pairs as f64).abs() < 1e-12),
                None => prop_assert_eq!(pairs, 0),
            }
        }

        #[test]
        fn misses_are_those_of_the_lowest_threshold_with_few_enough_false_alarms(
            count in 2usize..300, levels in 1usize..60, percent in 0usize..30, seed in any::<u64>(),
        ) {
            let mut random = Random::new(seed);
            let scores: Vec<(f32, bool)> = (0..count).map(|_| (random.below(levels) as f32, random.below(3) == 0)).collect();
            let of = |kind: bool| scores.iter().filter(move |s| s.1 == kind).map(|s| s.0);
            // False alarms change at good scores alone, so one of them is the lowest threshold.
            let few = |t: &f32| 100 * of(false).filter(|score| score > t).count() <= percent * of(false).count();
            let threshold = of(false).filter(few).min_by(f32::total_cmp);
            let missed = threshold.map(|t| of(true).filter(|score| *score <= t).count() as f64);
            let expected = missed.map(|missed| missed / of(true).count() as f64).filter(|share| !share.is_nan());
            prop_assert_eq!(misses_at(&scores, percent), expected);
        }

        #[test]
        fn average_precision_is_the_mean_precision_at_each_positive(
            count in 2usize..40, levels in 1usize..10, seed in any::<u64>(),
        ) {
            let mut random = Random::new(seed);
            let scores: Vec<(f32, bool)> = (0..count).map(|_| (random.below(levels) as f32, random.below(2) == 1)).collect();
            let positives: Vec<f32> = scores.iter().filter(|s| s.1).map(|s| s.0).collect();
            let precision = |t: f32| {
                let called = scores.iter().filter(|s| s.0 >= t);
                let right = called.clone().filter(|s| s.1).count();
                right as f64 / called.count() as f64
            };
            let expected = positives.iter().map(|t| precision(*t)).sum::<f64>() / positives.len() as f64;
            match average_precision(&scores) {
                Some(found) => prop_assert!((found - expected).abs() < 1e-12),
                None => prop_assert!(positives.is_empty() || positives.len() == count),
            }
        }
    }

    #[test]
    fn misses_at_a_rate_of_false_alarms_count_ties_as_misses() {
        let good = |score: usize| (score as f32, false);
        // 200 good images with the scores 0 to 199: two of them may exceed the threshold, which is 197.
        let mut scores: Vec<(f32, bool)> = (0..200).map(good).collect();
        scores.extend([(197.0, true), (197.5, true), (500.0, true), (3.0, true)]);
        assert_eq!(misses_at(&scores, 1), Some(0.5));
        assert_eq!(misses_at(&scores, 5), Some(0.25));
        // Tied good images exceed the threshold together or not at all.
        scores[195..200].fill(good(199));
        assert_eq!(misses_at(&scores, 1), Some(0.75));
        assert_eq!(misses_at(&[good(1), good(2), (1.5, true), (2.5, true)], 5), Some(0.5), "the highest good score");
        assert_eq!(misses_at(&[(1.0, true)], 1), None);
        assert_eq!(misses_at(&[good(1)], 1), None);
    }

    #[test]
    fn decisions_are_counted() {
        let decisions = [(true, true), (true, true), (false, true), (true, false), (false, false), (false, false)];
        let counts = Confusion::new(decisions);
        assert_eq!((counts.found, counts.missed, counts.false_alarms, counts.passed), (2, 1, 1, 2));
        // Precision 2/3, recall 2/3.
        assert!((counts.f1() - 2.0 / 3.0).abs() < 1e-12 && (counts.balanced_accuracy() - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(Confusion::default().f1(), 0.0);
    }

    #[test]
    fn the_interval_covers_the_truth_and_narrows_with_the_number_of_images() {
        // Defective scores are uniform on 1 to 3, good ones on 0 to 2: the AUROC is 7/8.
        let draw = |count: usize, seed: u64| -> Vec<(f32, bool)> {
            let mut random = Random::new(seed);
            let mut score = |shift: f32| random.below(100_000) as f32 / 50_000.0 + shift;
            (0..count).map(|i| if i % 2 == 0 { (score(0.0), false) } else { (score(1.0), true) }).collect()
        };
        let of = |scores: &[(f32, bool)]| interval(scores, |s| s.1, auroc).unwrap();
        let covered = (0..60).filter(|&seed| {
            let (low, high) = of(&draw(100, seed));
            (low..=high).contains(&0.875)
        });
        assert!(covered.count() >= 51, "95 % on average");
        let width = |count: usize| {
            let (low, high) = of(&draw(count, 1));
            high - low
        };
        assert!(width(1000) < 0.6 * width(100));
        assert_eq!(interval(&[(1.0, true)], |s| s.1, auroc), None);
    }
}
