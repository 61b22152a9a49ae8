//! Comparing networks with the library's own code on the CPU before they are relied on: on the mean of the good images, and on the same
//! with noise, as nothing stands out in the mean.

use crate::backbone::{Device, FeatureExtractor};
use crate::error::{Error, Result, Status};
use crate::exec::memory::{try_copy, try_vec};
use crate::math::random::Random;
use crate::preprocess::InputSize;

/// Side of the squares of a chessboard, of which every second one has noise, the first among them.
const SQUARE: usize = 16;
/// Tolerance of what runs on a device, relative to the largest value: of half precision.
pub const DEVICE_TOLERANCE: f32 = 2e-2;

/// A normalised image, and the same with noise in squares.
pub fn probes(image: &[f32], InputSize { height, width }: InputSize) -> Result<[Vec<f32>; 2]> {
    let mut disturbed = try_copy(image)?;
    let noisy = |y: usize, x: usize| (y / SQUARE + x / SQUARE).is_multiple_of(2);
    let mut random = Random::new(0);
    for plane in disturbed.chunks_exact_mut(height * width) {
        for (at, value) in plane.iter_mut().enumerate() {
            if noisy(at / width, at % width) {
                *value = random.below(256) as f32 / 128.0 - 1.0;
            }
        }
    }
    Ok([try_copy(image)?, disturbed])
}

/// The largest difference of values, as a share of the largest expected one, or of `least` if that is larger; infinite if they are
/// not as many, or one is no number.
pub fn largest_difference<'a>(
    found: impl ExactSizeIterator<Item = &'a f32>,
    expected: impl ExactSizeIterator<Item = &'a f32>,
    least: f32,
) -> f32 {
    if found.len() != expected.len() {
        return f32::INFINITY;
    }
    let (mut largest, mut difference) = (least.max(f32::MIN_POSITIVE), 0.0f32);
    for (a, b) in found.zip(expected) {
        largest = largest.max(b.abs());
        let apart = (a - b).abs();
        difference = if apart.is_nan() { f32::INFINITY } else { difference.max(apart) };
    }
    difference / largest
}

/// The largest difference of a tap's values, as a share of its plane's range: a plane of large values that hardly differ must not hide
/// another. Planes that hardly vary count as if they varied by a tenth of what most do.
fn tap_difference(found: &[f32], expected: &[f32], planes: usize) -> f32 {
    if found.len() != expected.len() || planes == 0 || expected.len() < planes {
        return f32::INFINITY;
    }
    let length = expected.len() / planes;
    let range = |plane: &[f32]| {
        let (least, most) = plane.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        most - least
    };
    let ranges: Vec<f32> = expected.chunks_exact(length).map(range).collect();
    let mut sorted = ranges.clone();
    sorted.sort_unstable_by(f32::total_cmp);
    let floor = 0.1 * sorted[planes / 2];
    let planes = found.chunks_exact(length).zip(expected.chunks_exact(length)).zip(ranges);
    let differences = planes.map(|((found, expected), range)| {
        let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
        let apart = apart.fold(0.0, |most: f32, apart| if apart.is_nan() { f32::INFINITY } else { most.max(apart) });
        apart / range.max(floor).max(f32::MIN_POSITIVE)
    });
    differences.fold(0.0, f32::max)
}

/// Compares a backbone on a device with the same on the CPU, for inputs of a size.
///
/// # Errors
/// [`Status::Device`] when its features differ; as [`FeatureExtractor::extract`].
pub fn compare_backbones(
    on_device: &dyn FeatureExtractor,
    on_cpu: &dyn FeatureExtractor,
    size: InputSize,
    device: &Device,
) -> Result<()> {
    let maps = |backbone: &dyn FeatureExtractor, image: &[f32]| {
        let mut maps = Vec::new();
        backbone.extract(image, size, &mut |_, taps| {
            taps.iter().try_for_each(|tap| try_copy(tap.data).map(|values| maps.push((values, tap.channels))))
        })?;
        Ok(maps)
    };
    let [_, image] = probes(&try_vec(3 * size.height * size.width, 0.0)?, size)?;
    let (found, expected) = (maps(on_device, &image)?, maps(on_cpu, &image)?);
    let differences =
        found.iter().zip(&expected).map(|((found, planes), (expected, _))| tap_difference(found, expected, *planes));
    let difference = if found.len() == expected.len() { differences.fold(0.0, f32::max) } else { f32::INFINITY };
    if difference <= DEVICE_TOLERANCE {
        return Ok(());
    }
    let message = format!(
        "device '{device}' cannot be used: on noise its features differ from the CPU's by {difference:.1e} of their range, more than \
         {DEVICE_TOLERANCE:.0e}. A network with auto_pad is padded otherwise by some devices: write its padding in numbers (pads). \
         device 'cpu' always works"
    );
    Err(Error::new(Status::Device, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_covers_a_part_and_is_always_the_same() {
        let size = InputSize { height: 64, width: 48 };
        let image = vec![5.0; 3 * 64 * 48];
        let [plain, noisy] = probes(&image, size).unwrap();
        assert_eq!((&plain, &noisy), (&image, &probes(&image, size).unwrap()[1]));
        let changed = noisy.iter().filter(|value| **value != 5.0).count();
        assert!((image.len() / 3..image.len() * 2 / 3).contains(&changed), "{changed}");
        for (height, width) in [(32, 34), (64, 37), (1, 1)] {
            let [plain, noisy] = probes(&vec![5.0; 3 * height * width], InputSize { height, width }).unwrap();
            assert_ne!(plain, noisy);
        }
    }

    #[test]
    fn a_large_plane_hides_no_other() {
        let large = [500.0, 501.0, 502.0];
        let of = |found: [f32; 3], expected: [f32; 3]| {
            tap_difference(&[large, found].concat(), &[large, expected].concat(), 2)
        };
        assert_eq!(of([0.0, 1.0, 2.0], [0.0, 1.0, 2.0]), 0.0);
        assert_eq!(of([0.0, 1.0, 1.0], [0.0, 1.0, 2.0]), 0.5);
        assert_eq!(of([0.0, 0.0, 1e-3], [0.0; 3]), 1e-3 / 0.2);
        assert_eq!(of([0.0, f32::NAN, 2.0], [0.0, 1.0, 2.0]), f32::INFINITY);
    }

    #[test]
    fn what_is_no_number_or_missing_differs() {
        let of = |a: &[f32], b: &[f32], least| largest_difference(a.iter(), b.iter(), least);
        assert_eq!(of(&[1.0, 2.0], &[1.0, 4.0], 0.0), 0.5);
        assert_eq!(of(&[1.0, 2.0], &[1.0, 4.0], 8.0), 0.25);
        assert_eq!([of(&[f32::NAN, 1.0], &[1.0; 2], 0.0), of(&[1.0], &[1.0; 2], 0.0)], [f32::INFINITY; 2]);
    }
}
