//! The calibration card, and the record of images, day and threshold in a model that it is made of.

mod common;

use common::{Gray, fit, good_images, options};
use npad::image::{ImageView, PixelFormat};
use npad::model::{Date, ImagesHash, Model, Options, Recalibration, ThresholdSource, Thresholds, Trainer};

fn resume(model: &Model, options: &Options, images: &[Gray]) -> Model {
    let mut trainer = Trainer::resume(model, options).unwrap();
    images.iter().for_each(|image| trainer.add(&image.view()).unwrap());
    trainer.finish().unwrap()
}

fn recalibrate(model: &Model, images: &[Gray], date: Option<Date>) -> Model {
    model.recalibrate(images.iter().map(|image| Ok(image.view())), None, date).unwrap()
}

fn hash(model: &Model) -> ImagesHash {
    model.metadata().images_hash.unwrap()
}

/// The value of a line of the card.
fn fact(model: &Model, name: &str) -> String {
    let card = model.card();
    let values: Vec<&str> = card.lines().filter_map(|line| line.trim_start().strip_prefix(name)).collect();
    let [value] = values[..] else { panic!("{} lines '{name}': {card}", values.len()) };
    value.trim().to_owned()
}

#[test]
fn a_given_review_threshold_leaves_the_facts_about_the_other_one() {
    let model = fit(&options(&[("false_alarm_rate", "0.1")]), &good_images(12)).unwrap();
    let Thresholds { defective, .. } = model.thresholds();
    let changed = model.with_thresholds(Thresholds { review: 0.9 * defective, defective }).unwrap();
    for name in ["defective above", "derived from", "90 % interval of the threshold", "target false-alarm rate"] {
        assert_eq!(fact(&changed, name), fact(&model, name));
    }
    assert!(fact(&changed, "review above").ends_with("set to a given value)"));
    assert_eq!(source(&changed), ThresholdSource::HeldOut);
    let given = model.with_thresholds(Thresholds { review: 2.0 * defective, defective: 2.0 * defective }).unwrap();
    assert_eq!(source(&given), ThresholdSource::Given);
}

fn source(model: &Model) -> ThresholdSource {
    model.metadata().threshold_source.unwrap()
}

#[test]
fn the_hash_identifies_the_set_of_images() {
    let images = good_images(8);
    let of = |images: &[Gray]| hash(&fit(&options(&[]), images).unwrap());
    let all = of(&images);
    let reversed: Vec<Gray> = images.iter().rev().cloned().collect();
    assert_eq!(of(&reversed), all, "another order");
    assert_ne!(of(&images[1..]), all, "one image less");
    let twice: Vec<Gray> = images.iter().chain(&images[..1]).cloned().collect();
    assert_eq!(of(&twice), all, "a copy is not learnt");
    let mut changed = images.clone();
    changed[3].pixels[5000] ^= 0x40;
    assert_ne!(of(&changed), all, "another pixel");
    assert_eq!(
        hash(&fit(&options(&[("seed", "5"), ("npad.channels", "20")]), &images).unwrap()),
        all,
        "other settings"
    );

    let mut trainer = Trainer::new(&options(&[])).unwrap();
    for Gray { width, height, pixels } in &images {
        let rgb: Vec<u8> = pixels.iter().flat_map(|v| [*v; 3]).collect();
        trainer.add(&ImageView::new(&rgb, *width, *height, 3 * width, PixelFormat::Rgb8).unwrap()).unwrap();
    }
    assert_eq!(hash(&trainer.finish().unwrap()), all, "another pixel format");
}

#[test]
fn a_resumed_fit_continues_the_record() {
    let images = good_images(12);
    let first = fit(&options(&[("date", "2026-11-02")]), &images[..8]).unwrap();
    let all = resume(&first, &options(&[("date", "2026-11-30")]), &images[8..]);
    assert_eq!(hash(&all), hash(&fit(&options(&[]), &images).unwrap()));
    assert_eq!(fact(&first, "last learnt on (UTC)"), "2026-11-02");
    assert_eq!(fact(&all, "last learnt on (UTC)"), "2026-11-30");
    assert_eq!((fact(&all, "number"), source(&all)), ("12".to_owned(), ThresholdSource::HeldOut));
}

#[test]
fn the_day_is_todays_a_given_one_or_none() {
    let images = good_images(4);
    let fitted_on = |date: &str| fit(&options(&[("date", date)]), &images).unwrap().metadata().fitted_on;
    let before = Date::today().unwrap();
    let today = fitted_on("today").unwrap();
    assert!((before..=Date::today().unwrap()).contains(&today), "{today}");
    assert_eq!(fitted_on("2024-02-29"), "2024-02-29".parse().ok());
    assert_eq!(fitted_on("none"), None);
    assert_eq!(Options::default().get("date").unwrap(), "today");
}

#[test]
fn a_file_keeps_the_record() {
    let model = recalibrate(
        &fit(&options(&[("date", "2026-11-02")]), &good_images(8)).unwrap(),
        &good_images(13)[8..],
        "2026-11-03".parse().ok(),
    );
    let loaded = Model::from_bytes(&model.to_bytes().unwrap(), &options(&[("threads", "1")])).unwrap();
    assert_eq!(loaded.metadata(), model.metadata());
    assert_eq!(loaded.card(), model.card());
}

#[test]
fn the_card_says_how_the_threshold_was_derived() {
    let images = good_images(36);
    let (images, others) = images.split_at(30);
    let model = fit(&options(&[]), &images[..20]).unwrap();
    assert_eq!(source(&model), ThresholdSource::HeldOut);
    assert_eq!(fact(&model, "derived from"), "scores of 20 held-out images of the fit");
    assert_eq!(fact(&model, "target false-alarm rate"), "1 %");
    assert_eq!(fact(&model, "extrapolated"), "yes: 20 scores, but the rate takes 100");
    let (low, high) = model.metadata().threshold_interval.unwrap();
    assert_eq!(fact(&model, "90 % interval of the threshold"), format!("{low} to {high} (raw score)"));
    assert_eq!(fact(&model, "defective above"), format!("{} (raw score)", model.thresholds().defective));

    let date: Option<Date> = "2026-11-03".parse().ok();
    let recalibrated = recalibrate(&model, others, date);
    assert_eq!(source(&recalibrated), ThresholdSource::Recalibrated);
    let of_others = hash(&fit(&options(&[]), others).unwrap());
    let record = Recalibration { images: 6, images_hash: of_others, date };
    assert_eq!(recalibrated.metadata().recalibration, Some(record));
    assert_eq!(hash(&recalibrated), hash(&model), "the images learnt are the same");
    assert_eq!(fact(&recalibrated, "derived from"), "scores of 6 other good images");
    assert_eq!(fact(&recalibrated, "hash of the other images"), of_others.to_string());
    assert_eq!(fact(&recalibrated, "recalibrated on (UTC)"), "2026-11-03");

    // Held-out scores of further images join those of the recalibration.
    let resumed = resume(&recalibrated, &options(&[]), &images[20..]);
    assert_eq!((source(&resumed), resumed.metadata().recalibration), (ThresholdSource::Recalibrated, Some(record)));
    let both = "scores of 6 other good images and scores of 10 held-out images of the fit";
    assert_eq!(fact(&resumed, "derived from"), both);

    let Thresholds { review, defective } = model.thresholds();
    let given = model.with_thresholds(Thresholds { review, defective: 2.0 * defective }).unwrap();
    assert_eq!(source(&given), ThresholdSource::Given);
    assert_eq!(fact(&given, "derived from"), "nothing: it was set to a given value");
    assert!(!given.card().contains("rate") && !given.card().contains("interval"), "{}", given.card());
    assert_eq!(source(&model.with_thresholds(model.thresholds()).unwrap()), ThresholdSource::HeldOut, "unchanged");
    assert_eq!(source(&recalibrate(&given, others, None)), ThresholdSource::Recalibrated);
    assert_eq!(source(&resume(&given, &options(&[]), &images[20..])), ThresholdSource::HeldOut, "computed anew");
}

#[test]
fn the_card_names_versions_backbone_and_settings() {
    let settings = [("review_rate", "0.1"), ("seed", "7"), ("npad.shrinkage", "0.2")];
    let model = fit(&options(&settings), &good_images(8)).unwrap();
    let metadata = model.metadata();
    for (name, value) in [
        ("learnt by", format!("npad {}", env!("CARGO_PKG_VERSION"))),
        ("hash", hash(&model).to_string()),
        ("last learnt on (UTC)", "not recorded".to_owned()),
        ("method", "npad".to_owned()),
        ("backbone", metadata.backbone.clone()),
        ("network input", format!("{} x {} pixels (width x height)", metadata.input.width, metadata.input.height)),
        ("review above", format!("{} (raw score)", metadata.review)),
        ("target review rate", "10 %".to_owned()),
        ("peak share", "1 %".to_owned()),
        ("mask", "none".to_owned()),
        ("seed", "7".to_owned()),
        ("npad.shrinkage ", "0.2".to_owned()),
        ("npad.channels", "40".to_owned()),
    ] {
        assert_eq!(fact(&model, name), value, "{name}");
    }
    assert_eq!(model.card(), model.card());
}

#[test]
fn a_model_of_0_1_0_has_no_record_and_gets_one_where_it_can() {
    let model = Model::from_bytes(include_bytes!("fixtures/model-0.1.0.npad"), &options(&[])).unwrap();
    for name in ["hash", "last learnt on (UTC)", "derived from", "90 % interval of the threshold"] {
        assert_eq!(fact(&model, name), "not recorded", "{name}");
    }
    assert_eq!(fact(&model, "learnt by"), "npad 0.1.0");
    let images = good_images(5);
    let recalibrated = recalibrate(&model, &images, None);
    assert_eq!(source(&recalibrated), ThresholdSource::Recalibrated);
    // What the older images were, and where the older scores came from, stays unknown.
    let resumed = resume(&model, &options(&[("date", "2026-11-02")]), &images);
    let metadata = resumed.metadata();
    assert_eq!((metadata.images_hash, metadata.threshold_source), (None, None));
    assert_eq!(fact(&resumed, "last learnt on (UTC)"), "2026-11-02");
}
