//! Pictures for people: the anomaly map laid over the image, and boxes around regions.

use super::Region;

/// Colours from normal to defective: value relative to twice the threshold, then red, green, blue.
const GRADIENT: [(f32, [f32; 3]); 5] = [
    (0.0, [20.0, 30.0, 120.0]),
    (0.3, [30.0, 150.0, 190.0]),
    (0.5, [250.0, 220.0, 60.0]),
    (0.7, [245.0, 120.0, 20.0]),
    (1.0, [200.0, 10.0, 20.0]),
];

/// How strongly the colours cover the image, at least and at most.
const OPACITY: (f32, f32) = (0.15, 0.65);

/// Renders anomaly maps with one meaning of colour: yellow is the threshold, red twice as much.
#[derive(Debug, Clone, Copy)]
pub struct Heatmap {
    /// The anomaly map's threshold.
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

/// Draws each region's bounding box, moved out by its line's width, into an RGB image of rows of `width` pixels.
pub fn draw_boxes(pixels: &mut [u8], width: usize, regions: &[Region], colour: [u8; 3]) {
    let height = pixels.len() / 3 / width;
    let line = 1 + width.max(height) / 400;
    for region in regions {
        let (left, top) = (region.x.saturating_sub(line), region.y.saturating_sub(line));
        let (right, bottom) =
            ((region.x + region.width + line).min(width), (region.y + region.height + line).min(height));
        for y in top..bottom {
            for x in left..right {
                let inside = (left + line..right.saturating_sub(line)).contains(&x)
                    && (top + line..bottom.saturating_sub(line)).contains(&y);
                if !inside {
                    pixels[3 * (y * width + x)..][..3].copy_from_slice(&colour);
                }
            }
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

    #[test]
    fn boxes_stay_inside_the_picture() {
        let region = Region { x: 0, y: 0, width: 4, height: 3, area: 1, centroid_x: 0.0, centroid_y: 0.0, peak: 1.0 };
        let mut pixels = vec![0; 4 * 3 * 3];
        draw_boxes(&mut pixels, 4, &[region], [255, 0, 0]);
        assert_eq!(&pixels[..3], &[255, 0, 0]);
        draw_boxes(&mut [0; 3], 1, &[Region { width: 1, height: 1, ..region }], [255, 0, 0]);
    }
}
