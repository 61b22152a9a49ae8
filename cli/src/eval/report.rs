//! A self-contained HTML page without scripts: the table, the charts, and pictures, wrong decisions first.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts;
use super::defects;
use super::evaluation::{Evaluation, Scored, Shown};
use super::thumbnail::{data_uri, outline};
use npad::error::Result;

const STYLE: &str = include_str!("report.css");

const COLUMNS: [&str; 13] = [
    "data set",
    "method",
    "image AUROC",
    "average precision",
    "F1",
    "balanced accuracy",
    "false alarms",
    "misses",
    "pixel AUROC",
    "AUPRO",
    "fit s",
    "score ms",
    "model MB",
];

/// The page of all evaluations.
pub fn page(evaluations: &[Evaluation]) -> Result<String> {
    let sections = evaluations.iter().map(section).collect::<Result<Vec<_>>>()?;
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
                    "the good images, never from the test images."
                }
                (table(evaluations))
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

fn table(evaluations: &[Evaluation]) -> Markup {
    html! {
        div.scroll {
            table {
                tr { @for column in COLUMNS { th { (column) } } }
                @for evaluation in evaluations { (row(evaluation)) }
            }
        }
    }
}

fn row(evaluation: &Evaluation) -> Markup {
    let confusion = evaluation.confusion();
    html! {
        tr {
            td { (evaluation.dataset) }
            td { (evaluation.settings.method) }
            @for (_, value, interval) in evaluation.image_metrics() {
                td {
                    (percent(value))
                    @if let Some((low, high)) = interval { " " small { "(" (percent(Some(low))) "–" (percent(Some(high))) ")" } }
                }
            }
            td { (confusion.false_alarms) " of " (confusion.false_alarms + confusion.passed) }
            td { (confusion.missed) " of " (confusion.missed + confusion.found) }
            td { (percent(evaluation.pixel_auroc)) }
            td { (percent(evaluation.aupro)) }
            @for value in [evaluation.fit_seconds, evaluation.score_ms, evaluation.model_bytes as f64 / 1e6] {
                td { (format_args!("{value:.1}")) }
            }
        }
    }
}

fn section(evaluation: &Evaluation) -> Result<Markup> {
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
            div.scroll { (kinds(evaluation)) }
            @if !evaluation.known_defects.is_empty() { div.scroll { (defects::table(&evaluation.known_defects)) } }
        }
        @for outcome in outcomes { (outcome) }
    })
}

fn kinds(evaluation: &Evaluation) -> Markup {
    html! {
        table {
            tr { th { "kind of defect" } th { "images" } th { "found" } th { "image AUROC" } }
            @for (kind, (images, area, found)) in evaluation.kinds() {
                tr { td { (kind) } td { (images) } td { (found) } td { (percent(area)) } }
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
