//! Colours of an anomaly map.

/// Colour table: value relative to twice the threshold, then red, green, blue.
const GRADIENT: [(f32, [f32; 3]); 5] = [
    (0.0, [20.0, 30.0, 120.0]),
    (0.3, [30.0, 150.0, 190.0]),
    (0.5, [250.0, 220.0, 60.0]),
    (0.7, [245.0, 120.0, 20.0]),
    (1.0, [200.0, 10.0, 20.0]),
];

/// Minimum and maximum opacity of the colours.
const OPACITY: (f32, f32) = (0.15, 0.65);

/// Renders anomaly maps: yellow is the threshold, red twice the threshold.
#[derive(Debug, Clone, Copy)]
pub struct Heatmap {
    /// The threshold.
    pub threshold: f32,
}

impl Heatmap {
    /// Blends the colour of `value` into an RGB pixel.
    pub fn blend(&self, value: f32, pixel: &mut [u8]) {
        let at = (value / (2.0 * self.threshold)).clamp(0.0, 1.0);
        let above = GRADIENT.iter().position(|(stop, _)| *stop >= at).unwrap_or(GRADIENT.len() - 1).max(1);
        let ((low, from), (high, to)) = (GRADIENT[above - 1], GRADIENT[above]);
        let share = (at - low) / (high - low);
        let opacity = OPACITY.0 + (OPACITY.1 - OPACITY.0) * at;
        for (channel, (from, to)) in pixel.iter_mut().zip(from.into_iter().zip(to)) {
            let colour = from + (to - from) * share;
            *channel = (f32::from(*channel) * (1.0 - opacity) + colour * opacity).round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_tells_which_side_of_the_threshold() {
        let heatmap = Heatmap { threshold: 3.0 };
        let at = |value: f32| {
            let mut pixel = [128; 3];
            heatmap.blend(value, &mut pixel);
            pixel
        };
        let (normal, defective) = (at(0.5), at(6.0));
        assert!(normal[2] > normal[0] && defective[0] > defective[2]);
        assert_eq!(at(100.0), defective);
        assert_eq!(at(-1.0), at(0.0));
    }
}
