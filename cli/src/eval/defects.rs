//! What a few known defects bring: some of the defective test images are known, and the others measure each operating point.
//!
//! Known defects are never learnt, so one fit serves all draws and only the threshold moves.

use maud::{Markup, html};
use serde_json::{Value, json};

use crate::dataset::Dataset;
use crate::metrics::Confusion;
use npad::error::{Error, Result, Status};
use npad::math::random::Random;
use npad::model::{KnownDefects, Model, Options};

/// Number of draws of known defects. A few images differ, so one draw says little.
const DRAWS: usize = 20;

/// The outcome of one operating point with so many known defects, as the mean over the draws.
pub struct KnownRow {
    count: usize,
    operating_point: &'static str,
    /// Share of the other defective images that are missed.
    misses: f64,
    /// Share of the good images that are judged defective.
    false_alarms: f64,
    /// What the model estimates that share to be, from its good images.
    estimated: f64,
    threshold: f64,
}

fn refused(message: String) -> Result<()> {
    Err(Error::new(Status::InvalidOption, message))
}

/// Checks the options that concern known defects.
///
/// # Errors
/// [`Status::InvalidOption`].
pub fn check_options(counts: &[usize], options: &Options) -> Result<()> {
    let point = options.get("operating_point")?;
    if point != "rate" {
        return refused(format!(
            "operating_point is {point}, but eval fits without known defects: leave it at rate; --defects N measures every \
             operating point with N known defects"
        ));
    }
    if !counts.is_empty() && options.get("min_region_area")? != "1" {
        return refused("--defects compares image scores with thresholds, so min_region_area must be 1".to_owned());
    }
    Ok(())
}

/// Checks that every data set has enough defective images, one of which at least remains to be scored.
///
/// # Errors
/// [`Status::InvalidOption`].
pub fn check_counts(counts: &[usize], datasets: &[Dataset]) -> Result<()> {
    for count in counts {
        for dataset in datasets {
            let defective = dataset.test.iter().filter(|image| image.is_defective()).count();
            if !(1..defective).contains(count) {
                let name = &dataset.name;
                return refused(match defective - 1 {
                    0 => format!(
                        "--defects takes 2 defective test images or more, so that one remains to be scored, but {name} \
                         has only 1: leave --defects out"
                    ),
                    most => format!(
                        "--defects is {count}, but must be 1 to {most} for {name}, which has {defective} defective test \
                         images"
                    ),
                });
            }
        }
    }
    Ok(())
}

/// Measures the operating points with each number of known defects, drawn by the seed.
///
/// # Errors
/// Those of [`Model::assess_defects`].
pub fn measure(model: &Model, scores: &[(f32, bool)], counts: &[usize], seed: u64) -> Result<Vec<KnownRow>> {
    let defective: Vec<usize> = (0..scores.len()).filter(|number| scores[*number].1).collect();
    let mut rows = Vec::new();
    for &count in counts {
        let mut random = Random::new(seed);
        let mut sums = [("rate", [0.0; 4]), ("catch_all", [0.0; 4]), ("cost", [0.0; 4])];
        for _ in 0..DRAWS {
            let drawn: Vec<usize> =
                random.choose(count, defective.len())?.into_iter().map(|index| defective[index]).collect();
            let known: Vec<f32> = drawn.iter().map(|number| scores[*number].0).collect();
            let KnownDefects { rate, catch_all, cost, .. } = model.assess_defects(&known)?;
            for ((_, sums), effect) in sums.iter_mut().zip([rate, catch_all, cost]) {
                let others = scores.iter().enumerate().filter(|(number, _)| !drawn.contains(number));
                let confusion = Confusion::new(others.map(|(_, (score, bad))| (*score > effect.threshold, *bad)));
                let values = [
                    confusion.miss_rate(),
                    confusion.false_alarm_rate(),
                    effect.false_alarm_rate,
                    f64::from(effect.threshold),
                ];
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / DRAWS as f64);
            }
        }
        rows.extend(sums.map(|(operating_point, [misses, false_alarms, estimated, threshold])| KnownRow {
            count,
            operating_point,
            misses,
            false_alarms,
            estimated,
            threshold,
        }));
    }
    Ok(rows)
}

/// The mean of the rows of several fits, which have the same numbers and operating points.
pub fn mean<'a>(fits: impl ExactSizeIterator<Item = &'a [KnownRow]> + Clone) -> Vec<KnownRow> {
    let rows = fits.clone().next().map_or(0, <[KnownRow]>::len);
    let row = |number: usize| {
        let mean = |value: fn(&KnownRow) -> f64| {
            fits.clone().map(|rows| value(&rows[number])).sum::<f64>() / fits.len() as f64
        };
        let KnownRow { count, operating_point, .. } = fits.clone().next()?[number];
        Some(KnownRow {
            count,
            operating_point,
            misses: mean(|row| row.misses),
            false_alarms: mean(|row| row.false_alarms),
            estimated: mean(|row| row.estimated),
            threshold: mean(|row| row.threshold),
        })
    };
    (0..rows).filter_map(row).collect()
}

impl KnownRow {
    /// As a JSON object; shares in percent.
    pub fn to_json(&self) -> Value {
        let percent = |share: f64| (share * 1e4).round() / 1e2;
        json!({
            "count": self.count,
            "draws": DRAWS,
            "operating_point": self.operating_point,
            "misses": percent(self.misses),
            "false_alarms": percent(self.false_alarms),
            "estimated_false_alarms": percent(self.estimated),
            "threshold": (self.threshold * 1e4).round() / 1e4,
        })
    }
}

/// The rows as a table of a report.
pub fn table(rows: &[KnownRow]) -> Markup {
    html! {
        table {
            tr { th { "known defects" } th { "operating point" } th { "misses" } th { "false alarms" } th { "estimated" } th { "threshold" } }
            @for row in rows {
                tr {
                    td { (row.count) }
                    td { (row.operating_point) }
                    td { (format_args!("{:.1}", 100.0 * row.misses)) }
                    td { (format_args!("{:.1}", 100.0 * row.false_alarms)) }
                    td { (format_args!("{:.1}", 100.0 * row.estimated)) }
                    td { (format_args!("{:.3}", row.threshold)) }
                }
            }
        }
    }
}
