//! Images and networks that the tests make themselves.
#![allow(dead_code)]

#[cfg(unix)]
pub mod c;
pub mod compare;
pub mod network;

use npad::backbone::{FeatureExtractor, TapMap};
use npad::error::Result;
use npad::image::{ImageView, PixelFormat};
use npad::math::random::Random;
use npad::model::{Model, Options, Trainer};
use npad::preprocess::{InputSize, Normalisation};

/// A grey image in memory.
#[derive(Clone)]
pub struct Gray {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
}

impl Gray {
    /// A part with a few rings and some noise; each seed is another one of the same kind.
    pub fn good(width: usize, height: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (dx, dy) = (random.below(3) as f64 - 1.0, random.below(3) as f64 - 1.0);
        let pixels = (0..width * height)
            .map(|i| {
                let (x, y) = ((i % width) as f64 / width as f64, (i / width) as f64 / height as f64);
                let r = ((x - 0.5 + dx * 0.01).powi(2) + (y - 0.5 + dy * 0.01).powi(2)).sqrt();
                let value = 120.0 + 50.0 * (r * 40.0).cos() + 30.0 * x;
                (value + random.below(17) as f64 - 8.0).clamp(0.0, 255.0) as u8
            })
            .collect();
        Self { width, height, pixels }
    }

    /// A good part with a dark scratch from (x, y), an eighth of the image long.
    pub fn scratched(width: usize, height: usize, seed: u64, (x, y): (usize, usize)) -> Self {
        let mut image = Self::good(width, height, seed);
        let length = width.max(height) / 8;
        for step in 0..length {
            for thickness in 0..4 {
                let (u, v) = ((x + step).min(width - 1), (y + step / 2 + thickness).min(height - 1));
                image.pixels[v * width + u] = 10;
            }
        }
        image
    }

    pub fn view(&self) -> ImageView<'_> {
        ImageView::new(&self.pixels, self.width, self.height, self.width, PixelFormat::Gray8).unwrap()
    }

    /// As a binary PGM file.
    pub fn pgm(&self) -> Vec<u8> {
        [format!("P5\n# made by a test\n{} {}\n255\n", self.width, self.height).as_bytes(), &self.pixels].concat()
    }
}

/// The methods that train a network, if this build can.
pub const FLOWS: &[&str] = if cfg!(feature = "flows") { &["fastflow", "cflow", "pefm"] } else { &[] };

/// Options for quick fits: a small input, two threads, the same model on any day, and whatever else is given.
pub fn options(settings: &[(&str, &str)]) -> Options {
    let mut options = Options::default();
    let quick = [("size", "96"), ("threads", "2"), ("npad.channels", "40"), ("date", "none")];
    for method in FLOWS {
        options.set(&format!("{method}.epochs"), "2").unwrap();
    }
    for (key, value) in quick.iter().chain(settings) {
        options.set(key, value).unwrap();
    }
    options
}

pub fn fit(options: &Options, images: &[Gray]) -> Result<Model> {
    let mut trainer = Trainer::new(options)?;
    images.iter().try_for_each(|image| trainer.add(&image.view()))?;
    trainer.finish()
}

/// The built-in methods that this build can fit.
pub fn built_in_methods() -> Vec<&'static str> {
    [&["npad", "padim", "patchcore", "spade"], FLOWS].concat()
}

/// Good images of 160 x 120 pixels.
pub fn good_images(count: u64) -> Vec<Gray> {
    (0..count).map(|seed| Gray::good(160, 120, seed)).collect()
}

/// The image itself as one tap.
pub struct Pixels;

impl FeatureExtractor for Pixels {
    fn extract(
        &self,
        inputs: &[f32],
        size: InputSize,
        consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
    ) -> Result<()> {
        consume(0, &[TapMap { channels: 3, rows: size.height, cols: size.width, data: inputs }])
    }

    fn normalisation(&self) -> Normalisation {
        Normalisation { mean: [0.0; 3], std: [1.0; 3] }
    }

    fn identity(&self) -> &str {
        "host/pixels"
    }
}
