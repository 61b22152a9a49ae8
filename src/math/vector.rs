//! Products and distances of pairs of vectors.
//!
//! Sums are accumulated in `LANES` lanes in registers and added at the end. A single sum would be limited by the
//! latency of each addition, and the compiler must not reorder it, since floating-point addition is not associative.

use std::iter::Sum;
use std::ops::Add;

use super::kernels::fma;

/// The dot product of vectors of one length. Lanes sum in f32 and are added up as `S`. With `FMA`, which takes a function
/// that is compiled for it (see [`super::kernels`]), products are not rounded.
#[inline(always)]
pub fn dot<const LANES: usize, const FMA: bool, S>(a: &[f32], b: &[f32]) -> S
where
    S: From<f32> + Sum + Add<Output = S>,
{
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for l in 0..LANES {
            lanes[l] = fma::<FMA>(a[l], b[l], lanes[l]);
        }
    }
    S::from(tail) + lanes.into_iter().map(S::from).sum()
}

/// The squared Euclidean distance of vectors of one length.
pub fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| (a - b) * (a - b)).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for l in 0..LANES {
            lanes[l] += (a[l] - b[l]) * (a[l] - b[l]);
        }
    }
    tail + lanes.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_the_definition(length in 0usize..70, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            let mut vector = || Array1::from_shape_simple_fn(length, || random.below(2001) as f32 / 1000.0 - 1.0);
            let (x, y) = (vector(), vector());
            let (a, b) = (x.as_slice().unwrap(), y.as_slice().unwrap());
            let product = x.mapv(f64::from).dot(&y.mapv(f64::from));
            for got in [dot::<16, true, f64>(a, b), dot::<8, false, f64>(a, b), f64::from(dot::<8, false, f32>(a, b))] {
                prop_assert!((got - product).abs() < 1e-4, "{got} instead of {product}");
            }
            let square = (&x - &y).mapv(|v| v * v).sum();
            prop_assert!((squared_distance(a, b) - square).abs() < 1e-4 * (1.0 + square));
        }
    }
}
