//! Metrics of anomaly maps: pixel AUROC and AUPRO.
//!
//! Maps are accumulated in histograms of a million bins, so memory does not depend on the size of the data set.
//! Neighbouring bins differ by 3e-5 relative, which does not affect the printed digits of a metric.

use super::image::area;
use npad::error::Result;
use npad::postprocess::{Components, Run};

/// AUPRO is integrated up to this false positive rate, as in MVTec AD's evaluation (Bergmann et al. 2021).
pub const AUPRO_LIMIT: f64 = 0.3;

/// Number of powers of two with separate bins, from 2^-LOWEST up.
const EXPONENTS: u32 = 32;
const LOWEST: u32 = 16;
/// Bins per power of two, in bits of the mantissa.
const MANTISSA_BITS: u32 = 15;
const BINS: usize = (EXPONENTS as usize) << MANTISSA_BITS;

/// The bin of a score: its leading bits, whose order is that of positive floats.
fn bin(score: f32) -> usize {
    let key = score.max(0.0).to_bits() >> (23 - MANTISSA_BITS);
    let lowest = (127 - LOWEST) << MANTISSA_BITS;
    (key.saturating_sub(lowest) as usize).min(BINS - 1)
}

/// Pixel metrics of a stream of anomaly maps with their masks.
pub struct PixelMetrics {
    defective: Vec<u64>,
    normal: Vec<u64>,
    /// Each defect region adds a total of one to its pixels' bins.
    overlap: Vec<f64>,
    regions: usize,
}

impl Default for PixelMetrics {
    fn default() -> Self {
        Self { defective: vec![0; BINS], normal: vec![0; BINS], overlap: vec![0.0; BINS], regions: 0 }
    }
}

impl PixelMetrics {
    /// Adds one map of rows of `width` values and its mask.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn add(&mut self, map: &[f32], mask: &[bool], width: usize) -> Result<()> {
        assert_eq!(map.len(), mask.len(), "a mask of the map's size");
        for (score, defective) in map.iter().zip(mask) {
            let counts = if *defective { &mut self.defective } else { &mut self.normal };
            counts[bin(*score)] += 1;
        }
        if mask.contains(&true) {
            let mut components = Components::default();
            let size = (width, mask.len() / width);
            let count = components.find(size, |_| false, |x, y| mask[y * width + x])?;
            self.regions += count;
            let mut areas = vec![0; count];
            components.runs().for_each(|(number, run)| areas[number] += run.end - run.start);
            for (number, Run { y, start, end }) in components.runs() {
                let share = 1.0 / areas[number] as f64;
                map[y * width..][start..end].iter().for_each(|value| self.overlap[bin(*value)] += share);
            }
        }
        Ok(())
    }

    /// The pixel AUROC; none without defective pixels.
    pub fn auroc(&self) -> Option<f64> {
        area(self.defective.iter().zip(&self.normal).map(|(p, n)| (*p as f64, *n as f64)))
    }

    /// The area under the mean overlap of the defect regions against the false positive rate, up to [`AUPRO_LIMIT`] and
    /// divided by it; none without regions.
    pub fn aupro(&self) -> Option<f64> {
        let normal: u64 = self.normal.iter().sum();
        if self.regions == 0 || normal == 0 {
            return None;
        }
        let (mut rate, mut overlap, mut area) = (0.0, 0.0, 0.0);
        for (added, negatives) in self.overlap.iter().zip(&self.normal).rev() {
            let step = *negatives as f64 / normal as f64;
            let next = overlap + added / self.regions as f64;
            let left = AUPRO_LIMIT - rate;
            if step >= left {
                let at_limit = overlap + (next - overlap) * left / step;
                return Some((area + left * (overlap + at_limit) / 2.0) / AUPRO_LIMIT);
            }
            area += step * (overlap + next) / 2.0;
            rate += step;
            overlap = next;
        }
        Some((area + (AUPRO_LIMIT - rate) * overlap) / AUPRO_LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::auroc;
    use npad::math::random::Random;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pixel_metrics_equal_their_definitions(seed in any::<u64>()) {
            let (width, height) = (16, 12);
            let mut random = Random::new(seed);
            let mut metrics = PixelMetrics::default();
            let (mut pixels, mut regions) = (Vec::new(), Vec::<Vec<f32>>::new());
            for image in 0..3 {
                let map: Vec<f32> = (0..width * height).map(|_| random.below(1000) as f32 / 50.0 + 0.5).collect();
                let mut mask = vec![false; map.len()];
                // Two boxes that do not touch: the regions are known without searching for them.
                for (x, y) in [(1, 1), (9, 2 + image)] {
                    let inside = |i: &usize| (x..x + 4).contains(&(i % width)) && (y..y + 3).contains(&(i / width));
                    regions.push((0..map.len()).filter(inside).map(|i| map[i]).collect());
                    (0..map.len()).filter(inside).for_each(|i| mask[i] = true);
                }
                metrics.add(&map, &mask, width).unwrap();
                pixels.extend(map.into_iter().zip(mask));
            }
            prop_assert!((metrics.auroc().unwrap() - auroc(&pixels).unwrap()).abs() < 1e-3);
            prop_assert!((metrics.aupro().unwrap() - aupro_by_definition(&pixels, &regions)).abs() < 2e-3);
        }
    }

    /// Overlap and false positive rate at every threshold, joined by straight lines.
    fn aupro_by_definition(pixels: &[(f32, bool)], regions: &[Vec<f32>]) -> f64 {
        let mut thresholds: Vec<f32> = pixels.iter().map(|p| p.0).collect();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        thresholds.dedup();
        let negatives: Vec<f32> = pixels.iter().filter(|p| !p.1).map(|p| p.0).collect();
        let share = |of: &[f32], t: f32| of.iter().filter(|s| **s >= t).count() as f64 / of.len() as f64;
        let mut curve = vec![(0.0, 0.0)];
        for t in thresholds {
            let overlap = regions.iter().map(|r| share(r, t)).sum::<f64>() / regions.len() as f64;
            curve.push((share(&negatives, t), overlap));
        }
        let mut area = 0.0;
        for pair in curve.windows(2) {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            let end = x1.min(AUPRO_LIMIT);
            if end > x0 {
                area += (end - x0) * (y0 + (y0 + (y1 - y0) * (end - x0) / (x1 - x0))) / 2.0;
            }
        }
        area / AUPRO_LIMIT
    }

    #[test]
    fn perfect_maps_score_one() {
        let mask: Vec<bool> = (0..100).map(|i| i % 10 < 3 && i < 30).collect();
        let map: Vec<f32> = mask.iter().map(|m| if *m { 9.0 } else { 1.0 }).collect();
        let mut metrics = PixelMetrics::default();
        metrics.add(&map, &mask, 10).unwrap();
        assert_eq!(metrics.auroc(), Some(1.0));
        assert!((metrics.aupro().unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(PixelMetrics::default().aupro(), None);
    }

    #[test]
    fn bins_order_as_scores_do() {
        let scores = [0.0, 1e-9, 1e-4, 0.5, 1.0, 1.001, 7.5, 500.0, 1e9];
        assert!(scores.windows(2).all(|pair| bin(pair[0]) <= bin(pair[1])));
        assert!(bin(1.0) < bin(1.0001) && bin(-1.0) == 0);
    }
}
