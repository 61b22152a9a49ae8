//! States of trainers: a fit goes on from one, and merged ones give the model of one fit.

mod common;

use std::sync::Arc;

use common::{Gray, Pixels, built_in_methods, fit, good_images, options};
use npad::error::{Error, Result, Status};
use npad::image::{Mask, Rectangle};
use npad::model::{Model, Options, Trainer};

/// A trainer that has learnt images.
fn taught(options: &Options, images: &[Gray]) -> Trainer {
    let mut trainer = Trainer::new(options).unwrap();
    images.iter().try_for_each(|image| trainer.add(&image.view())).unwrap();
    trainer
}

fn state(options: &Options, images: &[Gray]) -> Vec<u8> {
    taught(options, images).to_bytes().unwrap()
}

/// The state of a new trainer into which states are merged one after another.
fn merged(options: &Options, states: &[&Vec<u8>]) -> Vec<u8> {
    let mut trainer = Trainer::new(options).unwrap();
    states.iter().try_for_each(|state| trainer.merge(state)).unwrap();
    trainer.to_bytes().unwrap()
}

/// The model of a state.
fn finished(state: &[u8]) -> Vec<u8> {
    let mut machine = Options::default();
    machine.set("date", "none").unwrap();
    Trainer::from_bytes(state, &machine).unwrap().finish().unwrap().to_bytes().unwrap()
}

/// Checks that models differ at most in the mean image, in which copies count.
fn assert_alike(found: &[u8], expected: &[u8], what: &str) {
    let [found, expected] = [found, expected].map(|bytes| Model::from_bytes(bytes, &machine()).unwrap());
    assert_eq!(found.metadata(), expected.metadata(), "{what}");
    for image in [Gray::good(160, 120, 70), Gray::scratched(160, 120, 71, (40, 40))] {
        let [found, expected] = [&found, &expected].map(|model| model.score(&image.view()).unwrap());
        assert!(found.score == expected.score && found.map == expected.map, "{what}");
    }
}

/// The options of a machine alone.
fn machine() -> Options {
    let mut machine = Options::default();
    machine.set_extractor(Arc::new(Pixels));
    machine.set("date", "none").unwrap();
    machine
}

fn refusal<T>(result: Result<T>) -> Error {
    result.err().expect("an error")
}

#[test]
fn states_of_any_partition_merge_to_the_whole_fit_in_any_order() {
    let images = good_images(13);
    let settings = [("scales", "1"), ("scales", "1+1.5")];
    let all = built_in_methods().into_iter().map(|method| (method, settings[0])).chain([("npad", settings[1])]);
    for (method, scales) in all {
        let options = options(&[("method", method), scales, ("false_alarm_rate", "0.05")]);
        let whole = state(&options, &images);
        let model = fit(&options, &images).unwrap().to_bytes().unwrap();
        let [a, b, c] = [&images[..5], &images[5..6], &images[6..]].map(|part| state(&options, part));
        let (ab, bc) = (merged(&options, &[&a, &b]), merged(&options, &[&b, &c]));
        for parts in [[&a, &b, &c], [&c, &a, &b], [&b, &c, &a]] {
            assert!(merged(&options, &parts) == whole, "{method}");
        }
        assert!(merged(&options, &[&ab, &c]) == whole && merged(&options, &[&bc, &a]) == whole, "{method}, in a tree");
        assert!(finished(&whole) == model && finished(&merged(&options, &[&c, &ab])) == model, "{method}");
        // An empty trainer is neutral, and what is in the sample counts once.
        let none = state(&options, &[]);
        assert!(merged(&options, &[&none, &whole, &none]) == whole, "{method}");
        assert_alike(&finished(&merged(&options, &[&ab, &whole, &bc])), &model, method);
    }
}

/// Such large features that the sample holds 16 images.
fn large(method: &str, images: usize) -> (Options, Vec<Gray>) {
    let mut options = Options::default();
    options.set_extractor(Arc::new(Pixels));
    let settings =
        [("method", method), ("size", "1024x1024"), ("grid_step", "1"), ("smoothing", "0"), ("date", "none")];
    settings.iter().for_each(|(key, value)| options.set(key, value).unwrap());
    (options, (0..images as u64).map(|seed| Gray::good(32, 32, seed)).collect())
}

#[test]
fn images_beyond_the_sample_merge_to_the_last_bit_too() {
    let (options, images) = large("padim", 41);
    let whole = fit(&options, &images).unwrap();
    assert_eq!((whole.metadata().images, whole.metadata().held_out), (41, 16));
    let whole = whole.to_bytes().unwrap();
    let reversed: Vec<Gray> = images.iter().rev().cloned().collect();
    assert!(fit(&options, &reversed).unwrap().to_bytes().unwrap() == whole, "in another order");

    // Samples that are full, that become full as they are merged, and that stay small.
    let parts = [&images[..19], &images[19..29], &images[29..39], &images[39..]].map(|part| state(&options, part));
    let [a, b, c, d] = &parts;
    for order in [[a, b, c, d], [d, c, b, a], [b, d, a, c]] {
        let mut trainer = Trainer::from_bytes(order[0], &machine()).unwrap();
        order[1..].iter().try_for_each(|state| trainer.merge(state)).unwrap();
        assert_eq!(trainer.images(), 41);
        assert!(trainer.finish().unwrap().to_bytes().unwrap() == whole);
    }

    // A copy that one of the samples has counts once; a state whose images are only sums is merged once.
    let mut trainer = Trainer::from_bytes(a, &machine()).unwrap();
    let before = trainer.to_bytes().unwrap();
    let error = refusal(trainer.merge(a));
    assert!(error.status() == Status::InvalidArgument && error.message().contains("learnt already"), "{error}");
    assert!(trainer.to_bytes().unwrap() == before, "a refused state changes nothing");
    for part in [b, c, d, &state(&options, &images[19..22]), b] {
        trainer.merge(part).unwrap();
    }
    assert_alike(&trainer.finish().unwrap().to_bytes().unwrap(), &whole, "with copies");
}

#[test]
fn a_fit_goes_on_from_its_state_with_the_options_of_the_state() {
    let images = good_images(12);
    let mask = |images: &[Gray]| {
        let inside: Vec<u8> = (0..images[0].pixels.len()).map(|i| u8::from(i % 7 > 0)).collect();
        let gray = Gray { pixels: inside, ..images[0].clone() };
        let view = npad::image::MaskView::new(&gray.pixels, gray.width, gray.height, gray.width).unwrap();
        Mask::new(view).unwrap()
    };
    let mut own = options(&[("method", "npad"), ("npad.shifts", "5"), ("review_rate", "0.2"), ("peak_share", "0.020")]);
    own.set_mask(Some(mask(&images)));
    own.set_roi(Some(Rectangle { x: 10, y: 5, width: 120, height: 100 }));
    let whole = fit(&own, &images).unwrap().to_bytes().unwrap();
    let mut machine = Options::default();
    machine.set("threads", "1").unwrap();
    machine.set("date", "none").unwrap();
    let mut trainer = Trainer::from_bytes(&state(&own, &images[..7]), &machine).unwrap();
    assert_eq!(trainer.images(), 7);
    // Images that were learnt before the crash are recognised.
    images.iter().try_for_each(|image| trainer.add(&image.view())).unwrap();
    assert!(trainer.finish().unwrap().to_bytes().unwrap() == whole);

    // The same options may be given again, others not.
    let state = state(&own, &images[..7]);
    own.set("peak_share", "0.02").unwrap();
    Trainer::from_bytes(&state, &own).unwrap();
    for (key, value) in
        [("seed", "1"), ("method", "padim"), ("npad.shifts", "1"), ("npad.channels", "41"), ("review_rate", "0.1")]
    {
        let mut other = machine.clone();
        other.set(key, value).unwrap();
        let error = refusal(Trainer::from_bytes(&state, &other));
        assert!(error.status() == Status::InvalidOption && error.message().contains(key), "{key}: {error}");
    }
    let mut other = machine.clone();
    other.set_roi(Some(Rectangle { x: 0, y: 0, width: 9, height: 9 }));
    assert_eq!(refusal(Trainer::from_bytes(&state, &other)).status(), Status::InvalidOption);
}

#[test]
fn states_of_other_fits_are_refused_and_change_nothing() {
    let images = good_images(6);
    let own = options(&[]);
    let mut trainer = taught(&own, &images[..3]);
    let before = trainer.to_bytes().unwrap();
    for (key, value) in [
        ("seed", "1"),
        ("method", "padim"),
        ("npad.patch", "5"),
        ("size", "64"),
        ("grid_step", "1"),
        ("false_alarm_rate", "0.02"),
        ("min_region_area", "4"),
    ] {
        let error = refusal(trainer.merge(&state(&options(&[(key, value)]), &images[3..])));
        assert!(error.status() == Status::InvalidArgument && error.message().contains(key), "{key}: {error}");
    }
    // The first image determines the proportions.
    let wide = Gray::good(240, 120, 1);
    let error = refusal(trainer.merge(&state(&own, &[wide])));
    assert!(error.status() == Status::InvalidArgument && error.message().contains("size"), "{error}");
    // An image cannot be good and defective.
    let mut other = taught(&own, &images[3..]);
    other.add_defect(&images[0].view()).unwrap();
    let error = refusal(trainer.merge(&other.to_bytes().unwrap()));
    assert!(error.status() == Status::InvalidArgument && error.message().contains("defective"), "{error}");
    let mut masked = own.clone();
    masked.set_roi(Some(Rectangle { x: 0, y: 0, width: 90, height: 90 }));
    let own_roi = state(&masked, &images[3..]);
    assert_eq!(refusal(trainer.merge(&own_roi)).status(), Status::InvalidArgument);
    // With a region of interest, images have one size.
    let mut larger = taught(&masked, &[Gray::good(320, 240, 1)]);
    let error = refusal(larger.merge(&own_roi));
    assert!(error.status() == Status::InvalidArgument && error.message().contains("320 x 240"), "{error}");
    assert!(trainer.to_bytes().unwrap() == before);

    let model = fit(&own, &images).unwrap();
    let mut resumed = Trainer::resume(&model, &own).unwrap();
    for refused in [resumed.merge(&before), resumed.to_bytes().map(drop)] {
        assert!(refusal(refused).message().contains("resumed"));
    }
    let mut done = taught(&own, &images);
    done.finish().unwrap();
    for refused in [done.merge(&before), done.to_bytes().map(drop)] {
        assert_eq!(refusal(refused).status(), Status::WrongState);
    }
}

#[test]
fn what_is_no_intact_state_is_refused() {
    let images = good_images(4);
    let own = options(&[]);
    let bytes = state(&own, &images);
    let mut trainer = taught(&own, &images[..2]);
    let before = trainer.to_bytes().unwrap();
    for length in [0, 1, 8, 9, 200, bytes.len() / 2, bytes.len() - 1] {
        assert_eq!(refusal(trainer.merge(&bytes[..length])).status(), Status::InvalidModel, "{length} bytes");
    }
    for at in [20, 900, bytes.len() / 2, bytes.len() - 5] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        assert_eq!(refusal(trainer.merge(&damaged)).status(), Status::InvalidModel, "at {at}");
    }
    let model = fit(&own, &images).unwrap().to_bytes().unwrap();
    let error = refusal(trainer.merge(&model));
    assert!(error.status() == Status::InvalidModel && error.message().contains("it is a model"), "{error}");
    let error = refusal(Model::from_bytes(&bytes, &own));
    assert!(error.status() == Status::InvalidModel && error.message().contains("npad merge"), "{error}");
    assert!(trainer.to_bytes().unwrap() == before);
}

#[test]
fn known_defects_are_part_of_a_state() {
    let images = good_images(10);
    let defects: Vec<Gray> = (0..4).map(|n| Gray::scratched(160, 120, 200 + n, (40, 30 + 10 * n as usize))).collect();
    let own = options(&[("operating_point", "catch_all")]);
    let with = |images: &[Gray], defects: &[Gray]| {
        let mut trainer = taught(&own, images);
        defects.iter().try_for_each(|image| trainer.add_defect(&image.view())).unwrap();
        trainer
    };
    let whole = with(&images, &defects).finish().unwrap();
    assert_eq!(whole.metadata().known_defects.as_ref().unwrap().count, 4);
    let parts = [with(&images[..4], &defects[..3]), with(&images[4..], &defects[2..])];
    let [a, b] = parts.map(|mut trainer| trainer.to_bytes().unwrap());
    for order in [[&a, &b], [&b, &a]] {
        assert!(finished(&merged(&own, &order)) == whole.to_bytes().unwrap());
    }
}

#[test]
fn states_are_saved_and_read_as_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.state");
    let (own, images) = (options(&[]), good_images(6));
    let whole = state(&own, &images);
    taught(&own, &images[..3]).save(&path).unwrap();
    let mut trainer = taught(&own, &images[3..]);
    trainer.merge_file(&path).unwrap();
    assert!(trainer.to_bytes().unwrap() == whole);
    trainer.save(&path).unwrap();
    assert!(std::fs::read(&path).unwrap() == whole);
    assert!(Trainer::load(&path, &own).unwrap().to_bytes().unwrap() == whole);
    let missing = folder.path().join("none/part.state");
    assert_eq!(refusal(trainer.save(&missing)).status(), Status::NotFound);
    let error = refusal(trainer.merge_file(&missing));
    assert!(error.status() == Status::NotFound && error.message().contains("none"), "{error}");
    assert_eq!(refusal(Trainer::load(&missing, &own)).status(), Status::NotFound);
}
