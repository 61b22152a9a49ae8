//! Kernels against their definitions, at any size. `NPAD_TEST_KERNELS` names the instruction set.
#![no_main]

use arbitrary::Arbitrary;
use half::f16;
use libfuzzer_sys::fuzz_target;
use npad::math::kernels::{
    Panels, blocked_index, blocked_len, multiply, narrow, nearest, pack_whitener, padded, scatter_add, whiten, widen,
};
use npad::math::random::Random;

#[derive(Arbitrary, Debug)]
enum Kernel {
    Multiply { rows: u8, inputs: u8, outputs: u8 },
    Nearest { rows: u8, inputs: u8, points: u8 },
    Scatter { samples: u8, dimension: u8 },
    Whiten { vectors: u8, dimension: u8 },
    Halves { values: Vec<u16> },
}

fn values(count: usize, random: &mut Random) -> Vec<f32> {
    (0..count).map(|_| random.below(2001) as f32 / 250.0 - 4.0).collect()
}

fn close(found: &[f32], expected: &[f64], scale: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() <= 1e-5 * scale, "{found} instead of {expected}");
    }
}

fuzz_target!(|input: (u64, Kernel)| {
    let (seed, kernel) = input;
    let mut random = Random::new(seed);
    match kernel {
        Kernel::Multiply { rows, inputs, outputs } => {
            let (rows, inputs, outputs) = (rows as usize % 40, inputs as usize % 100 + 1, outputs as usize % 100 + 1);
            let (x, matrix) = (values(rows * inputs, &mut random), values(outputs * inputs, &mut random));
            let mut found = vec![0.0; rows * outputs];
            multiply(&x, &Panels::from_rows(&matrix, inputs).unwrap(), &mut found);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            let pairs = x.chunks_exact(inputs).flat_map(|x| matrix.chunks_exact(inputs).map(move |row| (x, row)));
            close(&found, &pairs.map(|(x, row)| dot(x, row)).collect::<Vec<_>>(), 16.0 * inputs as f64);
        }
        Kernel::Nearest { rows, inputs, points } => {
            let (rows, inputs, count) = (rows as usize % 40, inputs as usize % 100 + 1, points as usize + 1);
            let (x, points) = (values(rows * inputs, &mut random), values(count * inputs, &mut random));
            let (mut index, mut distance) = (vec![0; rows], vec![0.0; rows]);
            nearest(&x, &Panels::from_rows(&points, inputs).unwrap(), &mut index, &mut distance);
            let square = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
            for ((x, index), distance) in x.chunks_exact(inputs).zip(index).zip(distance) {
                let best = points.chunks_exact(inputs).map(|point| square(x, point)).fold(f64::INFINITY, f64::min);
                let own = square(x, &points[index as usize * inputs..][..inputs]);
                let most = 1e-5 * 32.0 * inputs as f64;
                assert!(own - best <= most && (f64::from(distance) - best).abs() <= most, "{distance}, {own}, {best}");
            }
        }
        Kernel::Scatter { samples, dimension } => {
            let (samples, dimension) = (samples as usize % 50, dimension as usize % 70 + 1);
            let x: Vec<f64> = values(samples * dimension, &mut random).into_iter().map(f64::from).collect();
            let mut rows = vec![0.0; samples * padded(dimension)];
            for (row, x) in rows.chunks_exact_mut(padded(dimension)).zip(x.chunks_exact(dimension)) {
                row[..dimension].copy_from_slice(x);
            }
            let mut found = vec![0.0; blocked_len(dimension)];
            scatter_add(&rows, dimension, &mut found);
            for (i, j) in (0..dimension).flat_map(|i| (0..=i).map(move |j| (i, j))) {
                let expected: f64 = x.chunks_exact(dimension).map(|x| x[i] * x[j]).sum();
                let found = found[blocked_index(i, j)];
                assert!((found - expected).abs() <= 1e-9, "{found} instead of {expected}");
            }
        }
        Kernel::Whiten { vectors, dimension } => {
            let (vectors, dimension) = (vectors as usize % 20, dimension as usize % 70 + 1);
            // Lower triangular, by columns.
            let mut entry = |i: usize, j: usize| if j <= i { random.below(2001) as f64 / 1000.0 - 1.0 } else { 0.0 };
            let matrix: Vec<f64> = (0..dimension * dimension).map(|at| entry(at % dimension, at / dimension)).collect();
            let mut packed = vec![0.0; blocked_len(dimension)];
            pack_whitener(&matrix, dimension, &mut packed);
            let mut y = vec![0.0; padded(dimension)];
            for _ in 0..vectors {
                y[..dimension].copy_from_slice(&values(dimension, &mut random));
                let mut z = vec![0.0; padded(dimension)];
                whiten(&packed, dimension, &y, &mut z);
                let row = |i: usize| (0..=i).map(|j| matrix[j * dimension + i] * f64::from(y[j])).sum::<f64>();
                let expected: Vec<f64> = (0..dimension).map(row).collect();
                close(&z[..dimension], &expected, 4.0 * dimension as f64);
            }
        }
        Kernel::Halves { values } => {
            let halves: Vec<f16> = values.iter().map(|bits| f16::from_bits(*bits)).collect();
            let mut wide = vec![0.0; halves.len()];
            widen(&halves, &mut wide);
            let mut again = vec![f16::ZERO; halves.len()];
            narrow(&wide, &mut again);
            for ((half, wide), again) in halves.iter().zip(&wide).zip(again) {
                assert!(half.is_nan() && wide.is_nan() && again.is_nan() || half.to_f32() == *wide && *half == again);
            }
        }
    }
});
