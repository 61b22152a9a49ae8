//! Quantiles of the normal and Student's t distributions.

/// The value that a standard normal variable stays below with probability `p` in 0..1, by Newton's method.
pub fn normal_quantile(p: f64) -> f64 {
    let mut z = {
        // A start good to two digits (Shore 1982).
        let q = p.min(1.0 - p);
        let tail = 5.5556 * (1.0 - (q / (1.0 - q)).powf(0.1186));
        if p < 0.5 { -tail } else { tail }
    };
    for _ in 0..8 {
        let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        z -= ((normal_cdf(z) - p) / density).clamp(-0.5, 0.5);
    }
    z
}

/// The probability that a standard normal variable stays below `z`: a series near zero, a continued fraction far out.
pub fn normal_cdf(z: f64) -> f64 {
    let x = z.abs();
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let upper = if x < 3.0 {
        let (mut term, mut sum) = (x, x);
        let mut k = 3.0;
        while term > 1e-17 * sum && k < 200.0 {
            term *= x * x / k;
            sum += term;
            k += 2.0;
        }
        0.5 - density * sum
    } else {
        let fraction = (1..=60).rev().fold(x, |f, k| x + f64::from(k) / f);
        density / fraction
    };
    if z < 0.0 { upper } else { 1.0 - upper }
}

/// Student's t quantile by the Cornish-Fisher expansion in 1 / `freedom`: good to 1 % from 4 degrees of freedom on.
pub fn t_quantile(p: f64, freedom: f64) -> f64 {
    let z = normal_quantile(p);
    let z2 = z * z;
    let terms = [
        z * (z2 + 1.0) / 4.0,
        z * (5.0 * z2 * z2 + 16.0 * z2 + 3.0) / 96.0,
        z * (3.0 * z2.powi(3) + 19.0 * z2 * z2 + 17.0 * z2 - 15.0) / 384.0,
        z * (79.0 * z2.powi(4) + 776.0 * z2.powi(3) + 1482.0 * z2 * z2 - 1920.0 * z2 - 945.0) / 92160.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| (sum + term) / freedom) + z
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_tables() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_964), (0.99, 2.326_348), (0.001, -3.090_232), (0.9999, 3.719_016)] {
            assert!((normal_quantile(p) - z).abs() < 1e-5, "{p}");
            assert!((normal_cdf(z) - p).abs() < 1e-6);
        }
        for (p, freedom, t) in [(0.99, 4.0, 3.747), (0.99, 9.0, 2.821), (0.99, 30.0, 2.457), (0.95, 20.0, 1.725)] {
            assert!((t_quantile(p, freedom) / t - 1.0).abs() < 0.01, "{p} {freedom}");
        }
    }
}
