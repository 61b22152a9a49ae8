//! Adam (Kingma, Ba; ICLR 2015).

/// Decay of the running mean of the gradient and of its square.
const DECAYS: (f64, f64) = (0.9, 0.999);
/// Keeps the quotient finite.
const EPSILON: f64 = 1e-8;

/// The running means of the gradient and its square.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    pub first: Vec<f32>,
    pub second: Vec<f32>,
    pub steps: u64,
}

impl Adam {
    /// The start for so many values.
    pub fn new(values: usize) -> Self {
        Self { first: vec![0.0; values], second: vec![0.0; values], steps: 0 }
    }

    /// Moves `values` against the gradient.
    pub fn step(&mut self, rate: f64, gradient: &[f32], values: &mut [f32]) {
        self.steps += 1;
        let power = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (mean, square) = (1.0 - DECAYS.0.powi(power), 1.0 - DECAYS.1.powi(power));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, gradient), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            let g = f64::from(*gradient);
            let m = DECAYS.0 * f64::from(*first) + (1.0 - DECAYS.0) * g;
            let v = DECAYS.1 * f64::from(*second) + (1.0 - DECAYS.1) * g * g;
            (*first, *second) = (m as f32, v as f32);
            *value = (f64::from(*value) - rate * (m / mean) / ((v / square).sqrt() + EPSILON)) as f32;
        }
    }
}
