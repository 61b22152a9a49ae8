use super::*;
use crate::exec::Threads;
use crate::math::kernels::whiten;
use crate::math::random::Random;
use crate::math::vector::dot;
use nalgebra::DVector;
use proptest::prelude::*;

const RIDGE: Regularisation = Regularisation { target: Target::Identity, share: Share::Fixed(0.0), ridge: 0.05 };

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

    fn moments(&self, images: impl Iterator<Item = usize>) -> Moments {
        self.rounded(images, f64::from)
    }

    fn rounded(&self, images: impl Iterator<Item = usize>, round: fn(f32) -> f64) -> Moments {
        let mut moments = Moments::new(self.dimension, vec![0, 1]).unwrap();
        for n in images {
            let roots: Vec<f32> = self.weights[n].iter().map(|w| w.sqrt()).collect();
            let rows = self.samples[n].chunks(padded(self.dimension)).zip(&roots);
            let rows: Vec<f64> = rows.flat_map(|(row, root)| row.iter().map(move |x| round(x * root))).collect();
            let roots: Vec<f64> = roots.into_iter().map(round).collect();
            moments.block_mut(0).add(&rows, &roots, &vec![0; roots.len()]);
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
        weight: moments.weights()[0] as f32,
    };
    let out = Gaussian { means: &mut fit.mean, whitener: &mut fit.whitener, kept: &mut fit.kept };
    assert!(Estimator::new(&pooled(d)).unwrap().estimate(moments, 0, images, regularisation, out));
    fit
}

/// The mean covariance of all positions.
fn pooled(dimension: usize) -> DMatrix<f64> {
    DMatrix::from_fn(dimension, dimension, |i, j| if i == j { 2.0 + i as f64 } else { 0.5 })
}

fn distance(fit: &Fit, dimension: usize, x: &[f32]) -> f32 {
    let y: Vec<f32> = x.iter().zip(&fit.mean).map(|(x, m)| x - m).collect();
    let mut z = vec![0.0; y.len()];
    whiten(&fit.whitener, dimension, &y, &mut z);
    dot::<16, false, f64>(&z, &z).sqrt() as f32
}

proptest! {
    #[test]
    fn merging_two_halves_gives_the_whole(dimension in 1usize..12, images in 2usize..9, seed in any::<u64>()) {
        let data = Data::new(dimension, 3, images, seed);
        let whole = data.rounded(0..images, on_grid);
        let mut halves = data.rounded((0..images).step_by(2), on_grid);
        halves.merge(&data.rounded((1..images).step_by(2), on_grid));
        prop_assert_eq!(&whole, &halves, "to the last bit");
        prop_assert_eq!(whole, data.rounded((0..images).rev(), on_grid), "in another order");
    }

    #[test]
    fn leaving_an_image_out_equals_fitting_without_it(
        dimension in 1usize..10, images in 4usize..12, out in 0usize..4, seed in any::<u64>()
    ) {
        let data = Data::new(dimension, 4, images, seed);
        let whole = fit(&data.moments(0..images), images, RIDGE);
        let without_moments = data.moments((0..images).filter(|n| *n != out));
        // The closed form keeps the ridge's share of the whole, so the refit must use that ridge.
        let ridge = RIDGE.ridge * f64::from(whole.weight) / without_moments.weights()[0];
        let without = fit(&without_moments, images - 1, Regularisation { ridge, ..RIDGE });
        let gaussian = Estimate {
            dimension, means: &whole.mean, whitener: &whole.whitener, kept: whole.kept, weights: &[whole.weight],
        };
        let samples = Samples { rows: &data.samples[out], weights: &data.weights[out], counts: &[4] };
        let mut got = [0.0; 4];
        LeaveOut::default().distances(gaussian, samples, &data.samples[out], &mut got);
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
        let regularisation = Regularisation { target: Target::Identity, share: Share::Estimated, ridge: 1e-6 };
        fit(&data.moments(0..images), images, regularisation).kept
    };
    assert!(kept(4) < kept(15) && kept(15) < kept(60) && kept(60) < 1.0);
}

#[test]
fn the_pooled_covariance_takes_its_share() {
    let (share, d) = (0.25, 5);
    let regularisation = Regularisation { target: Target::Pooled, share: Share::Fixed(share), ridge: 0.05 };
    let data = Data::new(d, 3, 30, 2);
    let fitted = fit(&data.moments(0..30), 30, regularisation);
    // The weighted sample covariance, shrunk to the pooled one, and its inverse by its eigenvalues.
    let samples: Vec<(DVector<f64>, f64)> = (data.samples.iter().zip(&data.weights))
        .flat_map(|(rows, weights)| rows.chunks(padded(d)).zip(weights))
        .map(|(row, weight)| (DVector::from_iterator(d, row[..d].iter().map(|x| f64::from(*x))), f64::from(*weight)))
        .collect();
    let total: f64 = samples.iter().map(|(_, weight)| weight).sum();
    let mean = samples.iter().map(|(x, weight)| x * *weight).sum::<DVector<f64>>() / total;
    let products = samples.iter().map(|(x, weight)| (x - &mean) * (x - &mean).transpose() * *weight);
    let own = products.sum::<DMatrix<f64>>() / total;
    let drawn = own * (1.0 - share) + pooled(d) * share + DMatrix::identity(d, d) * regularisation.ridge;
    let eigen = drawn.symmetric_eigen();
    for (n, (x, _)) in samples.iter().enumerate().take(20) {
        let along = eigen.eigenvectors.transpose() * (x - &mean);
        let expected = along.component_mul(&along).component_div(&eigen.eigenvalues).sum().sqrt();
        let mut row: Vec<f32> = x.iter().map(|x| *x as f32).collect();
        row.resize(padded(d), 0.0);
        let got = f64::from(distance(&fitted, d, &row));
        assert!((got - expected).abs() < 1e-3 * got, "sample {n}: {got} instead of {expected}");
    }
}

#[test]
fn a_singular_covariance_is_told() {
    let data = Data::new(3, 1, 1, 1);
    let moments = data.moments(0..1);
    let (mut mean, mut whitener, mut kept) = (vec![0.0; 8], vec![0.0; 64], 0.0);
    let out = Gaussian { means: &mut mean, whitener: &mut whitener, kept: &mut kept };
    let none = Regularisation { target: Target::Identity, share: Share::Fixed(0.0), ridge: 0.0 };
    assert!(!Estimator::new(&DMatrix::zeros(3, 3)).unwrap().estimate(&moments, 0, 1, none, out));
}

#[test]
fn statistics_come_back_from_gaussians_and_take_further_images() {
    let dimension = 9;
    let data = Data::new(dimension, 3, 60, 4);
    for (target, share) in [
        (Target::Identity, Share::Fixed(0.0)),
        (Target::Identity, Share::Fixed(0.3)),
        (Target::Identity, Share::Estimated),
        (Target::Pooled, Share::Fixed(0.01)),
        (Target::Pooled, Share::Estimated),
    ] {
        let regularisation = Regularisation { target, share, ridge: 0.05 };
        let first = data.moments(0..40);
        let (pooled, threads) = (pooled(dimension), Threads::new(2).unwrap());
        let before = fit(&first, 40, regularisation);
        let recover = || {
            Moments::recover(
                FittedGaussians {
                    dimension,
                    mean: &before.mean,
                    starts: &[0, 1],
                    whitener: &before.whitener,
                    kept: &[before.kept],
                    weight: &[before.weight],
                    pooled: &pooled,
                },
                regularisation,
                &threads,
            )
            .unwrap()
        };
        let again = fit(&recover(), 40, regularisation);
        let mut continued = recover();
        continued.merge(&data.moments(40..60));
        let (continued, whole) = (fit(&continued, 60, regularisation), fit(&data.moments(0..60), 60, regularisation));
        for n in 0..60 {
            let x = &data.samples[n][..padded(dimension)];
            let close = |a: &Fit, b: &Fit| {
                let (a, b) = (distance(a, dimension, x), distance(b, dimension, x));
                assert!((a - b).abs() < 2e-3 * b, "{regularisation:?}, sample {n}: {a} and {b}");
            };
            close(&again, &before);
            close(&continued, &whole);
        }
    }
}

/// Three positions that share a covariance, one sample of each in every image.
struct Shared {
    dimension: usize,
    images: Vec<Vec<f32>>,
}

impl Shared {
    const POSITIONS: usize = 3;

    fn new(dimension: usize, images: usize, seed: u64) -> Self {
        let data = Data::new(dimension, Self::POSITIONS, images, seed);
        let mut images = data.samples;
        for image in &mut images {
            for (p, row) in image.chunks_mut(padded(dimension)).enumerate() {
                row[..dimension].iter_mut().for_each(|x| *x += 5.0 * p as f32);
            }
        }
        Self { dimension, images }
    }

    fn moments(&self, images: impl Iterator<Item = usize>) -> Moments {
        let mut moments = Moments::new(self.dimension, vec![0, Self::POSITIONS]).unwrap();
        for n in images {
            let rows: Vec<f64> = self.images[n].iter().map(|x| f64::from(*x)).collect();
            moments.block_mut(0).add(&rows, &[1.0; Self::POSITIONS], &[0, 1, 2]);
        }
        moments
    }

    fn fit(&self, images: &[usize], ridge: f64) -> (Vec<f32>, Vec<f32>) {
        let d = self.dimension;
        let (mut means, mut whitener) = (vec![0.0; Self::POSITIONS * padded(d)], vec![0.0; blocked_len(d)]);
        let out = Gaussian { means: &mut means, whitener: &mut whitener, kept: &mut 0.0 };
        let regularisation = Regularisation { ridge, ..RIDGE };
        let moments = self.moments(images.iter().copied());
        assert!(Estimator::new(&pooled(d)).unwrap().estimate(&moments, 0, images.len(), regularisation, out));
        (means, whitener)
    }

    /// The distance of each position of image `n`.
    fn distances(&self, (means, whitener): &(Vec<f32>, Vec<f32>), n: usize) -> Vec<f32> {
        let row_len = padded(self.dimension);
        let rows = self.images[n].chunks(row_len).zip(means.chunks(row_len));
        let fit = |mean: &[f32]| Fit { mean: mean.to_vec(), whitener: whitener.clone(), kept: 1.0, weight: 1.0 };
        rows.map(|(x, mean)| distance(&fit(mean), self.dimension, x)).collect()
    }
}

proptest! {
    #[test]
    fn positions_of_a_block_have_their_means_and_the_covariance_of_all(dimension in 1usize..9, seed in any::<u64>()) {
        let data = Shared::new(dimension, 20, seed);
        let (means, whitener) = data.fit(&(0..20).collect::<Vec<_>>(), RIDGE.ridge);
        let row_len = padded(dimension);
        let of = |p: usize, n: usize| &data.images[n][p * row_len..][..dimension];
        let mut covariance = DMatrix::identity(dimension, dimension) * RIDGE.ridge;
        for p in 0..Shared::POSITIONS {
            let mean: Vec<f64> =
                (0..dimension).map(|i| (0..20).map(|n| f64::from(of(p, n)[i])).sum::<f64>() / 20.0).collect();
            for (i, mean) in mean.iter().enumerate() {
                prop_assert!((f64::from(means[p * row_len + i]) - mean).abs() < 1e-4);
            }
            for n in 0..20 {
                let x = DVector::from_fn(dimension, |i, _| f64::from(of(p, n)[i]) - mean[i]);
                covariance += &x * x.transpose() / 60.0;
            }
        }
        let inverse = covariance.try_inverse().unwrap();
        for n in 0..5 {
            for (p, got) in data.distances(&(means.clone(), whitener.clone()), n).into_iter().enumerate() {
                let x = DVector::from_fn(dimension, |i, _| f64::from(of(p, n)[i] - means[p * row_len + i]));
                let expected = (x.transpose() * &inverse * &x)[0].sqrt();
                prop_assert!((f64::from(got) - expected).abs() < 1e-3 * expected + 1e-3, "{} for {}", got, expected);
            }
        }
    }

    #[test]
    fn leaving_an_image_out_of_a_block_equals_fitting_without_it(
        dimension in 1usize..9, images in 5usize..12, out in 0usize..5, seed in any::<u64>()
    ) {
        let data = Shared::new(dimension, images, seed);
        let all: Vec<usize> = (0..images).collect();
        let rest: Vec<usize> = (0..images).filter(|n| *n != out).collect();
        let (means, whitener) = data.fit(&all, RIDGE.ridge);
        let expected = data.distances(&data.fit(&rest, RIDGE.ridge * images as f64 / rest.len() as f64), out);
        let gaussian = Estimate {
            dimension, means: &means, whitener: &whitener, kept: 1.0, weights: &[images as f32; Shared::POSITIONS],
        };
        let samples = Samples { rows: &data.images[out], weights: &[1.0; Shared::POSITIONS], counts: &[1; Shared::POSITIONS] };
        let mut got = [0.0; Shared::POSITIONS];
        LeaveOut::default().distances(gaussian, samples, &data.images[out], &mut got);
        for (got, expected) in got.iter().zip(&expected) {
            prop_assert!((got - expected).abs() < 1e-3 * expected + 1e-3, "{} instead of {}", got, expected);
        }
    }
}
