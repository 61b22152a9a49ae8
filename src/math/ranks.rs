//! The test of Mann and Whitney (1947): whether the values of one sample tend to exceed those of another. It looks at
//! ranks alone, so it takes no distribution for granted, and a few extreme values hardly count.

use super::stats::{normal_quantile, normal_survival};

/// Number of values in each sample up to which the distribution without ties is computed exactly. Beyond it the normal
/// approximation differs by less than 0.01.
const EXACT: usize = 50;

/// The outcome of the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankTest {
    /// The probability that a value of the second sample exceeds one of the first, minus that of the opposite: -1 to 1,
    /// 0 for samples that do not differ (Cliff's delta).
    pub effect: f64,
    /// The probability that samples of one distribution differ as much, in either direction.
    pub p_value: f64,
    /// The least magnitude of the effect whose p-value is at most the level. Above 1 where the samples are too small for
    /// any.
    pub least_effect: f64,
}

/// Tests two samples, each in ascending order and not empty.
pub fn mann_whitney(first: &[f32], second: &[f32], level: f64) -> RankTest {
    let (counts, pairs) = ((first.len(), second.len()), first.len() as f64 * second.len() as f64);
    let (mut wins, mut ties) = (0.0, 0.0);
    for equal in second.chunk_by(|a, b| a == b) {
        let below = first.partition_point(|value| *value < equal[0]);
        let others = first[below..].partition_point(|value| *value == equal[0]);
        wins += equal.len() as f64 * (below as f64 + 0.5 * others as f64);
        ties += tie(equal.len() + others) - tie(others);
    }
    ties += first.chunk_by(|a, b| a == b).map(|equal| tie(equal.len())).sum::<f64>();
    let null = if ties == 0.0 && counts.0.max(counts.1) <= EXACT {
        Null::exact(counts.0, counts.1)
    } else {
        Null::normal(counts.0 as f64, counts.1 as f64, ties)
    };
    // The difference to the mean of the pairs that are won or lost.
    let lost = wins.min(pairs - wins);
    // Computed alike, so that the two can be compared.
    let magnitude = |lost: f64| 1.0 - 2.0 * lost / pairs;
    let (least_effect, effect) = (magnitude(null.most_lost(level)), magnitude(lost));
    let effect = if wins < pairs - wins { -effect } else { effect };
    RankTest { effect, p_value: null.p_value(lost), least_effect }
}

/// What equal values subtract from the variance.
fn tie(count: usize) -> f64 {
    let count = count as f64;
    count.powi(3) - count
}

/// The distribution of the number of pairs that the second sample loses, if the samples do not differ.
enum Null {
    /// The probability of every number from 0.
    Exact(Vec<f64>),
    Normal {
        mean: f64,
        deviation: f64,
    },
}

/// What the continuity correction takes from the difference to the mean.
const CONTINUITY: f64 = 0.5;

impl Null {
    /// Every order of the values is as probable as any other: the largest of all is one of the first sample, which takes
    /// no pair, or one of the second, which takes as many as the first sample has values.
    fn exact(first: usize, second: usize) -> Self {
        let mut row = vec![vec![1.0]; second + 1];
        for i in 1..=first {
            for j in 1..=second {
                let mut probabilities = vec![0.0; i * j + 1];
                for (wins, p) in row[j].iter().enumerate() {
                    probabilities[wins] += p * i as f64 / (i + j) as f64;
                }
                for (wins, p) in row[j - 1].iter().enumerate() {
                    probabilities[wins + i] += p * j as f64 / (i + j) as f64;
                }
                row[j] = probabilities;
            }
        }
        Self::Exact(row.pop().unwrap_or_default())
    }

    fn normal(first: f64, second: f64, ties: f64) -> Self {
        let (pairs, all) = (first * second, first + second);
        let variance = pairs / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
        Self::Normal { mean: 0.5 * pairs, deviation: variance.max(0.0).sqrt() }
    }

    /// The probability that the smaller of the numbers of pairs that are won and lost is at most `lost`.
    fn p_value(&self, lost: f64) -> f64 {
        let tail = match self {
            Self::Exact(probabilities) => probabilities.iter().take(lost as usize + 1).sum(),
            Self::Normal { mean, deviation } => {
                let difference = (mean - lost - CONTINUITY).max(0.0);
                if difference == 0.0 { 0.5 } else { normal_survival(difference / deviation) }
            }
        };
        (2.0_f64 * tail).min(1.0)
    }

    /// The largest `lost` whose p-value is at most the level; below 0 where there is none.
    fn most_lost(&self, level: f64) -> f64 {
        match self {
            Self::Exact(probabilities) => {
                let tails = probabilities.iter().scan(0.0, |tail, p| {
                    *tail += p;
                    Some(2.0 * *tail)
                });
                tails.take_while(|p| *p <= level).count() as f64 - 1.0
            }
            Self::Normal { mean, deviation } => mean - CONTINUITY - normal_quantile(1.0 - 0.5 * level) * deviation,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEVEL: f64 = 0.01;

    fn ascending(mut values: Vec<f32>) -> Vec<f32> {
        values.sort_by(f32::total_cmp);
        values
    }

    fn test(first: &[f32], second: &[f32]) -> RankTest {
        mann_whitney(&ascending(first.to_vec()), &ascending(second.to_vec()), LEVEL)
    }

    /// The values of scipy.stats.mannwhitneyu(second, first) of SciPy 1.17, with method="exact" without ties, and else
    /// "asymptotic" with the continuity correction. The first two samples are those of the manuals of R's wilcox.test
    /// (permeability of membranes, p = 0.2544 on both sides) and of SciPy's mannwhitneyu (age of diagnosis, U = 17).
    #[test]
    fn p_values_agree_with_scipy() {
        let membranes = ([1.15, 0.88, 0.90, 0.74, 1.21], [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]);
        let ages = ([19.0, 22.0, 16.0, 29.0, 24.0], [20.0, 11.0, 17.0, 12.0]);
        let tied = ([1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0], [2.0, 3.0, 4.0, 4.0, 5.0, 5.0, 5.0, 6.0]);
        let many: (Vec<f32>, Vec<f32>) =
            ((0..60).map(|i| (i * 37 % 101) as f32).collect(), (0..80).map(|i| (i * 29 % 127) as f32).collect());
        for (first, second, effect, p) in [
            (&membranes.0[..], &membranes.1[..], 0.4, 0.254_412_254_412_254_4),
            (&ages.0, &ages.1, -0.7, 1.0 / 9.0),
            (&tied.0, &tied.1, 39.0 / 56.0, 0.024_875_565_276_153_314),
            (&many.0, &many.1, 0.206_458_333_333_333_4, 0.037_122_444_814_904_66),
        ] {
            let found = test(first, second);
            assert!((found.effect - effect).abs() < 1e-12, "{found:?}, but an effect of {effect}");
            assert!((found.p_value / p - 1.0).abs() < 1e-9, "{found:?}, but p = {p}");
        }
    }

    /// Mann and Whitney's table and its successors: the largest U that is significant at 1 % on both sides.
    #[test]
    fn critical_values_are_those_of_the_tables() {
        for (first, second, critical) in [(3, 10, 0), (5, 5, 0), (8, 8, 7), (10, 10, 16), (15, 20, 73), (20, 20, 105)] {
            let pairs = (first * second) as f64;
            assert_eq!(Null::exact(first, second).most_lost(LEVEL), f64::from(critical), "{first} and {second}");
            let spaced = |count: usize, from: f32| (0..count).map(|i| i as f32 + from).collect::<Vec<_>>();
            let least = test(&spaced(first, 0.0), &spaced(second, 0.5)).least_effect;
            assert!((least - (1.0 - 2.0 * f64::from(critical) / pairs)).abs() < 1e-12, "{first} and {second}: {least}");
        }
        assert!(test(&[1.0, 2.0], &[3.0, 4.0, 5.0]).least_effect > 1.0, "no order of so few values is significant");
    }

    #[test]
    fn the_approximation_continues_the_exact_distribution() {
        for (first, second) in [(EXACT, EXACT), (20, EXACT), (10, EXACT)] {
            let (exact, normal) = (Null::exact(first, second), Null::normal(first as f64, second as f64, 0.0));
            let pairs = (first * second) as f64;
            assert!((exact.most_lost(LEVEL) - normal.most_lost(LEVEL)).abs() < 0.01 * pairs, "{first} and {second}");
            for share in [0.3, 0.4, 0.49] {
                let (exact, normal) = (exact.p_value((share * pairs).floor()), normal.p_value((share * pairs).floor()));
                assert!((exact - normal).abs() < 0.01, "{first} and {second}, {share}: {exact} and {normal}");
            }
        }
    }

    #[test]
    fn equal_values_are_no_difference() {
        for counts in [(3, 10), (200, 300), (1, 1)] {
            let found = test(&vec![2.0; counts.0], &vec![2.0; counts.1]);
            assert_eq!((found.effect, found.p_value), (0.0, 1.0), "{counts:?}");
        }
    }

    /// Few different values make ties, and many of them none.
    fn sample() -> impl Strategy<Value = Vec<f32>> {
        (1..40_usize, prop_oneof![Just(8_u32), Just(1_000_000)]).prop_flat_map(|(count, different)| {
            prop::collection::vec((0..different).prop_map(|value| value as f32), count)
        })
    }

    proptest! {
        #[test]
        fn the_effect_is_that_of_all_pairs(first in sample(), second in sample()) {
            let pairs = first.iter().flat_map(|a| second.iter().map(move |b| f64::from((b - a).signum() * f32::from(a != b))));
            let effect = pairs.sum::<f64>() / (first.len() * second.len()) as f64;
            prop_assert!((test(&first, &second).effect - effect).abs() < 1e-12);
        }

        #[test]
        fn only_the_order_of_the_values_counts(first in sample(), second in sample()) {
            let found = test(&first, &second);
            let squared = |values: &[f32]| values.iter().rev().map(|v| (v / 1000.0 + 1.0).powi(2)).collect::<Vec<_>>();
            prop_assert_eq!(test(&squared(&first), &squared(&second)), found);
            let swapped = test(&second, &first);
            prop_assert!((swapped.effect + found.effect).abs() < 1e-12);
            prop_assert!((swapped.p_value - found.p_value).abs() < 1e-9);
        }

        #[test]
        fn significance_and_the_least_effect_agree(first in sample(), second in sample()) {
            let found = test(&first, &second);
            let close = (found.p_value - LEVEL).abs() < 1e-9;
            prop_assert!(close || (found.p_value < LEVEL) == (found.effect.abs() >= found.least_effect), "{found:?}");
        }

        /// The reference goes through all ways to choose which of the values are the second sample's.
        #[test]
        fn the_exact_distribution_counts_all_orders(first in 1..7_usize, second in 1..7_usize) {
            let all = first + second;
            let mut counted = vec![0.0; first * second + 1];
            let mut orders = 0.0;
            for chosen in (0_u32..1 << all).filter(|chosen| chosen.count_ones() as usize == second) {
                let won = |at: usize| (0..at).filter(|lower| chosen >> lower & 1 == 0).count();
                let wins: usize = (0..all).filter(|at| chosen >> at & 1 == 1).map(won).sum();
                counted[wins] += 1.0;
                orders += 1.0;
            }
            let Null::Exact(probabilities) = Null::exact(first, second) else { unreachable!() };
            prop_assert_eq!(probabilities.len(), counted.len());
            for (p, count) in probabilities.iter().zip(&counted) {
                prop_assert!((p - count / orders).abs() < 1e-12, "{first} and {second}");
            }
        }
    }
}
