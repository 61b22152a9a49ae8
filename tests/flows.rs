//! FastFlow, CFLOW-AD and PEFM through the whole library: training, checkpoints, and what can go wrong.
#![cfg(feature = "flows")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{FLOWS, Gray, fit, good_images, options};
use npad::error::Status;
use npad::exec::progress::Progress;
use npad::image::{ImageView, PixelFormat};
use npad::model::{Model, Options, Trainer};

/// A trainer that has learnt the images.
fn trainer(options: &Options, images: &[Gray]) -> Trainer {
    let mut trainer = Trainer::new(options).unwrap();
    images.iter().try_for_each(|image| trainer.add(&image.view())).unwrap();
    trainer
}

/// Options whose progress callback cancels the training when it has been called so often.
fn cancelled_after(settings: &[(&str, &str)], calls: usize) -> Options {
    let (count, mut options) = (AtomicUsize::new(0), options(settings));
    options.set_progress(Progress::new(move |step| {
        !step.stage.starts_with("training") || count.fetch_add(1, Ordering::Relaxed) < calls
    }));
    options
}

#[test]
fn a_fit_goes_on_from_its_checkpoint_to_the_same_model() {
    let (images, folder) = (good_images(20), tempfile::tempdir().unwrap());
    for method in FLOWS {
        let (path, epochs) = (folder.path().join(method), format!("{method}.epochs"));
        let path = path.to_str().unwrap();
        let settings = [("method", *method), (&epochs, "4"), (&format!("{method}.batch"), "4")];
        let whole = fit(&options(&settings), &images).unwrap().to_bytes().unwrap();
        let settings = [&settings[..], &[("checkpoint", path)]].concat();
        // Three batches a pass: cancelled in the middle of the second one, and again in the third.
        for calls in [4, 5] {
            let error = trainer(&cancelled_after(&settings, calls), &images).finish().err().unwrap();
            assert_eq!(error.status(), Status::Cancelled, "{error}");
        }
        let saved = std::fs::read(path).unwrap();
        assert!(fit(&options(&settings), &images).unwrap().to_bytes().unwrap() == whole, "{method}");
        assert_ne!(std::fs::read(path).unwrap(), saved, "the file has later states");

        // That of another fit is refused and stays.
        let (saved, seed) = (std::fs::read(path).unwrap(), [&settings[..], &[("seed", "1")]].concat());
        for (options, images) in [(options(&settings), &images[1..]), (options(&seed), &images[..])] {
            let error = fit(&options, images).err().unwrap();
            assert!(error.status() == Status::WrongState && error.message().contains("another path"), "{error}");
            assert_eq!(std::fs::read(path).unwrap(), saved);
        }
        for damaged in [&saved[..saved.len() - 1], b"a text of the user", &whole] {
            std::fs::write(path, damaged).unwrap();
            let error = fit(&options(&settings), &images).err().unwrap();
            assert!(error.status() == Status::InvalidModel && error.message().contains("checkpoint"), "{error}");
            assert_eq!(std::fs::read(path).unwrap(), damaged);
        }
        assert!(Model::from_bytes(&saved, &options(&[])).is_err(), "a checkpoint is no model");
    }
    if cfg!(unix) {
        let error = fit(&options(&[("method", "pefm"), ("checkpoint", "/dev/null")]), &images).err().unwrap();
        assert!(error.status() == Status::InvalidArgument && error.message().contains("not a file"), "{error}");
    }
    let nowhere = folder.path().join("none/file");
    let settings = [("method", "pefm"), ("checkpoint", nowhere.to_str().unwrap())];
    let error = trainer(&cancelled_after(&settings, 0), &images).finish().err().unwrap();
    assert_eq!(error.status(), Status::NotFound, "before the training: {error}");
}

#[test]
fn a_cancelled_finish_goes_on_in_the_same_trainer() {
    let images = good_images(20);
    for method in FLOWS {
        // A pass has three batches, and there are three passes for each scale.
        for (scales, stage, at, left) in [
            ("1", "training (loss", 4, 6),
            ("1", "held-out scores", 1, 0),
            ("1+1.5", "training (loss", 13, 6),
            ("1+1.5", "held-out scores", 11, 0),
        ] {
            let (epochs, batch) = (format!("{method}.epochs"), format!("{method}.batch"));
            let settings = [("method", *method), ("scales", scales), (&epochs, "3"), (&batch, "4")];
            let whole = fit(&options(&settings), &images).unwrap().to_bytes().unwrap();
            let (calls, batches) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let mut options = options(&settings);
            let (called, trained) = (calls.clone(), batches.clone());
            options.set_progress(Progress::new(move |step| {
                trained.fetch_add(usize::from(step.stage.starts_with("training (loss")), Ordering::Relaxed);
                !step.stage.starts_with(stage) || called.fetch_add(1, Ordering::Relaxed) != at
            }));
            let mut trainer = trainer(&options, &images);
            assert_eq!(trainer.finish().err().unwrap().status(), Status::Cancelled);
            batches.store(0, Ordering::Relaxed);
            assert!(trainer.finish().unwrap().to_bytes().unwrap() == whole, "{method}, {stage} {at}");
            assert_eq!(batches.load(Ordering::Relaxed), left, "{method}, {stage} {at}: it does not start again");
        }
    }
}

#[test]
fn a_checkpoint_of_the_same_trainer_does_not_hinder_it() {
    let (images, folder) = (good_images(14), tempfile::tempdir().unwrap());
    let path = folder.path().join("checkpoint");
    let settings = [("method", "pefm"), ("checkpoint", path.to_str().unwrap())];
    let (count, mut cancelling) = (AtomicUsize::new(0), options(&settings));
    cancelling.set_progress(Progress::new(move |step| {
        !step.stage.starts_with("training") || count.fetch_add(1, Ordering::Relaxed) != 1
    }));
    let mut trainer = trainer(&cancelling, &images[..13]);
    assert_eq!(trainer.finish().err().unwrap().status(), Status::Cancelled);
    trainer.add(&images[13].view()).unwrap();
    let expected = fit(&options(&settings[..1]), &images).unwrap().to_bytes().unwrap();
    assert!(trainer.finish().unwrap().to_bytes().unwrap() == expected);
}

#[test]
fn divergence_is_an_error_after_which_the_trainer_goes_on() {
    let (images, folder) = (good_images(12), tempfile::tempdir().unwrap());
    for method in FLOWS {
        let (rate, path) = (format!("{method}.learning_rate"), folder.path().join(method));
        let settings = [
            ("method", *method),
            (&rate, "1000"),
            (&format!("{method}.epochs"), "9"),
            ("checkpoint", path.to_str().unwrap()),
        ];
        let mut trainer = trainer(&options(&settings), &images);
        // As often as there are passes: a failure leaves nothing behind that makes the next call end otherwise.
        for count in [[12; 9], [13; 9]].concat() {
            if count > trainer.images() {
                trainer.add(&Gray::good(160, 120, 500).view()).unwrap();
            }
            let error = trainer.finish().err().unwrap();
            assert!(error.status() == Status::InvalidOption && error.message().contains(&rate), "{error}");
            assert_eq!(trainer.images(), count);
        }
    }
}

#[test]
fn a_checkpoint_that_nothing_would_keep_is_refused() {
    for method in ["npad", "padim", "patchcore", "spade"] {
        let error = Trainer::new(&options(&[("method", method), ("checkpoint", "file")])).err().unwrap();
        assert!(error.status() == Status::InvalidOption && error.message().contains("checkpoint empty"), "{error}");
    }
}

/// With fewer passes than are needed to reach a rate that works, the start is the best state.
#[test]
fn a_training_that_gets_nowhere_keeps_its_start() {
    let images = good_images(12);
    let settings = [("method", "fastflow"), ("fastflow.learning_rate", "1000"), ("fastflow.epochs", "1")];
    let model = fit(&options(&settings), &images).unwrap();
    let scratched = model.score(&Gray::scratched(160, 120, 100, (90, 30)).view()).unwrap();
    assert!(scratched.score > 2.0 * model.score(&Gray::good(160, 120, 100).view()).unwrap().score);
}

/// Parts without noise, and flows that may stretch without bounds: anything else overflows.
#[test]
fn scores_of_what_is_far_from_good_are_large_and_finite() {
    let flat = |value: u8| Gray { width: 64, height: 64, pixels: vec![value; 64 * 64] };
    let images: Vec<Gray> = (100..112).map(flat).collect();
    for method in FLOWS {
        let clamp = if *method == "pefm" { ("pefm.batch", "4") } else { (&*format!("{method}.clamp"), "10") };
        let epochs = format!("{method}.epochs");
        let model = fit(&options(&[("method", method), (&epochs, "20"), clamp]), &images).unwrap();
        for image in [Gray::scratched(64, 64, 5, (20, 20)), flat(255)] {
            let found = model.score(&image.view()).unwrap();
            assert!(found.score.is_finite() && found.anomalous(), "{method}: {}", found.score);
        }
    }
}

#[test]
fn too_few_images_are_refused() {
    for method in FLOWS {
        let options = options(&[("method", method)]);
        let mut trainer = trainer(&options, &good_images(5));
        let error = trainer.finish().err().unwrap();
        assert!(error.status() == Status::NotEnoughImages && error.message().contains('6'), "{error}");
        trainer.add(&Gray::good(160, 120, 5).view()).unwrap();
        assert_eq!(trainer.finish().unwrap().metadata().held_out, 3);
    }
    let black = [0u8; 64 * 64];
    let view = ImageView::new(&black, 64, 64, 64, PixelFormat::Gray8).unwrap();
    let mut trainer = Trainer::new(&options(&[("method", "cflow")])).unwrap();
    (0..10).for_each(|_| trainer.add(&view).unwrap());
    assert_eq!(trainer.finish().err().unwrap().status(), Status::NotEnoughImages);
}

#[test]
fn grids_that_no_tap_divides_are_scored_to_the_edge() {
    for method in FLOWS {
        // The grid has 19 x 25 positions, the coarsest tap 5 x 7.
        let model =
            fit(&options(&[("method", method), ("size", "76x100"), ("grid_step", "1")]), &good_images(20)).unwrap();
        for (x, y) in [(0, 0), (135, 105)] {
            let found = model.score(&Gray::scratched(160, 120, 100, (x, y)).view()).unwrap();
            let map = found.map.as_slice().unwrap();
            let peak = (0..map.len()).max_by(|a, b| map[*a].total_cmp(&map[*b])).unwrap();
            let (u, v) = (peak % 160, peak / 160);
            assert!(u.abs_diff(x) < 40 && v.abs_diff(y) < 30, "{method} sees ({x}, {y}) at ({u}, {v})");
        }
    }
}

#[test]
fn a_resumed_fit_is_refused() {
    let images = good_images(12);
    for method in FLOWS {
        let model = fit(&options(&[("method", method)]), &images).unwrap();
        let error = Trainer::resume(&model, &options(&[])).err().unwrap();
        assert!(error.status() == Status::InvalidArgument && error.message().contains("fit again"), "{error}");
    }
}
