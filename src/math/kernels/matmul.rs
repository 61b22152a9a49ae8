//! Many vectors times one small matrix that stays in cache, and the nearest of many points: K-means' inner loops.
//!
//! Hand-written for AVX2 and AVX-512. The compiler would keep the sums of several points on the stack and, if it does
//! not inline a closure, turn a fused multiply-add into a function call, which was a hundred times slower.

#[cfg(target_arch = "x86_64")]
use super::Level;
use super::fma;
use crate::error::Result;
use crate::exec::memory::try_vec;

const LANES: usize = 16;
/// Number of points that are processed together. Six times two AVX2 registers of sums leave room for the operands;
const POINTS: usize = 6;
/// so do twelve of AVX-512, which reads the panels half as often.
#[cfg(target_arch = "x86_64")]
const POINTS_512: usize = 12;

/// The columns of a matrix, sixteen side by side: `inputs` rows of `LANES` values per panel.
#[derive(Debug, Clone)]
pub struct Panels {
    inputs: usize,
    outputs: usize,
    data: Vec<f32>,
    /// Number of leading inputs after which a panel has only zeros, which halves the cost of a triangular map.
    used: Vec<usize>,
    /// The squared length of each column, infinite where a panel has more than there are.
    squares: Vec<f32>,
}

impl Panels {
    /// Panels of the linear map whose row `o` (of `inputs` values) gives output `o`.
    ///
    /// # Errors
    /// [`crate::error::Status::OutOfMemory`].
    pub fn from_rows(rows: &[f32], inputs: usize) -> Result<Self> {
        let outputs = rows.len() / inputs;
        let mut data = try_vec(outputs.div_ceil(LANES) * inputs * LANES, 0.0)?;
        for (o, row) in rows.chunks_exact(inputs).enumerate() {
            for (i, &value) in row.iter().enumerate() {
                data[(o / LANES * inputs + i) * LANES + o % LANES] = value;
            }
        }
        let mut squares: Vec<f32> = rows.chunks_exact(inputs).map(square).collect();
        squares.resize(outputs.next_multiple_of(LANES), f32::INFINITY);
        let last = |panel: &[f32]| panel.iter().rposition(|v| *v != 0.0).map_or(0, |at| at / LANES + 1);
        let used = data.chunks_exact(inputs * LANES).map(last).collect();
        Ok(Self { inputs, outputs, data, used, squares })
    }

    /// Rows that they were made from.
    pub fn outputs(&self) -> usize {
        self.outputs
    }
}

/// Writes the products of `x` (rows of `inputs` values) with the map to `out` (rows of `outputs` values).
pub fn multiply(x: &[f32], panels: &Panels, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    // SAFETY: the processor has what the level says.
    match super::level() {
        Level::Avx512 => return unsafe { x86::multiply_512(x, panels, out) },
        Level::Avx2 => return unsafe { x86::multiply_256(x, panels, out) },
        Level::Baseline => {}
    }
    multiply_baseline(x, panels, out);
}

fn multiply_baseline(x: &[f32], panels: &Panels, out: &mut [f32]) {
    multiply_body(x, panels, out, products);
}

#[inline(always)]
fn multiply_body<const N: usize>(
    x: &[f32],
    panels: &Panels,
    out: &mut [f32],
    products: impl Fn([&[f32]; N], &[f32]) -> [[f32; LANES]; N],
) {
    let Panels { inputs, outputs, data, used, .. } = panels;
    for (points, out) in x.chunks(N * inputs).zip(out.chunks_mut(N * outputs)) {
        let rows: [&[f32]; N] = rows_of(points, *inputs);
        for (panel, (weights, used)) in data.chunks_exact(inputs * LANES).zip(used).enumerate() {
            let products = products(rows.map(|row| &row[..*used]), &weights[..used * LANES]);
            let lanes = LANES.min(outputs - panel * LANES);
            for (out, product) in out.chunks_exact_mut(*outputs).zip(&products) {
                out[panel * LANES..][..lanes].copy_from_slice(&product[..lanes]);
            }
        }
    }
}

/// For each row of `x`, the nearest of the rows that `points` was made from: its index (the lowest among equals) goes to
/// `index`, the squared distance to `distance`.
pub fn nearest(x: &[f32], points: &Panels, index: &mut [u32], distance: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    // SAFETY: the processor has what the level says.
    match super::level() {
        Level::Avx512 => return unsafe { x86::nearest_512(x, points, index, distance) },
        Level::Avx2 => return unsafe { x86::nearest_256(x, points, index, distance) },
        Level::Baseline => {}
    }
    nearest_baseline(x, points, index, distance);
}

fn nearest_baseline(x: &[f32], points: &Panels, index: &mut [u32], distance: &mut [f32]) {
    nearest_body(x, points, (index, distance), products, keep_nearer);
}

#[inline(always)]
fn nearest_body<const N: usize>(
    x: &[f32],
    points: &Panels,
    (index, distance): (&mut [u32], &mut [f32]),
    products: impl Fn([&[f32]; N], &[f32]) -> [[f32; LANES]; N],
    keep_nearer: impl Fn(&[f32; LANES], &[f32; LANES], u32, &mut Best),
) {
    let inputs = points.inputs;
    let groups = x.chunks(N * inputs).zip(index.chunks_mut(N)).zip(distance.chunks_mut(N));
    for ((group, index), distance) in groups {
        let rows = rows_of(group, inputs);
        // The best of each lane; lanes are compared at the end.
        let mut best = [Best { value: [f32::INFINITY; LANES], panel: [0; LANES] }; N];
        let panels = points.data.chunks_exact(inputs * LANES).zip(points.squares.chunks_exact(LANES));
        for (panel, (weights, squares)) in panels.enumerate() {
            let squares = squares.try_into().expect("LANES values");
            let products = products(rows, weights);
            for (product, best) in products.iter().zip(&mut best) {
                keep_nearer(product, squares, panel as u32, best);
            }
        }
        for ((index, distance), (row, best)) in index.iter_mut().zip(distance).zip(rows.iter().zip(&best)) {
            let (mut nearest, mut at) = (f32::INFINITY, u32::MAX);
            for l in 0..LANES {
                let candidate = best.panel[l] * LANES as u32 + l as u32;
                if best.value[l] < nearest || (best.value[l] == nearest && candidate < at) {
                    (nearest, at) = (best.value[l], candidate);
                }
            }
            (*index, *distance) = (at, (nearest + square(row)).max(0.0));
        }
    }
}

/// The best of each lane for one point: the distance minus the point's own square, and the panel.
#[derive(Clone, Copy)]
struct Best {
    value: [f32; LANES],
    panel: [u32; LANES],
}

/// Updates each lane with a panel.
#[inline(always)]
fn keep_nearer(product: &[f32; LANES], squares: &[f32; LANES], panel: u32, best: &mut Best) {
    for l in 0..LANES {
        let candidate = squares[l] - 2.0 * product[l];
        let nearer = candidate < best.value[l];
        best.value[l] = if nearer { candidate } else { best.value[l] };
        best.panel[l] = if nearer { panel } else { best.panel[l] };
    }
}

/// The squared length of a row.
#[inline(always)]
fn square(row: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|v| v * v).sum();
    for chunk in chunks {
        (0..LANES).for_each(|l| sums[l] += chunk[l] * chunk[l]);
    }
    rest + sums.iter().sum::<f32>()
}

/// The points of a group; a short last group repeats its last point.
#[inline(always)]
fn rows_of<const N: usize>(group: &[f32], inputs: usize) -> [&[f32]; N] {
    let last = group.len() / inputs - 1;
    std::array::from_fn(|p| &group[p.min(last) * inputs..][..inputs])
}

/// The products of a group of points with the sixteen columns of a panel.
///
/// One variable per point: sums in an array of arrays end up on the stack instead of in registers.
#[inline(always)]
fn products(rows: [&[f32]; POINTS], weights: &[f32]) -> [[f32; LANES]; POINTS] {
    let [mut a, mut b, mut c, mut d, mut e, mut f] = [[0.0f32; LANES]; POINTS];
    let [ra, rb, rc, rd, re, rf] = rows;
    let points = ra.iter().zip(rb).zip(rc.iter().zip(rd)).zip(re.iter().zip(rf));
    for (w, (((&va, &vb), (&vc, &vd)), (&ve, &vf))) in weights.chunks_exact(LANES).zip(points) {
        let w: &[f32; LANES] = w.try_into().expect("LANES values");
        add_scaled(&mut a, w, va);
        add_scaled(&mut b, w, vb);
        add_scaled(&mut c, w, vc);
        add_scaled(&mut d, w, vd);
        add_scaled(&mut e, w, ve);
        add_scaled(&mut f, w, vf);
    }
    [a, b, c, d, e, f]
}

#[inline(always)]
fn add_scaled(sum: &mut [f32; LANES], w: &[f32; LANES], value: f32) {
    for l in 0..LANES {
        sum[l] = fma::<{ cfg!(target_arch = "aarch64") }>(w[l], value, sum[l]);
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use std::arch::x86_64::{
        _CMP_LT_OQ, _mm256_blendv_ps, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_fmadd_ps,
        _mm256_fnmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps,
        _mm256_storeu_ps, _mm256_storeu_si256, _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_loadu_ps,
        _mm512_mask_storeu_epi32, _mm512_mask_storeu_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
        _mm512_storeu_ps,
    };

    use super::{Best, LANES, POINTS, POINTS_512, Panels, multiply_body, nearest_body};

    /// Values of an AVX2 register.
    const HALF: usize = LANES / 2;

    #[target_feature(enable = "avx2,fma")]
    pub fn multiply_256(x: &[f32], panels: &Panels, out: &mut [f32]) {
        multiply_body(x, panels, out, |rows, weights| products_256(rows, weights));
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn nearest_256(x: &[f32], points: &Panels, index: &mut [u32], distance: &mut [f32]) {
        let keep = |product: &_, squares: &_, panel, best: &mut _| keep_nearer_256(product, squares, panel, best);
        nearest_body(x, points, (index, distance), |rows, weights| products_256(rows, weights), keep);
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn keep_nearer_256(product: &[f32; LANES], squares: &[f32; LANES], panel: u32, best: &mut Best) {
        for half in [0, HALF] {
            // SAFETY: two registers of eight lanes, sixteen values.
            unsafe {
                let (value, at) = (best.value.as_mut_ptr().add(half), best.panel.as_mut_ptr().add(half).cast());
                let (product, squares) =
                    (_mm256_loadu_ps(product.as_ptr().add(half)), _mm256_loadu_ps(squares.as_ptr().add(half)));
                let candidate = _mm256_fnmadd_ps(_mm256_set1_ps(2.0), product, squares);
                let before = _mm256_loadu_ps(value);
                let nearer = _mm256_cmp_ps::<_CMP_LT_OQ>(candidate, before);
                _mm256_storeu_ps(value, _mm256_blendv_ps(before, candidate, nearer));
                let (before, panel) = (_mm256_loadu_si256(at), _mm256_set1_epi32(panel as i32));
                let chosen = _mm256_blendv_ps(_mm256_castsi256_ps(before), _mm256_castsi256_ps(panel), nearer);
                _mm256_storeu_si256(at, _mm256_castps_si256(chosen));
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn products_256(rows: [&[f32]; POINTS], weights: &[f32]) -> [[f32; LANES]; POINTS] {
        let inputs = weights.len() / LANES;
        assert!(rows.iter().all(|row| row.len() == inputs));
        let mut sums = [[_mm256_setzero_ps(); 2]; POINTS];
        for i in 0..inputs {
            // SAFETY: `weights` has LANES values and each row one for each of the inputs.
            unsafe {
                let at = weights.as_ptr().add(i * LANES);
                let (low, high) = (_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(HALF)));
                for (sum, row) in sums.iter_mut().zip(&rows) {
                    let value = _mm256_set1_ps(*row.get_unchecked(i));
                    *sum = [_mm256_fmadd_ps(low, value, sum[0]), _mm256_fmadd_ps(high, value, sum[1])];
                }
            }
        }
        let mut out = [[0.0; LANES]; POINTS];
        for (out, [low, high]) in out.iter_mut().zip(sums) {
            // SAFETY: two registers of eight lanes, sixteen values.
            unsafe {
                _mm256_storeu_ps(out.as_mut_ptr(), low);
                _mm256_storeu_ps(out.as_mut_ptr().add(HALF), high);
            }
        }
        out
    }

    #[target_feature(enable = "avx512f")]
    pub fn multiply_512(x: &[f32], panels: &Panels, out: &mut [f32]) {
        multiply_body(x, panels, out, |rows, weights| products_512(rows, weights));
    }

    #[target_feature(enable = "avx512f")]
    pub fn nearest_512(x: &[f32], points: &Panels, index: &mut [u32], distance: &mut [f32]) {
        let keep = |product: &_, squares: &_, panel, best: &mut _| keep_nearer_512(product, squares, panel, best);
        nearest_body(x, points, (index, distance), |rows, weights| products_512(rows, weights), keep);
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn keep_nearer_512(product: &[f32; LANES], squares: &[f32; LANES], panel: u32, best: &mut Best) {
        // SAFETY: sixteen lanes, sixteen values.
        unsafe {
            let (product, squares) = (_mm512_loadu_ps(product.as_ptr()), _mm512_loadu_ps(squares.as_ptr()));
            let candidate = _mm512_fnmadd_ps(_mm512_set1_ps(2.0), product, squares);
            let nearer = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(candidate, _mm512_loadu_ps(best.value.as_ptr()));
            _mm512_mask_storeu_ps(best.value.as_mut_ptr(), nearer, candidate);
            _mm512_mask_storeu_epi32(best.panel.as_mut_ptr().cast(), nearer, _mm512_set1_epi32(panel as i32));
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn products_512(rows: [&[f32]; POINTS_512], weights: &[f32]) -> [[f32; LANES]; POINTS_512] {
        let inputs = weights.len() / LANES;
        assert!(rows.iter().all(|row| row.len() == inputs));
        let mut sums = [_mm512_setzero_ps(); POINTS_512];
        for i in 0..inputs {
            // SAFETY: `weights` has LANES values and each row one for each of the inputs.
            unsafe {
                let w = _mm512_loadu_ps(weights.as_ptr().add(i * LANES));
                for (sum, row) in sums.iter_mut().zip(&rows) {
                    *sum = _mm512_fmadd_ps(w, _mm512_set1_ps(*row.get_unchecked(i)), *sum);
                }
            }
        }
        let mut out = [[0.0; LANES]; POINTS_512];
        for (out, sum) in out.iter_mut().zip(sums) {
            // SAFETY: sixteen lanes, sixteen values.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sum) };
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Multiply = fn(&[f32], &Panels, &mut [f32]);
    type Search = fn(&[f32], &Panels, &mut [u32], &mut [f32]);

    /// What this processor can run, not only the best.
    fn implementations() -> Vec<(Multiply, Search)> {
        let mut all: Vec<(Multiply, Search)> = vec![(multiply, nearest), (multiply_baseline, nearest_baseline)];
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        if super::super::level() != Level::Baseline {
            // SAFETY: every level above the baseline has AVX2.
            all.push((
                |x, panels, out| unsafe { x86::multiply_256(x, panels, out) },
                |x, points, index, distance| unsafe { x86::nearest_256(x, points, index, distance) },
            ));
        }
        all
    }

    proptest! {
        #[test]
        fn equal_the_definition(points in 1usize..20, inputs in 1usize..30, outputs in 1usize..40, triangular: bool, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            let mut values = |n: usize| -> Vec<f32> { (0..n).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect() };
            let (x, mut rows) = (values(points * inputs), values(outputs * inputs));
            if triangular {
                rows.chunks_mut(inputs).enumerate().for_each(|(o, row)| row.iter_mut().skip(o + 1).for_each(|v| *v = 0.0));
            }
            let panels = Panels::from_rows(&rows, inputs).unwrap();
            for (multiply, nearest) in implementations() {
                let mut out = vec![0.0; points * outputs];
                multiply(&x, &panels, &mut out);
                let (mut index, mut distance) = (vec![0; points], vec![0.0; points]);
                nearest(&x, &panels, &mut index, &mut distance);
                for (p, x) in x.chunks(inputs).enumerate() {
                    let exact = |o: usize| x.iter().zip(&rows[o * inputs..]).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
                    for o in 0..outputs {
                        let expected: f32 = x.iter().zip(&rows[o * inputs..]).map(|(a, b)| a * b).sum();
                        prop_assert!((out[p * outputs + o] - expected).abs() < 1e-4);
                        prop_assert!(distance[p] <= exact(o) + 1e-4);
                    }
                    prop_assert!((distance[p] - exact(index[p] as usize)).abs() < 1e-4);
                }
            }
        }
    }
}
