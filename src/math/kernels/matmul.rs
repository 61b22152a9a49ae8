//! Many vectors times one small matrix that stays in cache, and the nearest of many points: K-means' inner loops.

use super::{dispatch, fma};

const LANES: usize = 16;
const POINTS: usize = 4;

/// The columns of a matrix, sixteen side by side: `inputs` rows of `LANES` values per panel.
#[derive(Debug, Clone)]
pub struct Panels {
    inputs: usize,
    outputs: usize,
    data: Vec<f32>,
}

impl Panels {
    /// Panels of the linear map whose row `o` (of `inputs` values) gives output `o`.
    pub fn from_rows(rows: &[f32], inputs: usize) -> Self {
        let outputs = rows.len() / inputs;
        let mut data = vec![0.0; outputs.div_ceil(LANES) * inputs * LANES];
        for (o, row) in rows.chunks_exact(inputs).enumerate() {
            for (i, &value) in row.iter().enumerate() {
                data[(o / LANES * inputs + i) * LANES + o % LANES] = value;
            }
        }
        Self { inputs, outputs, data }
    }
}

/// Writes the products of `x` (rows of `inputs` values) with the map to `out` (rows of `outputs` values).
pub fn multiply(x: &[f32], panels: &Panels, out: &mut [f32]) {
    dispatch!(multiply_body(x: &[f32], panels: &Panels, out: &mut [f32]))
}

#[inline(always)]
fn multiply_body<const FMA: bool>(x: &[f32], panels: &Panels, out: &mut [f32]) {
    let outputs = panels.outputs;
    for_each_tile::<FMA>(x, panels, |first, count, tile: &[[f32; LANES]; POINTS], panel| {
        let lanes = LANES.min(outputs - panel * LANES);
        for p in 0..count {
            out[(first + p) * outputs + panel * LANES..][..lanes].copy_from_slice(&tile[p][..lanes]);
        }
    });
}

/// For each row of `x`, the nearest of the points with panels `points` and squared lengths `squares`: its index (the
/// lowest among equals) goes to `index`, the squared distance to `distance`.
pub fn nearest(x: &[f32], points: &Panels, squares: &[f32], index: &mut [u32], distance: &mut [f32]) {
    dispatch!(nearest_body(x: &[f32], points: &Panels, squares: &[f32], index: &mut [u32], distance: &mut [f32]))
}

#[inline(always)]
fn nearest_body<const FMA: bool>(
    x: &[f32],
    points: &Panels,
    squares: &[f32],
    index: &mut [u32],
    distance: &mut [f32],
) {
    distance.fill(f32::INFINITY);
    for_each_tile::<FMA>(x, points, |first, count, tile: &[[f32; LANES]; POINTS], panel| {
        for p in 0..count {
            for (lane, square) in squares[panel * LANES..].iter().take(LANES).enumerate() {
                let candidate = square - 2.0 * tile[p][lane];
                if candidate < distance[first + p] {
                    distance[first + p] = candidate;
                    index[first + p] = (panel * LANES + lane) as u32;
                }
            }
        }
    });
    for (x, distance) in x.chunks_exact(points.inputs).zip(distance) {
        let square: f32 = x.iter().map(|v| v * v).sum();
        *distance = (*distance + square).max(0.0);
    }
}

/// Calls `consume(first point, points, products, panel)` for every four points and panel.
#[inline(always)]
fn for_each_tile<const FMA: bool>(
    x: &[f32],
    panels: &Panels,
    mut consume: impl FnMut(usize, usize, &[[f32; LANES]; POINTS], usize),
) {
    let inputs = panels.inputs;
    for (group, points) in x.chunks(POINTS * inputs).enumerate() {
        let count = points.len() / inputs;
        // A short last group runs its last point again in the empty places.
        let rows: [&[f32]; POINTS] = std::array::from_fn(|p| &points[p.min(count - 1) * inputs..][..inputs]);
        for (panel, weights) in panels.data.chunks_exact(inputs * LANES).enumerate() {
            let mut tile = [[0.0f32; LANES]; POINTS];
            for (i, w) in weights.chunks_exact(LANES).enumerate() {
                let w: &[f32; LANES] = w.try_into().expect("LANES values");
                for p in 0..POINTS {
                    let value = rows[p][i];
                    for l in 0..LANES {
                        tile[p][l] = fma::<FMA>(w[l], value, tile[p][l]);
                    }
                }
            }
            consume(group * POINTS, count, &tile, panel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_the_definition(points in 1usize..20, inputs in 1usize..30, outputs in 1usize..40, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            let mut values = |n: usize| -> Vec<f32> { (0..n).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect() };
            let (x, rows) = (values(points * inputs), values(outputs * inputs));
            let panels = Panels::from_rows(&rows, inputs);
            let squares: Vec<f32> = rows.chunks(inputs).map(|r| r.iter().map(|v| v * v).sum()).collect();
            let mut out = vec![0.0; points * outputs];
            multiply(&x, &panels, &mut out);
            let mut baseline = out.clone();
            multiply_body::<false>(&x, &panels, &mut baseline);
            let (mut index, mut distance) = (vec![0; points], vec![0.0; points]);
            nearest(&x, &panels, &squares, &mut index, &mut distance);
            for (p, x) in x.chunks(inputs).enumerate() {
                let exact = |o: usize| x.iter().zip(&rows[o * inputs..]).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
                for o in 0..outputs {
                    let expected: f32 = x.iter().zip(&rows[o * inputs..]).map(|(a, b)| a * b).sum();
                    prop_assert!((out[p * outputs + o] - expected).abs() < 1e-4);
                    prop_assert!((baseline[p * outputs + o] - expected).abs() < 1e-4);
                    prop_assert!(distance[p] <= exact(o) + 1e-4);
                }
                prop_assert!((distance[p] - exact(index[p] as usize)).abs() < 1e-4);
            }
        }
    }
}
