//! PaDiM, PatchCore and SPADE against naive implementations in double precision, and through the whole library.

mod common;

use common::{Gray, built_in_methods, fit, good_images, options};
use ndarray::Array3;
use npad::backbone::{FeatureMap, Tap};
use npad::exec::Threads;
use npad::exec::progress::Progress;
use npad::math::random::Random;
use npad::method::{Array, Environment, FitOutcome, GridScore, HalfMap, Parameters, Sample, SampleImage, method};
use npad::model::Model;

const ROWS: usize = 4;
const COLS: usize = 5;
const CHANNELS: usize = 6;
const IMAGES: usize = 12;
/// Channels of each tap.
const TAPS: [usize; 2] = [2, 4];

/// Features that half precision holds exactly.
fn map(seed: u64) -> FeatureMap {
    let mut random = Random::new(seed);
    let data = (0..ROWS * COLS * CHANNELS)
        .map(|i| {
            (random.below(129) as f32 - 64.0) / 32.0 + (i % (COLS * CHANNELS)) as f32 / 8.0 + (i % CHANNELS) as f32
        })
        .collect();
    let mut map = FeatureMap::from(Array3::from_shape_vec((ROWS, COLS, CHANNELS), data).unwrap());
    map.set_taps(TAPS.map(|channels| Tap { channels, step: 1 }));
    map
}

fn train() -> Vec<FeatureMap> {
    (0..IMAGES as u64).map(map).collect()
}

fn learn(name: &str, settings: &[(&str, &str)]) -> FitOutcome {
    let method = method(name).unwrap();
    let mut parameters = Parameters::new(method.parameters());
    settings.iter().for_each(|(key, value)| parameters.set(key, value).unwrap());
    let (threads, mut sample) = (Threads::new(2).unwrap(), Sample::new(0));
    for (number, map) in train().iter().enumerate() {
        let image =
            SampleImage { maps: vec![HalfMap::new(map).unwrap()], size: (1, 1), hash: number as u64, content: 0 };
        sample.accept(sample.offer(1, number as u64), Some(image));
    }
    let mut fitter = method.fitter(&parameters, 0, &Environment::default()).unwrap();
    fitter.finish(&sample, &threads, &Progress::default()).unwrap()
}

fn score(fitted: &FitOutcome, map: &FeatureMap) -> GridScore {
    let mut out = GridScore::default();
    fitted.scorer.score(map, &Threads::new(2).unwrap(), &mut out).unwrap();
    out
}

fn assert_close(got: &[f32], expected: &[f64], what: &str) {
    assert_eq!(got.len(), expected.len());
    for (p, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(*got) - expected).abs() < 2e-3 * expected.abs().max(0.1),
            "{what} {p}: {got}, expected {expected}"
        );
    }
}

type Vector = Vec<f64>;

fn vector(row: &[f32]) -> Vector {
    row.iter().map(|v| f64::from(*v)).collect()
}

/// Solves `matrix x = right` by elimination with pivots.
fn solve(matrix: &[Vector], right: &[f64]) -> Vector {
    let n = right.len();
    let mut rows: Vec<Vector> = matrix.iter().zip(right).map(|(row, r)| [&row[..], &[*r]].concat()).collect();
    for i in 0..n {
        let pivot = (i..n).max_by(|a, b| rows[*a][i].abs().total_cmp(&rows[*b][i].abs())).unwrap();
        rows.swap(i, pivot);
        for other in (0..n).filter(|other| *other != i) {
            let factor = rows[other][i] / rows[i][i];
            let row = rows[i].clone();
            rows[other].iter_mut().zip(&row).for_each(|(a, b)| *a -= factor * b);
        }
    }
    (0..n).map(|i| rows[i][n] / rows[i][i]).collect()
}

/// Mean and covariance (over `count - less`) of vectors.
fn statistics(vectors: &[Vector], less: usize) -> (Vector, Vec<Vector>) {
    let (count, d) = (vectors.len() as f64, vectors[0].len());
    let mean: Vector = (0..d).map(|i| vectors.iter().map(|v| v[i]).sum::<f64>() / count).collect();
    let entry = |i: usize, j: usize| {
        vectors.iter().map(|v| (v[i] - mean[i]) * (v[j] - mean[j])).sum::<f64>() / (count - less as f64)
    };
    let covariance = (0..d).map(|i| (0..d).map(|j| entry(i, j)).collect()).collect();
    (mean, covariance)
}

fn mahalanobis(covariance: &[Vector], a: &[f64], b: &[f64]) -> f64 {
    let difference: Vector = a.iter().zip(b).map(|(a, b)| a - b).collect();
    solve(covariance, &difference).iter().zip(&difference).map(|(a, b)| a * b).sum::<f64>().sqrt()
}

fn euclid(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// The vector with each tap divided by its length.
fn unit(vector: &Vector) -> Vector {
    let (first, second) = vector.split_at(TAPS[0]);
    let scaled = |tap: &[f64]| {
        let length = tap.iter().map(|v| v * v).sum::<f64>().sqrt();
        tap.iter().map(|v| v / length).collect::<Vector>()
    };
    [scaled(first), scaled(second)].concat()
}

/// The whitening's covariance: a thousandth of the mean variance is added to the diagonal.
fn whitening(vectors: &[Vector]) -> Vec<Vector> {
    let (_, mut covariance) = statistics(vectors, 1);
    let d = covariance.len();
    let share = 1e-3 * (0..d).map(|i| covariance[i][i]).sum::<f64>() / d as f64;
    (0..d).for_each(|i| covariance[i][i] += share);
    covariance
}

/// 3 x 3 means, edges replicated.
fn patches(map: &FeatureMap) -> Vec<Vector> {
    let clamp = |at: usize, by: usize, length: usize| (at + by).saturating_sub(1).min(length - 1);
    let mean = |p: usize| {
        let window = (0..9).map(|k| map.at(clamp(p / COLS, k / 3, ROWS) * COLS + clamp(p % COLS, k % 3, COLS)));
        window.fold(vec![0.0; CHANNELS], |sum, row| sum.iter().zip(row).map(|(s, v)| s + f64::from(*v) / 9.0).collect())
    };
    (0..ROWS * COLS).map(mean).collect()
}

#[test]
fn padim_is_a_gaussian_per_position() {
    let fitted = learn("padim", &[("padim.regularisation", "0.05")]);
    for seed in 100..104 {
        let test = map(seed);
        let expected: Vec<f64> = (0..ROWS * COLS)
            .map(|p| {
                let learnt: Vec<Vector> = train().iter().map(|map| vector(map.at(p))).collect();
                let (mean, mut covariance) = statistics(&learnt, 0);
                (0..CHANNELS).for_each(|i| covariance[i][i] += 0.05);
                mahalanobis(&covariance, &vector(test.at(p)), &mean)
            })
            .collect();
        assert_close(&score(&fitted, &test).map, &expected, "position");
    }
    // A random choice of channels is part of the model, and another seed's is another.
    let chosen = learn("padim", &[("padim.channels", "2")]);
    assert_ne!(score(&chosen, &map(100)).map, score(&fitted, &map(100)).map);
}

/// A bank of all patches: the score is the distance to the nearest, and the image score the largest of them, weighted.
#[test]
fn patchcore_is_the_distance_to_the_nearest_patch() {
    for scaling in ["unit", "whitened", "none"] {
        let settings = [
            ("patchcore.bank", "100000"),
            ("patchcore.candidates", "100000"),
            ("patchcore.projection", "0"),
            ("patchcore.neighbours", "4"),
            ("patchcore.scaling", scaling),
        ];
        let fitted = learn("patchcore", &settings);
        let all: Vec<Vec<Vector>> = train().iter().map(patches).collect();
        let bank: Vec<Vector> = all.concat();
        let covariance = whitening(&bank);
        let distance = |a: &Vector, b: &Vector| match scaling {
            "unit" => euclid(&unit(a), &unit(b)),
            "whitened" => mahalanobis(&covariance, a, b),
            _ => euclid(a, b),
        };
        let naive = |test: &FeatureMap, bank: &[Vector]| {
            let own = patches(test);
            let nearest = |p: &Vector| bank.iter().map(|b| distance(p, b)).fold(f64::INFINITY, f64::min);
            let map: Vec<f64> = own.iter().map(nearest).collect();
            let worst = (0..map.len()).max_by(|a, b| map[*a].total_cmp(&map[*b])).unwrap();
            let matched =
                bank.iter().min_by(|a, b| distance(&own[worst], a).total_cmp(&distance(&own[worst], b))).unwrap();
            let mut near: Vec<&Vector> = bank.iter().collect();
            near.sort_by(|a, b| distance(matched, a).total_cmp(&distance(matched, b)));
            let sum: f64 = near[..4].iter().map(|b| (distance(&own[worst], b) - map[worst]).exp()).sum();
            (map.clone(), map[worst] * (1.0 - 1.0 / sum))
        };
        for seed in 100..103 {
            let found = score(&fitted, &map(seed));
            let (expected, image) = naive(&map(seed), &bank);
            assert_close(&found.map, &expected, "position");
            assert_close(&[found.evidence[0]], &[image], "image");
            assert!(found.evidence.iter().all(|v| *v == found.evidence[0]));
        }
        // A good image is held out by leaving its own patches out.
        for number in [0, 7] {
            let others = [&all[..number], &all[number + 1..]].concat().concat();
            let (expected, _) = naive(&train()[number], &others);
            assert_close(&fitted.held_out[number][0].map, &expected, "held out");
        }
    }
}

#[test]
fn a_small_bank_still_covers_the_good_images() {
    let worst = |bank: &str| {
        let fitted = learn("patchcore", &[("patchcore.bank", bank), ("patchcore.neighbours", "1")]);
        let largest = |map: &FeatureMap| score(&fitted, map).map.into_iter().fold(0.0f32, f32::max);
        train().iter().map(largest).fold(0.0, f32::max)
    };
    let (few, some, all) = (worst("5"), worst("60"), worst("1000"));
    assert!(few > some && some > all && all < 1e-2, "{few} {some} {all}");
}

#[test]
fn spade_looks_among_the_nearest_images() {
    for scaling in ["unit", "whitened", "none"] {
        let fitted = learn("spade", &[("spade.images", "3"), ("spade.scaling", scaling)]);
        let features = |map: &FeatureMap| (0..ROWS * COLS).map(|p| vector(map.at(p))).collect::<Vec<Vector>>();
        let mut all: Vec<Vec<Vector>> = train().iter().map(features).collect();
        let covariance = whitening(&all.concat());
        let prepare = |rows: Vec<Vector>| if scaling == "unit" { rows.iter().map(unit).collect() } else { rows };
        // The gallery is in half precision.
        let round = |v: f64| half::f16::from_f64(v).to_f64();
        let rounded = |rows: Vec<Vector>| rows.into_iter().map(|row| row.into_iter().map(round).collect()).collect();
        all = all.into_iter().map(|rows| rounded(prepare(rows))).collect();
        let distance =
            |a: &[f64], b: &[f64]| if scaling == "whitened" { mahalanobis(&covariance, a, b) } else { euclid(a, b) };
        // The deepest tap alone, or all channels.
        let from = if scaling == "unit" { TAPS[0] } else { 0 };
        let pooled = |rows: &[Vector]| statistics(rows, 0).0;
        let far = |a: &[Vector], b: &[Vector]| {
            let (mut a, mut b) = (pooled(a), pooled(b));
            a[..from].fill(0.0);
            b[..from].fill(0.0);
            distance(&a, &b)
        };
        let naive = |test: &FeatureMap, gallery: &[Vec<Vector>]| {
            let own = prepare(features(test));
            let mut near: Vec<(f64, &Vec<Vector>)> = gallery.iter().map(|rows| (far(&own, rows), rows)).collect();
            near.sort_by(|a, b| a.0.total_cmp(&b.0));
            let nearest = |v: &Vector| {
                let all = near[..3].iter().flat_map(|(_, rows)| rows.iter());
                all.map(|row| distance(v, row)).fold(f64::INFINITY, f64::min)
            };
            (own.iter().map(nearest).collect::<Vec<f64>>(), near[..3].iter().map(|n| n.0).sum::<f64>() / 3.0)
        };
        let held_out: Vec<(Vec<f64>, f64)> =
            (0..IMAGES).map(|number| naive(&train()[number], &[&all[..number], &all[number + 1..]].concat())).collect();
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let peaks = held_out.iter().map(|(map, _)| map.iter().copied().fold(0.0, f64::max)).collect();
        let factor = median(peaks) / median(held_out.iter().map(|(_, image)| *image).collect());
        for seed in 100..103 {
            let found = score(&fitted, &map(seed));
            let (expected, image) = naive(&map(seed), &all);
            assert_close(&found.map, &expected, "position");
            assert_close(&found.evidence, &joined(&expected, factor * image), "image");
        }
        for (found, (map, image)) in fitted.held_out.iter().zip(&held_out) {
            assert_close(&found[0].map, map, "held out");
            assert_close(&found[0].evidence, &joined(map, factor * image), "held out image");
        }
    }
}

/// SPADE's evidence: the map, scaled up to the image score.
fn joined(map: &[f64], score: f64) -> Vec<f64> {
    let peak = map.iter().copied().fold(0.0, f64::max);
    map.iter().map(|value| value * (score / peak).max(1.0)).collect()
}

/// Model files of npad 0.1 have a whitening, no scaling and no factor.
#[test]
fn states_of_earlier_releases_load() {
    for (name, old) in [("patchcore", Some(("patchcore.whitening", "on"))), ("spade", None)] {
        let fitted = learn(name, &[(&format!("{name}.scaling"), "whitened")]);
        let mut state = fitted.scorer.state().unwrap();
        let factor = state.arrays.remove("factor");
        let mut parameters = Parameters::new(method(name).unwrap().parameters());
        old.iter().for_each(|(key, value)| parameters.set(key, value).unwrap());
        let loaded = FitOutcome {
            scorer: method(name).unwrap().load(&parameters, state, &Environment::default()).unwrap(),
            held_out: Vec::new(),
        };
        let (found, expected) = (score(&loaded, &map(100)), score(&fitted, &map(100)));
        assert_eq!(found.map, expected.map);
        let Some(Array::F32(_, factor)) = factor else {
            assert_eq!(found.evidence, expected.evidence);
            continue;
        };
        assert!(found.evidence.iter().all(|v| *v == found.evidence[0]), "the image score alone");
        let map: Vec<f64> = found.map.iter().map(|v| f64::from(*v)).collect();
        let score = f64::from(found.evidence[0] * factor[0]);
        assert_close(&expected.evidence, &joined(&map, score), "image");
    }
}

#[test]
fn every_method_finds_the_scratch_and_survives_a_file() {
    for name in built_in_methods() {
        let images = good_images(20);
        let model = fit(&options(&[("method", name)]), &images).unwrap();
        let scratched = model.score(&Gray::scratched(160, 120, 100, (90, 30)).view()).unwrap();
        let good = model.score(&Gray::good(160, 120, 100).view()).unwrap();
        assert!(good.score < 0.5 * scratched.score, "{name}: {} {}", good.score, scratched.score);
        let map = scratched.map.as_slice().unwrap();
        let peak = (0..map.len()).max_by(|a, b| map[*a].total_cmp(&map[*b])).unwrap();
        let (x, y) = (peak % 160, peak / 160);
        assert!((80..122).contains(&x) && (18..55).contains(&y), "{name} sees it at ({x}, {y})");
        let bytes = model.to_bytes().unwrap();
        let again = fit(&options(&[("method", name), ("threads", "1")]), &images).unwrap();
        assert!(bytes == again.to_bytes().unwrap(), "{name} depends on the threads");
        let loaded = Model::from_bytes(&bytes, &options(&[])).unwrap();
        assert_eq!(loaded.score(&Gray::scratched(160, 120, 100, (90, 30)).view()).unwrap(), scratched, "{name}");
        assert_eq!(loaded.metadata().method, name);
    }
}
