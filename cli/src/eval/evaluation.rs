//! Fits a model to a data set's good images, scores its test images, and computes metrics.

use std::path::PathBuf;
use std::slice::from_ref;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::defects::{self, KnownRow};
use crate::bench::quantile;
use crate::dataset::{Dataset, GroundTruth, TestImage};
use crate::fit;
use crate::metrics::PixelMetrics;
use crate::picture::Picture;
use crate::terminal::progress;
use npad::error::Result;
use npad::math::random::Random;
use npad::model::{Metadata, Model, Options};
use npad::preprocess::InputSize;

/// Pictures that a report shows of each kind: misses, false alarms, defects found, good images passed.
const PICTURES: usize = 24;

/// One test image's outcome.
#[derive(Debug, Clone)]
pub struct Scored {
    pub path: PathBuf,
    pub kind: String,
    pub defective: bool,
    pub called_defective: bool,
    pub score: f32,
    pub calibrated: f32,
}

/// An image in a report.
pub struct Shown {
    pub number: usize,
    pub image: Picture,
    pub mask: Option<GroundTruth>,
    /// The image with its map and regions, as RGB.
    pub overlay: Vec<u8>,
}

/// What a fit learns from and at which size its maps are measured.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// The number of good images, chosen by the options' seed; all of them if None.
    pub shots: Option<usize>,
    /// The seed of a random order of the good images; by name if None.
    pub shuffle: Option<u64>,
    /// Numbers of defective test images that are drawn as known defects.
    pub known_defects: Vec<usize>,
    /// The size of the maps; that of the images if None.
    pub eval_size: Option<InputSize>,
}

/// The outcome of one fit of a method to a data set.
pub struct Evaluation {
    pub dataset: String,
    pub seed: u64,
    pub settings: Metadata,
    pub images: Vec<Scored>,
    pub pixel_auroc: Option<f64>,
    pub aupro: Option<f64>,
    pub fit_seconds: f64,
    pub score_ms: f64,
    pub model_bytes: usize,
    /// What known defects bring; empty unless asked for.
    pub known_defects: Vec<KnownRow>,
    /// Misses and false alarms first; empty unless asked for.
    pub shown: Vec<Shown>,
}

/// Selects `count` of the paths at random and keeps their order. The first ones might be of one batch or part, since
/// names often follow production.
fn choose(paths: &[PathBuf], count: usize, seed: u64) -> Result<Vec<PathBuf>> {
    let mut numbers = Random::new(seed).choose(count, paths.len())?;
    numbers.sort_unstable();
    Ok(numbers.into_iter().map(|number| paths[number].clone()).collect())
}

/// The paths in random order.
fn shuffle(paths: &[PathBuf], seed: u64) -> Vec<PathBuf> {
    let mut shuffled = paths.to_vec();
    Random::new(seed).shuffle(&mut shuffled, paths.len());
    shuffled
}

/// A share as a percentage, for JSON.
pub fn percent(share: f64) -> f64 {
    (share * 1e4).round() / 1e2
}

/// Rounds a time or a size for JSON.
pub fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

impl Evaluation {
    /// Fits to the good images and scores the test images. With `keep`, the images of a report are rendered.
    pub fn run(dataset: &Dataset, options: &Options, protocol: &Protocol, keep: bool) -> Result<Self> {
        let mut train = match protocol.shots {
            Some(shots) => choose(&dataset.train, shots, options.seed())?,
            None => dataset.train.clone(),
        };
        if let Some(seed) = protocol.shuffle {
            train = shuffle(&train, seed);
        }
        let start = Instant::now();
        let model = fit::fit(options, &train, &[])?;
        let fit_seconds = start.elapsed().as_secs_f64();
        let bar = progress(dataset.test.len(), &dataset.name);
        let evaluation = Self::measure(&model, dataset, fit_seconds, protocol, keep, &mut |done, _| {
            bar.set_position(done as u64);
            Ok(())
        });
        bar.finish_and_clear();
        evaluation
    }

    /// Scores the test images with a fitted model. `report` is told how many have been scored, of how many.
    pub fn measure(
        model: &Model,
        dataset: &Dataset,
        fit_seconds: f64,
        protocol: &Protocol,
        keep: bool,
        report: &mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> Result<Self> {
        let seed = model.metadata().seed;
        let mut evaluation = Self {
            dataset: dataset.name.clone(),
            seed,
            settings: model.metadata().clone(),
            images: Vec::with_capacity(dataset.test.len()),
            pixel_auroc: None,
            aupro: None,
            fit_seconds,
            score_ms: 0.0,
            model_bytes: model.to_bytes()?.len(),
            known_defects: Vec::new(),
            shown: Vec::new(),
        };
        let mut pixel = dataset.has_masks.then(PixelMetrics::default);
        let mut times = Vec::with_capacity(dataset.test.len());
        for (number, test) in dataset.test.iter().enumerate() {
            report(number, dataset.test.len())?;
            times.push(evaluation.score(model, test, protocol.eval_size, pixel.as_mut())?);
        }
        evaluation.score_ms = quantile(&mut times, 0.5);
        evaluation.pixel_auroc = pixel.as_ref().and_then(PixelMetrics::auroc);
        evaluation.aupro = pixel.as_ref().and_then(PixelMetrics::aupro);
        let known = &protocol.known_defects;
        evaluation.known_defects = defects::measure(model, &evaluation.scores(), known, seed)?;
        if keep {
            evaluation.show(model, dataset)?;
        }
        Ok(evaluation)
    }

    fn score(
        &mut self,
        model: &Model,
        test: &TestImage,
        eval_size: Option<InputSize>,
        pixel: Option<&mut PixelMetrics>,
    ) -> Result<Duration> {
        let picture = Picture::read(&test.path)?;
        let view = picture.view()?;
        // The size of the measured map decides over pixel metrics alone, not over scores and their time.
        let own = (picture.width, picture.height);
        let (width, height) = eval_size.map_or(own, |size| (size.width, size.height));
        let sizes = if pixel.is_none() || (width, height) == own { &[own][..] } else { &[own, (width, height)] };
        let (start, mut time, mut inspections) = (Instant::now(), None, Vec::new());
        let scored = model.score_at(&view, sizes, |inspection| {
            time.get_or_insert_with(|| start.elapsed());
            inspections.push(inspection);
        });
        scored.map_err(|e| e.context(test.path.display()))?;
        let inspection = &inspections[0];
        self.images.push(Scored {
            path: test.path.clone(),
            kind: test.kind.clone(),
            defective: test.is_defective(),
            called_defective: inspection.anomalous(),
            score: inspection.score,
            calibrated: inspection.calibrated,
        });
        if let Some(metrics) = pixel {
            let mask = match &test.mask {
                Some(path) => GroundTruth::read(path, width, height)?,
                None => GroundTruth::empty(width, height),
            };
            let map = &inspections[inspections.len() - 1].map;
            metrics.add(map.as_slice().unwrap_or_default(), &mask.pixels, width)?;
        }
        Ok(time.unwrap_or_default())
    }

    /// Renders the images of a report: the most extreme ones of each outcome, wrong decisions first.
    fn show(&mut self, model: &Model, dataset: &Dataset) -> Result<()> {
        for (defective, called) in [(true, false), (false, true), (true, true), (false, false)] {
            let mut numbers: Vec<usize> = (0..self.images.len())
                .filter(|&n| (self.images[n].defective, self.images[n].called_defective) == (defective, called))
                .collect();
            // Misses with the lowest scores, all others with the highest.
            numbers.sort_by(|a, b| {
                let order = self.images[*b].score.total_cmp(&self.images[*a].score);
                if defective && !called { order.reverse() } else { order }
            });
            let wrong = defective != called;
            numbers.truncate(if wrong { PICTURES } else { PICTURES / 4 });
            for number in numbers {
                let test = &dataset.test[number];
                let image = Picture::read(&test.path)?;
                let inspection = model.score(&image.view()?)?;
                let overlay = model.picture(&image.view()?, &inspection)?;
                let mask =
                    test.mask.as_ref().map(|path| GroundTruth::read(path, image.width, image.height)).transpose()?;
                self.shown.push(Shown { number, image, mask, overlay });
            }
        }
        Ok(())
    }

    /// The outcome as one JSON object; metrics in percent.
    pub fn to_json(&self) -> Value {
        let mut object = json!({
            "dataset": self.dataset,
            "method": self.settings.method,
            "train_images": self.settings.images,
            "test_images": self.images.len(),
        });
        for (name, value) in self.metrics() {
            object[name] = json!(value.map(percent));
        }
        for (name, value) in self.costs() {
            object[name] = json!(thousandths(value));
        }
        for (name, interval) in Self::intervals(from_ref(self)) {
            object[format!("{name}_interval")] = json!(interval.map(|(low, high)| [percent(low), percent(high)]));
        }
        let kinds = self.kinds().into_iter().map(|(kind, (images, area, found))| {
            json!({"kind": kind, "images": images, "image_auroc": area.map(percent), "found": found})
        });
        object["kinds"] = kinds.collect();
        if !self.known_defects.is_empty() {
            object["known_defects"] = self.known_defects.iter().map(KnownRow::to_json).collect();
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shots_are_spread_over_all_images_and_follow_the_seed() {
        let paths: Vec<PathBuf> = (0..100).map(|n| PathBuf::from(format!("{n:03}.png"))).collect();
        let choose = |count, seed| choose(&paths, count, seed).unwrap();
        let chosen = choose(10, 0);
        assert!(chosen.len() == 10 && chosen.is_sorted() && chosen[9] > paths[50]);
        assert_eq!(chosen, choose(10, 0));
        assert_ne!(chosen, choose(10, 1));
        assert_eq!(choose(1000, 0), paths, "no more than there are");
    }

    #[test]
    fn a_shuffle_changes_the_order_alone() {
        let paths: Vec<PathBuf> = (0..100).map(|n| PathBuf::from(format!("{n:03}.png"))).collect();
        let mut shuffled = shuffle(&paths, 1);
        assert!(shuffled != paths && shuffled != shuffle(&paths, 2));
        shuffled.sort();
        assert_eq!(shuffled, paths);
    }
}
