//! The calibration card: the facts that a quality department files with a model.

use std::fmt::Display;

use super::{Metadata, Model, OperatingPoint, Recalibration, ThresholdRule, ThresholdSource};

/// Width of the column of names.
const NAMES: usize = 30;
const NOT_RECORDED: &str = "not recorded";

impl Model {
    /// The calibration card as plain text, one fact a line: the good images, thresholds, settings, versions and
    /// backbone. It depends on the model alone, not on the device or the time. Facts that the npad that fitted the model
    /// did not record are "not recorded".
    pub fn card(&self) -> String {
        self.metadata().card()
    }
}

impl Metadata {
    fn card(&self) -> String {
        let mut card = Card::default();
        self.images(&mut card);
        self.threshold(&mut card);
        self.settings(&mut card);
        card.text
    }

    fn images(&self, card: &mut Card) {
        card.group("Good images learnt");
        card.line("number", self.images);
        card.line("hash", or_not_recorded(self.images_hash));
        card.line("last learnt on (UTC)", or_not_recorded(self.fitted_on));
        card.line("learnt by", format_args!("npad {}", self.npad_version));
    }

    fn threshold(&self, card: &mut Card) {
        card.group("Threshold");
        card.line("defective above", format_args!("{} (raw score)", self.image.threshold));
        if self.reviews() {
            let given = if self.review_given { ", set to a given value" } else { "" };
            card.line("review above", format_args!("{} (raw score{given})", self.review));
        } else {
            card.line("review above", "no review");
        }
        card.line("typical good image", format_args!("{} (raw score)", self.image.typical));
        self.source(card);
    }

    /// Whether there is a review threshold of its own.
    fn reviews(&self) -> bool {
        self.review < self.image.threshold
    }

    /// Where the threshold comes from.
    fn source(&self, card: &mut Card) {
        let held_out = |count| format!("scores of {count} held-out images of the fit");
        match (self.threshold_source, self.recalibration) {
            (Some(ThresholdSource::Given), _) => {
                card.line("derived from", "nothing: it was set to a given value");
                return self.effects(card);
            }
            (Some(ThresholdSource::Recalibrated), Some(Recalibration { images, images_hash, date })) => {
                let from = format!("scores of {images} other good images");
                match self.held_out.saturating_sub(images) {
                    0 => card.line("derived from", from),
                    later => card.line("derived from", format_args!("{from} and {}", held_out(later))),
                }
                card.line("hash of the other images", images_hash);
                card.line("recalibrated on (UTC)", or_not_recorded(date));
            }
            (Some(ThresholdSource::HeldOut), _) => card.line("derived from", held_out(self.held_out)),
            _ => card.line("derived from", NOT_RECORDED),
        }
        self.interval(card);
        card.line("target false-alarm rate", percent(self.false_alarm_rate));
        if self.reviews() && !self.review_given {
            card.line("target review rate", percent(self.review_rate));
        }
        if self.extrapolates() {
            let enough = (1.0 / self.false_alarm_rate).ceil();
            card.line("extrapolated", format_args!("yes: {} scores, but the rate takes {enough}", self.held_out));
        } else {
            card.line("extrapolated", "no");
        }
    }

    /// The interval of the threshold, and which known defects chose it.
    fn interval(&self, card: &mut Card) {
        let known = self.known_defects.as_ref();
        let moved = known.filter(|known| known.in_use.threshold < known.rate.threshold);
        let interval = self.threshold_interval.map(|(low, high)| format!("{low} to {high} (raw score)"));
        match moved {
            Some(known) => card.line("lowered from", format_args!("{} (raw score)", known.rate.threshold)),
            None => card.line("90 % interval of the threshold", or_not_recorded(interval)),
        }
        let ThresholdRule { operating_point, miss_cost } = self.threshold_rule;
        card.line("operating point", operating_point.name());
        if operating_point == OperatingPoint::Cost {
            card.line("cost of a miss", miss_cost);
        }
        self.effects(card);
    }

    /// What the threshold does, as far as known defects show it.
    fn effects(&self, card: &mut Card) {
        if let Some(known) = &self.known_defects {
            card.line("known defects", format_args!("{}, of which {} are found", known.count, known.found()));
            card.line("estimated false alarms", format_args!("{:.2} %", 100.0 * known.in_use.false_alarm_rate));
        }
    }

    fn settings(&self, card: &mut Card) {
        card.group("Settings");
        card.line("method", &self.method);
        if let Some(plugin) = &self.plugin {
            card.line("plug-in", plugin);
        }
        card.line("backbone", &self.backbone);
        card.line(
            "network input",
            format_args!("{} x {} pixels (width x height)", self.input.width, self.input.height),
        );
        let scales: Vec<String> = self.scales.iter().map(f64::to_string).collect();
        card.line("scales of the input", scales.join(" + "));
        match self.tile {
            0 => card.line("tile", "none"),
            side => card.line("tile", format_args!("{side} pixels of the network's input")),
        }
        match self.mask {
            Some((width, height)) => card.line("mask", format_args!("{width} x {height} pixels (width x height)")),
            None => card.line("mask", "none"),
        }
        card.line("grid step", format_args!("{} positions of the backbone's finest output", self.grid_step));
        card.line("smoothing", format_args!("{} pixels of the network's input", self.output.smoothing));
        card.line("peak share", percent(self.output.peak_share));
        card.line("minimum region area", format_args!("{} pixels of the image", self.output.min_region_area));
        card.line("seed", self.seed);
        self.parameters.iter().for_each(|(name, value)| card.line(name, value));
    }
}

#[derive(Default)]
struct Card {
    text: String,
}

impl Card {
    fn group(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(name);
        self.text.push('\n');
    }

    /// Adds a fact. Texts of a model file are not trusted: a line break in one of them must not look like a fact.
    fn line(&mut self, name: &str, value: impl Display) {
        let line = format!("  {name:NAMES$}  {value}");
        let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        self.text.extend(line.trim_end().chars().map(|c| if breaks(c) { char::REPLACEMENT_CHARACTER } else { c }));
        self.text.push('\n');
    }
}

fn or_not_recorded(fact: Option<impl Display>) -> String {
    fact.map_or_else(|| NOT_RECORDED.to_owned(), |fact| fact.to_string())
}

/// A share in percent, without the rounding errors of the multiplication.
fn percent(share: f64) -> String {
    format!("{} %", (share * 100.0 * 1e9).round() / 1e9)
}
