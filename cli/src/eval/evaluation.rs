//! Fits a model to a data set's good images, scores its test images, and computes metrics.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::defects::{self, KnownRow};
use crate::bench::quantile;
use crate::dataset::{Dataset, GroundTruth, TestImage};
use crate::fit;
use crate::metrics::{Confusion, PixelMetrics, auroc, average_precision, interval};
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

/// A metric's name, value and interval.
pub type Metric = (&'static str, Option<f64>, Option<(f64, f64)>);

/// A method's outcome on a data set.
pub struct Evaluation {
    pub dataset: String,
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
fn choose(paths: &[PathBuf], count: usize, seed: u64) -> Vec<PathBuf> {
    let mut numbers = Random::new(seed).choose(count, paths.len());
    numbers.sort_unstable();
    numbers.into_iter().map(|number| paths[number].clone()).collect()
}

impl Evaluation {
    /// Fits on `shots` good images, chosen by the options' seed, and scores the test images, with maps of `eval_size` or
    /// the image's own.
    pub fn run(
        dataset: &Dataset,
        options: &Options,
        shots: Option<usize>,
        eval_size: Option<InputSize>,
        known_defects: &[usize],
        keep: bool,
    ) -> Result<Self> {
        let train = match shots {
            Some(shots) => choose(&dataset.train, shots, options.seed()),
            None => dataset.train.clone(),
        };
        let start = Instant::now();
        let model = fit::fit(options, &train, &[])?;
        let fit_seconds = start.elapsed().as_secs_f64();
        let mut evaluation = Self {
            dataset: dataset.name.clone(),
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
        let bar = progress(dataset.test.len(), &dataset.name);
        for test in &dataset.test {
            times.push(evaluation.score(&model, test, eval_size, pixel.as_mut())?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        evaluation.score_ms = quantile(&mut times, 0.5);
        evaluation.pixel_auroc = pixel.as_ref().and_then(PixelMetrics::auroc);
        evaluation.aupro = pixel.as_ref().and_then(PixelMetrics::aupro);
        evaluation.known_defects = defects::measure(&model, &evaluation.scores(), known_defects, options.seed())?;
        if keep {
            evaluation.show(&model, dataset)?;
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
        let InputSize { height, width } =
            eval_size.unwrap_or(InputSize { height: picture.height, width: picture.width });
        let view = picture.view()?;
        let start = Instant::now();
        let inspection = model.score_to(&view, width, height).map_err(|e| e.context(test.path.display()))?;
        let time = start.elapsed();
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
            metrics.add(inspection.map.as_slice().unwrap_or_default(), &mask.pixels, width)?;
        }
        Ok(time)
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

    /// Pairs of score and ground truth.
    pub fn scores(&self) -> Vec<(f32, bool)> {
        self.images.iter().map(|image| (image.score, image.defective)).collect()
    }

    /// Confusion matrix at the model's threshold.
    pub fn confusion(&self) -> Confusion {
        Confusion::new(self.decisions())
    }

    fn decisions(&self) -> Vec<(bool, bool)> {
        self.images.iter().map(|image| (image.called_defective, image.defective)).collect()
    }

    /// The image metrics with their 95 % intervals, as shares.
    pub fn image_metrics(&self) -> [Metric; 4] {
        let (scores, decisions) = (self.scores(), self.decisions());
        let of_scores =
            |metric: fn(&[(f32, bool)]) -> Option<f64>| (metric(&scores), interval(&scores, |s| s.1, metric));
        let of_decisions = |metric: fn(&Confusion) -> f64| {
            let metric = move |drawn: &[(bool, bool)]| Some(metric(&Confusion::new(drawn.iter().copied())));
            (metric(&decisions), interval(&decisions, |d| d.1, metric))
        };
        let (area, area_interval) = of_scores(auroc);
        let (precision, precision_interval) = of_scores(average_precision);
        let (f1, f1_interval) = of_decisions(Confusion::f1);
        let (accuracy, accuracy_interval) = of_decisions(Confusion::balanced_accuracy);
        [
            ("image_auroc", area, area_interval),
            ("average_precision", precision, precision_interval),
            ("f1", f1, f1_interval),
            ("balanced_accuracy", accuracy, accuracy_interval),
        ]
    }

    /// For each kind of defect: the number of images, their AUROC against the good ones, and the number found.
    pub fn kinds(&self) -> BTreeMap<&str, (usize, Option<f64>, usize)> {
        let mut kinds = BTreeMap::new();
        for kind in self.images.iter().filter(|image| image.defective).map(|image| &*image.kind) {
            let of = || self.images.iter().filter(move |image| image.kind == kind);
            kinds.entry(kind).or_insert_with(|| {
                let against = self.images.iter().filter(|image| !image.defective || image.kind == kind);
                let scores: Vec<(f32, bool)> = against.map(|image| (image.score, image.defective)).collect();
                (of().count(), auroc(&scores), of().filter(|image| image.called_defective).count())
            });
        }
        kinds
    }

    /// The outcome as one JSON object; metrics in percent.
    pub fn to_json(&self) -> Value {
        let percent = |share: f64| (share * 1e4).round() / 1e2;
        let confusion = self.confusion();
        let mut object = json!({
            "dataset": self.dataset,
            "method": self.settings.method,
            "pixel_auroc": self.pixel_auroc.map(percent),
            "aupro": self.aupro.map(percent),
            "false_alarms": percent(confusion.false_alarm_rate()),
            "misses": percent(confusion.miss_rate()),
            "train_images": self.settings.images,
            "test_images": self.images.len(),
            "fit_seconds": (self.fit_seconds * 1e3).round() / 1e3,
            "score_ms_p50": (self.score_ms * 1e3).round() / 1e3,
            "model_mb": (self.model_bytes as f64 / 1e4).round() / 1e2,
        });
        for (name, value, interval) in self.image_metrics() {
            object[name] = json!(value.map(percent));
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
        let chosen = choose(&paths, 10, 0);
        assert!(chosen.len() == 10 && chosen.is_sorted() && chosen[9] > paths[50]);
        assert_eq!(chosen, choose(&paths, 10, 0));
        assert_ne!(chosen, choose(&paths, 10, 1));
        assert_eq!(choose(&paths, 1000, 0), paths, "no more than there are");
    }
}
