//! The tool's care for the files that it reads: truncated ones are never used.

#[path = "../../tests/common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::Gray;

fn npad(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
    command.current_dir(folder).args(arguments.split(' '));
    command
}

/// The message of a run that must fail with that exit code.
fn failure(output: &Output, code: i32) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{message}");
    message
}

fn write(folder: &Path, name: &str, image: &Gray) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let (width, height) = (image.width as u32, image.height as u32);
    image::save_buffer(path, &image.pixels, width, height, image::ExtendedColorType::L8).unwrap();
}

/// A data set with masks, a folder of good images, one of defective ones, and a mask.
fn files(folder: &Path) {
    for seed in 0..4 {
        for kind in ["good", "set/train/good", "set/test/good"] {
            write(folder, &format!("{kind}/{seed}.jpg"), &Gray::good(160, 120, seed));
        }
        for kind in ["bad", "set/test/scratch"] {
            write(folder, &format!("{kind}/{seed}.png"), &Gray::scratched(160, 120, 50 + seed, (60, 50)));
        }
        let mask = Gray { width: 160, height: 120, pixels: vec![255; 160 * 120] };
        write(folder, &format!("set/ground_truth/scratch/{seed}_mask.png"), &mask);
        write(folder, "mask.png", &mask);
    }
}

/// Every file below the folder with its contents.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let file = |path: PathBuf| {
        if path.is_dir() { contents(&path) } else { vec![(path.clone(), std::fs::read(path).unwrap())] }
    };
    entries.into_iter().flat_map(file).collect()
}

#[test]
fn a_truncated_jpeg_is_neither_learnt_nor_scored() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    files(folder);
    let fit = "fit good -o part.npad --size 96 --set npad.channels=40";
    let output = npad(folder, fit).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let whole = std::fs::read(folder.join("good/3.jpg")).unwrap();
    for length in [whole.len() / 4, whole.len() / 2, whole.len() - 2] {
        // Whatever the ending is.
        for name in ["good/3.jpg", "good/4.png"] {
            std::fs::write(folder.join(name), &whole[..length]).unwrap();
            for arguments in [fit, &format!("score part.npad {name}")] {
                let message = failure(&npad(folder, arguments).output().unwrap(), 1);
                assert!(message.contains(name) && message.contains("truncated"), "{arguments}: {message}");
            }
            std::fs::write(folder.join(name), &whole).unwrap();
        }
    }
    std::fs::write(folder.join("good/3.jpg"), [&whole[..], b"a camera's own data"].concat()).unwrap();
    let output = npad(folder, fit).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
