//! Preprocessing of a 5 megapixel image with and without a mask, on two threads: `cargo bench --bench preprocess`.

use std::hint::black_box;
use std::time::Instant;

use npad::exec::Threads;
use npad::image::Mask;
use npad::image::{ImageView, MaskView, PixelFormat};
use npad::preprocess::{InputSize, Normalisation, Preprocessor};

fn hashes() {
    let threads = Threads::new(2).unwrap();
    let mut hash = 0u64;
    for format in [
        PixelFormat::Rgb8,
        PixelFormat::Bgr8,
        PixelFormat::Bgra8,
        PixelFormat::Rgba8,
        PixelFormat::Gray8,
        PixelFormat::Gray16,
        PixelFormat::Grayf32,
    ] {
        for (w, h) in [(1, 1), (7, 5), (40, 40), (333, 257), (1001, 3), (48, 32), (640, 480), (48, 99), (99, 32)] {
            for kind in 0..2 {
                let b = format.bytes_per_pixel();
                let mut bytes: Vec<u8> = (0..w * h * b).map(|i| (i * i % 251) as u8).collect();
                if format == PixelFormat::Grayf32 {
                    bytes = (0..w * h)
                        .flat_map(|i| {
                            if kind == 0 {
                                ((i * i % 251) as f32 / 255.0).to_ne_bytes()
                            } else {
                                ((i * i % 251) as f32 / 201.3).to_ne_bytes()
                            }
                        })
                        .collect();
                }
                if format == PixelFormat::Gray16 && kind == 0 {
                    bytes = (0..w * h).flat_map(|i| ((i * i % 251) as u16 * 257).to_ne_bytes()).collect();
                }
                let image = ImageView::new(&bytes, w, h, w * b, format).unwrap();
                let size = InputSize { height: 32, width: 48 };
                let mut p = Preprocessor::new(size, Normalisation { mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] });
                let mut out = Vec::new();
                p.run(&image, None, &threads, &mut out).unwrap();
                for v in &out {
                    hash = (hash ^ u64::from(v.to_bits())).wrapping_mul(0x100000001b3).rotate_left(5);
                }
            }
        }
        println!("{format:?} {hash:x}");
    }
}

fn main() {
    hashes();
    let (w, h) = (2448usize, 2048usize);
    let threads = Threads::new(2).unwrap();
    for format in [PixelFormat::Rgb8, PixelFormat::Bgra8, PixelFormat::Gray8, PixelFormat::Gray16] {
        let b = format.bytes_per_pixel();
        let bytes: Vec<u8> = (0..w * h * b).map(|i| (i * i % 251) as u8).collect();
        let image = ImageView::new(&bytes, w, h, w * b, format).unwrap();
        let m: Vec<u8> = (0..w * h)
            .map(|i| {
                let (x, y) = ((i % w) as f64 - 1224.0, (i / w) as f64 - 1024.0);
                u8::from(x.hypot(y) < 900.0)
            })
            .collect();
        let mask = Mask::new(MaskView::new(&m, w, h, w).unwrap()).unwrap();
        for mask in [None, Some(&mask)] {
            let size = InputSize { height: 224, width: 256 };
            let mut p = Preprocessor::new(size, Normalisation { mean: [0.5; 3], std: [0.2; 3] });
            let mut out = Vec::new();
            let mut best = f64::MAX;
            for _ in 0..12 {
                let t = Instant::now();
                p.run(&image, mask, &threads, &mut out).unwrap();
                best = best.min(t.elapsed().as_secs_f64());
            }
            println!("{format:?} {} {:.2} ms {}", mask.is_some(), best * 1e3, black_box(&out)[7]);
        }
    }
}
