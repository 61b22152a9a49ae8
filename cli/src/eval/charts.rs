//! Charts as SVG: the ROC curve, and histograms of scores with the threshold.

use maud::{Markup, html};

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

/// Formats coordinates with the precision of a screen.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

fn point((across, up): (f64, f64)) -> String {
    format!("{:.1},{:.1}", x(across), y(up))
}

/// Titles of the chart and its axes.
struct Labels {
    title: &'static str,
    across: &'static str,
    up: &'static str,
    /// Labels from left to right, at equal distances.
    ticks: Vec<String>,
}

/// The content with a frame and labels around it.
fn frame(labels: &Labels, content: &Markup) -> Markup {
    let steps = (labels.ticks.len() - 1).max(1) as f64;
    let tick = |number: usize| x(number as f64 / steps);
    html! {
        svg viewBox=(format_args!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(labels.title) {
            rect.frame x=(LEFT) y=(TOP) width=(px(x(1.0) - x(0.0))) height=(px(y(0.0) - y(1.0))) {}
            (content)
            @for (number, text) in labels.ticks.iter().enumerate() {
                text.tick.middle x=(px(tick(number))) y=(px(y(0.0) + 14.0)) { (text) }
            }
            text.axis.middle x=(px(x(0.5))) y=(px(HEIGHT - 4.0)) { (labels.across) }
            text.axis.middle x="12" y=(px(y(0.5))) transform=(format_args!("rotate(-90 12 {:.1})", y(0.5))) { (labels.up) }
        }
    }
}

/// ROC curve: the share of defective images found against the share of good ones judged defective; a dot marks the
/// model's threshold.
pub fn roc(scores: &[(f32, bool)], operating: (f64, f64)) -> Markup {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let defective = sorted.iter().filter(|s| s.1).count().max(1) as f64;
    let good = (sorted.len() as f64 - defective).max(1.0);
    let (mut found, mut alarms) = (0.0, 0.0);
    let mut points = vec![point((0.0, 0.0))];
    for group in sorted.chunk_by(|a, b| a.0 == b.0) {
        let positives = group.iter().filter(|s| s.1).count() as f64;
        found += positives;
        alarms += group.len() as f64 - positives;
        points.push(point((alarms / good, found / defective)));
    }
    let content = html! {
        line.chance x1=(px(x(0.0))) y1=(px(y(0.0))) x2=(px(x(1.0))) y2=(px(y(1.0))) {}
        polyline.curve points=(points.join(" ")) {}
        circle.dot cx=(px(x(operating.0))) cy=(px(y(operating.1))) r="4.5" {}
    };
    let labels = Labels {
        title: "ROC curve",
        across: "good images judged defective",
        up: "defective images found",
        ticks: ["0", "25 %", "50 %", "75 %", "100 %"].map(str::to_owned).to_vec(),
    };
    frame(&labels, &content)
}

/// Histogram of the calibrated scores of good and defective images; the line is the threshold.
pub fn histogram(calibrated: &[(f32, bool)]) -> Markup {
    let low = calibrated.iter().map(|s| f64::from(s.0)).fold(-0.25, f64::min).max(-1.0);
    let high = calibrated.iter().map(|s| f64::from(s.0)).fold(1.0, f64::max).min(4.0);
    let bar =
        |score: f32| ((f64::from(score) - low) / (high - low) * BARS as f64).clamp(0.0, BARS as f64 - 1.0) as usize;
    let mut counts = [[0usize; BARS]; 2];
    calibrated.iter().for_each(|(score, defective)| counts[usize::from(*defective)][bar(*score)] += 1);
    let most = counts.iter().flatten().copied().max().unwrap_or(1).max(1) as f64;
    let width = (x(1.0) - x(0.0)) / BARS as f64 - 0.6;
    let kinds = ["good", "defective"];
    let threshold = px(x(((0.5 - low) / (high - low)).clamp(0.0, 1.0)));
    let content = html! {
        @for (kind, counts) in kinds.iter().zip(&counts) {
            @for (number, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                @let top = y(*count as f64 / most);
                rect.(kind) x=(px(x(number as f64 / BARS as f64))) y=(px(top)) width=(px(width)) height=(px(y(0.0) - top)) {}
            }
        }
        @for (number, kind) in kinds.iter().enumerate() {
            @let (left, line) = (x(0.72), y(0.95) + 16.0 * number as f64);
            rect.(kind) x=(px(left)) y=(px(line - 8.5)) width="9" height="9" {}
            text.axis x=(px(left + 14.0)) y=(px(line)) { (kind) }
        }
        line.threshold x1=(threshold) y1=(px(y(0.0))) x2=(threshold) y2=(px(y(1.0))) {}
    };
    let labels = Labels {
        title: "Scores of good and defective images",
        across: "calibrated score (the line is the threshold)",
        up: "images",
        ticks: (0..5).map(|i| format!("{:.1}", low + (high - low) * f64::from(i) / 4.0)).collect(),
    };
    frame(&labels, &content)
}
