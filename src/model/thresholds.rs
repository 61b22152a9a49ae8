//! Replaces the thresholds of a fitted model by given ones, or computes them from other good images.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::decision::GoodScores;
use super::image_ids::ImageIds;
use super::options::{ALARM_RATES, REVIEW_RATES};
use super::{Date, ImagesHash, Metadata, Model};
use crate::error::{Error, Result, Status};
use crate::image::ImageView;
use crate::model::MIN_IMAGES;

/// The thresholds of a model, in the units of raw scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Image scores above it are for review; equal to `defective` where there is no review.
    pub review: f32,
    /// Image scores above it are defective.
    pub defective: f32,
}

/// Where the threshold of a model comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdSource {
    /// Computed from held-out scores of the images of the fit.
    HeldOut,
    /// Computed from scores of other good images, and of held-out images of fits that were resumed later.
    Recalibrated,
    /// Set to a given value.
    Given,
}

impl ThresholdSource {
    /// That of a threshold computed from a model's scores of good images. An earlier npad has not recorded whether the scores of
    /// the fit were replaced.
    pub(super) fn computed(recalibration: Option<&Recalibration>, images: Option<&ImagesHash>) -> Option<Self> {
        match (recalibration, images) {
            (Some(_), _) => Some(Self::Recalibrated),
            (None, Some(_)) => Some(Self::HeldOut),
            (None, None) => None,
        }
    }
}

/// A record of the good images, not among those of the fit, that [`Model::recalibrate`] computed thresholds from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recalibration {
    /// Number of the images.
    pub images: usize,
    /// Hash of the images.
    pub images_hash: ImagesHash,
    /// Day of the recalibration in UTC; none if it was not recorded.
    pub date: Option<Date>,
}

impl Metadata {
    /// Computes all thresholds from scores of good images, for the rates and the operating point in the metadata.
    pub(super) fn calibrate(&mut self, scores: &[f32]) -> Result<()> {
        let good = GoodScores::new(scores)?;
        self.image = good.calibration(self.false_alarm_rate);
        let (low, high) = good.interval(self.false_alarm_rate);
        self.held_out = scores.len();
        let computed = self.image.threshold;
        self.operate(&good)?;
        self.threshold_interval = (self.image.threshold == computed).then_some((low, high));
        self.review_given = false;
        self.review = if self.review_rate > self.false_alarm_rate {
            good.threshold(self.review_rate).min(self.image.threshold)
        } else {
            self.image.threshold
        };
        Ok(())
    }

    /// Logs a warning if the threshold is an extrapolation.
    pub(super) fn warn_of_extrapolation(&self) {
        let Some((low, high)) = self.threshold_interval.filter(|_| self.extrapolates()) else { return };
        let (enough, percent) = ((1.0 / self.false_alarm_rate).ceil(), 100.0 * self.false_alarm_rate);
        log::warn!(
            "a false-alarm rate of {percent} % takes the scores of {enough} good images; with {} the threshold, {:.4}, is an \
             extrapolation, between {low:.4} and {high:.4} with 90 % confidence",
            self.held_out,
            self.image.threshold
        );
    }

    /// Whether there are too few held-out scores for one to exceed the threshold, on average.
    pub(super) fn extrapolates(&self) -> bool {
        (self.held_out as f64) < (1.0 / self.false_alarm_rate).ceil()
    }
}

impl Model {
    /// The thresholds.
    pub fn thresholds(&self) -> Thresholds {
        let Metadata { image, review, .. } = &self.metadata;
        Thresholds { review: *review, defective: image.threshold }
    }

    /// Returns the model with other thresholds. The calibrated scale changes so that 0.5 is the new threshold, and
    /// [`KnownDefects::in_use`](super::KnownDefects::in_use) says what the new threshold does.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when a threshold is not a number, `defective` does not exceed the score of a typical
    /// good image, or `review` exceeds `defective`.
    pub fn with_thresholds(&self, thresholds: Thresholds) -> Result<Self> {
        let mut metadata = self.metadata.clone();
        let Thresholds { review, defective } = thresholds;
        if defective != metadata.image.threshold {
            metadata.threshold_interval = None;
            metadata.threshold_source = Some(ThresholdSource::Given);
        }
        metadata.review_given |= review != metadata.review;
        (metadata.review, metadata.image.threshold) = (review, defective);
        let invalid = |text: String| Err(Error::new(Status::InvalidArgument, text));
        if !metadata.image.is_valid() {
            let typical = metadata.image.typical;
            return invalid(format!(
                "the threshold is {defective}, but must be a finite number above {typical}, the score of a typical good image"
            ));
        }
        if !(0.0..=defective).contains(&review) {
            return invalid(format!(
                "the review threshold is {review}, but must be a number from 0 to the threshold, {defective}"
            ));
        }
        metadata.measure_defects(&self.good_scores)?;
        Ok(self.with_settings(metadata, self.good_scores.clone()))
    }

    /// Returns the model with thresholds computed from good images that are not among those of the fit, for its own
    /// rates or others. Their scores replace the held-out scores of the model, which records `date`. The operating point is
    /// that of the fit, with the scores that its known defects had then.
    ///
    /// Images that the model has learnt are left out, since their scores say nothing about unseen ones, and images that equal
    /// one another count once; both are known as well as in a fit (see [`Trainer::add`](super::Trainer::add)).
    ///
    /// # Errors
    /// [`Status::WrongState`] when the operating point is to find all known defects and no usable threshold does,
    /// [`Status::NotEnoughImages`] with fewer than [`MIN_IMAGES`] that count, [`Status::InvalidOption`] for a rate that is not
    /// between 0 and 1/2; as [`Model::score`].
    pub fn recalibrate<'a>(
        &self,
        images: impl IntoIterator<Item = Result<ImageView<'a>>>,
        rates: Option<(f64, f64)>,
        date: Option<Date>,
    ) -> Result<Self> {
        let mut metadata = self.metadata.clone();
        if let Some((false_alarm_rate, review_rate)) = rates {
            check_rate("false_alarm_rate", false_alarm_rate, &ALARM_RATES)?;
            check_rate("review_rate", review_rate, &REVIEW_RATES)?;
            (metadata.false_alarm_rate, metadata.review_rate) = (false_alarm_rate, review_rate);
        }
        let (mut scores, mut images_hash, mut counted) = (Vec::new(), ImagesHash::default(), ImageIds::default());
        let (mut learnt, mut copies) = (0, 0);
        for (number, image) in images.into_iter().enumerate() {
            let scored = image.and_then(|image| self.score_and_hash(&image));
            let (score, hash) = scored.map_err(|e| e.context(format!("image {number}")))?;
            if self.core.learnt.contains(hash.id()) {
                learnt += 1;
            } else if counted.contains(hash.id()) {
                copies += 1;
            } else {
                counted.reserve()?;
                counted.insert(hash.id());
                images_hash.add(hash);
                scores.push(score);
            }
        }
        if scores.len() < MIN_IMAGES {
            let but = if learnt + copies > 0 {
                " (images that the model has learnt do not count, and images that equal others count once)"
            } else {
                ""
            };
            let message = format!(
                "{} good images are too few for a threshold: at least {MIN_IMAGES} are needed, 20 or more are \
                 recommended{but}",
                scores.len()
            );
            return Err(Error::new(Status::NotEnoughImages, message));
        }
        // The file does not depend on the order of the images.
        scores.sort_by(f32::total_cmp);
        metadata.calibrate(&scores)?;
        if learnt > 0 {
            log::warn!(
                "{learnt} of the good images were learnt by the model, so the thresholds were computed without them"
            );
        }
        if copies > 0 {
            log::warn!("{copies} of the good images equal others and were not counted again");
        }
        metadata.warn_of_extrapolation();
        metadata.threshold_source = Some(ThresholdSource::Recalibrated);
        metadata.recalibration = Some(Recalibration { images: scores.len(), images_hash, date });
        Ok(self.with_settings(metadata, scores))
    }

    /// Returns the model with other metadata and scores, unsigned.
    pub(super) fn with_settings(&self, metadata: Metadata, good_scores: Vec<f32>) -> Self {
        Self { metadata, good_scores, core: self.core.clone(), key: None, signer: None }
    }
}

fn check_rate(name: &str, rate: f64, range: &RangeInclusive<f64>) -> Result<()> {
    if range.contains(&rate) {
        return Ok(());
    }
    let message = format!("{name} is {rate}, but must be a number from {} to {}", range.start(), range.end());
    Err(Error::new(Status::InvalidOption, message))
}
