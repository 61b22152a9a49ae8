//! What a mask costs in the preprocessing of a 5 megapixel image on two threads: medians, with and without in turn.

use std::hint::black_box;
use std::time::Instant;

use npad::exec::Threads;
use npad::image::{ImageView, Mask, MaskView, PixelFormat};
use npad::preprocess::{InputSize, Normalisation, Preprocessor};

const SIZE: (usize, usize) = (2448, 2048);
const ROUNDS: usize = 31;

fn main() {
    let (width, height) = SIZE;
    let threads = Threads::new(2).unwrap();
    let disc = |i: usize| ((i % width) as f64 - width as f64 / 2.0).hypot((i / width) as f64 - height as f64 / 2.0);
    let bytes: Vec<u8> = (0..width * height).map(|i| u8::from(disc(i) < 900.0)).collect();
    let mask = Mask::new(MaskView::new(&bytes, width, height, width).unwrap()).unwrap();
    let size = InputSize { height: 224, width: 256 };
    let normalisation = Normalisation { mean: [0.5; 3], std: [0.2; 3] };
    println!("preprocessing {width} x {height} pixels: format, ms without a mask, ms with one, ratio");
    for format in [PixelFormat::Rgb8, PixelFormat::Bgra8, PixelFormat::Gray8, PixelFormat::Gray16] {
        let pixel = format.bytes_per_pixel();
        let pixels: Vec<u8> = (0..width * height * pixel).map(|i| (i * i % 251) as u8).collect();
        let image = ImageView::new(&pixels, width, height, width * pixel, format).unwrap();
        let mut preprocessors = [None, Some(&mask)].map(|mask| (Preprocessor::new(size, normalisation), mask));
        let (mut times, mut tensor) = ([Vec::new(), Vec::new()], Vec::new());
        for _ in 0..ROUNDS {
            for ((preprocessor, mask), times) in preprocessors.iter_mut().zip(&mut times) {
                let start = Instant::now();
                preprocessor.run(&image, *mask, &threads, &mut tensor).unwrap();
                times.push(start.elapsed().as_secs_f64() * 1e3);
                black_box(&tensor);
            }
        }
        let [without, with] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[ROUNDS / 2]
        });
        println!("{format:?} {without:.2} {with:.2} {:.2}", with / without);
    }
}
