//! The inner loops at the sizes of a default model, one thread: `cargo bench --bench kernels`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use half::f16;
use nalgebra::DMatrix;
use npad::backbone::{Assembler, FeatureMap, TapMap};
use npad::exec::Threads;
use npad::math::axis::{Axis, Separable};
use npad::math::kernels::{Panels, blocked_len, multiply, nearest, padded, squared_mahalanobis, whiten};
use npad::math::linalg::{cholesky, invert_lower};
use npad::math::random::Random;

/// Grid positions, channels kept of all, centroids: a default model's.
const POSITIONS: usize = 900;
const KEPT: usize = 176;
/// Positions that share a whitener.
const BLOCK: usize = 4;
const CHANNELS: usize = 176;
const CENTROIDS: usize = 64;
/// Side of the network's input.
const SIDE: usize = 240;

fn values(count: usize) -> Vec<f32> {
    let mut random = Random::new(0);
    (0..count).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect()
}

fn gaussians(criterion: &mut Criterion) {
    let triangle = blocked_len(KEPT);
    let whiteners: Vec<f16> = values(POSITIONS / BLOCK * triangle).into_iter().map(f16::from_f32).collect();
    let rows = values(POSITIONS * padded(KEPT));
    let mut distances = vec![0.0; POSITIONS];
    let mut group = criterion.benchmark_group("gaussians");
    group.throughput(Throughput::Bytes((whiteners.len() * 2) as u64));
    group.bench_function("squared_mahalanobis of every position", |bench| {
        bench.iter(|| {
            for ((whitener, rows), out) in whiteners
                .chunks_exact(triangle)
                .zip(rows.chunks_exact(BLOCK * padded(KEPT)))
                .zip(distances.chunks_exact_mut(BLOCK))
            {
                squared_mahalanobis(black_box(whitener), KEPT, rows, out);
            }
        });
    });
    let whitener = values(triangle);
    let mut out = vec![0.0; 16 * padded(KEPT)];
    group.throughput(Throughput::Elements(16));
    group.bench_function("whiten 16 vectors", |bench| {
        bench.iter(|| whiten(black_box(&whitener), KEPT, &rows[..16 * padded(KEPT)], &mut out));
    });
    group.finish();
}

fn centroids(criterion: &mut Criterion) {
    let rows = values(POSITIONS * CHANNELS);
    let whitening = Panels::from_rows(&values(CHANNELS * CHANNELS), CHANNELS).expect("memory");
    let mut white = vec![0.0; rows.len()];
    let mut group = criterion.benchmark_group("centroids");
    group.throughput(Throughput::Elements(POSITIONS as u64));
    group.bench_function("multiply", |bench| bench.iter(|| multiply(black_box(&rows), &whitening, &mut white)));
    let points = Panels::from_rows(&values(CENTROIDS * CHANNELS), CHANNELS).expect("memory");
    let (mut index, mut distance) = (vec![0; POSITIONS], vec![0.0; POSITIONS]);
    group.bench_function("nearest", |bench| {
        bench.iter(|| nearest(black_box(&rows), &points, &mut index, &mut distance));
    });
    group.finish();
}

fn joining(criterion: &mut Criterion) {
    let taps = [(24, 4), (40, 8), (112, 16)].map(|(channels, stride)| (channels, SIDE / stride));
    let planes = taps.map(|(channels, side)| values(channels * side * side));
    let taps: Vec<TapMap<'_>> = taps
        .iter()
        .zip(&planes)
        .map(|(&(channels, side), data)| TapMap { channels, rows: side, cols: side, data })
        .collect();
    let (mut assembler, threads) = (Assembler::new(2, 1), Threads::new(1).expect("one thread"));
    let mut out = FeatureMap::default();
    criterion.bench_function("backbone/outputs joined on one grid", |bench| {
        bench.iter(|| assembler.run(black_box(&taps), &threads, &mut out).expect("finite values"));
    });
}

fn maps(criterion: &mut Criterion) {
    let grid = values(POSITIONS);
    let axis = || Axis::bilinear(30, SIDE).then(&Axis::gaussian(SIDE, 4.0));
    let mut smooth = Separable::new(axis(), axis());
    let mut plane = vec![0.0; SIDE * SIDE];
    let threads = Threads::new(1).expect("one thread");
    criterion.bench_function("maps/from grid to smooth map", |bench| {
        bench.iter(|| smooth.add(black_box(&grid), &mut plane, &threads).expect("memory"));
    });
}

/// The decomposition of every position's covariance in a fit, on two threads.
fn decompositions(criterion: &mut Criterion) {
    use rayon::prelude::*;

    let threads = Threads::new(2).expect("two threads");
    let random = DMatrix::from_iterator(KEPT, KEPT, values(KEPT * KEPT).into_iter().map(f64::from));
    let covariance = &random * random.transpose() + DMatrix::identity(KEPT, KEPT);
    let memory = || (DMatrix::zeros(KEPT, KEPT), DMatrix::zeros(KEPT, KEPT));
    criterion.bench_function("fit/factor and invert every covariance", |bench| {
        bench.iter(|| {
            threads.run(|| {
                (0..POSITIONS).into_par_iter().for_each_init(memory, |(factor, inverse), _| {
                    factor.copy_from(black_box(&covariance));
                    assert!(cholesky(factor));
                    invert_lower(factor, inverse);
                    black_box(inverse);
                });
            });
        });
    });
}

criterion_group!(benches, gaussians, centroids, joining, maps, decompositions);
criterion_main!(benches);
