//! The image score of a map: its highest values.

use crate::error::Result;
use crate::exec::memory::try_reserve;
use crate::math::kernels::dispatch;

/// The mean of the highest `share` of the map's values that are `inside`, of at least one value. A share of 0 is the
/// maximum.
///
/// Unlike the maximum, it is insensitive to single noisy pixels.
///
/// # Errors
/// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory).
pub fn peak(map: &[f32], inside: Option<&[bool]>, share: f64, scratch: &mut Vec<u32>) -> Result<f32> {
    scratch.clear();
    try_reserve(scratch, map.len())?;
    let share_of = |length: usize| ((length as f64 * share) as usize).max(1);
    let count = match inside {
        None => {
            let count = share_of(map.len());
            candidates(map, count, scratch);
            count
        }
        Some(inside) => {
            scratch.extend(map.iter().zip(inside).filter(|(_, inside)| **inside).map(|(v, _)| key(*v)));
            share_of(scratch.len())
        }
    };
    if scratch.is_empty() {
        return Ok(f32::NEG_INFINITY);
    }
    let rest = scratch.len() - count;
    scratch.select_nth_unstable(rest);
    Ok((scratch[rest..].iter().map(|key| f64::from(value(*key))).sum::<f64>() / count as f64) as f32)
}

/// Number of lanes whose maxima are computed together, and number of values per lane.
const LANES: usize = 16;
const DEPTH: usize = 8;

/// Writes a superset of the keys of the `count` highest values to `out`.
///
/// Of groups of [`DEPTH`] values, each group's largest: none of the highest is below the `count`-th of these. Few are left to
/// select among.
fn candidates(map: &[f32], count: usize, out: &mut Vec<u32>) {
    let blocks = map.chunks_exact(LANES * DEPTH);
    out.resize(blocks.len() * LANES, 0);
    largest(map, out);
    if out.len() < count {
        out.clear();
        out.extend(map.iter().copied().map(key));
        return;
    }
    let at = out.len() - count;
    let least = *out.select_nth_unstable(at).1;
    out.clear();
    for block in map.chunks(LANES * DEPTH) {
        // Testing a whole block vectorises, and most blocks have no such value.
        if block.iter().fold(false, |any, v| any | (key(*v) >= least)) {
            out.extend(block.iter().copied().map(key).filter(|key| *key >= least));
        }
    }
}

/// The largest key of each lane of each block.
fn largest(map: &[f32], out: &mut [u32]) {
    dispatch!(largest_body(map: &[f32], out: &mut [u32]))
}

#[inline(always)]
fn largest_body<const FMA: bool>(map: &[f32], out: &mut [u32]) {
    for (block, out) in map.chunks_exact(LANES * DEPTH).zip(out.chunks_exact_mut(LANES)) {
        for line in block.chunks_exact(LANES) {
            out.iter_mut().zip(line).for_each(|(out, v)| *out = key(*v).max(*out));
        }
    }
}

/// An order-preserving integer key of each value, since integers are selected several times as fast.
#[inline(always)]
fn key(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

/// The value of a key.
fn value(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// The largest value.
pub fn maximum(map: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = map.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane = if *value > *lane { *value } else { *lane });
    }
    lanes.into_iter().fold(rest, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_peak_is_the_mean_of_the_highest_values() {
        let map: Vec<f32> = (0..100).map(|i| (i * 37 % 100) as f32).collect();
        let mut scratch = Vec::new();
        assert_eq!(peak(&map, None, 0.0, &mut scratch).unwrap(), 99.0);
        assert_eq!(peak(&map, None, 0.04, &mut scratch).unwrap(), 97.5);
        assert_eq!(peak(&map, None, 1.0, &mut scratch).unwrap(), 49.5);
        let inside: Vec<bool> = map.iter().map(|v| *v < 50.0).collect();
        assert_eq!(peak(&map, Some(&inside), 0.04, &mut scratch).unwrap(), 48.5, "the highest two of fifty");
        let below: Vec<f32> = map.iter().map(|v| v - 98.5).collect();
        assert_eq!(peak(&below, None, 0.03, &mut scratch).unwrap(), -0.5, "of 0.5, -0.5 and -1.5");
    }

    proptest! {
        #[test]
        fn a_peak_is_what_sorting_gives(length in 1usize..3000, share in 0.0f64..0.3, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            // Few different values, so that many are equal.
            let map: Vec<f32> = (0..length).map(|_| random.below(300) as f32 / 10.0 - 10.0).collect();
            let mut sorted = map.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let count = ((length as f64 * share) as usize).max(1);
            let expected = sorted[..count].iter().map(|v| f64::from(*v)).sum::<f64>() / count as f64;
            let got = peak(&map, None, share, &mut Vec::new()).unwrap();
            prop_assert!((f64::from(got) - expected).abs() < 1e-4, "{got} instead of {expected}");
        }
    }
}
