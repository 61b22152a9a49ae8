//! A self-contained HTML page without scripts: the table, the charts, and pictures, wrong decisions first.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts;
use super::defects;
use super::evaluation::{Evaluation, Scored, Shown};
use super::series::Series;
use crate::metrics::Statistics;
use crate::thumbnail::{data_uri, outline};
use npad::error::Result;

const STYLE: &str = include_str!("report.css");

const COLUMNS: [&str; 15] = [
    "data set",
    "method",
    "image AUROC",
    "average precision",
    "F1",
    "balanced accuracy",
    "false alarms",
    "misses",
    "misses at 1 %",
    "misses at 5 %",
    "pixel AUROC",
    "AUPRO",
    "fit s",
    "score ms",
    "model MB",
];

/// The page of all data sets and methods.
pub fn page(all: &[Series]) -> Result<String> {
    let sections = all.iter().map(section).collect::<Result<Vec<_>>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "npad report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Anomaly detection report" }
                p {
                    "Learnt from good images alone. Percentages; in brackets 95 % intervals by bootstrap. Thresholds come from "
                    "the good training images, never from the test images. \"Misses at 1 %\" and \"at 5 %\" are different: they "
                    "are those at the lowest threshold that at most 1 or 5 % of the good test images exceed, so they say what "
                    "the ranking would allow. In pixel metrics, images of different sizes weigh the same."
                }
                @if let Some(several) = all.iter().find(|series| series.fits().len() > 1) {
                    p {
                        "Means and standard deviations of " (several.fits().len()) " fits with different seeds; charts and "
                        "pictures are those of the first."
                    }
                }
                (table(all))
                @for section in sections { (section) }
                p { "npad " (env!("CARGO_PKG_VERSION")) }
            }
        }
    };
    Ok(page.into_string())
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1}", 100.0 * share))
}

fn table(all: &[Series]) -> Markup {
    html! {
        div.scroll {
            table {
                tr { @for column in COLUMNS { th { (column) } } }
                @for series in all { (row(series)) }
            }
        }
    }
}

fn row(series: &Series) -> Markup {
    let intervals = Evaluation::intervals(series.fits());
    let interval = |name| intervals.iter().find(|(of, _)| *of == name).and_then(|(_, interval)| *interval);
    html! {
        tr {
            td { (series.first().dataset) }
            td { (series.first().settings.method) }
            @for (name, statistics) in series.statistics() {
                td {
                    (value(statistics, series.fits().len() > 1))
                    @if let Some((low, high)) = interval(name) {
                        " " small { "(" (percent(Some(low))) "–" (percent(Some(high))) ")" }
                    }
                    @if let Some(counts) = counts(series, name) { " " small { "(" (counts) ")" } }
                }
            }
            @for (_, value) in series.costs() { td { (format_args!("{value:.1}")) } }
        }
    }
}

/// The mean of a metric and, of several fits, its standard deviation.
fn value(statistics: Option<Statistics>, several: bool) -> String {
    let mean = percent(statistics.map(|s| s.mean));
    match statistics {
        Some(statistics) if several => format!("{mean} ± {}", percent(Some(statistics.std))),
        _ => mean,
    }
}

/// The numbers of false alarms or misses: that of one fit, or the lowest and the highest one of several.
fn counts(series: &Series, name: &str) -> Option<String> {
    let confusions = || series.fits().iter().map(Evaluation::confusion);
    let (counts, of): (Vec<usize>, _) = match name {
        "false_alarms" => confusions().map(|c| (c.false_alarms, c.false_alarms + c.passed)).unzip(),
        "misses" => confusions().map(|c| (c.missed, c.missed + c.found)).unzip(),
        _ => return None,
    };
    let of: Vec<usize> = of;
    let (low, high) = (counts.iter().min()?, counts.iter().max()?);
    let range = if low == high { low.to_string() } else { format!("{low}–{high}") };
    Some(format!("{range} of {}", of.first()?))
}

fn section(series: &Series) -> Result<Markup> {
    let evaluation = series.first();
    let settings = &evaluation.settings;
    let confusion = evaluation.confusion();
    let calibrated: Vec<(f32, bool)> = evaluation.images.iter().map(|i| (i.calibrated, i.defective)).collect();
    let operating = (confusion.false_alarm_rate(), 1.0 - confusion.miss_rate());
    let outcomes = [
        ("Missed: defective, but judged good", true, false),
        ("False alarms: good, but judged defective", false, true),
        ("Found", true, true),
        ("Good, with the highest scores", false, false),
    ]
    .map(|(title, defective, called)| outcome(evaluation, title, (defective, called)));
    let outcomes = outcomes.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(html! {
        h2 { (evaluation.dataset) ", " (settings.method) }
        p {
            (settings.images) " good images learnt, input " (settings.input.width) " x " (settings.input.height)
            ", threshold " (format_args!("{:.3}", settings.image.threshold))
            " for " (100.0 * settings.false_alarm_rate) " % false alarms."
        }
        div.charts {
            div { (charts::roc(&evaluation.scores(), operating)) }
            div { (charts::histogram(&calibrated)) }
            div.scroll { (kinds(series)) }
            @if !evaluation.known_defects.is_empty() { div.scroll { (defects::table(&series.known_defects())) } }
        }
        @for outcome in outcomes { (outcome) }
    })
}

fn kinds(series: &Series) -> Markup {
    let digits = usize::from(series.fits().len() > 1);
    html! {
        table {
            tr { th { "kind of defect" } th { "images" } th { "found" } th { "image AUROC" } }
            @for (name, kind) in series.kinds() {
                tr {
                    td { (name) }
                    td { (kind.images) }
                    td { (format_args!("{:.digits$}", kind.found)) }
                    td { (percent(kind.image_auroc)) }
                }
            }
        }
    }
}

/// The images with the given ground truth and decision.
fn outcome(evaluation: &Evaluation, title: &str, kind: (bool, bool)) -> Result<Markup> {
    let is_of_kind = |image: &Scored| (image.defective, image.called_defective) == kind;
    let all = evaluation.images.iter().filter(|image| is_of_kind(image)).count();
    let shown = evaluation.shown.iter().map(|shown| (&evaluation.images[shown.number], shown));
    let cards = shown
        .filter(|(image, _)| is_of_kind(image))
        .map(|(image, shown)| card(image, shown))
        .collect::<Result<Vec<_>>>()?;
    Ok(html! {
        h3 { (title) " " small { "(" (cards.len()) " of " (all) " shown)" } }
        div.cards { @for card in cards { (card) } }
    })
}

fn card(image: &Scored, shown: &Shown) -> Result<Markup> {
    let (width, height) = (shown.image.width, shown.image.height);
    let mut plain = shown.image.view()?.to_rgb()?;
    if let Some(mask) = &shown.mask {
        outline(&mut plain, mask);
    }
    let alt = if shown.mask.is_some() { "image with its defect outlined" } else { "image" };
    let (plain, overlay) = (data_uri(plain, width, height)?, data_uri(shown.overlay.clone(), width, height)?);
    Ok(html! {
        figure.card {
            div.pair {
                img alt=(alt) src=(plain);
                img alt="anomaly map" src=(overlay);
            }
            figcaption {
                b { (format_args!("{:.2}", image.calibrated)) } " " (image.kind) " "
                small { (image.path.file_name().unwrap_or_default().to_string_lossy()) }
            }
        }
    })
}
