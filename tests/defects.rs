//! Known defects: never learnt, scored as the model scores them, and in command of the threshold where that is asked for.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Gray, fit, good_images, options};
use npad::error::{Result, Status};
use npad::exec::progress::Progress;
use npad::image::{Mask, MaskView, Rectangle};
use npad::model::{KnownDefects, Metadata, Model, Options, Thresholds, Trainer, Verdict};

/// A part with a scratch that is the fainter the lower `strength`, in percent.
fn faint(seed: u64, strength: usize) -> Gray {
    let (mut image, black) = (Gray::good(160, 120, 900 + seed), Gray::scratched(160, 120, 900 + seed, (70, 40)));
    for (pixel, black) in image.pixels.iter_mut().zip(&black.pixels) {
        *pixel = ((usize::from(*pixel) * (100 - strength) + usize::from(*black) * strength) / 100) as u8;
    }
    image
}

/// From invisible to obvious.
fn defects() -> Vec<Gray> {
    [25, 100, 40, 15, 60, 30].iter().enumerate().map(|(seed, strength)| faint(seed as u64, *strength)).collect()
}

fn fit_with(options: &Options, defects: &[Gray]) -> Result<Model> {
    let mut trainer = Trainer::new(options)?;
    good_images(24).iter().try_for_each(|image| trainer.add(&image.view()))?;
    defects.iter().try_for_each(|image| trainer.add_defect(&image.view()))?;
    assert_eq!(trainer.defects(), defects.len());
    trainer.finish()
}

fn known(model: &Model) -> &KnownDefects {
    model.metadata().known_defects.as_ref().unwrap()
}

fn scores(model: &Model, images: &[Gray]) -> Vec<f32> {
    let mut scores: Vec<f32> = images.iter().map(|image| model.score(&image.view()).unwrap().score).collect();
    scores.sort_by(f32::total_cmp);
    scores
}

fn found(model: &Model, images: &[Gray]) -> usize {
    let verdict = |image: &&Gray| model.score(&image.view()).unwrap().verdict == Verdict::Defective;
    images.iter().filter(verdict).count()
}

#[test]
fn they_are_scored_to_the_last_bit_as_the_model_scores_them_and_never_learnt() {
    // Of other sizes than the good images, whose regions are found at their own resolution.
    let mut images = defects();
    images.extend([Gray::scratched(320, 240, 1, (100, 80)), Gray::scratched(80, 60, 2, (30, 30))]);
    for settings in [
        &[("method", "npad")][..],
        &[("method", "npad"), ("npad.shifts", "5"), ("npad.levels", "pixel+patch+centroids"), ("npad.centroids", "32")],
        &[("method", "npad"), ("scales", "1+1.6")],
        &[("method", "padim")],
        &[("method", "patchcore")],
        &[("method", "spade")],
    ] {
        let model = fit_with(&options(settings), &images).unwrap();
        assert_eq!(known(&model).scores, scores(&model, &images), "{settings:?}");
        assert_eq!(known(&model).found(), found(&model, &images));
        let plain = fit(&options(settings), &good_images(24)).unwrap();
        let without = Metadata { known_defects: None, ..model.metadata().clone() };
        assert_eq!(without, *plain.metadata(), "{settings:?}: by default they only report");
        let image = Gray::good(160, 120, 77);
        assert_eq!(model.score(&image.view()).unwrap(), plain.score(&image.view()).unwrap());
        images.reverse();
        let reversed = fit_with(&options(settings), &images).unwrap();
        assert!(reversed.to_bytes().unwrap() == model.to_bytes().unwrap(), "{settings:?}: in any order");
    }
}

#[test]
fn a_mask_applies_to_them_too() {
    let pixels: Vec<u8> = (0..160 * 120).map(|i| if i % 160 < 60 { 0 } else { 255 }).collect();
    let mask = Mask::new(MaskView::new(&pixels, 160, 120, 160).unwrap()).unwrap();
    let mut options = options(&[]);
    options.set_mask(Some(mask));
    // The second one's scratch is outside.
    let images = [Gray::scratched(160, 120, 101, (90, 30)), Gray::scratched(160, 120, 102, (20, 30))];
    let model = fit_with(&options, &images).unwrap();
    assert_eq!(known(&model).scores, scores(&model, &images));
    assert_eq!(known(&model).in_use.missed, 1);
}

#[test]
fn each_operating_point_does_what_it_says() {
    let images = defects();
    let at = |point: &str, miss_cost: &str, more: &[(&str, &str)]| {
        let settings = [&[("operating_point", point), ("miss_cost", miss_cost)], more].concat();
        fit_with(&options(&settings), &images).unwrap()
    };
    let rate = at("rate", "1", &[]);
    let report = known(&rate);
    assert!(report.count == 6 && (1..6).contains(&report.in_use.missed), "{report:?}");
    assert!(report.in_use == report.rate && (report.rate.false_alarm_rate - 0.01).abs() < 1e-4, "{report:?}");
    assert_eq!(report.rate.threshold, rate.thresholds().defective);

    let all = at("catch_all", "1", &[]);
    assert_eq!((known(&all).in_use, known(&all).catch_all), (report.catch_all, report.catch_all));
    assert_eq!(found(&all, &images), 6);
    assert_eq!(all.thresholds().defective.next_up(), known(&all).scores[0]);
    assert!(all.metadata().threshold_interval.is_none() && rate.metadata().threshold_interval.is_some());
    assert!(known(&all).in_use.false_alarm_rate > 0.01);

    for (miss_cost, expected) in [("0", report.rate), ("1e6", report.catch_all)] {
        let cost = at("cost", miss_cost, &[]);
        assert_eq!((known(&cost).in_use, known(&cost).cost), (expected, expected), "{miss_cost}");
        assert_eq!(found(&cost, &images), 6 - expected.missed);
    }

    // The review threshold is at most the threshold, and otherwise that of its own rate.
    for review_rate in ["0.02", "0.5"] {
        let own = at("rate", "1", &[("review_rate", review_rate)]).thresholds().review;
        let lowered = at("catch_all", "1", &[("review_rate", review_rate)]).thresholds();
        assert_eq!(lowered.review, own.min(lowered.defective), "{review_rate}");
    }

    // Obvious defects do not raise the threshold.
    let obvious = [faint(0, 100), faint(1, 90)];
    let kept = fit_with(&options(&[("operating_point", "catch_all")]), &obvious).unwrap();
    assert_eq!(kept.thresholds(), rate.thresholds());
    assert_eq!(kept.metadata().threshold_interval, rate.metadata().threshold_interval);
}

#[test]
fn a_defect_counts_as_found_only_with_a_region_of_the_least_area() {
    let images = defects();
    for least in ["40", "300"] {
        let settings = [("min_region_area", least), ("operating_point", "rate")];
        let model = fit_with(&options(&settings), &images).unwrap();
        assert!(scores(&model, &images) != known(&model).scores, "{least}: peaks do not count");
        for score in known(&model).scores.clone() {
            let missed = |threshold: f32| {
                let model = model.with_thresholds(Thresholds { review: threshold, defective: threshold }).ok()?;
                let missed = known(&model).in_use.missed;
                assert_eq!(missed, 6 - found(&model, &images), "{least} at {threshold}");
                Some(missed)
            };
            if let (Some(at), Some(below)) = (missed(score), missed(score.next_down())) {
                assert_eq!(at, below + 1);
            }
        }
    }
}

#[test]
fn the_report_follows_other_thresholds_other_good_images_and_the_file() {
    let images = defects();
    let model = fit_with(&options(&[("operating_point", "cost"), ("miss_cost", "0.3")]), &images).unwrap();
    let loaded = Model::from_bytes(&model.to_bytes().unwrap(), &options(&[])).unwrap();
    assert_eq!(loaded.metadata(), model.metadata());

    let threshold = known(&model).scores[3];
    let changed = model.with_thresholds(Thresholds { review: threshold, defective: threshold }).unwrap();
    assert_eq!((known(&changed).in_use.threshold, known(&changed).in_use.missed), (threshold, 4));
    assert_eq!(known(&changed).catch_all, known(&model).catch_all);
    let loaded = Model::from_bytes(&changed.to_bytes().unwrap(), &options(&[])).unwrap();
    assert_eq!(loaded.metadata(), changed.metadata());

    // Darker good images have other scores, and so other rates.
    let others: Vec<Gray> = (300..340).map(|seed| faint(seed, 8)).collect();
    let again = model.recalibrate(others.iter().map(|image| Ok(image.view())), Some((0.05, 0.0)), None).unwrap();
    assert_eq!(known(&again).scores, known(&model).scores);
    assert!((known(&again).rate.false_alarm_rate - 0.05).abs() < 1e-4);
    assert_eq!(known(&again).in_use, known(&again).cost);
    assert_eq!(known(&again).in_use.threshold, again.thresholds().defective);

    let assessed = fit(&options(&[]), &good_images(24)).unwrap().assess_defects(&known(&model).scores).unwrap();
    assert_eq!((assessed.rate, assessed.catch_all), (known(&model).rate, known(&model).catch_all));
    for bad in [&[][..], &[f32::NAN], &[1.0, f32::INFINITY]] {
        assert_eq!(model.assess_defects(bad).unwrap_err().status(), Status::InvalidArgument);
    }
}

#[test]
fn defects_that_become_known_later_move_the_thresholds_as_in_a_fit() {
    let images = defects();
    let plain = fit(&options(&[]), &good_images(24)).unwrap();
    let given = plain.with_thresholds(Thresholds { review: 1.0, defective: 1e6 }).unwrap();
    for point in ["rate", "catch_all", "cost"] {
        let settings = options(&[("operating_point", point), ("miss_cost", "0.3")]);
        let known_before = fit_with(&settings, &images).unwrap().to_bytes().unwrap();
        let known_later = given.with_known_defects(&scores(&given, &images), &settings).unwrap();
        assert!(known_later.to_bytes().unwrap() == known_before, "{point}");
        // And stay in force where nothing else is asked for.
        let again = known_later.with_known_defects(&scores(&given, &images), &options(&[])).unwrap();
        assert!(again.to_bytes().unwrap() == known_before, "{point}");
    }
    assert!(given.with_known_defects(&[], &options(&[])).unwrap().to_bytes().unwrap() == plain.to_bytes().unwrap());
    assert_eq!(plain.with_known_defects(&[f32::NAN], &options(&[])).err().unwrap().status(), Status::InvalidArgument);
    let hidden = plain.with_known_defects(&[0.0], &options(&[("operating_point", "catch_all")]));
    assert_eq!(hidden.err().unwrap().status(), Status::WrongState);
}

#[test]
fn operating_points_without_usable_defects_are_refused_and_the_trainer_goes_on() {
    for point in ["catch_all", "cost"] {
        let mut trainer = Trainer::new(&options(&[("operating_point", point)])).unwrap();
        let scratched = faint(0, 100);
        let error = trainer.add_defect(&scratched.view()).unwrap_err();
        assert!(error.status() == Status::WrongState && error.message().contains("good images before"), "{error}");
        good_images(24).iter().try_for_each(|image| trainer.add(&image.view())).unwrap();
        let error = trainer.finish().err().unwrap();
        assert!(error.status() == Status::WrongState && error.message().contains("no known defects"), "{error}");
        trainer.add_defect(&scratched.view()).unwrap();
        let with_roi = scratched.view().with_roi(Rectangle { x: 0, y: 0, width: 9, height: 9 }).unwrap();
        assert_eq!(trainer.add_defect(&with_roi).unwrap_err().status(), Status::InvalidImage);
        assert_eq!((trainer.defects(), trainer.images()), (1, 24));
        assert_eq!(known(&trainer.finish().unwrap()).found(), 1);
        assert_eq!(trainer.add_defect(&scratched.view()).unwrap_err().status(), Status::WrongState);
        assert_eq!(trainer.defects(), 0);
    }
    // Good parts as defects: no threshold above typical images finds them.
    let hidden: Vec<Gray> = (700..724).map(|seed| Gray::good(160, 120, seed)).collect();
    let error = fit_with(&options(&[("operating_point", "catch_all")]), &hidden).err().unwrap();
    assert!(error.status() == Status::WrongState && error.message().contains("typical good image"), "{error}");
    let reported = fit_with(&options(&[]), &hidden).unwrap();
    assert!(known(&reported).catch_all.false_alarm_rate > 0.5);
    let cost = fit_with(&options(&[("operating_point", "cost"), ("miss_cost", "1e9")]), &hidden).unwrap();
    assert!(cost.thresholds().defective > cost.metadata().image.typical);
}

#[test]
fn no_image_is_both_good_and_defective() {
    let (good, bad) = (good_images(8), defects());
    let mut trainer = Trainer::new(&options(&[])).unwrap();
    good[..7].iter().try_for_each(|image| trainer.add(&image.view())).unwrap();
    trainer.add_defect(&bad[1].view()).unwrap();
    let error = trainer.add(&bad[1].view()).unwrap_err();
    assert!(error.status() == Status::InvalidArgument && error.message().contains("known defects"), "{error}");
    let error = trainer.add_defect(&good[3].view()).unwrap_err();
    assert!(error.status() == Status::InvalidArgument && error.message().contains("good images learnt"), "{error}");
    assert_eq!((trainer.images(), trainer.defects()), (7, 1));
    trainer.add(&good[7].view()).unwrap();
    let model = trainer.finish().unwrap();
    let mut plain = Trainer::new(&options(&[])).unwrap();
    good.iter().try_for_each(|image| plain.add(&image.view())).unwrap();
    plain.add_defect(&bad[1].view()).unwrap();
    assert!(plain.finish().unwrap().to_bytes().unwrap() == model.to_bytes().unwrap(), "as if they had not been given");

    let mut resumed = Trainer::resume(&model, &options(&[])).unwrap();
    resumed.add(&Gray::good(160, 120, 50).view()).unwrap();
    assert_eq!(resumed.add_defect(&good[0].view()).unwrap_err().status(), Status::InvalidArgument);
}

#[test]
fn a_failed_finish_keeps_them() {
    let images = defects();
    let whole = fit_with(&options(&[]), &images).unwrap().to_bytes().unwrap();
    let stop = Arc::new(AtomicBool::new(true));
    let (mut options, cancel) = (options(&[]), stop.clone());
    options.set_progress(Progress::new(move |step| {
        step.stage != "known defects" || step.done < 4 || { !cancel.load(Ordering::Relaxed) || step.total == 0 }
    }));
    let mut trainer = Trainer::new(&options).unwrap();
    let good = good_images(24);
    good[..20].iter().try_for_each(|image| trainer.add(&image.view())).unwrap();
    images.iter().try_for_each(|image| trainer.add_defect(&image.view())).unwrap();
    assert_eq!(trainer.finish().err().unwrap().status(), Status::Cancelled);
    good[20..].iter().try_for_each(|image| trainer.add(&image.view())).unwrap();
    stop.store(false, Ordering::Relaxed);
    assert_eq!(trainer.defects(), images.len());
    assert!(trainer.finish().unwrap().to_bytes().unwrap() == whole, "good images may follow known defects");
}

#[test]
fn a_resumed_fit_needs_them_again() {
    let images = defects();
    let model = fit_with(&options(&[("operating_point", "catch_all")]), &images).unwrap();
    let resume = |settings: &[(&str, &str)], images: &[Gray]| {
        let mut trainer = Trainer::resume(&model, &options(settings)).unwrap();
        (500..506).for_each(|seed| trainer.add(&Gray::good(160, 120, seed).view()).unwrap());
        images.iter().try_for_each(|image| trainer.add_defect(&image.view()))?;
        trainer.finish()
    };
    assert_eq!(resume(&[], &[]).err().unwrap().status(), Status::WrongState);
    let resumed = resume(&[], &images).unwrap();
    assert_eq!(known(&resumed).scores, scores(&resumed, &images));
    assert_eq!(known(&resumed).in_use.missed, 0);
    let plain = resume(&[("operating_point", "rate")], &[]).unwrap();
    assert!(plain.metadata().known_defects.is_none());
}
