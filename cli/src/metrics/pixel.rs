//! Metrics of anomaly maps: pixel AUROC and AUPRO.
//!
//! Each image has the same weight, whatever its size: a pixel, normal or defective, weighs one divided by the number of
//! pixels of its image. Otherwise the largest images of a data set would decide. If all images have one size, the metrics
//! are the usual ones of all pixels together. The defect regions of AUPRO each have the same weight.
//!
//! Maps are accumulated in histograms of a million bins, so memory does not depend on the size of the data set.
//! Neighbouring bins differ by 3e-5 relative, which does not affect the printed digits of a metric. Weights are added up as
//! integers, so the order of the images does not affect any digit.

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

/// The weight of an image or a region in fixed point. The weight of a pixel is exact to 2^-64, and sums of as many images
/// and regions do not overflow.
const ONE: u128 = 1 << 64;

/// The weight in each bin.
type Histogram = Vec<u128>;

/// Pixel metrics of a stream of anomaly maps with their masks.
pub struct PixelMetrics {
    /// The pixels of an image add one in total to these two.
    defective: Histogram,
    normal: Histogram,
    /// The pixels of a defect region add one in total.
    overlap: Histogram,
}

impl Default for PixelMetrics {
    fn default() -> Self {
        let empty = || vec![0; BINS];
        Self { defective: empty(), normal: empty(), overlap: empty() }
    }
}

impl PixelMetrics {
    /// Adds one map of rows of `width` values and its mask.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn add(&mut self, map: &[f32], mask: &[bool], width: usize) -> Result<()> {
        assert_eq!(map.len(), mask.len(), "a mask of the map's size");
        let weight = ONE / map.len().max(1) as u128;
        for (score, defective) in map.iter().zip(mask) {
            let weights = if *defective { &mut self.defective } else { &mut self.normal };
            weights[bin(*score)] += weight;
        }
        if mask.contains(&true) {
            let mut components = Components::default();
            let size = (width, mask.len() / width);
            let count = components.find(size, |_| false, |x, y| mask[y * width + x])?;
            let mut areas = vec![0; count];
            components.runs().for_each(|(number, run)| areas[number] += run.end - run.start);
            for (number, Run { y, start, end }) in components.runs() {
                let weight = ONE / areas[number] as u128;
                map[y * width..][start..end].iter().for_each(|score| self.overlap[bin(*score)] += weight);
            }
        }
        Ok(())
    }

    /// The pixel AUROC: the probability that a defective pixel scores above a normal one, where both are drawn with their
    /// images' weights and ties count half. None without defective or without normal pixels.
    pub fn auroc(&self) -> Option<f64> {
        area(self.defective.iter().zip(&self.normal).map(|(p, n)| (*p as f64, *n as f64)))
    }

    /// The area under the mean overlap of the defect regions against the false positive rate, which is the weight of the
    /// normal pixels above the threshold as a share of that of all normal pixels. The area is taken up to
    /// [`AUPRO_LIMIT`] and divided by it. None without regions or without normal pixels.
    pub fn aupro(&self) -> Option<f64> {
        let total = |histogram: &Histogram| histogram.iter().sum::<u128>() as f64;
        let (normal, regions) = (total(&self.normal), total(&self.overlap));
        if regions == 0.0 || normal == 0.0 {
            return None;
        }
        let (mut rate, mut overlap, mut area) = (0.0, 0.0, 0.0);
        for (added, negatives) in self.overlap.iter().zip(&self.normal).rev() {
            let step = *negatives as f64 / normal;
            let next = overlap + *added as f64 / regions;
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
    use npad::math::random::Random;
    use proptest::prelude::*;

    /// A map with its mask, in rows of `width`, and the pixels of each defect region.
    struct Image {
        width: usize,
        map: Vec<f32>,
        mask: Vec<bool>,
        regions: Vec<Vec<f32>>,
    }

    impl Image {
        /// A random map with two boxes that do not touch as defects: the regions are known without searching for them.
        fn new(random: &mut Random) -> Self {
            let (width, height) = (12 + random.below(20), 8 + random.below(20));
            // Distinct scores are in distinct bins.
            let map: Vec<f32> = (0..width * height).map(|_| random.below(1000) as f32 / 50.0 + 0.5).collect();
            let mut mask = vec![false; map.len()];
            let mut regions = Vec::new();
            for x in [1, 7] {
                let (right, bottom) = (x + 1 + random.below(5), 2 + random.below(height - 2));
                let inside = |i: &usize| (x..right).contains(&(i % width)) && (1..bottom).contains(&(i / width));
                regions.push((0..map.len()).filter(inside).map(|i| map[i]).collect());
                (0..map.len()).filter(inside).for_each(|i| mask[i] = true);
            }
            Self { width, map, mask, regions }
        }

        fn sample(seed: u64) -> Vec<Self> {
            let mut random = Random::new(seed);
            (0..4).map(|_| Self::new(&mut random)).collect()
        }

        /// Score and weight of the pixels, defective or normal ones.
        fn pixels(&self, defective: bool) -> impl Iterator<Item = (f32, f64)> {
            let weight = 1.0 / self.map.len() as f64;
            self.map.iter().zip(&self.mask).filter(move |(_, d)| **d == defective).map(move |(s, _)| (*s, weight))
        }
    }

    fn measure<'a>(images: impl IntoIterator<Item = &'a Image>) -> PixelMetrics {
        let mut metrics = PixelMetrics::default();
        images.into_iter().for_each(|image| metrics.add(&image.map, &image.mask, image.width).unwrap());
        metrics
    }

    fn share(of: &[(f32, f64)], threshold: f32) -> f64 {
        let weight = |least: f32| of.iter().filter(|p| p.0 >= least).map(|p| p.1).sum::<f64>();
        weight(threshold) / weight(f32::MIN)
    }

    /// The weight of all pairs whose defective pixel scores higher, ties counting half.
    fn auroc_by_definition(images: &[Image]) -> f64 {
        let (mut won, mut all) = (0.0, 0.0);
        for (positive, weight) in images.iter().flat_map(|image| image.pixels(true)) {
            for (negative, other) in images.iter().flat_map(|image| image.pixels(false)) {
                let win = if positive > negative { 1.0 } else { f64::from(u8::from(positive == negative)) / 2.0 };
                won += win * weight * other;
                all += weight * other;
            }
        }
        won / all
    }

    /// Overlap and false positive rate at every threshold, joined by straight lines.
    fn aupro_by_definition(images: &[Image]) -> f64 {
        let mut thresholds: Vec<f32> = images.iter().flat_map(|image| image.map.iter().copied()).collect();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        thresholds.dedup();
        let negatives: Vec<(f32, f64)> = images.iter().flat_map(|image| image.pixels(false)).collect();
        let regions = || images.iter().flat_map(|image| &image.regions);
        let mut curve = vec![(0.0, 0.0)];
        for t in thresholds {
            let found = |region: &Vec<f32>| region.iter().filter(|s| **s >= t).count() as f64 / region.len() as f64;
            curve.push((share(&negatives, t), regions().map(found).sum::<f64>() / regions().count() as f64));
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn pixel_metrics_equal_their_definitions(seed in any::<u64>()) {
            let images = Image::sample(seed);
            let metrics = measure(&images);
            prop_assert!((metrics.auroc().unwrap() - auroc_by_definition(&images)).abs() < 1e-9);
            prop_assert!((metrics.aupro().unwrap() - aupro_by_definition(&images)).abs() < 1e-9);
        }

        #[test]
        fn the_order_of_the_images_changes_nothing(seed in any::<u64>()) {
            let images = Image::sample(seed);
            let (forwards, backwards) = (measure(&images), measure(images.iter().rev()));
            prop_assert_eq!(forwards.auroc().unwrap().to_bits(), backwards.auroc().unwrap().to_bits());
            prop_assert_eq!(forwards.aupro().unwrap().to_bits(), backwards.aupro().unwrap().to_bits());
        }
    }

    /// A square map whose upper left pixel is defective, with the scores of that pixel and of all others.
    fn square(side: usize, defective: f32, normal: f32) -> Image {
        let first = |i: usize| i == 0;
        let map: Vec<f32> = (0..side * side).map(|i| if first(i) { defective } else { normal }).collect();
        let mask = (0..map.len()).map(first).collect();
        Image { width: side, regions: vec![vec![map[0]]], map, mask }
    }

    #[test]
    fn a_large_image_does_not_decide() {
        // Three small images whose defects stand out, and a large one with noise above all of them.
        let small = || square(10, 5.0, 1.0);
        let metrics = measure(&[small(), small(), small(), square(1000, 2.0, 9.0)]);
        // The normal pixels of the large image are a quarter of the weight, though 99.97 % of the pixels.
        let normal = [0.99, 0.99, 0.99, 0.999_999];
        let large = normal[3] / normal.iter().sum::<f64>();
        // Every defective pixel scores below the large image's normal ones and above the others. Its own weight is 1/100
        // in the small images and 1/1000000 in the large one, but all rank alike.
        assert!((metrics.auroc().unwrap() - (1.0 - large)).abs() < 1e-9);
        // No region is found below the large image's share of the false positive rate, and all from there on: the curve
        // rises at once by the three defects of 5.0 and then by that of 2.0.
        assert!((metrics.aupro().unwrap() - (AUPRO_LIMIT - large) / AUPRO_LIMIT).abs() < 1e-9);
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
