//! `npad fit --state` and `npad merge`.

#[path = "../../tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::Gray;

/// Runs the tool in a folder, with options that keep tests quick.
fn npad(folder: &Path, line: &str) -> Output {
    let fit = if line.starts_with("fit") { "--size 96 --set npad.channels=40" } else { "" };
    let mut arguments: Vec<&str> = line.split_whitespace().chain(fit.split_whitespace()).collect();
    if line.contains("model.npad") {
        arguments.extend(["--set", "date=none"]);
    }
    Command::new(env!("CARGO_BIN_EXE_npad")).args(arguments).current_dir(folder).output().unwrap()
}

fn works(folder: &Path, line: &str) -> String {
    let output = npad(folder, line);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{line}: {said}");
    said
}

fn fails(folder: &Path, line: &str, code: i32, text: &str) {
    let output = npad(folder, line);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(code) && said.contains(text), "{line}: {said}");
}

/// Folders with all images, and with parts of them.
fn shop() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, range) in [("all", 0..14), ("a", 0..6), ("b", 6..7), ("c", 7..14), ("bad", 90..92)] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        for seed in range {
            let image =
                if name == "bad" { Gray::scratched(160, 120, seed, (40, 40)) } else { Gray::good(160, 120, seed) };
            std::fs::write(folder.path().join(name).join(format!("{seed:02}.pgm")), image.pgm()).unwrap();
        }
    }
    folder
}

#[test]
fn merged_states_give_the_model_of_one_fit() {
    let (shop, read) = (shop(), |folder: &Path, name: &str| std::fs::read(folder.join(name)).unwrap());
    let folder = shop.path();
    works(folder, "fit all -o whole-model.npad --state whole.state");
    for name in ["a", "b", "c"] {
        works(folder, &format!("fit {name} --state {name}.state"));
    }
    let said = works(folder, "merge c.state a.state b.state -o model.npad --state merged.state");
    assert!(said.contains("merged 3 states of 14 good images"), "{said}");
    assert!(read(folder, "model.npad") == read(folder, "whole-model.npad"));
    assert!(read(folder, "merged.state") == read(folder, "whole.state"));

    // A fit goes on from its state, and knows again what it has learnt.
    let said = works(folder, "fit all --state a.state");
    assert!(said.contains("14 good images"), "{said}");
    works(folder, "merge a.state -o model.npad");
    assert!(read(folder, "model.npad") == read(folder, "whole-model.npad"));
    works(folder, "fit all --defects bad -o model.npad --state a.state");
    let with_defects = read(folder, "model.npad");
    works(folder, "fit all --defects bad -o model.npad --state a.state");
    assert!(read(folder, "model.npad") == with_defects, "defects count once");
}

#[test]
fn what_cannot_be_merged_or_written_is_refused_and_changes_nothing() {
    let shop = shop();
    let folder = shop.path();
    works(folder, "fit a --state a.state");
    works(folder, "fit c --state c.state --seed 3");
    let before = std::fs::read(folder.join("a.state")).unwrap();
    fails(folder, "merge a.state c.state -o model.npad", 1, "seed is 0 here and 3 there");
    fails(folder, "fit c --state a.state --seed 3", 2, "seed is 3, but the trainer state has 0");
    fails(folder, "merge a.state", 2, "--output");
    fails(folder, "fit a", 2, "--output");
    fails(folder, "merge a.state --state a.state", 2, "overwrite");
    fails(folder, "merge a.state -o x.npad --state x.npad", 2, "give another path");
    fails(folder, "fit a -o x.npad --state x.npad", 2, "give another path");
    fails(folder, "fit a --state a/00.pgm", 2, "overwrite");
    fails(folder, "merge none.state -o x.npad", 1, "none.state");
    fails(folder, "merge a/00.pgm -o x.npad", 1, "trainer state");
    fails(folder, "merge a.state --state none/x.state", 1, "no such folder");
    works(folder, "fit a -o model.npad");
    fails(folder, "merge model.npad -o x.npad", 1, "it is a model");
    fails(folder, "score a.state a/00.pgm", 1, "npad merge");
    assert!(std::fs::read(folder.join("a.state")).unwrap() == before);
    assert!(!folder.join("x.npad").exists());
}
