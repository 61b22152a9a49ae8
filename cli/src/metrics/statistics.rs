//! Statistics of a metric over several fits.

/// Mean, deviation and spread of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation, with one less than the number of values as divisor; 0 for a single value.
    pub std: f64,
    /// Largest less smallest value.
    pub spread: f64,
}

impl Statistics {
    /// None without values, or if one is missing.
    pub fn new(values: impl IntoIterator<Item = Option<f64>>) -> Option<Self> {
        let values = values.into_iter().collect::<Option<Vec<f64>>>()?;
        let mean = mean(values.iter().copied().map(Some))?;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let std = (squares / (values.len() - 1).max(1) as f64).sqrt();
        Some(Self { mean, std, spread: largest - smallest })
    }
}

/// The arithmetic mean; none without values, or if one is missing.
pub fn mean(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value?;
        count += 1.0;
    }
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_known_values() {
        let of = |values: &[f64]| Statistics::new(values.iter().copied().map(Some));
        assert_eq!(of(&[2.0, 4.0, 6.0]), Some(Statistics { mean: 4.0, std: 2.0, spread: 4.0 }));
        assert_eq!(of(&[0.3]), Some(Statistics { mean: 0.3, std: 0.0, spread: 0.0 }));
        assert_eq!(of(&[]), None);
        assert_eq!(Statistics::new([Some(1.0), None]), None, "a mean of some of the fits would not say so");
    }
}
