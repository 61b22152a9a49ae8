//! Resizing, directly from the rows of the caller's image.
//!
//! Rows are resized first, as in Pillow, which rounds 8-bit images to 8 bits after each of its two passes: covariances
//! from few images are sensitive to the difference.
//!
//! With a mask it is a normalised convolution: each output is the weighted mean of the included pixels under the
//! filter. Where all are included, the result is bit-identical to that without a mask. The coverage, which is the share
//! of the filter's weight on included pixels, is resized with the channels in an otherwise unused lane. Outputs without
//! coverage are filled afterwards, at the resized image's size.

use super::InputSize;
use super::fill::Filler;
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::try_resize;
use crate::math::axis::{Axis, add_lines};
use crate::math::kernels::{dispatch, fma};

/// One row of an image or of one of its planes.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The bytes of the pixels.
    pub bytes: &'a [u8],
    /// The type of the values.
    pub samples: Samples,
    /// The included pixels, if there is a mask.
    pub inside: Option<&'a [bool]>,
}

/// The type of a pixel's values, which are converted to 0 (black) to 255 (white).
#[derive(Clone, Copy)]
pub enum Samples {
    /// 1, 3 or 4 bytes per pixel.
    Bytes(usize),
    /// One 16-bit number, divided by `divisor` and rounded if `round` is set.
    Words { divisor: f32, round: bool },
    /// One float, where 1 is white, rounded if `round` is set.
    Floats { round: bool },
}

impl Samples {
    /// The value of a 16-bit number.
    #[inline(always)]
    pub fn word(bytes: &[u8], divisor: f32) -> f32 {
        f32::from(u16::from_ne_bytes([bytes[0], bytes[1]])) / divisor
    }

    /// The value of a float.
    #[inline(always)]
    pub fn float(bytes: &[u8]) -> f32 {
        f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) * 255.0
    }
}

/// Resizes images of any size to a fixed size.
#[derive(Default)]
pub struct Resampler {
    tables: Option<ResizeTables>,
    /// The last image, resized along the rows: for each row, the channels one after the other and, with a mask, the
    /// coverage.
    lines: Vec<f32>,
    /// The last image, also resized along the columns, if that changes it.
    resized: Vec<f32>,
    /// Rows of the output for each row of the resized image.
    planes: usize,
    /// Whether `lines` is the output.
    done: bool,
    filler: Filler,
}

struct ResizeTables {
    from: (usize, usize),
    to: InputSize,
    down: WeighedAxis,
    across: WeighedAxis,
}

/// An axis, and the sums of its outputs' weights, which are 1 except for rounding.
struct WeighedAxis {
    axis: Axis,
    totals: Vec<f32>,
}

impl WeighedAxis {
    fn triangle(inputs: usize, outputs: usize) -> Self {
        let axis = Axis::triangle(inputs, outputs);
        // Summed in the order of the kernels, so that full coverage equals this sum exactly.
        let totals = (0..outputs).map(|at| axis.output(at).1.iter().fold(0.0, |sum, weight| sum + weight)).collect();
        Self { axis, totals }
    }
}

impl Resampler {
    /// For images of `from` (columns, rows).
    pub fn prepare(&mut self, from: (usize, usize), to: InputSize) {
        if self.tables.as_ref().is_none_or(|tables| tables.from != from || tables.to != to) {
            let down = WeighedAxis::triangle(from.1, to.height);
            let across = WeighedAxis::triangle(from.0, to.width);
            self.tables = Some(ResizeTables { from, to, down, across });
        }
    }

    /// Resizes the channels at the offsets `picked` in each pixel. With `round`, values are rounded between the passes;
    /// the result of [`Resampler::row`] is not rounded. Either all rows have a mask (`masked`) or none.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory) when memory cannot be allocated.
    pub fn run<'a>(
        &mut self,
        row: impl Fn(usize) -> Row<'a> + Sync,
        picked: &[usize],
        masked: bool,
        round: bool,
        threads: &Threads,
    ) -> Result<()> {
        let Some(ResizeTables { from, to, down, across }) = &self.tables else { return Ok(()) };
        self.planes = picked.len() + usize::from(masked);
        let length = self.planes * to.width;
        let round = round && !across.axis.is_identity();
        try_resize(&mut self.lines, from.1 * length, 0.0)?;
        threads.chunks(&mut self.lines, length, |y, out| match row(y) {
            row @ Row { inside: Some(inside), .. } => gather_masked(across, row, inside, picked, round, out),
            row => gather(across, row, picked, round, out),
        });
        self.done = down.axis.is_identity() && !masked;
        if self.done {
            return Ok(());
        }
        try_resize(&mut self.resized, to.height * length, 0.0)?;
        threads.chunks(&mut self.resized, length, |y, out| {
            let (start, weights) = down.axis.output(y);
            out.fill(0.0);
            add_lines(&self.lines[start * length..], weights, out);
            if masked {
                let (values, coverage) = out.split_at_mut(picked.len() * to.width);
                divide(values, coverage, down.totals[y]);
            }
        });
        if masked {
            self.filler.run(&mut self.resized, &mut self.lines, *to, picked.len(), threads)?;
        }
        Ok(())
    }

    /// Row `y` of a channel of the last image.
    pub fn row(&self, y: usize, channel: usize) -> &[f32] {
        let width = self.tables.as_ref().map_or(0, |tables| tables.to.width);
        let values = if self.done { &self.lines } else { &self.resized };
        &values[(y * self.planes + channel) * width..][..width]
    }
}

/// What is added before values are rounded down to whole numbers. Halves are frequent among weighted means of whole numbers, and which
/// side of the half a sum of floats is on depends on its order, so on the processor and the program; a little below the half there
/// are hardly any.
pub const HALF: f32 = 0.5013;

/// Rounds to whole numbers, halves up.
pub fn round_half_up(values: &mut [f32]) {
    dispatch!(round_body(values: &mut [f32]))
}

#[inline(always)]
fn round_body<const FMA: bool>(values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v = (*v + HALF).floor());
}

/// One row along its length: the channels one after the other.
fn gather(across: &WeighedAxis, row: Row<'_>, picked: &[usize], round: bool, out: &mut [f32]) {
    weigh_row(&across.axis, row, picked, out);
    if round {
        round_half_up(out);
    }
}

/// One row with a mask: the channels, each times the coverage, and the coverage.
fn gather_masked(across: &WeighedAxis, row: Row<'_>, inside: &[bool], picked: &[usize], round: bool, out: &mut [f32]) {
    let width = out.len() / (picked.len() + 1);
    let (all, any) = inside.iter().fold((true, false), |(all, any), inside| (all & inside, any | inside));
    let (values, coverage) = out.split_at_mut(picked.len() * width);
    if !any {
        values.fill(0.0);
        coverage.fill(0.0);
    } else if all {
        gather(across, Row { inside: None, ..row }, picked, round, values);
        coverage.fill(1.0);
    } else {
        weigh_row(&across.axis, row, picked, out);
        let (values, coverage) = out.split_at_mut(picked.len() * width);
        normalise_line(values, coverage, &across.totals, round);
    }
}

/// Converts sums to means and weights to coverage. The means are rounded if requested, then multiplied by the coverage
/// for the next pass.
fn normalise_line(values: &mut [f32], coverage: &mut [f32], totals: &[f32], round: bool) {
    dispatch!(normalise_line_body(values: &mut [f32], coverage: &mut [f32], totals: &[f32], round: bool))
}

#[inline(always)]
fn normalise_line_body<const FMA: bool>(values: &mut [f32], coverage: &mut [f32], totals: &[f32], round: bool) {
    for values in values.chunks_exact_mut(totals.len()) {
        for ((value, weight), total) in values.iter_mut().zip(&*coverage).zip(totals) {
            let mean = if *weight > 0.0 { *value * (total / weight) } else { 0.0 };
            let mean = if round { (mean + HALF).floor() } else { mean };
            *value = mean * (weight / total);
        }
    }
    coverage.iter_mut().zip(totals).for_each(|(weight, total)| *weight /= total);
}

/// Converts the sums along the columns to means.
fn divide(values: &mut [f32], coverage: &[f32], total: f32) {
    dispatch!(divide_body(values: &mut [f32], coverage: &[f32], total: f32))
}

#[inline(always)]
fn divide_body<const FMA: bool>(values: &mut [f32], coverage: &[f32], total: f32) {
    for values in values.chunks_exact_mut(coverage.len()) {
        for (value, weight) in values.iter_mut().zip(coverage) {
            *value = if *weight > 0.0 { *value * (total / weight) } else { 0.0 };
        }
    }
}

fn weigh_row(across: &Axis, row: Row<'_>, picked: &[usize], out: &mut [f32]) {
    dispatch!(weigh_row_body(across: &Axis, row: Row<'_>, picked: &[usize], out: &mut [f32]))
}

/// The weighted sums of a row's channels and, with a mask, of its coverage. Excluded pixels have the value 0.
#[inline(always)]
fn weigh_row_body<const FMA: bool>(across: &Axis, row: Row<'_>, picked: &[usize], out: &mut [f32]) {
    let Row { bytes, samples, inside } = row;
    match samples {
        Samples::Bytes(1) => gray::<FMA, 1>(across, bytes, inside, |pixel| f32::from(pixel[0]), out),
        Samples::Bytes(3) => color::<FMA, 3>(across, bytes, inside, picked, out),
        Samples::Bytes(_) => color::<FMA, 4>(across, bytes, inside, picked, out),
        Samples::Words { divisor, round: false } => {
            gray::<FMA, 2>(across, bytes, inside, |pixel| Samples::word(pixel, divisor), out);
        }
        Samples::Words { divisor, round: true } => {
            gray::<FMA, 2>(across, bytes, inside, |pixel| Samples::word(pixel, divisor).round(), out);
        }
        Samples::Floats { round: false } => gray::<FMA, 4>(across, bytes, inside, Samples::float, out),
        Samples::Floats { round: true } => {
            gray::<FMA, 4>(across, bytes, inside, |pixel| Samples::float(pixel).round(), out);
        }
    }
}

/// One value per pixel of `STEP` bytes; with a mask, a second lane accumulates the coverage.
#[inline(always)]
fn gray<const FMA: bool, const STEP: usize>(
    across: &Axis,
    bytes: &[u8],
    inside: Option<&[bool]>,
    value: impl Fn(&[u8]) -> f32 + Copy,
    out: &mut [f32],
) {
    let pixels = |start: usize, count: usize| bytes[start * STEP..][..count * STEP].chunks_exact(STEP);
    match inside {
        None => weigh::<FMA, 1, _>(across, |start, count| pixels(start, count).map(move |p| [value(p)]), &[0], out),
        Some(inside) => {
            let masked = |start: usize, count: usize| {
                let pairs = pixels(start, count).zip(&inside[start..][..count]);
                pairs.map(move |(pixel, inside)| {
                    let value = value(pixel);
                    [if *inside { value } else { 0.0 }, f32::from(u8::from(*inside))]
                })
            };
            weigh::<FMA, 2, _>(across, masked, &[0, 1], out);
        }
    }
}

/// Three channels per pixel of `STEP` bytes in parallel lanes; with a mask, the fourth lane accumulates the coverage.
#[inline(always)]
fn color<const FMA: bool, const STEP: usize>(
    across: &Axis,
    bytes: &[u8],
    inside: Option<&[bool]>,
    picked: &[usize],
    out: &mut [f32],
) {
    let pixel = |pixel: &[u8]| u32::from_le_bytes([pixel[0], pixel[1], pixel[2], 0]);
    let lanes = |pixel: u32| pixel.to_le_bytes().map(f32::from);
    let pixels = |start: usize, count: usize| bytes[start * STEP..][..count * STEP].chunks_exact(STEP);
    match inside {
        None => {
            weigh::<FMA, 4, _>(across, |start, count| pixels(start, count).map(move |p| lanes(pixel(p))), picked, out)
        }
        Some(inside) => {
            let masked = |start: usize, count: usize| {
                let pairs = pixels(start, count).zip(&inside[start..][..count]);
                pairs.map(move |(p, inside)| lanes(if *inside { pixel(p) | 1 << 24 } else { 0 }))
            };
            let &[red, green, blue] = picked else { return };
            weigh::<FMA, 4, _>(across, masked, &[red, green, blue, 3], out);
        }
    }
}

/// Each output's weighted sums of the lanes of the pixels it sees (`pixels` gives those from one number on, so many); those
/// of the `picked` lanes are written, one lane after the other. Each lane's sum goes tap by tap, so that the same channel
/// gives the same value however many others stand beside it.
#[inline(always)]
fn weigh<const FMA: bool, const LANES: usize, I: Iterator<Item = [f32; LANES]>>(
    across: &Axis,
    pixels: impl Fn(usize, usize) -> I,
    picked: &[usize],
    out: &mut [f32],
) {
    let width = out.len() / picked.len();
    if across.is_identity() {
        for (x, values) in pixels(0, width).enumerate() {
            picked.iter().enumerate().for_each(|(channel, lane)| out[channel * width + x] = values[*lane]);
        }
        return;
    }
    for x in 0..width {
        let (start, weights) = across.output(x);
        let mut sums = [0.0f32; LANES];
        for (values, weight) in pixels(start, weights.len()).zip(weights) {
            // A closure might not be inlined and would then lose the instruction set.
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = fma::<FMA>(value, *weight, *sum);
            }
        }
        picked.iter().enumerate().for_each(|(channel, lane)| out[channel * width + x] = sums[*lane]);
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
            let picked: Vec<usize> = (0..step.min(3)).rev().collect();
            let mut resampler = Resampler::default();
            resampler.prepare(from, InputSize { height: to.1, width: to.0 });
            let row = |y: usize| Row {
                bytes: &bytes[y * from.0 * step..][..from.0 * step],
                samples: Samples::Bytes(step),
                inside: None,
            };
            resampler.run(row, &picked, false, false, &Threads::new(2).unwrap()).unwrap();
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
