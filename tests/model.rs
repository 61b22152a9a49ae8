//! Fitting, scoring, saving and loading through the Rust interface, and all that can go wrong.

mod common;

use common::{Gray, built_in_methods, fit, good_images, options};
use npad::error::Status;
use npad::exec::rows::RowsOut;
use npad::image::{ImageView, PixelFormat};
use npad::math::random::Random;
use npad::model::{Model, Options, ScoreBuffers, Trainer};

#[test]
fn defects_are_found_where_they_are() {
    let model = fit(&options(&[]), &good_images(24)).unwrap();
    for seed in 100..110 {
        let good = model.score(&Gray::good(160, 120, seed).view()).unwrap();
        assert!(!good.anomalous() && good.calibrated < 0.5, "good {seed}: {}", good.calibrated);
        let scratched = model.score(&Gray::scratched(160, 120, seed, (90, 30)).view()).unwrap();
        assert!(scratched.anomalous() && scratched.calibrated > 0.5, "scratched {seed}: {}", scratched.calibrated);
        assert_eq!(scratched.map.dim(), (120, 160));
        let region = scratched.regions[0];
        let (x, y) = (region.centroid_x, region.centroid_y);
        assert!((90.0..110.0).contains(&x) && (25.0..48.0).contains(&y), "the scratch is around (100, 36): ({x}, {y})");
        assert!(region.area > 20 && region.peak > model.thresholds().defective);
    }
}

#[test]
fn a_batch_is_scored_as_its_images_are_whatever_the_groups() {
    for shifts in ["1", "5"] {
        let model = fit(&options(&[("npad.shifts", shifts)]), &good_images(10)).unwrap();
        // More than a group, of several sizes.
        let images: Vec<Gray> =
            (0..19).map(|seed| Gray::scratched(120 + seed as usize % 3 * 20, 100, seed, (50, 40))).collect();
        let views: Vec<_> = images.iter().map(Gray::view).collect();
        let batch = model.score_batch(&views, None).unwrap();
        let single: Vec<_> = views.iter().map(|view| model.score(view).unwrap()).collect();
        assert!(batch == single, "{shifts} shifts");
        assert!(model.score_batch(&[], None).unwrap().is_empty());
    }
}

#[test]
fn an_image_that_fails_leaves_nothing_to_the_next_batch() {
    let model = fit(&options(&[]), &good_images(10)).unwrap();
    let images: Vec<Gray> = (0..3).map(|seed| Gray::scratched(120, 100, seed, (50, 40))).collect();
    let views: Vec<_> = images.iter().map(Gray::view).collect();
    let expected = model.score_batch(&views, None).unwrap();
    let nothing = f32::NAN.to_ne_bytes().repeat(120 * 100);
    let bad = ImageView::new(&nothing, 120, 100, 4 * 120, PixelFormat::Grayf32).unwrap();
    let error = model.score_batch(&[views[2], bad, views[1]], None).unwrap_err();
    assert!(error.status() == Status::InvalidImage && error.message().contains("image 1"), "{error}");
    assert!(model.score_batch(&views, None).unwrap() == expected);
}

#[test]
fn a_map_goes_into_a_larger_buffer_and_not_into_a_smaller_one() {
    let model = fit(&options(&[]), &good_images(10)).unwrap();
    let image = Gray::scratched(160, 120, 50, (60, 50));
    let expected = model.score(&image.view()).unwrap().map;
    let into = |length: usize, stride: usize| {
        let mut values = vec![-1.0; length];
        let map = RowsOut::from_slice(&mut values, 160, 120, stride)?;
        let buffers = ScoreBuffers { map: Some(map), map_u8: None };
        model.score_into(&image.view(), buffers, |_| Ok(())).map(|_| values)
    };
    let padded = into(200 * 170, 170).unwrap();
    assert!(
        padded
            .chunks(170)
            .zip(expected.rows())
            .all(|(row, own)| own.as_slice() == Some(&row[..160]) && row[160..] == [-1.0; 10])
    );
    assert!(padded[120 * 170..].iter().all(|v| *v == -1.0), "below the map");
    for (length, stride) in [(160 * 120 - 1, 160), (160 * 120, 159), (0, 160)] {
        assert_eq!(into(length, stride).unwrap_err().status(), Status::InvalidArgument, "{length}, {stride}");
    }
}

#[test]
fn regions_below_the_least_area_are_left_out_and_the_rest_is_drawn() {
    let area = |least: &str| {
        let model = fit(&options(&[("min_region_area", least)]), &good_images(12)).unwrap();
        let image = Gray::scratched(160, 120, 100, (90, 30));
        let inspection = model.score(&image.view()).unwrap();
        let picture = model.picture(&image.view(), &inspection).unwrap();
        let white = picture.chunks(3).filter(|pixel| **pixel == [255; 3]).count();
        (inspection.regions.iter().map(|region| region.area).collect::<Vec<_>>(), white)
    };
    let ((all, boxes), (none, no_boxes)) = (area("1"), area("100000"));
    assert!(!all.is_empty() && none.is_empty() && boxes > no_boxes, "{all:?} {boxes} {no_boxes}");
}

#[test]
fn every_level_and_shift_finds_them() {
    for settings in [
        &[("npad.levels", "pixel"), ("npad.image_levels", "pixel")][..],
        &[("npad.levels", "patch"), ("npad.image_levels", "patch")],
        &[("npad.levels", "centroids"), ("npad.image_levels", "centroids"), ("npad.centroids", "64")],
        &[("npad.levels", "pixel+patch"), ("npad.image_levels", "pixel+patch+centroids"), ("npad.centroids", "64")],
        &[("npad.shifts", "5"), ("npad.shift_pixels", "3")],
        &[("npad.preset", "poster"), ("npad.channels", "40"), ("npad.centroids", "64")],
        &[
            ("npad.shrinkage", "estimated"),
            ("npad.shrinkage_target", "identity"),
            ("grid_step", "1"),
            ("npad.similarity_power", "4"),
        ],
    ] {
        let model = fit(&options(settings), &good_images(20)).unwrap();
        let good = model.score(&Gray::good(160, 120, 100).view()).unwrap();
        let scratched = model.score(&Gray::scratched(160, 120, 100, (90, 30)).view()).unwrap();
        let (low, high) = (good.calibrated, scratched.calibrated);
        assert!(low < 0.8 && high > 1.0 && good.score < scratched.score, "{settings:?}: {low} and {high}");
        let bytes = model.to_bytes().unwrap();
        let loaded = Model::from_bytes(&bytes, &options(&[])).unwrap();
        assert_eq!(loaded.score(&Gray::good(160, 120, 100).view()).unwrap(), good, "{settings:?}, loaded");
    }
}

#[test]
fn a_fit_is_the_same_whatever_the_threads_and_depends_on_its_seed_alone() {
    let centroids = ("npad.levels", "pixel+patch+centroids");
    let bytes = |threads: &str, seed: &str| {
        let options = options(&[("threads", threads), ("seed", seed), centroids, ("npad.centroids", "32")]);
        fit(&options, &good_images(12)).unwrap().to_bytes().unwrap()
    };
    let one = bytes("1", "0");
    assert!(one == bytes("3", "0"), "one thread and three");
    assert!(one != bytes("1", "9"), "another seed");
    let loaded = |threads: &str| Model::from_bytes(&one, &options(&[("threads", threads)])).unwrap();
    let image = Gray::scratched(200, 150, 5, (20, 20));
    assert_eq!(loaded("1").score(&image.view()).unwrap(), loaded("4").score(&image.view()).unwrap());
}

#[test]
fn all_images_are_scored_held_out() {
    let settings = [("size", "64"), ("grid_step", "8"), ("npad.channels", "8")];
    let mut trainer = Trainer::new(&options(&settings)).unwrap();
    for seed in 0..300 {
        trainer.add(&Gray::good(64, 64, seed).view()).unwrap();
    }
    let model = trainer.finish().unwrap();
    assert_eq!((model.metadata().images, model.metadata().held_out), (300, 300));
    assert!(model.score(&Gray::scratched(64, 64, 999, (20, 20)).view()).unwrap().anomalous());
}

#[test]
fn a_full_sample_goes_on_with_later_images() {
    let settings =
        [("size", "384"), ("grid_step", "1"), ("npad.levels", "patch"), ("npad.channels", "8"), ("npad.shifts", "5")];
    let model = fit(&options(&settings), &good_images(26)).unwrap();
    let (images, held_out) = (model.metadata().images, model.metadata().held_out);
    assert!(images == 26 && (16..26).contains(&held_out), "{images} {held_out}");
    assert!(model.score(&Gray::scratched(160, 120, 999, (60, 50)).view()).unwrap().anomalous());
}

#[test]
fn the_order_of_the_images_does_not_matter() {
    let images = good_images(20);
    for method in built_in_methods() {
        let bytes = |threads: &str, seed: u64| {
            let shifts = [("npad.shifts", "5"), ("npad.levels", "pixel+patch+centroids"), ("npad.centroids", "32")];
            let settings =
                [&[("method", method), ("threads", threads), ("patchcore.bank", "200")], &shifts[..]].concat();
            let mut order: Vec<usize> = (0..images.len()).collect();
            if seed > 0 {
                order = Random::new(seed).choose(images.len(), images.len()).unwrap();
            }
            // One image twice.
            let images: Vec<Gray> = order.iter().chain(&[3]).map(|number| images[*number].clone()).collect();
            fit(&options(&settings), &images).unwrap().to_bytes().unwrap()
        };
        let expected = bytes("1", 0);
        for (threads, seed) in [("1", 1), ("2", 2), ("2", 3)] {
            assert!(bytes(threads, seed) == expected, "{method}, {threads} threads, permutation {seed}");
        }
    }
}

#[test]
fn a_model_tells_how_uncertain_its_threshold_is() {
    let width = |model: &Model| {
        let (low, high) = model.metadata().threshold_interval.unwrap();
        let threshold = model.metadata().image.threshold;
        assert!(low <= threshold && threshold <= high && low < high, "{low} {threshold} {high}");
        (high - low) / threshold
    };
    let (few, many) = (fit(&options(&[]), &good_images(5)).unwrap(), fit(&options(&[]), &good_images(60)).unwrap());
    assert!(width(&few) > width(&many));
    let loaded = Model::from_bytes(&many.to_bytes().unwrap(), &options(&[])).unwrap();
    assert_eq!(loaded.metadata().threshold_interval, many.metadata().threshold_interval);
    let mut thresholds = many.thresholds();
    thresholds.defective *= 2.0;
    assert_eq!(many.with_thresholds(thresholds).unwrap().metadata().threshold_interval, None, "not computed");
}

#[test]
fn few_images_still_work() {
    let model = fit(&options(&[]), &good_images(10)).unwrap();
    assert!(!model.score(&Gray::good(160, 120, 50).view()).unwrap().anomalous());
    assert!(model.score(&Gray::scratched(160, 120, 50, (60, 50)).view()).unwrap().anomalous());
    fit(&options(&[]), &good_images(3)).unwrap();
}

#[test]
fn too_few_images_are_an_error() {
    for count in [0, 1, 2] {
        let error = fit(&options(&[]), &good_images(count)).err().unwrap();
        assert_eq!(error.status(), Status::NotEnoughImages);
        assert!(error.message().contains(&format!("{count} good images are too few")), "{error}");
    }
}

#[test]
fn images_of_any_size_can_be_learnt_and_scored() {
    let odd = [Gray::good(1, 1, 0), Gray::good(20_000, 3, 1), Gray::good(3, 900, 2)];
    let images: Vec<Gray> = good_images(10).into_iter().chain(odd.clone()).collect();
    let model = fit(&options(&[]), &images).unwrap();
    for image in &odd {
        let inspection = model.score(&image.view()).unwrap();
        assert_eq!(inspection.map.len(), image.pixels.len());
        assert!(inspection.score.is_finite() && inspection.map.iter().all(|v| v.is_finite()));
    }
    let native = options(&[("size", "native")]);
    let error = fit(&native, &[Gray::good(20_000, 3, 1)]).err().unwrap();
    assert_eq!(error.status(), Status::InvalidImage);
}

#[test]
fn an_image_that_fails_leaves_the_trainer_usable() {
    let mut trainer = Trainer::new(&options(&[("size", "native")])).unwrap();
    assert!(trainer.add(&Gray::good(20_000, 3, 1).view()).is_err());
    for image in good_images(4) {
        trainer.add(&image.view()).unwrap();
    }
    let model = trainer.finish().unwrap();
    assert_eq!(model.metadata().images, 4);
    assert_eq!((model.metadata().input.height, model.metadata().input.width), (128, 160), "rounded to the stride");
}

#[test]
fn tiles_score_nearly_as_the_whole_and_travel_with_the_model() {
    let image = Gray::scratched(160, 120, 100, (60, 50));
    let fitted = |tile: &str| {
        let options = options(&[("size", "384x512"), ("grid_step", "4"), ("tile", tile)]);
        fit(&options, &good_images(12)).unwrap()
    };
    let (whole, tiled) = (fitted("0"), fitted("256"));
    let (expected, got) = (whole.score(&image.view()).unwrap(), tiled.score(&image.view()).unwrap());
    assert!(expected.anomalous() && got.anomalous());
    assert!((expected.score - got.score).abs() < 0.1 * expected.score, "{} and {}", expected.score, got.score);
    assert_ne!(expected.score, got.score, "a border of 64 pixels is not all that the network sees");
    let loaded = Model::from_bytes(&tiled.to_bytes().unwrap(), &options(&[])).unwrap();
    assert_eq!(loaded.score(&image.view()).unwrap(), got);
}

#[test]
fn identical_images_are_refused() {
    let error = fit(&options(&[]), &vec![Gray::good(100, 100, 1); 5]).err().unwrap();
    assert_eq!(error.status(), Status::NotEnoughImages);
    assert!(error.message().contains("images that equal others count once"), "{error}");
}

#[test]
fn a_model_file_cut_or_changed_anywhere_is_refused() {
    let settings = [("size", "64"), ("npad.channels", "4"), ("grid_step", "4")];
    let bytes = fit(&options(&settings), &good_images(3)).unwrap().to_bytes().unwrap();
    let load = |bytes: &[u8]| Model::from_bytes(bytes, &Options::default()).map(drop);
    load(&bytes).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut random = Random::new(1);
    let cuts = (0..=header).chain((0..300).map(|_| header + random.below(bytes.len() - header)));
    for length in cuts {
        assert_eq!(load(&bytes[..length]).unwrap_err().status(), Status::InvalidModel, "cut at {length}");
    }
    for _ in 0..300 {
        let at = random.below(bytes.len());
        let mut changed = bytes.clone();
        changed[at] = changed[at].wrapping_add(1);
        let status = load(&changed).unwrap_err().status();
        assert!(matches!(status, Status::InvalidModel | Status::UnsupportedModel), "changed at {at}");
    }
}

#[test]
fn files_survive_failed_writes_and_errors_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let model = fit(&options(&[("size", "64"), ("npad.channels", "4")]), &good_images(3)).unwrap();
    let path = folder.path().join("a model.npad");
    model.save(&path).unwrap();
    Model::load(&path, &Options::default()).unwrap();
    let refused = [
        (folder.path().to_owned(), Status::Io),
        (folder.path().join("none/x"), Status::NotFound),
        (path.join("below a file"), if cfg!(windows) { Status::NotFound } else { Status::Io }),
    ];
    for (bad, status) in refused {
        let error = model.save(&bad).unwrap_err();
        assert_eq!(error.status(), status);
        assert!(error.message().contains(&bad.display().to_string()), "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    let error = Model::load(&folder.path().join("none"), &Options::default()).err().unwrap();
    assert_eq!(error.status(), Status::NotFound);
}

#[test]
fn a_device_that_cannot_be_used_is_an_error() {
    let error = Trainer::new(&options(&[("device", "cuda:0")])).err();
    // On a machine with a GPU and ONNX Runtime's GPU build it simply works.
    if let Some(error) = error {
        assert_eq!(error.status(), Status::Device);
        assert!(error.message().contains("'cuda:0' cannot be used") && error.message().contains("'cpu'"), "{error}");
    }
}

#[test]
fn many_threads_score_with_one_model() {
    for method in built_in_methods() {
        let model = fit(&options(&[("method", method)]), &good_images(8)).unwrap();
        let images: Vec<Gray> = (0..4).map(|i| Gray::scratched(120 + 10 * i, 90, i as u64, (30, 30))).collect();
        let expected: Vec<_> = images.iter().map(|image| model.score(&image.view()).unwrap()).collect();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (model, images, expected) = (&model, &images, &expected);
                scope.spawn(move || {
                    for round in 0..10 {
                        let i = (thread + round) % images.len();
                        assert_eq!(model.score(&images[i].view()).unwrap(), expected[i]);
                    }
                });
            }
        });
    }
}

/// Models of earlier versions score as they did there.
#[test]
fn a_model_of_0_1_0_scores_as_it_did() {
    let bytes = include_bytes!("fixtures/model-0.1.0.npad");
    let model = Model::from_bytes(bytes, &options(&[])).unwrap();
    assert_eq!((model.metadata().npad_version.as_str(), model.metadata().images), ("0.1.0", 12));
    assert_eq!(model.metadata().threshold_interval, None);
    let (width, height) = (64, 48);
    let pixels: Vec<u8> = (0..width * height).map(|i| ((i % width * 7 + i / width * 3) % 256) as u8).collect();
    let image = ImageView::new(&pixels, width, height, width, PixelFormat::Gray8).unwrap();
    let inspection = model.score(&image).unwrap();
    // What version 0.1.0 said; instruction sets and versions of ONNX Runtime differ by rounding.
    for (value, before) in [(inspection.score, 49.304_44), (inspection.calibrated, 4.617_258)] {
        assert!((value / before - 1.0).abs() < 1e-3, "{value} instead of {before}");
    }
    assert!(inspection.regions.len() == 1 && inspection.regions[0].area == width * height);
}
