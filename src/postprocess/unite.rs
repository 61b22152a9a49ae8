//! Unites the anomaly map and the image score, so that a verdict always shows where.
//!
//! The best image score and the best map rest on different evidence: the mean of the highest values of one, and the shape
//! of another. Adding or scaling whole maps by the score would raise everything in a defective image. The map is
//! therefore raised only around its peak until its largest value is the score:
//!
//! `E(p) = min(s, N(p) + max(0, s - N(q)) (L(p) / L(q))^8)`, with map N, image score s, L = N + evidence, and q the position
//! of L's maximum. By construction `E(q) = s = max E`: the score exceeds a threshold exactly if a region of the map does.

use crate::math::kernels::dispatch;

/// Cuts `map` off at `score`, a mean of its own highest values, and so at most its largest one.
pub fn cut_off(map: &mut [f32], score: f32) {
    map.iter_mut().for_each(|value| *value = value.min(score));
}

/// Raises `map` at the peak of map and `evidence`, which `score` was computed from, and cuts it off, so that its largest
/// value inside is `score`.
pub fn unite(map: &mut [f32], evidence: &[f32], inside: Option<&[bool]>, score: f32) {
    let mut peak: Option<(usize, f32)> = None;
    for at in (0..map.len()).filter(|&at| inside.is_none_or(|inside| inside[at])) {
        let level = map[at] + evidence[at];
        if peak.is_none_or(|(_, highest)| level > highest) {
            peak = Some((at, level));
        }
    }
    let Some((at, highest)) = peak else { return };
    let gain = (score - map[at]).max(0.0);
    let scale = if highest > 0.0 { 1.0 / highest } else { 0.0 };
    raise(map, evidence, gain, scale, score);
    // To the last bit, whatever the rounding.
    map[at] = score;
}

fn raise(map: &mut [f32], evidence: &[f32], gain: f32, scale: f32, score: f32) {
    dispatch!(raise_body(map: &mut [f32], evidence: &[f32], gain: f32, scale: f32, score: f32))
}

#[inline(always)]
fn raise_body<const FMA: bool>(map: &mut [f32], evidence: &[f32], gain: f32, scale: f32, score: f32) {
    for (value, evidence) in map.iter_mut().zip(evidence) {
        let square = ((*value + evidence) * scale) * ((*value + evidence) * scale);
        let fourth = square * square;
        *value = (*value + gain * (fourth * fourth)).min(score);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plane(length: usize, seed: u64) -> Vec<f32> {
        let mut random = crate::math::random::Random::new(seed);
        (0..length).map(|_| random.below(1000) as f32 / 500.0).collect()
    }

    proptest! {
        #[test]
        fn the_largest_value_is_the_score_and_lies_at_the_peak(
            length in 1usize..300, seed in any::<u64>(), score in 0.01f32..9.0, masked in any::<bool>(),
        ) {
            let (map, evidence) = (plane(length, seed), plane(length, seed ^ 1));
            let inside: Vec<bool> = (0..length).map(|at| !masked || at % 3 == 0).collect();
            let mut united = map.clone();
            unite(&mut united, &evidence, Some(&inside), score);
            let level = |at: &usize| map[*at] + evidence[*at];
            let peak = (0..length).filter(|at| inside[*at]).max_by(|a, b| level(a).total_cmp(&level(b)).then(b.cmp(a))).unwrap();
            prop_assert_eq!(united[peak], score);
            prop_assert!(united.iter().all(|value| *value <= score));
            let gain = (score - map[peak]).max(0.0);
            for at in (0..length).filter(|at| *at != peak) {
                let share = if level(&peak) > 0.0 { (level(&at) / level(&peak)).powi(8) } else { 0.0 };
                let expected = (map[at] + gain * share).min(score);
                prop_assert!((united[at] - expected).abs() < 1e-4 * (1.0 + expected), "{} for {}", united[at], expected);
            }
        }
    }
}
