//! What the targets share: a host's extractor that needs no ONNX Runtime, small images, and model files with a right checksum.

pub mod c;

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzzer_mutate;
use npad::backbone::{FeatureExtractor, TapMap};
use npad::error::Result;
use npad::exec::Threads;
use npad::image::{ImageView, PixelFormat};
use npad::model::{Model, Options, Trainer};
use npad::preprocess::{InputSize, Normalisation};

/// Side of the images.
pub const SIDE: usize = 32;

/// The means of squares of four pixels, and of sixteen.
pub struct Means;

impl FeatureExtractor for Means {
    fn extract(
        &self,
        inputs: &[f32],
        size: InputSize,
        consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
    ) -> Result<()> {
        for (number, image) in inputs.chunks_exact(3 * size.height * size.width).enumerate() {
            let planes = [4, 16].map(|step| means(image, size, step));
            let maps = [4, 16].map(|step| (size.height.div_ceil(step), size.width.div_ceil(step)));
            let tap = |at: usize| TapMap { channels: 3, rows: maps[at].0, cols: maps[at].1, data: &planes[at] };
            consume(number, &[tap(0), tap(1)])?;
        }
        Ok(())
    }

    fn normalisation(&self) -> Normalisation {
        Normalisation { mean: [0.5; 3], std: [0.5; 3] }
    }

    fn identity(&self) -> &str {
        "host/means"
    }
}

fn means(image: &[f32], size: InputSize, step: usize) -> Vec<f32> {
    let mut means = Vec::new();
    for plane in image.chunks_exact(size.height * size.width) {
        for top in (0..size.height).step_by(step) {
            for left in (0..size.width).step_by(step) {
                let (bottom, right) = ((top + step).min(size.height), (left + step).min(size.width));
                let sum: f32 = (top..bottom).flat_map(|y| &plane[y * size.width + left..y * size.width + right]).sum();
                means.push(sum / ((bottom - top) * (right - left)) as f32);
            }
        }
    }
    means
}

/// Options for one thread and small images, with that extractor.
pub fn options(method: &str) -> Options {
    let mut options = Options::default();
    for (key, value) in [("method", method), ("threads", "1"), ("size", "32x32"), ("date", "none")] {
        options.set(key, value).expect("a known option");
    }
    options.set_extractor(Arc::new(Means));
    options
}

/// Options of a machine with that extractor, for states of trainers, which bring the others.
pub fn machine() -> Options {
    let mut options = Options::default();
    for (key, value) in [("threads", "1"), ("date", "none")] {
        options.set(key, value).expect("a known option");
    }
    options.set_extractor(Arc::new(Means));
    options
}

/// Good images that differ a little.
pub fn good_images() -> Vec<Vec<u8>> {
    let pixel = |n: usize, i: usize| (i * 7 % 61 + (i * (n + 3) + n) % 17 + i / SIDE) as u8;
    (0..8).map(|n| (0..SIDE * SIDE).map(|i| pixel(n, i)).collect()).collect()
}

/// A view of one of these.
pub fn view(pixels: &[u8]) -> ImageView<'_> {
    ImageView::new(pixels, SIDE, SIDE, SIDE, PixelFormat::Gray8).expect("an image")
}

/// A model of them.
pub fn model(method: &str) -> Model {
    let mut trainer = Trainer::new(&options(method)).expect("a trainer");
    good_images().iter().for_each(|pixels| trainer.add(&view(pixels)).expect("an image"));
    trainer.finish().expect("a model")
}

/// Keeps the worker threads of all options alive: the check for leaks takes what a thread has that is just ending for lost.
pub fn keep_threads() {
    static KEPT: LazyLock<[Arc<Threads>; 2]> =
        LazyLock::new(|| [0, 1].map(|count| Threads::shared(count).expect("threads")));
    LazyLock::force(&KEPT);
}

/// Writes the checksum of a model file where it belongs, if there is a place for it.
pub fn repair(bytes: &mut [u8]) {
    const FIELD: &[u8] = b"\\\"checksum\\\":\\\"";
    const DIGITS: usize = 8;
    let end = bytes.len().min(1 << 16);
    let Some(at) = bytes[..end].windows(FIELD.len()).position(|window| window == FIELD) else { return };
    let at = at + FIELD.len();
    if at + DIGITS <= bytes.len() {
        bytes[at..at + DIGITS].fill(b'0');
        let checksum = format!("{:08x}", crc32fast::hash(bytes));
        bytes[at..at + DIGITS].copy_from_slice(checksum.as_bytes());
    }
}

/// Mutates a file and makes its checksum right. Mostly one part alone: a file whose parts no longer fit is refused at once.
pub fn mutate_file(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let length = data.first_chunk::<8>().map_or(0, |length| u64::from_le_bytes(*length) as usize);
    let header = length.saturating_add(8).min(size);
    let size = match seed % 4 {
        0 => fuzzer_mutate(data, size, max_size),
        1 if header > 8 => {
            fuzzer_mutate(&mut data[8..header], header - 8, header - 8);
            size
        }
        _ if header < size => {
            fuzzer_mutate(&mut data[header..size], size - header, size - header);
            size
        }
        _ => fuzzer_mutate(data, size, max_size),
    };
    repair(&mut data[..size]);
    size
}
