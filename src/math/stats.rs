//! Quantiles and tails of the normal and of Student's t distribution, by statrs, and an interval of a share.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Degrees of freedom from which the expansion about the normal distribution is exact to six digits, while statrs'
/// inverse is less precise.
const NEARLY_NORMAL: f64 = 1e4;

/// The `p`-quantile of the standard normal distribution; `p` is between 0 and 1.
pub fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// The probability that a standard normal variable exceeds `z`.
pub fn normal_survival(z: f64) -> f64 {
    Normal::standard().sf(z)
}

/// The probability that a variable of Student's t distribution with `freedom` degrees of freedom exceeds `t`: the inverse
/// of [`t_quantile`].
///
/// # Panics
/// When `freedom` is not above zero.
pub fn t_survival(t: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom above zero").sf(t)
}

/// The `p`-quantile of Student's t distribution with `freedom` degrees of freedom; `p` is between 0 and 1.
///
/// # Panics
/// When `freedom` is not above zero.
pub fn t_quantile(p: f64, freedom: f64) -> f64 {
    if freedom >= NEARLY_NORMAL {
        // The first term in 1 / freedom (Fisher and Cornish 1960).
        let normal = normal_quantile(p);
        return normal + (normal.powi(3) + normal) / (4.0 * freedom);
    }
    StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom above zero").inverse_cdf(p)
}

/// An interval that contains a share with the given confidence, of which `count` out of `of` were seen (Wilson 1927).
pub fn share_interval(count: usize, of: usize, confidence: f64) -> (f64, f64) {
    let (count, of) = (count as f64, of as f64);
    let z = normal_quantile(0.5 + 0.5 * confidence);
    let (share, weight) = (count / of, z * z / of);
    let centre = (share + 0.5 * weight) / (1.0 + weight);
    let half = (weight * (share * (1.0 - share) + 0.25 * weight)).sqrt() / (1.0 + weight);
    // Rounding must not exclude what was seen.
    ((centre - half).clamp(0.0, share), (centre + half).clamp(share, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_tables() {
        for (freedom, p, t) in [
            (1.0, 0.75, 1.0),
            (1.0, 0.95, 6.313_752),
            (1.0, 0.99, 31.820_516),
            (1.0, 0.999_99, 31_830.988_6),
            (2.0, 0.95, 2.919_986),
            (2.0, 0.99, 6.964_557),
            (2.0, 0.999_5, 31.599_055),
            (3.0, 0.95, 2.353_363),
            (3.0, 0.99, 4.540_703),
            (3.0, 0.999_5, 12.923_979),
            (4.0, 0.99, 3.746_947),
            (9.0, 0.99, 2.821_438),
            (30.0, 0.99, 2.457_262),
            (120.0, 0.999_5, 3.373_454),
        ] {
            let got = t_quantile(p, freedom);
            assert!((got / t - 1.0).abs() < 1e-6, "{freedom} degrees of freedom, {p}: {got} instead of {t}");
            assert!((t_quantile(1.0 - p, freedom) / -t - 1.0).abs() < 1e-6, "{freedom}, {p}: the other tail");
        }
        assert!(t_quantile(0.5, 7.0).abs() < 1e-6);
    }

    #[test]
    fn many_degrees_of_freedom_are_nearly_normal() {
        for p in [0.6, 0.9, 0.99, 0.999_99] {
            let below = t_quantile(p, NEARLY_NORMAL * 0.999);
            assert!((below - t_quantile(p, NEARLY_NORMAL)).abs() < 1e-5, "{p}: no step where the way changes");
            assert!((t_quantile(p, 1e9) - normal_quantile(p)).abs() < 1e-6, "{p}");
        }
    }
    /// The values are those of SciPy's binomtest(count, of).proportion_ci(0.95, "wilson").
    #[test]
    fn intervals_of_shares_agree_with_scipy() {
        for (count, of, low, high) in [
            (0, 10, 0.0, 0.277_532_799_862_889_26),
            (1, 50, 0.003_539_259_271_646_222_3, 0.104_954_435_896_378_14),
            (7, 1000, 0.003_394_868_400_990_764_6, 0.014_378_315_465_766_588),
            (263, 500, 0.482_201_648_369_495_6, 0.569_401_885_926_503_8),
            (10, 10, 0.722_467_200_137_110_9, 1.0),
        ] {
            let found = share_interval(count, of, 0.95);
            assert!((found.0 - low).abs() < 1e-9 && (found.1 - high).abs() < 1e-9, "{count} of {of}: {found:?}");
        }
    }
}
