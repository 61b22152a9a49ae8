//! The resize, straight from the rows of the image as they lie in memory.
//!
//! Along each row first, as Pillow does, which rounds 8-bit images to 8 bits after each of its two passes: N-pad's
//! covariances from few images tell the difference.

use super::InputSize;
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::try_resize;
use crate::math::axis::{Axis, add_lines};
use crate::math::kernels::{dispatch, fma};

/// One row of an image.
#[derive(Clone, Copy)]
pub enum Samples<'a> {
    /// Bytes, maybe of several channels in turn.
    Bytes(&'a [u8]),
    /// Values of one channel.
    Floats(&'a [f32]),
}

/// Resizes images of one size after another to one size.
#[derive(Default)]
pub struct Resampler {
    tables: Option<ResizeTables>,
    /// Row by row, the channels of the last image one after the other, resized along the rows.
    lines: Vec<f32>,
    /// The same resized down the columns too, where that changes them.
    resized: Vec<f32>,
    channels: usize,
    /// Each thread's row of samples.
    scratch: Vec<Vec<f32>>,
}

struct ResizeTables {
    from: (usize, usize),
    to: InputSize,
    down: Axis,
    across: Axis,
}

impl Resampler {
    /// For images of `from` (columns, rows).
    pub fn prepare(&mut self, from: (usize, usize), to: InputSize) {
        if self.tables.as_ref().is_none_or(|tables| tables.from != from || tables.to != to) {
            let (down, across) = (Axis::triangle(from.1, to.height), Axis::triangle(from.0, to.width));
            self.tables = Some(ResizeTables { from, to, down, across });
        }
    }

    /// Resizes the channels that stand at the offsets `picked` in each pixel of `step` samples: 1, 3 or 4. With `round`,
    /// values are rounded between the passes; what [`Resampler::row`] gives is not rounded yet.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory) when the image is too large for the memory there is.
    pub fn run<'a>(
        &mut self,
        row: impl Fn(usize) -> Samples<'a> + Sync,
        step: usize,
        picked: &[usize],
        round: bool,
        threads: &Threads,
    ) -> Result<()> {
        let Some(ResizeTables { from, to, down, across }) = &self.tables else { return Ok(()) };
        let length = picked.len() * to.width;
        self.channels = picked.len();
        try_resize(&mut self.lines, from.1 * length, 0.0)?;
        let samples = |line: &mut Vec<f32>| try_resize(line, from.0 * step + LANES, 0.0);
        threads.chunks_with(&mut self.lines, length, &mut self.scratch, samples, |line, y, out| {
            match row(y) {
                Samples::Bytes(row) => line.iter_mut().zip(row).for_each(|(out, v)| *out = f32::from(*v)),
                Samples::Floats(row) => line[..row.len()].copy_from_slice(row),
            }
            gather(across, line, step, picked, out);
            if round && !across.is_identity() {
                round_half_up(out);
            }
        })?;
        if down.is_identity() {
            return Ok(());
        }
        try_resize(&mut self.resized, to.height * length, 0.0)?;
        threads.chunks(&mut self.resized, length, |y, out| {
            let (start, weights) = down.output(y);
            out.fill(0.0);
            add_lines(&self.lines[start * length..], weights, out);
        });
        Ok(())
    }

    /// Row `y` of a channel of the last image.
    pub fn row(&self, y: usize, channel: usize) -> &[f32] {
        let Some(ResizeTables { to: InputSize { width, .. }, down, .. }) = &self.tables else { return &[] };
        let values = if down.is_identity() { &self.lines } else { &self.resized };
        &values[(y * self.channels + channel) * width..][..*width]
    }
}

/// Rounds to whole numbers, halves up.
pub fn round_half_up(values: &mut [f32]) {
    dispatch!(round_body(values: &mut [f32]))
}

#[inline(always)]
fn round_body<const FMA: bool>(values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v = (*v + 0.5).floor());
}

/// The most samples of a pixel, which are worked on side by side.
const LANES: usize = 4;

fn gather(across: &Axis, line: &[f32], step: usize, picked: &[usize], out: &mut [f32]) {
    dispatch!(gather_body(across: &Axis, line: &[f32], step: usize, picked: &[usize], out: &mut [f32]))
}

/// `line` ends in [`LANES`] values that do not count. Each channel's sum goes tap by tap, so that the same channel gives the
/// same value however many others stand beside it.
#[inline(always)]
fn gather_body<const FMA: bool>(across: &Axis, line: &[f32], step: usize, picked: &[usize], out: &mut [f32]) {
    match step {
        1 => gather_steps::<FMA, 1, 1>(across, line, picked, out),
        3 => gather_steps::<FMA, 3, LANES>(across, line, picked, out),
        _ => gather_steps::<FMA, 4, LANES>(across, line, picked, out),
    }
}

#[inline(always)]
fn gather_steps<const FMA: bool, const STEP: usize, const WIDE: usize>(
    across: &Axis,
    line: &[f32],
    picked: &[usize],
    out: &mut [f32],
) {
    let width = out.len() / picked.len();
    if across.is_identity() {
        for (out, offset) in out.chunks_exact_mut(width).zip(picked) {
            out.iter_mut().zip(line[*offset..].chunks_exact(STEP)).for_each(|(out, pixel)| *out = pixel[0]);
        }
        return;
    }
    for x in 0..width {
        let (start, weights) = across.output(x);
        let values = &line[start * STEP..][..(weights.len() - 1) * STEP + WIDE];
        let mut sums = [0.0f32; WIDE];
        for (t, weight) in weights.iter().enumerate() {
            let pixel: &[f32; WIDE] = values[t * STEP..][..WIDE].try_into().expect("WIDE values");
            (0..WIDE).for_each(|c| sums[c] = fma::<FMA>(pixel[c], *weight, sums[c]));
        }
        picked.iter().enumerate().for_each(|(channel, offset)| out[channel * width + x] = sums[*offset]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pillow's definition of a triangle filter, in double precision.
    fn reference(values: &[f64], outputs: usize) -> Vec<f64> {
        let scale = values.len() as f64 / outputs as f64;
        let support = scale.max(1.0);
        let weight = |centre: f64, i: usize| (1.0 - ((i as f64 + 0.5 - centre) / support).abs()).max(0.0);
        (0..outputs)
            .map(|at| {
                let centre = (at as f64 + 0.5) * scale;
                let total: f64 = (0..values.len()).map(|i| weight(centre, i)).sum();
                values.iter().enumerate().map(|(i, v)| v * weight(centre, i) / total).sum()
            })
            .collect()
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            from in (1usize..40, 1usize..40), to in (1usize..30, 1usize..30), step in prop::sample::select(vec![1usize, 3, 4]),
            seed in any::<u64>(),
        ) {
            let mut random = crate::math::random::Random::new(seed);
            let bytes: Vec<u8> = (0..from.0 * from.1 * step).map(|_| random.below(256) as u8).collect();
            let picked: Vec<usize> = (0..step).rev().collect();
            let mut resampler = Resampler::default();
            resampler.prepare(from, InputSize { height: to.1, width: to.0 });
            let row = |y: usize| Samples::Bytes(&bytes[y * from.0 * step..][..from.0 * step]);
            resampler.run(row, step, &picked, false, &Threads::new(2).unwrap()).unwrap();
            for (channel, offset) in picked.iter().enumerate() {
                let value = |x: usize, y: usize| f64::from(bytes[(y * from.0 + x) * step + offset]);
                let columns: Vec<Vec<f64>> = (0..from.0)
                    .map(|x| reference(&(0..from.1).map(|y| value(x, y)).collect::<Vec<_>>(), to.1))
                    .collect();
                for y in 0..to.1 {
                    let expected = reference(&columns.iter().map(|column| column[y]).collect::<Vec<_>>(), to.0);
                    for (got, expected) in resampler.row(y, channel).iter().zip(expected) {
                        prop_assert!((f64::from(*got) - expected).abs() < 1e-3, "{got} instead of {expected}");
                    }
                }
            }
        }
    }
}
