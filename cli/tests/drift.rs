//! `npad drift` as a user runs it.

#[path = "../../tests/common/mod.rs"]
mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::Gray;
use serde_json::Value;

fn tool(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
    command.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // A process that fails before it reads closes the pipe.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    process.wait_with_output().unwrap()
}

/// What a run with that exit code prints: to standard error if it fails, else to standard output.
fn printed(output: &Output, code: i32) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    if matches!(code, 0 | 3) { String::from_utf8(output.stdout.clone()).unwrap() } else { error }
}

#[test]
fn recent_scores_are_compared_with_those_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    for (name, seeds) in [("good", 0..20), ("new", 40..55)] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        for seed in seeds {
            let path = folder.path().join(format!("{name}/{seed}.pgm"));
            std::fs::write(path, Gray::good(96, 96, seed).pgm()).unwrap();
        }
    }
    let run = |arguments: &[&str], input: &str| tool(folder.path(), arguments, input);
    let quick = ["fit", "good", "-o", "part.npad", "--size", "96", "--set", "npad.channels=40"];
    printed(&run(&quick, ""), 0);
    let images: Vec<String> = (40..55).map(|seed| format!("new/{seed}.pgm")).collect();
    let score: Vec<&str> =
        ["score", "part.npad", "--json"].into_iter().chain(images.iter().map(String::as_str)).collect();
    let same = printed(&run(&score, ""), 0);

    let text = printed(&run(&["drift", "part.npad", "-"], &same), 0);
    assert!(
        text.starts_with("No drift.\n") && text.contains("15 recent scores") && text.contains("20 good images"),
        "{text}"
    );
    let numbers = |output: &Output, code| -> Value { serde_json::from_str(&printed(output, code)).unwrap() };
    let found = numbers(&run(&["drift", "part.npad", "-", "--json"], &same), 0);
    assert!(found["drifted"] == false && found["good_count"] == 20 && found["recent_count"] == 15, "{found}");

    // Later scores are higher.
    let risen: String = same.lines().map(|line| line.replace("\"score\":", "\"score\":9") + "\n").collect();
    std::fs::write(folder.path().join("scores.jsonl"), same.clone() + &risen + &risen).unwrap();
    let text = printed(&run(&["drift", "part.npad", "scores.jsonl", "--last", "15"], ""), 3);
    assert!(text.starts_with("DRIFT: recent scores are higher") && text.contains("+1.00 (large)"), "{text}");
    let found = numbers(&run(&["drift", "part.npad", "scores.jsonl", "--json", "--last", "35"], ""), 3);
    assert!(
        found["drifted"] == true && found["recent_count"] == 35 && found["above_count"].as_u64() >= Some(15),
        "{found}"
    );
    assert!(
        found["effect"].as_f64() > found["least_effect"].as_f64() && found["p_value"].as_f64() < Some(0.01),
        "{found}"
    );

    // What is wrong is named, and nothing is skipped.
    let cut_off = same.clone() + "{\"path\": \"a.png\", \"sco\n" + &risen;
    let error = printed(&run(&["drift", "part.npad", "-"], &cut_off), 1);
    assert!(
        error.contains("standard input, line 16: this is not JSON") && error.contains("npad score --json"),
        "{error}"
    );
    printed(&run(&["drift", "part.npad", "-", "--last", "15"], &cut_off), 3);
    let error = printed(&run(&["drift", "part.npad", "scores.jsonl", "--last", "9"], ""), 1);
    assert!(error.contains("scores.jsonl: 9 recent scores are too few"), "{error}");
    let error = printed(&run(&["drift", "part.npad", "none.jsonl"], ""), 1);
    assert!(error.contains("none.jsonl: there is no such file"), "{error}");
    printed(&run(&["drift", "part.npad", "-", "--last", "0"], &same), 2);
}
