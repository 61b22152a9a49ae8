//! The metrics of an evaluation.

use std::collections::BTreeMap;

use super::evaluation::Evaluation;
use crate::metrics::{Confusion, auroc, average_precision, interval, mean, misses_at};

/// A metric's name in JSON and its value as a share.
pub type Metric = (&'static str, Option<f64>);
/// A metric's name in JSON and its 95 % interval as shares.
pub type Interval = (&'static str, Option<(f64, f64)>);

/// The 95 % interval of the mean of a metric over several fits, each with its outcomes of the same test images.
fn interval_of_mean<T: Copy>(
    fits: &[Vec<(T, bool)>],
    metric: impl Fn(&[(T, bool)]) -> Option<f64>,
) -> Option<(f64, f64)> {
    let first = fits.first()?;
    let numbers: Vec<usize> = (0..first.len()).collect();
    let of_fit = |images: &Vec<(T, bool)>, drawn: &[usize]| {
        metric(&drawn.iter().map(|number| images[*number]).collect::<Vec<_>>())
    };
    interval(&numbers, |number| first[*number].1, |drawn| mean(fits.iter().map(|images| of_fit(images, drawn))))
}

impl Evaluation {
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

    /// All metrics, in the order of a report's columns.
    pub fn metrics(&self) -> [Metric; 10] {
        let (scores, confusion) = (self.scores(), self.confusion());
        [
            ("image_auroc", auroc(&scores)),
            ("average_precision", average_precision(&scores)),
            ("f1", Some(confusion.f1())),
            ("balanced_accuracy", Some(confusion.balanced_accuracy())),
            ("false_alarms", Some(confusion.false_alarm_rate())),
            ("misses", Some(confusion.miss_rate())),
            ("misses_at_1", misses_at(&scores, 1)),
            ("misses_at_5", misses_at(&scores, 5)),
            ("pixel_auroc", self.pixel_auroc),
            ("aupro", self.aupro),
        ]
    }

    /// Times and size: seconds of the fit, milliseconds of a score, megabytes of the model.
    pub fn costs(&self) -> [(&'static str, f64); 3] {
        let megabytes = self.model_bytes as f64 / 1e6;
        [("fit_seconds", self.fit_seconds), ("score_ms_p50", self.score_ms), ("model_mb", megabytes)]
    }

    /// The 95 % intervals of metrics of images, for their means over several fits. Every sample has the same test images
    /// for all fits.
    pub fn intervals(fits: &[Self]) -> [Interval; 4] {
        let scores: Vec<_> = fits.iter().map(Self::scores).collect();
        let decisions: Vec<_> = fits.iter().map(Self::decisions).collect();
        [
            ("image_auroc", interval_of_mean(&scores, auroc)),
            ("average_precision", interval_of_mean(&scores, average_precision)),
            ("f1", interval_of_mean(&decisions, |drawn| Some(Confusion::new(drawn.iter().copied()).f1()))),
            (
                "balanced_accuracy",
                interval_of_mean(&decisions, |drawn| Some(Confusion::new(drawn.iter().copied()).balanced_accuracy())),
            ),
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
}
