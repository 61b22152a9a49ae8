//! Without intrinsics.

use super::{Best, LANES, Panels, multiply_body, nearest_body};

/// Number of points that are processed together.
const POINTS: usize = 6;

pub fn multiply(x: &[f32], panels: &Panels, out: &mut [f32]) {
    multiply_body(x, panels, out, products);
}

pub fn nearest(x: &[f32], points: &Panels, index: &mut [u32], distance: &mut [f32]) {
    nearest_body(x, points, (index, distance), products, keep_nearer);
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
        sum[l] += w[l] * value;
    }
}
