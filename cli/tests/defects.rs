//! Known defects through the command-line tool: `npad fit --defects` and `npad eval --defects`.

#[path = "../../tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::Gray;
use npad::model::{Model, Options};
use serde_json::Value;

fn npad(folder: &Path, arguments: &str) -> Output {
    let quick = ["--size", "96", "--set", "npad.channels=40"];
    let program = env!("CARGO_BIN_EXE_npad");
    Command::new(program).current_dir(folder).args(arguments.split(' ')).args(quick).output().unwrap()
}

/// The message of a run that must be refused as wrong usage where a fit would fail, for want of a runtime, with code 1.
fn before_any_work(folder: &Path, arguments: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
    let output =
        command.current_dir(folder).args(arguments.split(' ')).env("NPAD_ONNXRUNTIME", "/none").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments}: {}", text(&output.stderr));
    text(&output.stderr)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A scratch that is the fainter the lower `strength`, in percent.
fn faint(seed: u64, strength: usize) -> Gray {
    let (mut image, black) = (Gray::good(160, 120, 900 + seed), Gray::scratched(160, 120, 900 + seed, (70, 40)));
    for (pixel, black) in image.pixels.iter_mut().zip(&black.pixels) {
        *pixel = ((usize::from(*pixel) * (100 - strength) + usize::from(*black) * strength) / 100) as u8;
    }
    image
}

fn write(folder: &Path, name: &str, image: &Gray) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, image.pgm()).unwrap();
}

fn score(model: &Model, image: &Gray) -> f64 {
    f64::from(model.score(&image.view()).unwrap().score)
}

#[test]
fn fit_reports_known_defects_and_lets_them_set_the_threshold() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    (0..24).for_each(|seed| write(folder, &format!("good/{seed:02}.pgm"), &Gray::good(160, 120, seed)));
    for (seed, strength) in [15, 60, 100].into_iter().enumerate() {
        write(folder, &format!("bad/{seed}.pgm"), &faint(seed as u64, strength));
    }
    let fit = |more: &str| {
        let output = npad(folder, &format!("fit good -o model.npad --defects bad{more}"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let info = Command::new(env!("CARGO_BIN_EXE_npad")).current_dir(folder).args(["info", "model.npad"]).output();
        let info: Value = serde_json::from_slice(&info.unwrap().stdout).unwrap();
        (text(&output.stderr), info)
    };
    let (note, info) = fit("");
    let known = &info["known_defects"];
    assert_eq!((&known["count"], &known["in_use"]["missed"]), (&3.into(), &1.into()), "{known}");
    assert_eq!(known["in_use"]["threshold"], info["image"]["threshold"]);
    let threshold = |point: &str| format!("threshold {:.3}", known[point]["threshold"].as_f64().unwrap());
    assert!(note.contains("2 of 3 known defects found at ") && note.contains(&threshold("rate")), "{note}");
    assert!(note.contains("estimated false alarms 1.0 %") && note.contains(&threshold("catch_all")), "{note}");
    assert!(note.contains("--set operating_point=catch_all"), "{note}");

    let (note, info) = fit(" --set operating_point=catch_all");
    assert!(note.contains("3 of 3 known defects found at ") && note.contains("operating_point=rate finds 2"), "{note}");
    let first = note.lines().find(|line| line.starts_with("learnt")).unwrap();
    assert!(first.contains(&format!("{}, which the known defects lowered", threshold("catch_all"))), "{note}");
    assert_eq!(info["image"]["threshold"], known["catch_all"]["threshold"]);
    assert_eq!(info["operating_point"], "catch_all");

    // Some good parts score below a typical one.
    (700..724).for_each(|seed| write(folder, &format!("more/{seed}.pgm"), &Gray::good(160, 120, seed)));
    let output = npad(folder, "fit good -o model.npad --defects more");
    let note = text(&output.stderr);
    assert!(output.status.success() && note.contains("no usable threshold finds all"), "{note}");
    assert!(!note.contains("catch_all") && note.contains("can be found"), "{note}");
    let most: f64 = note.rsplit("at most ").next().unwrap().split(' ').next().unwrap().parse().unwrap();
    let model = Model::load(&folder.join("model.npad"), &Options::default()).unwrap();
    let typical = model.metadata().image.typical;
    let above = |seed| model.score(&Gray::good(160, 120, seed).view()).unwrap().score > typical;
    assert_eq!(most, (700..724).filter(|seed| above(*seed)).count() as f64);

    let refused = before_any_work(folder, "fit good -o other.npad --set operating_point=cost");
    assert!(refused.contains("operating_point is cost") && refused.contains("--defects"), "{refused}");
    let missing = npad(folder, "fit good -o other.npad --defects none");
    assert!(!missing.status.success() && !folder.join("other.npad").exists());
}

/// Two faint defects, one of which is known: the other is found only if it is the less faint one.
#[test]
fn eval_measures_operating_points_on_the_defects_that_were_not_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = common::good_images(24);
    let good: Vec<Gray> = (0..30).map(|seed| Gray::good(160, 120, 700 + seed)).collect();
    let mut options = Options::default();
    options.set("size", "96").unwrap();
    options.set("npad.channels", "40").unwrap();
    let model = common::fit(&options, &train).unwrap();
    let rate = f64::from(model.thresholds().defective);
    // Both are missed without help.
    let mut missed: Vec<Gray> =
        (0..20).map(|seed| faint(seed, 12)).filter(|image| score(&model, image) < rate).collect();
    missed.sort_by(|a, b| score(&model, a).total_cmp(&score(&model, b)));
    let bad = [missed[missed.len() - 1].clone(), missed[0].clone()];
    let scores = [1, 0].map(|number: usize| score(&model, &bad[number]));
    assert!(scores[0] < scores[1]);
    for (name, images) in [("train/good", &train[..]), ("test/good", &good), ("test/scratch", &bad)] {
        for (number, image) in images.iter().enumerate() {
            write(folder, &format!("set/{name}/{number:02}.pgm"), image);
        }
    }

    let output = npad(folder, "eval set --defects 1 --report report.html");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = results[0]["known_defects"].as_array().unwrap();
    let row = |number: usize, point: &str| {
        let row = &rows[number];
        assert_eq!((&row["count"], &row["draws"], &row["operating_point"]), (&1.into(), &20.into(), &point.into()));
        ["misses", "false_alarms", "threshold"].map(|key| row[key].as_f64().unwrap())
    };
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["estimated_false_alarms"], 1.0);
    let [misses, _, threshold] = row(0, "rate");
    assert!(misses == 100.0 && (threshold - rate).abs() < 1e-3, "{misses} at {threshold}");
    let [misses, alarms, threshold] = row(1, "catch_all");
    // Share of the draws of the less faint one, whose threshold misses the other.
    let share = (threshold - scores[0]) / (scores[1] - scores[0]);
    assert!((0.05..0.95).contains(&share), "both are drawn: {share}");
    assert!((misses / 100.0 - share).abs() < 1e-2, "{misses} % missed, {share} of the draws");
    let above =
        |threshold: f64| good.iter().filter(|image| score(&model, image) > threshold - 1e-5).count() as f64 / 30.0;
    let expected = (1.0 - share) * above(scores[0]) + share * above(scores[1]);
    assert!((alarms / 100.0 - expected).abs() < 1e-2, "{alarms} % false alarms instead of {expected}");
    row(2, "cost");
    let report = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(report.contains("known defects") && report.contains("catch_all"));

    for (arguments, expected) in [
        ("eval set --defects 2", "must be 1 to 1 for set"),
        ("eval set --defects 0", "must be 1 to 1 for set"),
        ("eval set --defects 1 --set min_region_area=5", "min_region_area must be 1"),
        ("eval set --set operating_point=catch_all", "--defects N measures every operating point"),
        ("eval set --defects 1 --set operating_point=cost", "--defects N measures every operating point"),
    ] {
        let message = before_any_work(folder, arguments);
        assert!(message.contains(expected), "{arguments}: {message}");
    }
    let plain: Value = serde_json::from_slice(&npad(folder, "eval set").stdout).unwrap();
    assert!(plain[0].get("known_defects").is_none());
    std::fs::remove_file(folder.join("set/test/scratch/01.pgm")).unwrap();
    let message = before_any_work(folder, "eval set --defects 1");
    assert!(message.contains("2 defective test images or more") && message.contains("set has only 1"), "{message}");
}

#[test]
fn an_image_in_both_folders_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    (0..5).for_each(|seed| write(folder, &format!("good/{seed}.pgm"), &Gray::good(160, 120, seed)));
    let output = npad(folder, "fit good -o model.npad --defects good");
    let message = text(&output.stderr);
    assert!(output.status.code() == Some(1) && message.contains("both good and defective"), "{message}");
    assert!(message.contains("0.pgm") && !folder.join("model.npad").exists(), "{message}");
}
