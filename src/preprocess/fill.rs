//! Extrapolation of a masked image beyond the mask's edge.

use super::InputSize;
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::try_resize;

/// Fills the pixels of a resized image that cover no included pixel: each with the mean of the nearest covered pixels
/// to the left, right, top and bottom, weighted by inverse distance, or with the mean of all covered pixels if its row
/// and column have none.
#[derive(Default)]
pub struct Filler {
    /// For each pixel, the row of the nearest covered pixel above it or the pixel itself.
    above: Vec<u16>,
    /// For each pixel, the row of the nearest covered pixel below it or the pixel itself.
    below: Vec<u16>,
    /// For each row, the sums of the channels weighted by coverage, and of the coverage.
    sums: Vec<[f64; LANES]>,
}

/// Maximum number of values per pixel: channels and coverage.
const LANES: usize = 4;

/// Marks a missing row; larger than any row index (see [`MAX_INPUT_SIDE`](super::MAX_INPUT_SIDE)).
const NONE: u16 = u16::MAX;

impl Filler {
    /// `image` has for each row those of its `channels` and then one of coverage, 0 where a pixel is to be filled. The filled
    /// image is in `image` afterwards; `scratch` is working memory.
    pub fn run(
        &mut self,
        image: &mut Vec<f32>,
        scratch: &mut Vec<f32>,
        InputSize { height, width }: InputSize,
        channels: usize,
        threads: &Threads,
    ) -> Result<()> {
        let length = (channels + 1) * width;
        let coverage = |y: usize| &image[y * length + channels * width..][..width];
        if (0..height).all(|y| coverage(y).iter().fold(true, |all, weight| all & (*weight > 0.0))) {
            return Ok(());
        }
        let Self { above, below, sums } = self;
        try_resize(above, height * width, NONE)?;
        try_resize(below, height * width, NONE)?;
        nearest(above, width, 0..height, coverage);
        nearest(below, width, (0..height).rev(), coverage);
        try_resize(sums, height, [0.0; LANES])?;
        threads.chunks(sums, 1, |y, sums| sums[0] = sum(&image[y * length..][..length], channels));
        let total = sums.iter().fold([0.0; LANES], |total, row| std::array::from_fn(|lane| total[lane] + row[lane]));
        let mean: [f32; LANES] = std::array::from_fn(|channel| (total[channel] / total[channels]) as f32);

        try_resize(scratch, height * length, 0.0)?;
        threads.chunks(&mut scratch[..height * length], length, |y, out| {
            out.copy_from_slice(&image[y * length..][..length]);
            let value = |x: usize, y: usize, channel: usize| image[y * length + channel * width + x];
            let covered = |x: &usize| coverage(y)[*x] > 0.0;
            let mut end = 0;
            while let Some(start) = (end..width).find(|x| !covered(x)) {
                end = (start..width).find(covered).unwrap_or(width);
                for x in start..end {
                    let (top, bottom) = (above[y * width + x], below[y * width + x]);
                    let neighbours = [
                        (start > 0).then(|| (start - 1, y, x + 1 - start)),
                        (end < width).then(|| (end, y, end - x)),
                        (top != NONE).then(|| (x, top.into(), y - usize::from(top))),
                        (bottom != NONE).then(|| (x, bottom.into(), usize::from(bottom) - y)),
                    ];
                    let (mut sums, mut total) = ([0.0f32; LANES], 0.0);
                    for (column, row, distance) in neighbours.into_iter().flatten() {
                        let weight = 1.0 / distance as f32;
                        (0..channels).for_each(|channel| sums[channel] += value(column, row, channel) * weight);
                        total += weight;
                    }
                    for channel in 0..channels {
                        out[channel * width + x] = if total > 0.0 { sums[channel] / total } else { mean[channel] };
                    }
                }
            }
        });
        std::mem::swap(image, scratch);
        Ok(())
    }
}

/// For each pixel the latest covered row, going through `rows`.
fn nearest<'a>(
    latest: &mut [u16],
    width: usize,
    rows: impl Iterator<Item = usize>,
    coverage: impl Fn(usize) -> &'a [f32],
) {
    let mut before: Option<usize> = None;
    for y in rows {
        if let Some(before) = before {
            latest.copy_within(before * width..(before + 1) * width, y * width);
        } else {
            latest[y * width..][..width].fill(NONE);
        }
        let row = latest[y * width..][..width].iter_mut().zip(coverage(y));
        row.for_each(|(latest, weight)| *latest = if *weight > 0.0 { y as u16 } else { *latest });
        before = Some(y);
    }
}

/// The sums of one row's channels weighted by their coverage, and of the coverage, which comes last.
fn sum(row: &[f32], channels: usize) -> [f64; LANES] {
    let width = row.len() / (channels + 1);
    let (values, coverage) = row.split_at(channels * width);
    let mut sums = [0.0; LANES];
    for (x, weight) in coverage.iter().map(|weight| f64::from(*weight)).enumerate() {
        (0..channels).for_each(|channel| sums[channel] += f64::from(values[channel * width + x]) * weight);
        sums[channels] += weight;
    }
    sums
}
