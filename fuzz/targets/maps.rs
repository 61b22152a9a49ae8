//! What turns images into tensors and grids into maps, against its definition in double precision, at any size.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ndarray::Array2;
use npad::exec::Threads;
use npad::exec::rows::Rows;
use npad::image::{ImageView, PixelFormat};
use npad::math::knn::Points;
use npad::math::random::Random;
use npad::math::vector::squared_distance;
use npad::postprocess::{MapGeometry, RegionFinder, Smoother, peak};
use npad::preprocess::{InputSize, Normalisation, Preprocessor};

#[derive(Arbitrary, Debug)]
enum Step {
    Resample { from: (u8, u8), to: (u8, u8), format: u8 },
    Smooth { grid: (u8, u8), size: (u8, u8), sigma: u8, displacements: Vec<(i8, i8)> },
    Regions { width: u8, threshold: u8, least_area: u8, values: Vec<u8> },
    Peak { share: u16, values: Vec<i16> },
    Distances { dimension: u8, points: u8 },
}

static THREADS: LazyLock<Threads> = LazyLock::new(|| Threads::new(1).expect("one thread"));

fn close(found: f32, expected: f64, most: f64) {
    assert!((f64::from(found) - expected).abs() <= most, "{found} instead of {expected}");
}

/// Weights of the inputs of an axis for each of its outputs.
type Weights = Vec<Vec<f64>>;

/// `down` along the columns of a plane, `across` along its rows.
fn filtered(plane: &[f64], down: &Weights, across: &Weights) -> Vec<f64> {
    let cols = across[0].len();
    let across = |row: &[f64]| -> Vec<f64> {
        across.iter().map(|weights| weights.iter().zip(row).map(|(weight, value)| weight * value).sum()).collect()
    };
    let rows: Vec<Vec<f64>> = plane.chunks_exact(cols).map(across).collect();
    let column = |x: usize, weights: &[f64]| weights.iter().zip(&rows).map(|(weight, row)| weight * row[x]).sum();
    down.iter().flat_map(|weights| (0..rows[0].len()).map(move |x| column(x, weights))).collect()
}

/// Pillow's triangle filter.
fn triangle(inputs: usize, outputs: usize) -> Weights {
    let scale = inputs as f64 / outputs as f64;
    let weights = |at: usize| {
        let weight = |i: usize| 1.0 - ((i as f64 + 0.5 - (at as f64 + 0.5) * scale) / scale.max(1.0)).abs();
        let weights: Vec<f64> = (0..inputs).map(|i| weight(i).max(0.0)).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / total).collect()
    };
    (0..outputs).map(weights).collect()
}

fn bilinear(inputs: usize, outputs: usize) -> Weights {
    let weights = |at: usize| {
        let place = (at as f64 + 0.5) * inputs as f64 / outputs as f64 - 0.5;
        let place = place.clamp(0.0, (inputs - 1) as f64);
        (0..inputs).map(|i| (1.0 - (i as f64 - place).abs()).max(0.0)).collect()
    };
    (0..outputs).map(weights).collect()
}

fn shifted(length: usize, by: isize) -> Weights {
    let from = |at: usize| at.saturating_add_signed(by).min(length - 1);
    (0..length).map(|at| (0..length).map(|i| f64::from(u8::from(i == from(at)))).collect()).collect()
}

/// Cut at four sigma, edges reflected.
fn gaussian(length: usize, sigma: f64) -> Weights {
    let radius = (4.0 * sigma + 0.5) as isize;
    let weight = |by: isize| if by == 0 { 1.0 } else { (-0.5 * (by as f64 / sigma).powi(2)).exp() };
    let total: f64 = (-radius..=radius).map(weight).sum();
    let weights = |at: usize| {
        let mut weights = vec![0.0; length];
        for by in -radius..=radius {
            let place = (at as isize + by).rem_euclid(2 * length as isize) as usize;
            weights[if place < length { place } else { 2 * length - 1 - place }] += weight(by) / total;
        }
        weights
    };
    (0..length).map(weights).collect()
}

fn resample(from: (usize, usize), to: (usize, usize), format: PixelFormat, random: &mut Random) {
    let (width, height) = from;
    let bytes = format.bytes_per_pixel();
    let pixels: Vec<u8> = (0..width * height * bytes).map(|_| random.below(256) as u8).collect();
    let image = ImageView::new(&pixels, width, height, width * bytes, format).expect("an image");
    let (size, normalisation) =
        (InputSize { height: to.1, width: to.0 }, Normalisation { mean: [0.0; 3], std: [1.0; 3] });
    let mut tensor = Vec::new();
    Preprocessor::new(size, normalisation).run(&image, None, &THREADS, &mut tensor).expect("a tensor");
    let (down, across) = (triangle(height, to.1), triangle(width, to.0));
    for (channel, found) in tensor.chunks_exact(to.0 * to.1).enumerate() {
        // The order of the channels in memory; grey is all of them. Words are divided by 65,535, bytes by 255.
        let word = |at: usize| f64::from(u16::from_ne_bytes([pixels[2 * at], pixels[2 * at + 1]])) / 65535.0;
        let value = |at: usize| match format {
            PixelFormat::Gray16 => word(at),
            PixelFormat::Gray8 => f64::from(pixels[at]) / 255.0,
            PixelFormat::Bgr8 => f64::from(pixels[at * bytes + 2 - channel]) / 255.0,
            _ => f64::from(pixels[at * bytes + channel]) / 255.0,
        };
        let plane: Vec<f64> = (0..width * height).map(value).collect();
        // Channels of 8 bits are rounded to 8 bits along each axis.
        let eight_bits = format != PixelFormat::Gray16 || pixels.chunks_exact(2).all(|word| word[0] == word[1]);
        let most = if eight_bits { 1.001 / 255.0 } else { 1e-5 };
        for (found, expected) in found.iter().zip(filtered(&plane, &down, &across)) {
            close(*found, expected, most);
        }
    }
}

fn smooth(grid: (usize, usize), size: InputSize, sigma: f64, displacements: &[(i8, i8)], random: &mut Random) {
    let map: Vec<f32> = (0..grid.0 * grid.1).map(|_| random.below(1000) as f32 / 1000.0).collect();
    let displacements = displacements.iter().map(|(dy, dx)| (isize::from(*dy), isize::from(*dx)));
    let geometry = MapGeometry { grid, size, sigma, masked: false };
    let mut found = Vec::new();
    let maps: Vec<_> = displacements.map(|displacement| (displacement, &map[..])).collect();
    Smoother::default().run(maps.iter().copied(), geometry, None, &THREADS, &mut found).expect("a map");
    let mut expected = vec![0.0; size.height * size.width];
    let map: Vec<f64> = map.iter().copied().map(f64::from).collect();
    let up = filtered(&map, &bilinear(grid.0, size.height), &bilinear(grid.1, size.width));
    for ((dy, dx), _) in &maps {
        let back = filtered(&up, &shifted(size.height, -dy), &shifted(size.width, -dx));
        let blurred = filtered(&back, &gaussian(size.height, sigma), &gaussian(size.width, sigma));
        expected.iter_mut().zip(blurred).for_each(|(sum, value)| *sum += value / maps.len() as f64);
    }
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).for_each(|(found, expected)| close(*found, expected, 1e-4));
}

/// Floods from every pixel that no region has.
fn regions(width: usize, threshold: f32, least_area: usize, map: &[f32]) {
    let height = map.len() / width;
    let map = &map[..width * height];
    let mut finder = RegionFinder::default();
    let rows = Rows::from_slice(map, width, height, width).expect("rows");
    let found = finder.find(rows, threshold, least_area).expect("regions");
    let mut label = vec![0; map.len()];
    let mut expected = Vec::new();
    for start in 0..map.len() {
        if label[start] != 0 || map[start] <= threshold {
            continue;
        }
        let number = start + 1;
        let (mut pixels, mut next) = (vec![start], 0);
        label[start] = number;
        while let Some(pixel) = pixels.get(next).copied() {
            next += 1;
            let (x, y) = (pixel % width, pixel / width);
            for y in y.saturating_sub(1)..(y + 2).min(height) {
                for x in x.saturating_sub(1)..(x + 2).min(width) {
                    let other = y * width + x;
                    if map[other] > threshold && label[other] == 0 {
                        label[other] = number;
                        pixels.push(other);
                    }
                }
            }
        }
        if pixels.len() >= least_area {
            pixels.sort_unstable();
            expected.push(pixels);
        }
    }
    assert_eq!(found.len(), expected.len(), "regions");
    assert!(found.windows(2).all(|pair| pair[0].peak >= pair[1].peak), "highest first");
    for (index, region) in found.iter().enumerate() {
        let pixels: Vec<usize> =
            found.runs(index).iter().flat_map(|run| run.y * width + run.start..run.y * width + run.end).collect();
        assert!(expected.contains(&pixels), "region {index}");
        assert_eq!(
            (region.area, region.peak),
            (pixels.len(), pixels.iter().map(|at| map[*at]).fold(f32::MIN, f32::max))
        );
        let side = |at: &dyn Fn(usize) -> usize| {
            pixels
                .iter()
                .map(|pixel| at(*pixel))
                .fold((usize::MAX, 0), |(least, most), at| (least.min(at), most.max(at)))
        };
        let ((left, right), (top, bottom)) = (side(&|pixel| pixel % width), side(&|pixel| pixel / width));
        assert_eq!((region.x, region.y, region.width, region.height), (left, top, right - left + 1, bottom - top + 1));
        let mean = |at: &dyn Fn(usize) -> usize| {
            pixels.iter().map(|pixel| at(*pixel) as f64).sum::<f64>() / pixels.len() as f64
        };
        close(region.centroid_x, mean(&|pixel| pixel % width), 1e-4);
        close(region.centroid_y, mean(&|pixel| pixel / width), 1e-4);
        let contour = found.contour(index).expect("a contour");
        assert!(contour.iter().all(|(x, y)| pixels.binary_search(&(*y as usize * width + *x as usize)).is_ok()));
        let touches = |(a, b): (&(i32, i32), &(i32, i32))| (a.0 - b.0).abs().max((a.1 - b.1).abs()) <= 1;
        assert!(contour.iter().zip(contour.iter().cycle().skip(1)).all(touches), "a closed chain: {contour:?}");
    }
}

fuzz_target!(|input: (u64, Step)| {
    let (seed, step) = input;
    let mut random = Random::new(seed);
    let length = |side: u8, most: usize| side as usize % most + 1;
    match step {
        Step::Resample { from, to, format } => {
            const FORMATS: [PixelFormat; 5] =
                [PixelFormat::Gray8, PixelFormat::Gray16, PixelFormat::Rgb8, PixelFormat::Bgr8, PixelFormat::Rgba8];
            let format = FORMATS[format as usize % FORMATS.len()];
            resample(
                (length(from.0, 80), length(from.1, 40)),
                (length(to.0, 40), length(to.1, 40)),
                format,
                &mut random,
            );
        }
        Step::Smooth { grid, size, sigma, displacements } => {
            let size = InputSize { height: length(size.0, 48), width: length(size.1, 48) };
            let some = displacements.len().clamp(1, 4).min(displacements.len());
            let none = [(0, 0)];
            let displacements = if some == 0 { &none[..] } else { &displacements[..some] };
            smooth((length(grid.0, 12), length(grid.1, 12)), size, f64::from(sigma) / 32.0, displacements, &mut random);
        }
        Step::Regions { width, threshold, least_area, values } => {
            let width = length(width, 40);
            let map: Vec<f32> = values.iter().map(|value| f32::from(*value)).collect();
            if map.len() >= width {
                regions(width, f32::from(threshold), usize::from(least_area % 16), &map);
            }
        }
        Step::Peak { share, values } => {
            let mut map: Vec<f32> = values.iter().map(|value| f32::from(*value)).collect();
            if map.is_empty() {
                return;
            }
            let share = f64::from(share) / f64::from(u16::MAX);
            let found = peak(&map, None, share, &mut Vec::new()).expect("a peak");
            map.sort_by(|a, b| b.total_cmp(a));
            let count = ((map.len() as f64 * share) as usize).max(1);
            let expected = map[..count].iter().copied().map(f64::from).sum::<f64>() / count as f64;
            close(found, expected, 1e-6 * expected.abs());
        }
        Step::Distances { dimension, points } => {
            let (dimension, count) = (length(dimension, 100), points as usize + 1);
            let offset = random.below(3) as f32 * 100.0;
            let mut value = || offset + random.below(2001) as f32 / 1000.0;
            let rows = Array2::from_shape_simple_fn((count, dimension), &mut value);
            let x: Vec<f32> = (0..dimension * 5).map(|_| value()).collect();
            let (mut index, mut distance) = ([0; 5], [0.0; 5]);
            Points::new(rows.clone()).expect("points").nearest(&x, &mut index, &mut distance);
            for ((x, index), distance) in x.chunks_exact(dimension).zip(index).zip(distance) {
                let square =
                    |row: &[f32]| row.iter().zip(x).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
                let squares: Vec<f64> =
                    rows.rows().into_iter().map(|row| square(row.as_slice().expect("a row"))).collect();
                let best = squares.iter().copied().fold(f64::INFINITY, f64::min);
                let own = squares[index as usize];
                // Of points that are equally near but for rounding, either.
                assert!(own - best <= 1e-4 * dimension as f64, "{own} instead of {best}");
                close(distance, own, 1e-5 * (1.0 + own));
                let row = rows.row(index as usize);
                assert_eq!(squared_distance(x, row.as_slice().expect("a row")), distance);
            }
        }
    }
});
