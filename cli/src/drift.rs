//! `npad drift`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::RunOptions;
use crate::output::file_error;
use crate::terminal::print_line;
use npad::error::{Error, Result, Status};
use npad::model::{Drift, Model};

/// What some editors and shells put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Exit code for scores that have drifted.
const DRIFTED: u8 = 3;

#[derive(Args)]
#[command(after_help = "Exit code 0: no drift, 3: the scores have drifted, 1: failed, 2: wrong usage.")]
pub struct Arguments {
    /// Model file written by `npad fit`
    model: PathBuf,
    /// What `npad score --json` printed for recent products that are taken to be good, at least 10; - for standard input. Keep
    /// the lines of products that were judged defective
    scores: PathBuf,
    /// Use only the last N lines
    #[arg(long, value_name = "N")]
    last: Option<NonZeroUsize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunOptions,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { model, scores: path, last, json, run } = arguments;
    let name = if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() };
    let scores = read(open(path)?, &name, last.map(NonZeroUsize::get))?;
    let drift = Model::load(model, &run.options()?)?.drift(&scores).map_err(|e| e.context(name))?;
    print_line(&if *json { to_json(&drift).to_string() } else { describe(&drift) })?;
    Ok(if drift.drifted { ExitCode::from(DRIFTED) } else { ExitCode::SUCCESS })
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    if is_stdin(path) {
        return Ok(Box::new(stdin().lock()));
    }
    let file = File::open(path).map_err(|e| file_error("cannot read", path, &e))?;
    Ok(Box::new(BufReader::new(file)))
}

/// The scores of all lines, or of the last ones. Blank lines and a byte-order mark are skipped. Lines that are not used may hold
/// anything, since the log of a line may have been cut off at some time.
fn read(lines: impl BufRead, name: &str, last: Option<usize>) -> Result<Vec<f32>> {
    let mut scores = VecDeque::new();
    for (number, line) in lines.split(b'\n').enumerate() {
        let line = line.map_err(|e| Error::io(format_args!("cannot read {name}"), &e))?;
        let line = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| number == 0).unwrap_or(&line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let score = score(line).map_err(|wrong| {
            let expected = "expected an object with a \"score\", as `npad score --json` prints it";
            Error::new(Status::InvalidArgument, format!("{name}, line {}: {wrong}; {expected}", number + 1))
        });
        match last {
            None => scores.push_back(Ok(score?)),
            Some(most) => {
                scores.push_back(score);
                scores.drain(..scores.len().saturating_sub(most));
            }
        }
    }
    scores.into_iter().collect()
}

/// The raw score of a line, or what is wrong with it.
fn score(line: &[u8]) -> std::result::Result<f32, String> {
    let object: Value = serde_json::from_slice(line).map_err(|e| format!("this is not JSON ({e})"))?;
    let score = object.get("score").ok_or("there is no \"score\"")?;
    let number = score.as_f64().ok_or_else(|| format!("\"score\" is {score}, which is no number"))? as f32;
    if !number.is_finite() || number < 0.0 {
        return Err(format!("\"score\" is {score}, but raw scores are finite and 0 or above"));
    }
    Ok(number)
}

fn describe(drift: &Drift) -> String {
    let Drift { effect, least_effect, p_value, good_count, recent_count, above_count, .. } = *drift;
    let size = match effect.abs() {
        size if size >= Drift::LARGE => "large",
        size if size >= Drift::MEDIUM => "medium",
        size if size >= Drift::SMALL => "small",
        _ => "negligible",
    };
    let verdict = match (drift.drifted, effect > 0.0) {
        (true, true) => "DRIFT: recent scores are higher than those of the model's good images.",
        (true, false) => "DRIFT: recent scores are lower than those of the model's good images.",
        (false, _) if least_effect > 1.0 => "No drift can be found: there are too few scores.",
        (false, _) => "No drift.",
    };
    let p_value = if p_value < 0.001 { "below 0.001".to_owned() } else { format!("{p_value:.3}") };
    let (low, high) = drift.above_interval;
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    format!(
        "{verdict}\n\
         effect           {effect:+.2} ({size}); from {least_effect:.2} it is drift\n\
         p-value          {p_value}\n\
         median score     {:.4} of {recent_count} recent scores, {:.4} of {good_count} good images of the model\n\
         above threshold  {above_count} of {recent_count}, {} % ({} to {} %); the model expects {} % of good images",
        drift.recent_median,
        drift.good_median,
        percent(drift.above_share()),
        percent(low),
        percent(high),
        percent(drift.false_alarm_rate)
    )
}

fn to_json(drift: &Drift) -> Value {
    json!({
        "drifted": drift.drifted, "effect": drift.effect, "least_effect": drift.least_effect, "p_value": drift.p_value,
        "good_count": drift.good_count, "recent_count": drift.recent_count, "good_median": drift.good_median,
        "recent_median": drift.recent_median, "above_count": drift.above_count, "above_share": drift.above_share(),
        "above_interval": drift.above_interval, "false_alarm_rate": drift.false_alarm_rate
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], last: Option<usize>) -> Result<Vec<f32>> {
        read(text, "scores.jsonl", last)
    }

    #[test]
    fn scores_are_read_to_the_last_bit() {
        let score = 0.1_f32 + f32::EPSILON;
        let text = format!("{}\r\n{{\"score\": 3}}", json!({"path": "a.png", "score": score}));
        assert_eq!(lines(text.as_bytes(), None).unwrap(), [score, 3.0]);
        assert!(lines(b"", None).unwrap().is_empty());
        let text = b"\xef\xbb\xbf{\"score\": 1}\n\r\n{\"score\": 2}\n\n";
        assert_eq!(lines(text, None).unwrap(), [1.0, 2.0], "a byte-order mark and blank lines are skipped");
        assert_eq!(lines(text, Some(1)).unwrap(), [2.0]);
    }

    #[test]
    fn a_bad_line_is_named() {
        for (bad, what) in [
            (&b"{\"path\": \"a\"}"[..], "no \"score\""),
            (b"{\"score\": \"1\"}", "no number"),
            (b"{\"score\": null}", "no number"),
            (b"{\"score\": -0.5}", "0 or above"),
            (b"{\"score\": 1e39}", "finite"),
            (b"{\"score\": 1", "not JSON"),
            (b"good   0.12   0 regions", "not JSON"),
            (b"\xff\xfe", "not JSON"),
            (b"[1]", "no \"score\""),
        ] {
            let text = [b"{\"score\": 1}\n", bad, b"\n{\"score\": 2}\n"].concat();
            let error = lines(&text, None).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
            assert!(error.message().starts_with("scores.jsonl, line 2: ") && error.message().contains(what), "{error}");
            assert!(lines(&text, Some(2)).unwrap_err().message().contains("line 2"));
            assert_eq!(lines(&text, Some(1)).unwrap(), [2.0], "lines that are not used may hold anything");
        }
    }

    #[test]
    fn the_last_lines_are_used() {
        let text: String = (0..9).map(|i| format!("{{\"score\": {i}}}\n")).collect();
        assert_eq!(lines(text.as_bytes(), Some(3)).unwrap(), [6.0, 7.0, 8.0]);
        assert_eq!(lines(text.as_bytes(), Some(20)).unwrap().len(), 9);
    }
}
