//! The tool's care for the files that it reads: they are never overwritten, and truncated ones never used.

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
fn an_input_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    files(folder);
    for name in ["backbone.onnx", "old.json"] {
        std::fs::write(folder.join(name), name).unwrap();
    }
    let mut refused = vec![
        ("fit good -o good/2.jpg", "good/2.jpg"),
        ("fit good -o ./bad/../good/2.jpg", "good/2.jpg"),
        ("fit good -o mask.png --mask mask.png", "mask.png"),
        ("fit good -o bad/1.png --defects bad", "bad/1.png"),
        ("fit good -o backbone.onnx --set backbone=backbone.onnx", "backbone.onnx"),
        ("eval set --json set/train/good/1.jpg", "set/train/good/1.jpg"),
        ("eval set --json set/test/good/1.jpg", "set/test/good/1.jpg"),
        ("eval set --report set/test/scratch/1.png", "set/test/scratch/1.png"),
        ("eval set --report set/ground_truth/scratch/1_mask.png", "1_mask.png"),
        ("eval set --json same.json --report ./set/../same.json", "--json and --report are both same.json"),
        ("eval set --json old.json --report old.json", "--json and --report are both old.json"),
    ];
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("good/2.jpg", folder.join("link")).unwrap();
        std::fs::create_dir(folder.join("links")).unwrap();
        (0..3).for_each(|n| symlink(format!("../good/{n}.jpg"), folder.join(format!("links/{n}.jpg"))).unwrap());
        refused.extend([("fit good -o link", "good/2.jpg"), ("fit links -o good/2.jpg", "links/2.jpg")]);
    }
    let before = contents(folder);
    for (arguments, expected) in refused {
        // Without a runtime any work would fail with code 1.
        let output = npad(folder, arguments).env("NPAD_ONNXRUNTIME", "/none").output().unwrap();
        let message = failure(&output, 2);
        assert!(
            message.contains(expected) && ["another file", "its own"].iter().any(|advice| message.contains(advice)),
            "{message}"
        );
        assert!(before == contents(folder), "{arguments}");
    }
    // Other files are overwritten as before, also by both outputs if they are a device.
    let output = npad(folder, "fit good -o old.json --size 96 --set npad.channels=40").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    if cfg!(unix) {
        let quick = "--size 96 --set npad.channels=40";
        let output = npad(folder, &format!("eval set --json /dev/null --report /dev/null {quick}")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn heat_maps_never_lie_among_images() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    files(folder);
    let output = npad(folder, "fit good -o part.npad --size 96 --set npad.channels=40").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let before = contents(folder);
    for arguments in [
        "good/1.jpg --heatmap good",
        "good/1.jpg bad/1.png --heatmap bad/../good",
        "good/1.jpg bad/1.png --heatmap .",
        "mask.png --heatmap .",
    ] {
        let output = npad(folder, &format!("score part.npad {arguments}")).output().unwrap();
        let message = failure(&output, 2);
        assert!(message.contains("is the folder of the image") && output.stdout.is_empty(), "{arguments}: {message}");
        assert!(before == contents(folder), "{arguments}");
    }
    // A folder inside or around that of the images is none of theirs.
    for maps in ["good/maps", "."] {
        let output = npad(folder, &format!("score part.npad good/1.jpg --heatmap {maps}")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(folder.join(maps).join("1.jpg.png").is_file());
    }
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
                let file = name.trim_start_matches("good/");
                assert!(message.contains(file) && message.contains("truncated"), "{arguments}: {message}");
            }
            std::fs::write(folder.join(name), &whole).unwrap();
        }
    }
    std::fs::write(folder.join("good/3.jpg"), [&whole[..], b"a camera's own data"].concat()).unwrap();
    let output = npad(folder, fit).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_checkpoint_and_the_model_are_two_files() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    for (model, checkpoint) in
        [("m.npad", "m.npad"), ("m.npad", "./m.npad"), ("m.npad", "good/../m.npad"), ("m.1", "m")]
    {
        let arguments = format!("fit good -o {model} --method pefm --set checkpoint={checkpoint} --set scales=1+1.6");
        let message = failure(&npad(folder.path(), &arguments).output().unwrap(), 2);
        assert!(message.contains("checkpoint") && message.contains("another path"), "{message}");
        assert!(!folder.path().join(model).exists());
    }
}
