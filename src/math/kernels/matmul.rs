//! Many vectors times one small matrix that stays in cache, and the nearest of many points: K-means' inner loops.

use super::{dispatch, fma};

const LANES: usize = 16;
/// Six times two AVX2 registers of sums leave room for the operands.
const POINTS: usize = 6;

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
    let Panels { inputs, outputs, data } = panels;
    for (points, out) in x.chunks(POINTS * inputs).zip(out.chunks_mut(POINTS * outputs)) {
        let rows = rows_of(points, *inputs);
        for (panel, weights) in data.chunks_exact(inputs * LANES).enumerate() {
            let products = products::<FMA>(rows, weights);
            let lanes = LANES.min(outputs - panel * LANES);
            for (out, product) in out.chunks_exact_mut(*outputs).zip(&products) {
                out[panel * LANES..][..lanes].copy_from_slice(&product[..lanes]);
            }
        }
    }
}

/// For each row of `x`, the nearest of the points with panels `points` and squared lengths `squares`: its index (the
/// lowest among equals) goes to `index`, the squared distance to `distance`.
pub fn nearest(x: &[f32], points: &Panels, squares: &[f32], index: &mut [u32], distance: &mut [f32]) {
    dispatch!(nearest_body(x: &[f32], points: &Panels, squares: &[f32], index: &mut [u32], distance: &mut [f32]))
}

#[inline(always)]
fn nearest_body<const FMA: bool>(x: &[f32], points: &Panels, squares: &[f32], index: &mut [u32], distance: &mut [f32]) {
    let inputs = points.inputs;
    // Places beyond the last point are infinitely far.
    let mut padded_squares = squares.to_vec();
    padded_squares.resize(squares.len().next_multiple_of(LANES), f32::INFINITY);
    let groups = x.chunks(POINTS * inputs).zip(index.chunks_mut(POINTS)).zip(distance.chunks_mut(POINTS));
    for ((group, index), distance) in groups {
        let rows = rows_of(group, inputs);
        // The best of each lane; lanes are compared at the end.
        let mut best = [[f32::INFINITY; LANES]; POINTS];
        let mut best_panel = [[0u32; LANES]; POINTS];
        let panels = points.data.chunks_exact(inputs * LANES).zip(padded_squares.chunks_exact(LANES));
        for (panel, (weights, squares)) in panels.enumerate() {
            let products = products::<FMA>(rows, weights);
            for ((product, best), best_panel) in products.iter().zip(&mut best).zip(&mut best_panel) {
                for l in 0..LANES {
                    let candidate = fma::<FMA>(-2.0, product[l], squares[l]);
                    let nearer = candidate < best[l];
                    best[l] = if nearer { candidate } else { best[l] };
                    best_panel[l] = if nearer { panel as u32 } else { best_panel[l] };
                }
            }
        }
        let found = rows.iter().zip(best.iter().zip(&best_panel));
        for ((index, distance), (row, (best, best_panel))) in index.iter_mut().zip(distance).zip(found) {
            let (mut nearest, mut at) = (f32::INFINITY, u32::MAX);
            for l in 0..LANES {
                let candidate = best_panel[l] * LANES as u32 + l as u32;
                if best[l] < nearest || (best[l] == nearest && candidate < at) {
                    (nearest, at) = (best[l], candidate);
                }
            }
            let square: f32 = row.iter().map(|v| v * v).sum();
            (*index, *distance) = (at, (nearest + square).max(0.0));
        }
    }
}

/// The points of a group; a short last group runs its last point again in the empty places.
#[inline(always)]
fn rows_of(group: &[f32], inputs: usize) -> [&[f32]; POINTS] {
    let last = group.len() / inputs - 1;
    std::array::from_fn(|p| &group[p.min(last) * inputs..][..inputs])
}

/// The products of a group of points with the sixteen columns of a panel.
///
/// One variable per point: sums in an array of arrays end up on the stack instead of in registers.
#[inline(always)]
fn products<const FMA: bool>(rows: [&[f32]; POINTS], weights: &[f32]) -> [[f32; LANES]; POINTS] {
    let [mut a, mut b, mut c, mut d, mut e, mut f] = [[0.0f32; LANES]; POINTS];
    let [ra, rb, rc, rd, re, rf] = rows;
    let points = ra.iter().zip(rb).zip(rc.iter().zip(rd)).zip(re.iter().zip(rf));
    for (w, (((&va, &vb), (&vc, &vd)), (&ve, &vf))) in weights.chunks_exact(LANES).zip(points) {
        let w: &[f32; LANES] = w.try_into().expect("LANES values");
        add_scaled::<FMA>(&mut a, w, va);
        add_scaled::<FMA>(&mut b, w, vb);
        add_scaled::<FMA>(&mut c, w, vc);
        add_scaled::<FMA>(&mut d, w, vd);
        add_scaled::<FMA>(&mut e, w, ve);
        add_scaled::<FMA>(&mut f, w, vf);
    }
    [a, b, c, d, e, f]
}

#[inline(always)]
fn add_scaled<const FMA: bool>(sum: &mut [f32; LANES], w: &[f32; LANES], value: f32) {
    for l in 0..LANES {
        sum[l] = fma::<FMA>(w[l], value, sum[l]);
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
