//! Fits of one method to one data set that differ in their seeds alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::defects::{self, KnownRow};
use super::evaluation::{Evaluation, Protocol, percent, thousandths};
use crate::dataset::Dataset;
use crate::metrics::{Statistics, mean};
use npad::error::{Error, Result, Status};
use npad::model::Options;

/// The outcomes of one or more fits.
pub struct Series {
    fits: Vec<Evaluation>,
}

/// A kind of defect: the number of images, and the means of their AUROC against the good images and of the number found.
pub struct Kind {
    pub images: usize,
    pub image_auroc: Option<f64>,
    pub found: f64,
}

impl Series {
    /// Fits `count` times, with the options' seed and the following ones. With `keep`, the first fit renders the images of
    /// a report.
    pub fn run(dataset: &Dataset, options: &Options, protocol: &Protocol, count: u64, keep: bool) -> Result<Self> {
        let first = options.seed();
        let last = count.checked_sub(1).and_then(|more| first.checked_add(more)).ok_or_else(|| {
            let message = format!("{count} seeds from {first} on: expected 1 or more, and no seed above {}", u64::MAX);
            Error::new(Status::InvalidOption, message)
        })?;
        let fit = |seed: u64| {
            let mut options = options.clone();
            options.set("seed", &seed.to_string())?;
            Evaluation::run(dataset, &options, protocol, keep && seed == first)
        };
        Ok(Self { fits: (first..=last).map(fit).collect::<Result<_>>()? })
    }

    /// A single outcome.
    #[cfg(feature = "studio")]
    pub fn of(evaluation: Evaluation) -> Self {
        Self { fits: vec![evaluation] }
    }

    /// The fit with the options' seed.
    pub fn first(&self) -> &Evaluation {
        &self.fits[0]
    }

    /// All fits.
    pub fn fits(&self) -> &[Evaluation] {
        &self.fits
    }

    /// Statistics over the fits of each metric, in the order of [`Evaluation::metrics`].
    pub fn statistics(&self) -> impl Iterator<Item = (&'static str, Option<Statistics>)> {
        let rows: Vec<_> = self.fits.iter().map(Evaluation::metrics).collect();
        let columns = rows[0].map(|(name, _)| name).into_iter().enumerate();
        columns.map(move |(column, name)| (name, Statistics::new(rows.iter().map(|row| row[column].1))))
    }

    /// Means over the fits of times and size, in the order of [`Evaluation::costs`].
    pub fn costs(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let rows: Vec<_> = self.fits.iter().map(Evaluation::costs).collect();
        let columns = rows[0].map(|(name, _)| name).into_iter().enumerate();
        columns.filter_map(move |(column, name)| Some((name, mean(rows.iter().map(|row| Some(row[column].1)))?)))
    }

    /// What known defects bring, as the mean over the fits.
    pub fn known_defects(&self) -> Vec<KnownRow> {
        defects::mean(self.fits.iter().map(|fit| &fit.known_defects[..]))
    }

    /// Each kind of defect.
    pub fn kinds(&self) -> BTreeMap<&str, Kind> {
        let fits: Vec<_> = self.fits.iter().map(Evaluation::kinds).collect();
        let kind = |name| {
            let of_fits = || fits.iter().map(move |kinds| kinds[name]);
            Kind {
                images: fits[0][name].0,
                image_auroc: mean(of_fits().map(|(_, area, _)| area)),
                found: mean(of_fits().map(|(_, _, found)| Some(found as f64))).unwrap_or_default(),
            }
        };
        fits[0].keys().map(|name| (*name, kind(*name))).collect()
    }

    /// The outcome as one JSON object. That of several fits has means in place of the values of one, and also the number
    /// of seeds, standard deviations, spreads, and the values of each fit.
    pub fn to_json(&self) -> Value {
        let mut object = self.first().to_json();
        if self.fits.len() == 1 {
            return object;
        }
        object["seeds"] = json!(self.fits.len());
        for (name, statistics) in self.statistics() {
            object[name] = json!(statistics.map(|s| percent(s.mean)));
            object["std"][name] = json!(statistics.map(|s| percent(s.std)));
            object["spread"][name] = json!(statistics.map(|s| percent(s.spread)));
        }
        for (name, value) in self.costs() {
            object[name] = json!(thousandths(value));
        }
        for (name, interval) in Evaluation::intervals(&self.fits) {
            object[format!("{name}_interval")] = json!(interval.map(|(low, high)| [percent(low), percent(high)]));
        }
        let known = self.known_defects();
        if !known.is_empty() {
            object["known_defects"] = known.iter().map(KnownRow::to_json).collect();
        }
        let kinds = self.kinds().into_iter().map(|(name, kind)| {
            let (area, found) = (kind.image_auroc.map(percent), thousandths(kind.found));
            json!({"kind": name, "images": kind.images, "image_auroc": area, "found": found})
        });
        object["kinds"] = kinds.collect();
        object["runs"] = self.fits.iter().map(run).collect();
        object
    }
}

/// The values of one fit.
fn run(fit: &Evaluation) -> Value {
    let mut object = json!({"seed": fit.seed});
    fit.metrics().into_iter().for_each(|(name, value)| object[name] = json!(value.map(percent)));
    fit.costs().into_iter().for_each(|(name, value)| object[name] = json!(thousandths(value)));
    object
}
