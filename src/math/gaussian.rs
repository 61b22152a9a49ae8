//! Weighted Gaussians, one per grid position: sufficient statistics, shrinkage, and held-out distances.
//!
//! The statistics (weight, weighted sum, weighted second moment) add up over images, so a fit streams, continues and
//! merges. Moments are taken about a fixed centre near the mean: raw second moments in f32 would lose the variance of
//! features that hardly vary.

use rayon::prelude::*;

use super::kernels::{blocked_index, blocked_len, dispatch, fma, pack_whitener, padded, scatter_add, whiten};
use super::linalg::{cholesky, invert_lower};

/// Sufficient statistics of one Gaussian per position: a commutative monoid under [`Moments::merge`].
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    dimension: usize,
    centre: Vec<f32>,
    weight: Vec<f32>,
    sum: Vec<f32>,
    scatter: Vec<f32>,
}

/// The statistics of one position, open for adding samples.
pub struct Position<'a> {
    dimension: usize,
    /// What samples are taken relative to; `padded(dimension)` values.
    pub centre: &'a [f32],
    weight: &'a mut f32,
    sum: &'a mut [f32],
    scatter: &'a mut [f32],
}

impl Position<'_> {
    /// Adds samples: each row holds `sqrt(weight) * (sample - centre)`, padded with zeros, `roots` the `sqrt(weight)`.
    pub fn add(&mut self, rows: &[f32], roots: &[f32]) {
        for (row, &root) in rows.chunks_exact(padded(self.dimension)).zip(roots) {
            *self.weight += root * root;
            self.sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += root * x);
        }
        scatter_add(rows, self.dimension, self.scatter);
    }
}

impl Moments {
    /// Statistics of nothing yet, about `centre` (`padded(dimension)` values a position, padding zero).
    pub fn new(dimension: usize, centre: Vec<f32>) -> Self {
        let positions = centre.len() / padded(dimension);
        Self {
            dimension,
            weight: vec![0.0; positions],
            sum: vec![0.0; centre.len()],
            scatter: vec![0.0; positions * blocked_len(dimension)],
            centre,
        }
    }

    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.weight.len()
    }

    /// Values per sample.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The sum of the weights of all samples at position `p`.
    pub fn weight(&self, p: usize) -> f32 {
        self.weight[p]
    }

    /// All positions, to be filled in parallel.
    pub fn positions_mut(&mut self) -> impl IndexedParallelIterator<Item = Position<'_>> {
        let (dimension, row_len, triangle) = (self.dimension, padded(self.dimension), blocked_len(self.dimension));
        self.centre
            .par_chunks_exact(row_len)
            .zip(self.weight.par_iter_mut())
            .zip(self.sum.par_chunks_exact_mut(row_len))
            .zip(self.scatter.par_chunks_exact_mut(triangle))
            .map(move |(((centre, weight), sum), scatter)| Position { dimension, centre, weight, sum, scatter })
    }

    /// The mean of all positions' covariances: the lower triangle, row-major.
    pub fn pooled(&self) -> Vec<f64> {
        let (d, row_len, triangle) = (self.dimension, padded(self.dimension), blocked_len(self.dimension));
        let share = 1.0 / self.positions() as f64;
        let mut pooled = vec![0.0; d * d];
        for p in 0..self.positions() {
            let weight = f64::from(self.weight[p]);
            let (sum, scatter) = (&self.sum[p * row_len..], &self.scatter[p * triangle..]);
            for i in 0..d {
                for j in 0..=i {
                    let mean_product = f64::from(sum[i]) * f64::from(sum[j]) / (weight * weight);
                    pooled[i * d + j] += share * (f64::from(scatter[blocked_index(i, j)]) / weight - mean_product);
                }
            }
        }
        pooled
    }

    /// Adds the statistics of other images of the same kind; their centre may differ.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!((self.dimension, self.positions()), (other.dimension, other.positions()), "statistics of one kind");
        let (d, row_len, triangle) = (self.dimension, padded(self.dimension), blocked_len(self.dimension));
        for p in 0..self.positions() {
            let row = p * row_len..p * row_len + row_len;
            let moved: Vec<f32> =
                other.centre[row.clone()].iter().zip(&self.centre[row.clone()]).map(|(a, b)| a - b).collect();
            let (weight, sum) = (other.weight[p], &other.sum[row.clone()]);
            let scatter = &mut self.scatter[p * triangle..][..triangle];
            for i in 0..d {
                for j in 0..d.min(padded(i + 1)) {
                    let at = blocked_index(i, j);
                    scatter[at] += other.scatter[p * triangle + at]
                        + sum[i] * moved[j]
                        + moved[i] * sum[j]
                        + weight * moved[i] * moved[j];
                }
            }
            self.weight[p] += weight;
            for ((out, sum), moved) in self.sum[row].iter_mut().zip(sum).zip(&moved) {
                *out += sum + weight * moved;
            }
        }
    }
}

/// What a covariance is drawn towards, and how far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shrinkage {
    /// Towards a multiple of the identity by a fixed share, 0 to 1.
    Fixed(f64),
    /// Towards a multiple of the identity by the oracle approximating estimate (Chen, Wiesel, Eldar, Hero 2010, eq. 23).
    Oas,
    /// Towards the mean covariance of all positions, by Ledoit and Wolf's optimal share for Gaussian samples.
    Pooled,
}

/// What is done to a covariance before it is inverted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regularisation {
    /// First the covariance is shrunk,
    pub shrinkage: Shrinkage,
    /// then this is added to its diagonal.
    pub ridge: f64,
}

/// The share of the oracle approximating estimate, from the traces of a covariance and its square.
fn oas_share(dimension: usize, samples: f64, trace: f64, trace_of_square: f64) -> f64 {
    let p = dimension as f64;
    let above = (1.0 - 2.0 / p) * trace_of_square + trace * trace;
    let below = (samples + 1.0 - 2.0 / p) * (trace_of_square - trace * trace / p);
    if below > 0.0 { (above / below).clamp(0.0, 1.0) } else { 1.0 }
}

/// The share that minimises the expected squared error of `(1 - share) S + share T` (Ledoit and Wolf 2004): the variance
/// of S, which for Gaussian samples is `(tr(S)^2 + tr(S^2)) / n`, over its squared distance from T.
fn pooled_share(samples: f64, trace: f64, trace_of_square: f64, distance: f64) -> f64 {
    let variance = (trace * trace + trace_of_square) / samples;
    if distance > 0.0 { (variance / distance).clamp(0.0, 1.0) } else { 1.0 }
}

/// Mean and whitener of one position. `W (x - mean)` has the squared length `(x - mean)' C^-1 (x - mean)`.
pub struct Gaussian<'a> {
    /// `padded(dimension)` values.
    pub mean: &'a mut [f32],
    /// The blocked lower triangle of W, see [`super::kernels::blocked_len`].
    pub whitener: &'a mut [f32],
    /// The share of the sample covariance that shrinkage kept.
    pub kept: &'a mut f32,
}

/// Reusable memory for [`Estimator::estimate`].
pub struct Estimator<'a> {
    covariance: Vec<f64>,
    inverse: Vec<f64>,
    pooled: &'a [f64],
}

impl<'a> Estimator<'a> {
    /// Memory for one dimension; `pooled` is what [`Shrinkage::Pooled`] draws towards, see [`Moments::pooled`].
    pub fn new(dimension: usize, pooled: &'a [f64]) -> Self {
        Self { covariance: vec![0.0; dimension * dimension], inverse: vec![0.0; dimension * dimension], pooled }
    }

    fn distance_from_pooled(&self) -> f64 {
        let d = (self.covariance.len() as f64).sqrt() as usize;
        let square = |i: usize, j: usize| (self.covariance[i * d + j] - self.pooled[i * d + j]).powi(2);
        (0..d).map(|i| 2.0 * (0..i).map(|j| square(i, j)).sum::<f64>() + square(i, i)).sum()
    }

    /// The last estimate's whitener in full precision, row-major; zero above the diagonal.
    pub fn whitener(&self) -> &[f64] {
        &self.inverse
    }

    /// Turns position `p`'s statistics of `images` images into a Gaussian.
    ///
    /// Returns false when the covariance is too close to singular, which a larger ridge cures.
    pub fn estimate(
        &mut self,
        moments: &Moments,
        p: usize,
        images: usize,
        regularisation: Regularisation,
        out: Gaussian<'_>,
    ) -> bool {
        let (d, row_len, triangle) = (moments.dimension, padded(moments.dimension), blocked_len(moments.dimension));
        let weight = f64::from(moments.weight[p]);
        let sum = &moments.sum[p * row_len..][..row_len];
        let scatter = &moments.scatter[p * triangle..][..triangle];
        let offset: Vec<f64> = sum[..d].iter().map(|s| f64::from(*s) / weight).collect();
        for ((mean, centre), offset) in out.mean.iter_mut().zip(&moments.centre[p * row_len..]).zip(&offset) {
            *mean = centre + *offset as f32;
        }
        let (mut trace, mut trace_of_square) = (0.0, 0.0);
        for i in 0..d {
            for j in 0..=i {
                let value = f64::from(scatter[blocked_index(i, j)]) / weight - offset[i] * offset[j];
                self.covariance[i * d + j] = value;
                trace_of_square += if i == j { value * value } else { 2.0 * value * value };
            }
            trace += self.covariance[i * d + i];
        }
        let samples = images as f64;
        let share = match regularisation.shrinkage {
            Shrinkage::Fixed(share) => share,
            Shrinkage::Oas => oas_share(d, samples, trace, trace_of_square),
            Shrinkage::Pooled => pooled_share(samples, trace, trace_of_square, self.distance_from_pooled()),
        };
        for i in 0..d {
            for (c, target) in self.covariance[i * d..][..=i].iter_mut().zip(&self.pooled[i * d..]) {
                *c = (1.0 - share) * *c
                    + if regularisation.shrinkage == Shrinkage::Pooled { share * target } else { 0.0 };
            }
            if regularisation.shrinkage != Shrinkage::Pooled {
                self.covariance[i * d + i] += share * trace / d as f64;
            }
            self.covariance[i * d + i] += regularisation.ridge;
        }
        *out.kept = (1.0 - share) as f32;
        if !cholesky(&mut self.covariance, d) {
            return false;
        }
        invert_lower(&self.covariance, d, &mut self.inverse);
        pack_whitener(&self.inverse, d, out.whitener);
        true
    }
}

/// Distances of an image from Gaussians estimated without it, in closed form.
///
/// An image enters a position's statistics with a few weighted samples. Taking them out again is a low-rank change of
/// the covariance, so by the Woodbury identity its inverse follows from the whitener at hand: every good image can be
/// scored as though it had not been learnt from, at the cost of a few whitenings. The alternatives, refitting on folds,
/// would cost a decomposition a fold and estimate from fewer images than the model has, which overstates the distances.
/// The shrinkage share and the ridge are taken as unchanged.
#[derive(Default)]
pub struct LeaveOut {
    rows: Vec<f32>,
    white: Vec<f32>,
    gram: Vec<f64>,
}

/// The Gaussian that [`LeaveOut::distances`] starts from.
#[derive(Clone, Copy)]
pub struct Estimate<'a> {
    /// Values per sample.
    pub dimension: usize,
    /// `padded(dimension)` values.
    pub mean: &'a [f32],
    /// The blocked lower triangle of W.
    pub whitener: &'a [f32],
    /// The share of the sample covariance that shrinkage kept.
    pub kept: f32,
    /// The weight of all samples.
    pub weight: f32,
}

impl LeaveOut {
    /// The Mahalanobis distances of `queries` from `gaussian` without the image whose samples and weights are given.
    ///
    /// `samples` and `queries` hold rows of `padded(dimension)` values with zero padding.
    pub fn distances(
        &mut self,
        gaussian: Estimate<'_>,
        samples: &[f32],
        weights: &[f32],
        queries: &[f32],
        out: &mut [f32],
    ) {
        leave_out(self, gaussian, samples, weights, queries, out);
    }

    #[inline(always)]
    fn distances_body<const FMA: bool>(
        &mut self,
        gaussian: Estimate<'_>,
        samples: &[f32],
        weights: &[f32],
        queries: &[f32],
        out: &mut [f32],
    ) {
        let row_len = padded(gaussian.dimension);
        let (count, total) = (weights.len(), f64::from(gaussian.weight));
        let weight: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        let remaining = total - weight;
        // Rows: the samples about their own mean, that mean about the whole's, the queries about the whole's.
        self.rows.clear();
        self.rows.extend_from_slice(samples);
        self.rows.resize((count + 1) * row_len, 0.0);
        self.rows.extend_from_slice(queries);
        let (group, rest) = self.rows.split_at_mut(count * row_len);
        let (shift, queries) = rest.split_at_mut(row_len);
        for (row, sample_weight) in group.chunks_exact(row_len).zip(weights) {
            let share = sample_weight / weight as f32;
            shift.iter_mut().zip(row).for_each(|(s, x)| *s += share * x);
        }
        let subtract = |row: &mut [f32], from: &[f32]| row.iter_mut().zip(from).for_each(|(x, m)| *x -= m);
        group.chunks_exact_mut(row_len).for_each(|row| subtract(row, shift));
        queries.chunks_exact_mut(row_len).for_each(|row| subtract(row, gaussian.mean));
        subtract(shift, gaussian.mean);
        self.white.resize(self.rows.len(), 0.0);
        whiten(gaussian.whitener, gaussian.dimension, &self.rows, &mut self.white);
        let (removed, queries) = self.white.split_at_mut((count + 1) * row_len);
        let scale = f64::from(gaussian.kept) / total;
        let pull = (weight / remaining) as f32;
        for query in queries.chunks_exact_mut(row_len) {
            let shift = &removed[count * row_len..];
            query.iter_mut().zip(shift).for_each(|(q, s)| *q += pull * s);
        }
        for (k, row) in removed.chunks_exact_mut(row_len).enumerate() {
            let factor = if k < count { f64::from(weights[k]) } else { total * weight / remaining };
            let factor = (scale * factor).sqrt() as f32;
            row.iter_mut().for_each(|v| *v *= factor);
        }
        self.solve::<FMA>(count + 1, row_len, remaining / total, out);
    }

    /// With V the removed rows and z a query, both whitened: `|z|^2 + (V z)' (I - V V')^-1 (V z)`, scaled.
    #[inline(always)]
    fn solve<const FMA: bool>(&mut self, count: usize, row_len: usize, scale: f64, out: &mut [f32]) {
        let (removed, queries) = self.white.split_at(count * row_len);
        let row = |k: usize| &removed[k * row_len..][..row_len];
        self.gram.resize(count * count, 0.0);
        for i in 0..count {
            for j in 0..=i {
                self.gram[i * count + j] = -dot::<FMA>(row(i), row(j));
            }
            self.gram[i * count + i] += 1.0 + ROUNDING;
        }
        let definite = cholesky(&mut self.gram, count);
        for (z, out) in queries.chunks_exact(row_len).zip(out) {
            let mut square = dot::<FMA>(z, z);
            if definite {
                // Forward substitution with the factor of I - V V'.
                let mut solved = [0.0f64; MAX_GROUP];
                for i in 0..count {
                    let known: f64 = (0..i).map(|j| self.gram[i * count + j] * solved[j]).sum();
                    solved[i] = (dot::<FMA>(row(i), z) - known) / self.gram[i * count + i];
                    square += solved[i] * solved[i];
                }
            } else {
                // Nothing of the variance in some direction comes from other images: as far out as can be told.
                square /= ROUNDING;
            }
            *out = (square * scale).max(0.0).sqrt() as f32;
        }
    }
}

/// What rounding may take from the variance that the other images leave in a direction.
const ROUNDING: f64 = 1e-6;

/// The most samples of one image at a position, and one for their mean: a 7 x 7 neighbourhood.
pub const MAX_GROUP: usize = 50;

/// [`LeaveOut::distances`] for the best instruction set of this processor.
fn leave_out(
    state: &mut LeaveOut,
    gaussian: Estimate<'_>,
    samples: &[f32],
    weights: &[f32],
    queries: &[f32],
    out: &mut [f32],
) {
    #[inline(always)]
    fn body<const FMA: bool>(
        state: &mut LeaveOut,
        gaussian: Estimate<'_>,
        samples: &[f32],
        weights: &[f32],
        queries: &[f32],
        out: &mut [f32],
    ) {
        state.distances_body::<FMA>(gaussian, samples, weights, queries, out);
    }
    dispatch!(body(
        state: &mut LeaveOut, gaussian: Estimate<'_>, samples: &[f32], weights: &[f32], queries: &[f32], out: &mut [f32]
    ))
}

#[inline(always)]
fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for l in 0..LANES {
            lanes[l] = fma::<FMA>(a[l], b[l], lanes[l]);
        }
    }
    f64::from(tail) + lanes.iter().map(|&l| f64::from(l)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::Random;
    use proptest::prelude::*;

    const RIDGE: Regularisation = Regularisation { shrinkage: Shrinkage::Fixed(0.0), ridge: 0.05 };

    /// Images of `group` weighted samples each, at one position.
    struct Data {
        dimension: usize,
        samples: Vec<Vec<f32>>,
        weights: Vec<Vec<f32>>,
    }

    impl Data {
        fn new(dimension: usize, group: usize, images: usize, seed: u64) -> Self {
            let mut random = Random::new(seed);
            let mut value = || random.below(2001) as f32 / 1000.0 - 1.0;
            let samples = (0..images)
                .map(|_| {
                    (0..group)
                        .flat_map(|_| {
                            let mut row: Vec<f32> = (0..dimension).map(|i| value() * (i + 1) as f32 + 3.0).collect();
                            row.resize(padded(dimension), 0.0);
                            row
                        })
                        .collect()
                })
                .collect();
            let weights = (0..images).map(|_| (0..group).map(|_| value().abs() + 0.1).collect()).collect();
            Self { dimension, samples, weights }
        }

        fn moments(&self, images: impl Iterator<Item = usize>, centre: f32) -> Moments {
            let row_len = padded(self.dimension);
            let mut about = vec![centre; self.dimension];
            about.resize(row_len, 0.0);
            let mut moments = Moments::new(self.dimension, about);
            for n in images {
                let roots: Vec<f32> = self.weights[n].iter().map(|w| w.sqrt()).collect();
                let mut rows = self.samples[n].clone();
                for (row, root) in rows.chunks_mut(row_len).zip(&roots) {
                    row[..self.dimension].iter_mut().for_each(|x| *x = (*x - centre) * root);
                }
                moments.positions_mut().for_each(|mut p| p.add(&rows, &roots));
            }
            moments
        }
    }

    struct Fit {
        mean: Vec<f32>,
        whitener: Vec<f32>,
        kept: f32,
        weight: f32,
    }

    fn fit(moments: &Moments, images: usize, regularisation: Regularisation) -> Fit {
        let d = moments.dimension();
        let mut fit = Fit {
            mean: vec![0.0; padded(d)],
            whitener: vec![0.0; blocked_len(d)],
            kept: 0.0,
            weight: moments.weight(0),
        };
        let out = Gaussian { mean: &mut fit.mean, whitener: &mut fit.whitener, kept: &mut fit.kept };
        assert!(Estimator::new(d, &[0.0; 400]).estimate(moments, 0, images, regularisation, out));
        fit
    }

    fn distance(fit: &Fit, dimension: usize, x: &[f32]) -> f32 {
        let y: Vec<f32> = x.iter().zip(&fit.mean).map(|(x, m)| x - m).collect();
        let mut z = vec![0.0; y.len()];
        whiten(&fit.whitener, dimension, &y, &mut z);
        dot::<false>(&z, &z).sqrt() as f32
    }

    proptest! {
        #[test]
        fn merging_two_halves_gives_the_whole(dimension in 1usize..12, images in 2usize..9, seed in any::<u64>()) {
            let data = Data::new(dimension, 3, images, seed);
            let whole = data.moments(0..images, 2.5);
            let mut halves = data.moments((0..images).step_by(2), 2.5);
            halves.merge(&data.moments((1..images).step_by(2), 3.5));
            prop_assert!((whole.weight(0) - halves.weight(0)).abs() < 1e-4);
            let scale = whole.scatter.iter().fold(1.0f32, |a, b| a.max(b.abs()));
            for (a, b) in whole.sum.iter().zip(&halves.sum).chain(whole.scatter.iter().zip(&halves.scatter)) {
                prop_assert!((a - b).abs() < 1e-4 * scale, "{a} and {b}");
            }
        }

        #[test]
        fn leaving_an_image_out_equals_fitting_without_it(
            dimension in 1usize..10, images in 4usize..12, out in 0usize..4, seed in any::<u64>()
        ) {
            let data = Data::new(dimension, 4, images, seed);
            let whole = fit(&data.moments(0..images, 3.0), images, RIDGE);
            let without_moments = data.moments((0..images).filter(|n| *n != out), 3.0);
            // The closed form keeps the ridge's share of the whole, so the refit must use that ridge.
            let ridge = RIDGE.ridge * f64::from(whole.weight / without_moments.weight(0));
            let without = fit(&without_moments, images - 1, Regularisation { ridge, ..RIDGE });
            let gaussian = Estimate {
                dimension, mean: &whole.mean, whitener: &whole.whitener, kept: whole.kept, weight: whole.weight,
            };
            let mut got = [0.0; 4];
            LeaveOut::default().distances(gaussian, &data.samples[out], &data.weights[out], &data.samples[out], &mut got);
            for (got, query) in got.iter().zip(data.samples[out].chunks(padded(dimension))) {
                let expected = distance(&without, dimension, query);
                prop_assert!((got - expected).abs() < 1e-3 * expected + 1e-3, "{got} instead of {expected}");
            }
        }
    }

    #[test]
    fn oas_shrinks_more_with_fewer_images() {
        let data = Data::new(8, 1, 60, 1);
        let kept = |images: usize| {
            let regularisation = Regularisation { shrinkage: Shrinkage::Oas, ridge: 1e-6 };
            fit(&data.moments(0..images, 3.0), images, regularisation).kept
        };
        assert!(kept(4) < kept(15) && kept(15) < kept(60) && kept(60) < 1.0);
    }

    #[test]
    fn a_singular_covariance_is_told() {
        let data = Data::new(3, 1, 1, 1);
        let moments = data.moments(0..1, 3.0);
        let (mut mean, mut whitener, mut kept) = (vec![0.0; 8], vec![0.0; 64], 0.0);
        let out = Gaussian { mean: &mut mean, whitener: &mut whitener, kept: &mut kept };
        let none = Regularisation { shrinkage: Shrinkage::Fixed(0.0), ridge: 0.0 };
        assert!(!Estimator::new(3, &[0.0; 9]).estimate(&moments, 0, 1, none, out));
    }
}
