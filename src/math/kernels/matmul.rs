//! Many vectors times one small matrix that stays in cache, and the nearest of many points: K-means' inner loops.

use super::{dispatch, fma};

const LANES: usize = 16;
/// Points that go through a panel together. Six times two AVX2 registers of sums leave room for the operands;
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
    /// Inputs, from the first, beyond which a panel has nothing but zeros: a triangular map costs half.
    used: Vec<usize>,
    /// The squared length of each column, infinite where a panel has more than there are.
    squares: Vec<f32>,
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
        let mut squares: Vec<f32> = rows.chunks_exact(inputs).map(square).collect();
        squares.resize(outputs.next_multiple_of(LANES), f32::INFINITY);
        let last = |panel: &[f32]| panel.iter().rposition(|v| *v != 0.0).map_or(0, |at| at / LANES + 1);
        let used = data.chunks_exact(inputs * LANES).map(last).collect();
        Self { inputs, outputs, data, used, squares }
    }

    /// Rows that they were made from.
    pub fn outputs(&self) -> usize {
        self.outputs
    }
}

/// Writes the products of `x` (rows of `inputs` values) with the map to `out` (rows of `outputs` values).
pub fn multiply(x: &[f32], panels: &Panels, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if super::level() == super::Level::Avx512 {
        #[allow(unsafe_code)]
        // SAFETY: the processor has AVX-512.
        return unsafe { x86::multiply(x, panels, out) };
    }
    multiply_on_six(x, panels, out);
}

fn multiply_on_six(x: &[f32], panels: &Panels, out: &mut [f32]) {
    dispatch!(multiply_six(x: &[f32], panels: &Panels, out: &mut [f32]))
}

#[inline(always)]
fn multiply_six<const FMA: bool>(x: &[f32], panels: &Panels, out: &mut [f32]) {
    multiply_body(x, panels, out, products::<FMA>);
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
    if super::level() == super::Level::Avx512 {
        #[allow(unsafe_code)]
        // SAFETY: the processor has AVX-512.
        return unsafe { x86::nearest(x, points, index, distance) };
    }
    nearest_on_six(x, points, index, distance);
}

fn nearest_on_six(x: &[f32], points: &Panels, index: &mut [u32], distance: &mut [f32]) {
    dispatch!(nearest_six(x: &[f32], points: &Panels, index: &mut [u32], distance: &mut [f32]))
}

#[inline(always)]
fn nearest_six<const FMA: bool>(x: &[f32], points: &Panels, index: &mut [u32], distance: &mut [f32]) {
    nearest_body(x, points, (index, distance), products::<FMA>, keep_nearer);
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

/// The best that each lane has seen of one point: the distance less the point's own square, and the panel.
#[derive(Clone, Copy)]
struct Best {
    value: [f32; LANES],
    panel: [u32; LANES],
}

/// Lane by lane, the nearer of what was best and what a panel has.
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

/// The points of a group; a short last group runs its last point again in the empty places.
#[inline(always)]
fn rows_of<const N: usize>(group: &[f32], inputs: usize) -> [&[f32]; N] {
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

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use std::arch::x86_64::{
        _CMP_LT_OQ, _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_epi32,
        _mm512_mask_storeu_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    use super::{Best, LANES, POINTS_512, Panels, multiply_body, nearest_body};

    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
    pub fn multiply(x: &[f32], panels: &Panels, out: &mut [f32]) {
        multiply_body(x, panels, out, |rows, weights| products(rows, weights));
    }

    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
    pub fn nearest(x: &[f32], points: &Panels, index: &mut [u32], distance: &mut [f32]) {
        let keep = |product: &_, squares: &_, panel, best: &mut _| keep_nearer(product, squares, panel, best);
        nearest_body(x, points, (index, distance), |rows, weights| products(rows, weights), keep);
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
    fn keep_nearer(product: &[f32; LANES], squares: &[f32; LANES], panel: u32, best: &mut Best) {
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
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
    fn products(rows: [&[f32]; POINTS_512], weights: &[f32]) -> [[f32; LANES]; POINTS_512] {
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

    proptest! {
        #[test]
        fn equal_the_definition(points in 1usize..20, inputs in 1usize..30, outputs in 1usize..40, triangular: bool, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            let mut values = |n: usize| -> Vec<f32> { (0..n).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect() };
            let (x, mut rows) = (values(points * inputs), values(outputs * inputs));
            if triangular {
                rows.chunks_mut(inputs).enumerate().for_each(|(o, row)| row.iter_mut().skip(o + 1).for_each(|v| *v = 0.0));
            }
            let panels = Panels::from_rows(&rows, inputs);
            let mut out = vec![0.0; points * outputs];
            multiply(&x, &panels, &mut out);
            let mut baseline = out.clone();
            multiply_six::<false>(&x, &panels, &mut baseline);
            let (mut index, mut distance) = (vec![0; points], vec![0.0; points]);
            nearest(&x, &panels, &mut index, &mut distance);
            let (mut baseline_index, mut baseline_distance) = (vec![0; points], vec![0.0; points]);
            nearest_six::<false>(&x, &panels, &mut baseline_index, &mut baseline_distance);
            prop_assert!(distance.iter().zip(&baseline_distance).all(|(a, b)| (a - b).abs() < 1e-4));
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
