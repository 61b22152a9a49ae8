//! `npad eval` as a user runs it.

#[path = "../../tests/common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::Gray;
use serde_json::Value;
use tempfile::TempDir;

/// Options that keep the tests quick. Few channels, chosen at random: results depend on the seed.
const QUICK: [&str; 4] = ["--size", "96", "--set", "npad.channels=10"];
/// Keys whose values differ from run to run.
const TIMES: [&str; 2] = ["fit_seconds", "score_ms_p50"];

fn eval(set: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_npad")).arg("eval").arg(set).args(QUICK).args(more).output().unwrap()
}

fn printed(set: &Path, more: &[&str]) -> String {
    let output = eval(set, more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The first result.
fn result(set: &Path, more: &[&str]) -> Value {
    serde_json::from_str::<Value>(&printed(set, more)).unwrap()[0].take()
}

/// A result without its times.
fn timeless(mut result: Value) -> Value {
    TIMES.iter().for_each(|key| drop(result.as_object_mut().unwrap().remove(*key)));
    result
}

/// The message of a run that must fail with that exit code.
fn failure(set: &Path, more: &[&str], code: i32) -> String {
    let output = eval(set, more);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{message}");
    message
}

/// A data set of parts with scratches.
fn data_set(folder: &TempDir) -> PathBuf {
    let set = folder.path().join("set");
    for kind in ["train/good", "test/good", "test/scratch", "ground_truth/scratch"] {
        std::fs::create_dir_all(set.join(kind)).unwrap();
    }
    let write = |name: String, image: &Gray| std::fs::write(set.join(name), image.pgm()).unwrap();
    for seed in 0..12 {
        write(format!("train/good/{seed:02}.pgm"), &Gray::good(160, 120, seed));
    }
    for seed in 0..6 {
        write(format!("test/good/{seed}.pgm"), &Gray::good(160, 120, 50 + seed));
        let (plain, scratched) = (Gray::good(160, 120, 90 + seed), Gray::scratched(160, 120, 90 + seed, (60, 50)));
        write(format!("test/scratch/{seed}.pgm"), &scratched);
        let changed = plain.pixels.iter().zip(&scratched.pixels).map(|(a, b)| if a == b { 0 } else { 255 });
        write(format!("ground_truth/scratch/{seed}_mask.png"), &Gray { pixels: changed.collect(), ..plain });
    }
    set
}

#[test]
fn the_size_of_the_maps_decides_over_pixel_metrics_alone() {
    let folder = tempfile::tempdir().unwrap();
    let set = data_set(&folder);
    let (own, small) = (result(&set, &[]), result(&set, &["--eval-size", "48x64"]));
    for key in ["image_auroc", "misses", "false_alarms", "misses_at_1", "balanced_accuracy"] {
        assert_eq!(own[key], small[key], "{key}");
    }
    assert_ne!(own["aupro"], small["aupro"]);
}

#[test]
fn eval_measures_a_data_set() {
    let folder = TempDir::new().unwrap();
    let (set, json) = (data_set(&folder), folder.path().join("result.json"));
    let text = printed(&set, &["--json", json.to_str().unwrap(), "--shots", "10", "--seeds", "1"]);
    assert_eq!(text, std::fs::read_to_string(&json).unwrap());
    let results: Value = serde_json::from_str(&text).unwrap();
    let measured = &results[0];
    assert_eq!(
        (&measured["dataset"], &measured["method"], &measured["train_images"]),
        (&"set".into(), &"npad".into(), &10.into())
    );
    assert_eq!((&measured["image_auroc"], &measured["misses_at_1"]), (&100.0.into(), &0.0.into()));
    assert!(measured["pixel_auroc"].as_f64().unwrap() > 90.0 && measured["aupro"].as_f64().unwrap() > 60.0, "{text}");
    for key in ["fit_seconds", "score_ms_p50", "model_mb", "false_alarms", "misses", "misses_at_5"] {
        assert!(measured[key].is_number(), "{key}");
    }
    for key in ["seeds", "std", "spread", "runs"] {
        assert!(measured.get(key).is_none(), "{key} is of several fits");
    }
    let small = ["--eval-size", "96x96"];
    printed(&set, &small);
    std::fs::remove_file(set.join("ground_truth/scratch/3_mask.png")).unwrap();
    assert!(failure(&set, &small, 1).contains("3.pgm has no mask"));
    std::fs::remove_dir_all(set.join("ground_truth")).unwrap();
    let without = result(&set, &["--seeds", "2"]);
    for key in ["pixel_auroc", "aupro"] {
        assert!(without[key].is_null() && without["std"][key].is_null() && without["runs"][1][key].is_null(), "{key}");
    }
}

#[test]
fn several_seeds_give_means_and_deviations_of_single_runs() {
    let folder = TempDir::new().unwrap();
    let set = data_set(&folder);
    let all = result(&set, &["--seeds", "3", "--seed", "4"]);
    let runs = all["runs"].as_array().unwrap();
    assert_eq!((&all["seeds"], runs.len()), (&3.into(), 3));
    for (run, seed) in runs.iter().zip(["4", "5", "6"]) {
        let single = result(&set, &["--seed", seed]);
        assert_eq!(run["seed"].to_string(), seed);
        let keys = run.as_object().unwrap().keys().filter(|key| *key != "seed" && !TIMES.contains(&&***key));
        keys.for_each(|key| assert_eq!(run[key], single[key], "{key} of seed {seed}"));
    }
    let keys = all["std"].as_object().unwrap().keys();
    assert!(keys.len() == 10 && all["std"]["aupro"].as_f64().unwrap() > 0.0, "{all}");
    for key in keys {
        let values: Vec<f64> = runs.iter().map(|run| run[key].as_f64().unwrap()).collect();
        let mean = values.iter().sum::<f64>() / 3.0;
        let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        let spread = values.iter().fold(f64::MIN, |a, b| a.max(*b)) - values.iter().fold(f64::MAX, |a, b| a.min(*b));
        for (found, expected) in [(&all[key], mean), (&all["std"][key], std), (&all["spread"][key], spread)] {
            // Each number is rounded to hundredths.
            assert!((found.as_f64().unwrap() - expected).abs() < 0.02, "{key}: {found} instead of {expected}");
        }
    }
    assert!(all["fit_seconds"].is_number() && all["kinds"][0]["found"].is_number());
}

#[test]
fn the_order_of_the_images_changes_no_result() {
    let folder = TempDir::new().unwrap();
    let set = data_set(&folder);
    let by_name = timeless(result(&set, &["--shots", "8"]));
    for seed in ["0", "1"] {
        assert_eq!(by_name, timeless(result(&set, &["--shots", "8", "--shuffle", seed])), "order {seed}");
    }
}

/// The first image sets the proportions of the network's input, unless `--size` gives height and width.
#[test]
fn the_order_of_images_of_different_proportions_changes_nothing_at_a_given_size() {
    let folder = TempDir::new().unwrap();
    let set = data_set(&folder);
    for seed in 0..6 {
        let path = set.join(format!("train/good/{seed:02}.pgm"));
        std::fs::write(path, Gray::good(120, 160, seed).pgm()).unwrap();
    }
    let measured = |size: &str, seed: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
        command.arg("eval").arg(&set).args(["--set", "npad.channels=10", "--size", size, "--shuffle", seed]);
        timeless(serde_json::from_slice::<Value>(&command.output().unwrap().stdout).unwrap()[0].take())
    };
    let depends_on_order = |size: &str| {
        let first = measured(size, "0");
        ["1", "2", "3", "4", "5"].into_iter().any(|seed| measured(size, seed) != first)
    };
    assert!(depends_on_order("96") && !depends_on_order("96x128"));
    let help =
        String::from_utf8(Command::new(env!("CARGO_BIN_EXE_npad")).args(["eval", "--help"]).output().unwrap().stdout);
    assert!(help.unwrap().split_whitespace().collect::<Vec<_>>().join(" ").contains("--size HxW prevents that"));
}

#[test]
fn every_method_name_is_checked_before_the_first_fit() {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
    command.arg("eval").arg(data_set(&folder)).args(["--method", "npad,padmi"]).env("NPAD_ONNXRUNTIME", "/none");
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && message.contains("padmi"), "{message}");
}

#[test]
fn seeds_that_cannot_be_are_wrong_usage() {
    let folder = TempDir::new().unwrap();
    let set = data_set(&folder);
    for (wrong, expected) in [
        (&["--seeds", "0"][..], "--seeds"),
        (&["--seeds", "-1"], "-1"),
        (&["--seeds", "3", "--seed", "18446744073709551614"], "no seed above 18446744073709551615"),
        (&["--shuffle", "yes"], "--shuffle"),
    ] {
        let message = failure(&set, wrong, 2);
        assert!(message.contains(expected), "{wrong:?}: {message}");
    }
}
