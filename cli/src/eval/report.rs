//! One self-contained page: the table, the charts, and what went wrong first, with pictures. No script, no network.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage, imageops};

use super::charts;
use super::evaluation::{Evaluation, Scored, Shown};
use crate::dataset::GroundTruth;
use npad::error::{Error, Result, Status};

/// The longest side of a picture, in pixels, and its quality.
const SIDE: u32 = 300;
const QUALITY: u8 = 82;
/// Colour of a mask's outline: red, green, blue.
const OUTLINE: [u8; 3] = [255, 0, 255];

const STYLE: &str = "
:root { --ink: #1c2430; --soft: #5d6b7c; --line: #d8dfe7; --good: #3c8dbc; --bad: #d9534f; --page: #f5f7f9; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1100px; padding: 16px; font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
       background: var(--page); }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p, figcaption { color: var(--soft); }
.scroll { overflow-x: auto; background: #fff; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .45rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } tr:last-child td { border-bottom: 0; }
small { color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 12px; }
.charts > *, .card { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 8px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 12px; align-items: start; }
figure { margin: 0; } .pair { display: flex; gap: 4px; align-items: flex-start; } .pair img { width: 50%; min-width: 0; }
img, svg { max-width: 100%; display: block; border-radius: 4px; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; padding-top: 4px; } b { color: var(--ink); }
.frame { fill: none; stroke: var(--line); } .chance { stroke: var(--line); stroke-dasharray: 4; }
.curve { fill: none; stroke: var(--good); stroke-width: 2; } .dot { fill: var(--bad); }
.good { fill: var(--good); opacity: .6; } .defective { fill: var(--bad); opacity: .6; }
.threshold { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 5 3; }
.tick { font-size: 10px; fill: var(--soft); } .axis { font-size: 11px; fill: var(--soft); } .middle { text-anchor: middle; }
";

/// The page of all evaluations.
pub fn page(evaluations: &[Evaluation]) -> Result<String> {
    let mut body = String::new();
    body += "<h1>Anomaly detection report</h1><p>Learnt from good images alone. Percentages; in brackets 95 % intervals by \
             bootstrap. Thresholds come from the good images, never from the test images.</p>";
    table(&mut body, evaluations);
    for evaluation in evaluations {
        section(&mut body, evaluation)?;
    }
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>npad report</title><style>{STYLE}</style></head><body>{body}\
         <p>npad {}</p></body></html>\n",
        env!("CARGO_PKG_VERSION")
    ))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "&ndash;".to_owned(), |share| format!("{:.1}", 100.0 * share))
}

fn table(out: &mut String, evaluations: &[Evaluation]) {
    *out += "<div class=\"scroll\"><table><tr><th>data set<th>method<th>image AUROC<th>average precision<th>F1<th>balanced \
             accuracy<th>false alarms<th>misses<th>pixel AUROC<th>AUPRO<th>fit s<th>score ms<th>model MB</tr>";
    for evaluation in evaluations {
        let confusion = evaluation.confusion();
        let _ = write!(out, "<tr><td>{}<td>{}", escape(&evaluation.dataset), escape(&evaluation.settings.method));
        for (_, value, interval) in evaluation.image_metrics() {
            let _ = write!(out, "<td>{}", percent(value));
            if let Some((low, high)) = interval {
                let _ = write!(out, " <small>({:.1}&ndash;{:.1})</small>", 100.0 * low, 100.0 * high);
            }
        }
        let _ = write!(
            out,
            "<td>{} of {}<td>{} of {}<td>{}<td>{}<td>{:.1}<td>{:.1}<td>{:.1}</tr>",
            confusion.false_alarms,
            confusion.false_alarms + confusion.passed,
            confusion.missed,
            confusion.missed + confusion.found,
            percent(evaluation.pixel_auroc),
            percent(evaluation.aupro),
            evaluation.fit_seconds,
            evaluation.score_ms,
            evaluation.model_bytes as f64 / 1e6
        );
    }
    *out += "</table></div>";
}

fn section(out: &mut String, evaluation: &Evaluation) -> Result<()> {
    let (name, settings) = (escape(&evaluation.dataset), &evaluation.settings);
    let _ = write!(
        out,
        "<h2>{name}, {}</h2><p>{} good images learnt, input {} x {}, threshold {:.3} for {} % false alarms.</p>",
        escape(&settings.method),
        settings.images,
        settings.input.width,
        settings.input.height,
        settings.image.threshold,
        100.0 * settings.false_alarm_rate
    );
    let confusion = evaluation.confusion();
    let calibrated: Vec<(f32, bool)> = evaluation.images.iter().map(|i| (i.calibrated, i.defective)).collect();
    let operating = (confusion.false_alarm_rate(), 1.0 - confusion.miss_rate());
    let _ = write!(
        out,
        "<div class=\"charts\"><div>{}</div><div>{}</div>",
        charts::roc(&evaluation.scores(), operating),
        charts::histogram(&calibrated)
    );
    *out += "<div class=\"scroll\"><table><tr><th>kind of defect<th>images<th>found<th>image AUROC</tr>";
    for (kind, (images, area, found)) in evaluation.kinds() {
        let _ = write!(out, "<tr><td>{}<td>{images}<td>{found}<td>{}</tr>", escape(kind), percent(area));
    }
    *out += "</table></div></div>";
    for (title, defective, called) in [
        ("Missed: defective, but called good", true, false),
        ("False alarms: good, but called defective", false, true),
        ("Found", true, true),
        ("Good, with the highest scores", false, false),
    ] {
        let outcome = |image: &Scored| (image.defective, image.called_defective) == (defective, called);
        let all = evaluation.images.iter().filter(|image| outcome(image)).count();
        let shown: Vec<&Shown> =
            evaluation.shown.iter().filter(|shown| outcome(&evaluation.images[shown.number])).collect();
        let _ = write!(out, "<h3>{title} <small>({} of {all} shown)</small></h3><div class=\"cards\">", shown.len());
        for shown in shown {
            card(out, &evaluation.images[shown.number], shown)?;
        }
        *out += "</div>";
    }
    Ok(())
}

fn card(out: &mut String, image: &Scored, shown: &Shown) -> Result<()> {
    let (width, height) = (shown.image.width, shown.image.height);
    let mut plain = shown.image.view()?.to_rgb();
    if let Some(mask) = &shown.mask {
        outline(&mut plain, mask);
    }
    let name = image.path.file_name().unwrap_or_default().to_string_lossy();
    let _ = write!(
        out,
        "<figure class=\"card\"><div class=\"pair\"><img alt=\"image{}\" src=\"{}\"><img alt=\"anomaly map\" \
         src=\"{}\"></div><figcaption><b>{:.2}</b> {} <small>{}</small></figcaption></figure>",
        if shown.mask.is_some() { " with its defect outlined" } else { "" },
        picture(plain, width, height)?,
        picture(shown.overlay.clone(), width, height)?,
        image.calibrated,
        escape(&image.kind),
        escape(&name)
    );
    Ok(())
}

/// Draws the mask's border into an RGB picture.
fn outline(pixels: &mut [u8], mask: &GroundTruth) {
    let line = 1 + mask.width.max(mask.height) / SIDE as usize;
    let (width, height) = (mask.width, mask.height);
    for at in (0..mask.pixels.len()).filter(|at| mask.pixels[*at]) {
        let (x, y) = (at % width, at / width);
        let outside = |u: usize, v: usize| u >= width || v >= height || !mask.pixels[v * width + u];
        let edge = (1..=line).any(|d| {
            outside(x + d, y) || outside(x, y + d) || x < d || y < d || outside(x - d, y) || outside(x, y - d)
        });
        if edge {
            pixels[3 * at..3 * at + 3].copy_from_slice(&OUTLINE);
        }
    }
}

/// A picture as a data URI.
fn picture(pixels: Vec<u8>, width: usize, height: usize) -> Result<String> {
    let internal =
        |what: &dyn std::fmt::Display| Error::new(Status::Internal, format!("a picture of the report: {what}"));
    let image =
        RgbImage::from_raw(width as u32, height as u32, pixels).ok_or_else(|| internal(&"its size is wrong"))?;
    let scale = f64::from(SIDE) / width.max(height) as f64;
    let image = if scale < 1.0 {
        let side = |length: usize| ((length as f64 * scale).round() as u32).max(1);
        imageops::resize(&image, side(width), side(height), imageops::FilterType::Triangle)
    } else {
        image
    };
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .write_image(&image, image.width(), image.height(), ExtendedColorType::Rgb8)
        .map_err(|e| internal(&e))?;
    Ok(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
