//! The anomaly map in eight bits, on the calibrated scale.

use crate::error::{Error, Result, Status};
use crate::exec::rows::{Rows, RowsMut, RowsOut};
use crate::math::kernels::dispatch;

/// Converts a map value to 8 bits: 0 at `typical`, the value of a typical good image, and below; 128 or more exactly if
/// the value exceeds `threshold`, which must exceed `typical`; 255 at twice the threshold's distance from `typical` and
/// above. NaN becomes 0.
pub fn calibrated_byte(value: f32, typical: f32, threshold: f32) -> u8 {
    byte(value, typical, threshold, scale(typical, threshold))
}

/// Writes [`calibrated_byte`] of each value of a map to rows of the same size.
///
/// # Errors
/// [`Status::InvalidArgument`] when the sizes differ.
pub fn calibrated_map<'a>(
    map: Rows<'_, f32>,
    typical: f32,
    threshold: f32,
    out: RowsOut<'a, u8>,
) -> Result<RowsMut<'a, u8>> {
    if (map.width(), map.height()) != (out.width(), out.height()) {
        let message = format!(
            "the anomaly map has {} x {} values, but the buffer for the 8-bit map has {} x {}; they must be equal",
            map.width(),
            map.height(),
            out.width(),
            out.height()
        );
        return Err(Error::new(Status::InvalidArgument, message));
    }
    let scale = scale(typical, threshold);
    Ok(out.write(0, |y, row| bytes(map.row(y), typical, threshold, scale, row)))
}

/// Factor from units of the map to bytes.
fn scale(typical: f32, threshold: f32) -> f32 {
    (127.5 / (f64::from(threshold) - f64::from(typical))) as f32
}

fn bytes(values: &[f32], typical: f32, threshold: f32, scale: f32, out: &mut [u8]) {
    dispatch!(bytes_body(values: &[f32], typical: f32, threshold: f32, scale: f32, out: &mut [u8]))
}

#[inline(always)]
fn bytes_body<const FMA: bool>(values: &[f32], typical: f32, threshold: f32, scale: f32, out: &mut [u8]) {
    out.iter_mut().zip(values).for_each(|(out, value)| *out = byte(*value, typical, threshold, scale));
}

/// Rounding may move a value to the wrong side of the threshold; the comparison with the threshold corrects that.
#[inline(always)]
fn byte(value: f32, typical: f32, threshold: f32, scale: f32) -> u8 {
    // The conversion to an integer maps NaN to 0.
    let level = ((value - typical) * scale + 0.5).clamp(0.0, 255.0) as i32;
    (if value > threshold { level.max(128) } else { level.min(127) }) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ends_of_the_scale_are_met() {
        let byte = |value: f32| calibrated_byte(value, 2.0, 4.0);
        let expected = [(-9.0, 0), (0.0, 0), (2.0, 0), (3.0, 64), (4.0, 127), (5.0, 191), (6.0, 255), (1e30, 255)];
        for (value, expected) in expected {
            assert_eq!(byte(value), expected, "{value}");
        }
        assert_eq!([f32::NAN, f32::NEG_INFINITY, f32::INFINITY].map(byte), [0, 0, 255]);
    }

    #[test]
    fn the_threshold_parts_the_bytes_to_the_last_bit() {
        let thresholds = [
            (0.0, f32::MIN_POSITIVE),
            (0.0, 1e-45),
            (1.0, 1.0f32.next_up()),
            (0.1, 0.3),
            (3.0, 1e30),
            (1e7, 1e7 + 1.0),
            (f32::MIN, f32::MAX),
        ];
        for (typical, threshold) in thresholds {
            let (mut below, mut above) = (threshold, threshold.next_up());
            for _ in 0..10_000 {
                let bytes = [below, above].map(|value| calibrated_byte(value, typical, threshold));
                assert!(bytes[0] <= 127 && bytes[1] >= 128, "{below} and {above} at {threshold}: {bytes:?}");
                (below, above) = (below.next_down(), above.next_up());
            }
            assert_eq!(calibrated_byte(typical, typical, threshold), 0);
        }
    }

    proptest! {
        #[test]
        fn bytes_rise_with_values_and_rows_are_bytes(
            typical in -10.0f32..10.0, distance in 1e-3f32..10.0, width in 1usize..200, seed in any::<u64>(),
        ) {
            let threshold = typical + distance;
            let mut random = crate::math::random::Random::new(seed);
            let mut map: Vec<f32> =
                (0..3 * width).map(|_| typical + distance * (random.below(4000) as f32 / 1000.0 - 1.0)).collect();
            map.sort_by(f32::total_cmp);
            let mut bytes = vec![1; 3 * (width + 2)];
            let rows = Rows::from_slice(&map, width, 3, width).unwrap();
            calibrated_map(rows, typical, threshold, RowsOut::from_slice(&mut bytes, width, 3, width + 2).unwrap()).unwrap();
            let (rows, padding): (Vec<&[u8]>, Vec<&[u8]>) = bytes.chunks(width + 2).map(|row| row.split_at(width)).unzip();
            prop_assert!(padding.iter().all(|padding| *padding == [1, 1]));
            let bytes = rows.concat();
            prop_assert!(bytes.is_sorted());
            for (value, got) in map.iter().zip(bytes) {
                prop_assert_eq!(got, calibrated_byte(*value, typical, threshold));
                prop_assert_eq!(got >= 128, *value > threshold);
                let exact = f64::from(value - typical) / f64::from(threshold - typical) * 127.5;
                prop_assert!((exact.clamp(0.0, 255.0) - f64::from(got)).abs() < 0.51, "{} for {}", got, exact);
            }
        }
    }

    #[test]
    fn another_size_is_an_error() {
        let map = Rows::from_slice(&[0.0; 6], 3, 2, 3).unwrap();
        let mut bytes = [0; 6];
        let out = RowsOut::from_slice(&mut bytes, 2, 3, 2).unwrap();
        assert_eq!(calibrated_map(map, 0.0, 1.0, out).unwrap_err().status(), Status::InvalidArgument);
    }
}
