//! Many vectors times one small matrix that stays in cache, and the nearest of many points: K-means' inner loops.
//!
//! Hand-written for each instruction set. The compiler would keep the sums of several points on the stack and, if it does
//! not inline a closure, turn a fused multiply-add into a function call, which was a hundred times slower.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use super::{Level, Set};
use crate::error::Result;
use crate::exec::memory::try_vec;

const LANES: usize = 16;

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

    /// The same for points that were made relative to `origin`, and are compared with others that were not.
    #[must_use]
    pub fn around(mut self, origin: &[f32]) -> Self {
        // |x - (m + p)|^2 is |x - m|^2, which is the same for all points, and |p|^2 - 2 p (x - m).
        for (point, square) in self.squares.iter_mut().enumerate().take(self.outputs) {
            let panel = &self.data[point / LANES * self.inputs * LANES..];
            let value = |i: usize| f64::from(panel[i * LANES + point % LANES]);
            let product: f64 = origin.iter().enumerate().map(|(i, m)| f64::from(*m) * value(i)).sum();
            *square = (f64::from(*square) + 2.0 * product) as f32;
        }
        self
    }

    /// Rows that they were made from.
    pub fn outputs(&self) -> usize {
        self.outputs
    }
}

/// Writes the products of `x` (rows of `inputs` values) with the map to `out` (rows of `outputs` values).
pub fn multiply(x: &[f32], panels: &Panels, out: &mut [f32]) {
    (implementation(Level::best()).multiply)(x, panels, out);
}

/// For each row of `x`, the nearest of the rows that `points` was made from: its index (the lowest among equals) goes to
/// `index`, the squared distance to `distance`.
pub fn nearest(x: &[f32], points: &Panels, index: &mut [u32], distance: &mut [f32]) {
    (implementation(Level::best()).nearest)(x, points, index, distance);
}

/// The bodies for an instruction set.
struct Implementation {
    multiply: fn(&[f32], &Panels, &mut [f32]),
    nearest: fn(&[f32], &Panels, &mut [u32], &mut [f32]),
}

#[allow(unsafe_code)]
fn implementation(level: Level) -> Implementation {
    // SAFETY: a level is one that the processor has.
    macro_rules! of {
        ($module:ident) => {
            Implementation {
                multiply: |x, panels, out| unsafe { $module::multiply(x, panels, out) },
                nearest: |x, points, index, distance| unsafe { $module::nearest(x, points, index, distance) },
            }
        };
    }
    match level.set() {
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => of!(avx512),
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => of!(avx2),
        #[cfg(target_arch = "aarch64")]
        Set::Neon => of!(neon),
        Set::Portable => Implementation { multiply: portable::multiply, nearest: portable::nearest },
    }
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
            let panels = Panels::from_rows(&rows, inputs).unwrap();
            for Implementation { multiply, nearest } in Level::all().map(implementation) {
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
