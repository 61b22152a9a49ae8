//! Charts as SVG text: the ROC curve, and histograms of scores with the threshold.

use std::fmt::Write;

/// Width and height of a chart, and the room for its axes.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 42.0;
const BOTTOM: f64 = 34.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 20.0;
/// Bars of a histogram.
const BARS: usize = 32;

fn x(share: f64) -> f64 {
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

fn y(share: f64) -> f64 {
    HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
}

/// The frame with its labels; `ticks` are labels from left to right at equal distances.
fn frame(title: &str, across: &str, up: &str, ticks: &[String], content: &str) -> String {
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" \
         height=\"{}\" class=\"frame\"/>{content}",
        x(1.0) - x(0.0),
        y(0.0) - y(1.0)
    );
    for (number, tick) in ticks.iter().enumerate() {
        let at = x(number as f64 / (ticks.len() - 1).max(1) as f64);
        let _ = write!(svg, "<text x=\"{at:.1}\" y=\"{:.1}\" class=\"tick middle\">{tick}</text>", y(0.0) + 14.0);
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" class=\"axis middle\">{across}</text><text x=\"12\" y=\"{:.1}\" class=\"axis middle\" \
         transform=\"rotate(-90 12 {:.1})\">{up}</text></svg>",
        x(0.5),
        HEIGHT - 4.0,
        y(0.5),
        y(0.5)
    );
    svg
}

/// The share of defective images found against the share of good ones called defective, at every threshold; a dot marks
/// the stored one.
pub fn roc(scores: &[(f32, bool)], operating: (f64, f64)) -> String {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let defective = sorted.iter().filter(|s| s.1).count().max(1) as f64;
    let good = (sorted.len() as f64 - defective).max(1.0);
    let (mut found, mut alarms) = (0.0, 0.0);
    let mut points = format!("{:.1},{:.1}", x(0.0), y(0.0));
    for group in sorted.chunk_by(|a, b| a.0 == b.0) {
        let positives = group.iter().filter(|s| s.1).count() as f64;
        found += positives;
        alarms += group.len() as f64 - positives;
        let _ = write!(points, " {:.1},{:.1}", x(alarms / good), y(found / defective));
    }
    let content = format!(
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" class=\"chance\"/><polyline points=\"{points}\" class=\"curve\"/>\
         <circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4.5\" class=\"dot\"/>",
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0),
        x(operating.0),
        y(operating.1)
    );
    let ticks = ["0", "25 %", "50 %", "75 %", "100 %"].map(str::to_owned);
    frame("ROC curve", "good images called defective", "defective images found", &ticks, &content)
}

/// How many good and defective images have which calibrated score; the line is the threshold.
pub fn histogram(calibrated: &[(f32, bool)]) -> String {
    let low = calibrated.iter().map(|s| f64::from(s.0)).fold(-0.25, f64::min).max(-1.0);
    let high = calibrated.iter().map(|s| f64::from(s.0)).fold(1.0, f64::max).min(4.0);
    let bar =
        |score: f32| ((f64::from(score) - low) / (high - low) * BARS as f64).clamp(0.0, BARS as f64 - 1.0) as usize;
    let mut counts = [[0usize; BARS]; 2];
    calibrated.iter().for_each(|(score, defective)| counts[usize::from(*defective)][bar(*score)] += 1);
    let most = counts.iter().flatten().copied().max().unwrap_or(1).max(1) as f64;
    let mut content = String::new();
    for (kind, counts) in ["good", "defective"].iter().zip(&counts) {
        for (number, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = *count as f64 / most;
            let _ = write!(
                content,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" class=\"{kind}\"/>",
                x(number as f64 / BARS as f64),
                y(share),
                (x(1.0) - x(0.0)) / BARS as f64 - 0.6,
                y(0.0) - y(share)
            );
        }
    }
    for (number, kind) in ["good", "defective"].iter().enumerate() {
        let (left, top) = (x(0.72), y(0.95) + 16.0 * number as f64);
        let _ = write!(
            content,
            "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"9\" height=\"9\" class=\"{kind}\"/><text x=\"{:.1}\" y=\"{top:.1}\" \
             class=\"axis\">{kind}</text>",
            top - 8.5,
            left + 14.0
        );
    }
    let at = x(((0.5 - low) / (high - low)).clamp(0.0, 1.0));
    let _ = write!(
        content,
        "<line x1=\"{at:.1}\" y1=\"{:.1}\" x2=\"{at:.1}\" y2=\"{:.1}\" class=\"threshold\"/>",
        y(0.0),
        y(1.0)
    );
    let ticks: Vec<String> = (0..5).map(|i| format!("{:.1}", low + (high - low) * f64::from(i) / 4.0)).collect();
    frame(
        "Scores of good and defective images",
        "calibrated score (the line is the threshold)",
        "images",
        &ticks,
        &content,
    )
}
