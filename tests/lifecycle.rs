//! What a model goes through after its first fit, and what may accompany a fit: masks, other thresholds, further images,
//! progress.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Gray, fit, good_images, options};
use npad::error::{Result, Status};
use npad::exec::progress::Progress;
use npad::image::{ImageView, Mask, MaskView, Rectangle};
use npad::math::random::Random;
use npad::model::{Model, Options, Thresholds, Trainer, Verdict};

const SIZE: (usize, usize) = (160, 120);

/// 255 where an image of [`SIZE`] counts.
fn mask_bytes(inside: impl Fn(usize, usize) -> bool) -> Vec<u8> {
    (0..SIZE.0 * SIZE.1).map(|i| if inside(i % SIZE.0, i / SIZE.0) { 255 } else { 0 }).collect()
}

fn mask_view(bytes: &[u8]) -> MaskView<'_> {
    MaskView::new(bytes, SIZE.0, SIZE.1, SIZE.0).unwrap()
}

/// The image with other pixels where the mask is 0.
fn scribbled(image: &Gray, mask: &[u8], seed: u64) -> Gray {
    let mut random = Random::new(seed);
    let mut image = image.clone();
    image.pixels.iter_mut().zip(mask).filter(|(_, m)| **m == 0).for_each(|(p, _)| *p = random.below(256) as u8);
    image
}

fn left_half(x: usize, _: usize) -> bool {
    x < 80
}

#[test]
fn a_mask_of_the_fit_keeps_pixels_out_of_model_and_scores() {
    let bytes = mask_bytes(left_half);
    let mut options = options(&[]);
    options.set_mask(Some(Mask::new(mask_view(&bytes)).unwrap()));
    let images = good_images(16);
    let model = fit(&options, &images).unwrap();
    let noise: Vec<Gray> = images.iter().zip(0..).map(|(image, seed)| scribbled(image, &bytes, seed)).collect();
    let same = fit(&options, &noise).unwrap();
    assert!(model.to_bytes().unwrap() == same.to_bytes().unwrap(), "what is masked reaches the model");

    let model = Model::from_bytes(&model.to_bytes().unwrap(), &common::options(&[])).unwrap();
    let inside = Gray::scratched(160, 120, 100, (30, 40));
    let outside = Gray::scratched(160, 120, 100, (110, 40));
    let (found, ignored) = (model.score(&inside.view()).unwrap(), model.score(&outside.view()).unwrap());
    assert!(found.anomalous() && !ignored.anomalous(), "{} and {}", found.calibrated, ignored.calibrated);
    assert!(found.map.iter().zip(&bytes).all(|(value, mask)| *mask != 0 || *value == 0.0));
    assert!(found.regions.iter().all(|region| region.x + region.width <= 80));
    assert_eq!(model.score(&scribbled(&inside, &bytes, 7).view()).unwrap(), found);

    let other = model.score(&Gray::good(80, 60, 1).view()).unwrap_err();
    assert!(other.status() == Status::InvalidImage && other.message().contains("160 x 120"), "{other}");
    let mut trainer = Trainer::new(&options).unwrap();
    assert_eq!(trainer.add(&Gray::good(80, 60, 1).view()).unwrap_err().status(), Status::InvalidImage);
    trainer.add(&images[0].view()).unwrap();
}

#[test]
fn a_mask_of_one_image_that_leaves_out_what_the_model_does_changes_nothing() {
    let bytes = mask_bytes(left_half);
    let mut options = options(&[]);
    options.set_mask(Some(Mask::new(mask_view(&bytes)).unwrap()));
    let model = fit(&options, &good_images(16)).unwrap();
    let image = Gray::scratched(160, 120, 100, (30, 40));
    let plain = model.score(&image.view()).unwrap();
    assert_eq!(model.score(&image.view().with_mask(mask_view(&bytes)).unwrap()).unwrap(), plain);
    let left = Rectangle { x: 0, y: 0, width: 80, height: 120 };
    assert_eq!(model.score(&image.view().with_roi(left).unwrap()).unwrap(), plain);
    let wider = Rectangle { width: 100, ..left };
    assert_eq!(model.score(&image.view().with_roi(wider).unwrap()).unwrap(), plain);
    let upper = Rectangle { height: 60, ..left };
    assert_ne!(model.score(&image.view().with_roi(upper).unwrap()).unwrap(), plain);
}

#[test]
fn a_mask_of_one_image_counts_for_that_image() {
    let model = fit(&options(&[]), &good_images(16)).unwrap();
    let bytes = mask_bytes(left_half);
    let outside = Gray::scratched(160, 120, 100, (115, 40));
    assert!(model.score(&outside.view()).unwrap().anomalous());
    let masked = |image: &Gray| model.score(&image.view().with_mask(mask_view(&bytes)).unwrap()).unwrap();
    let ignored = masked(&outside);
    assert!(!ignored.anomalous(), "{}", ignored.calibrated);
    assert!(ignored.regions.iter().all(|region| region.x + region.width <= 80));
    assert_eq!(masked(&scribbled(&outside, &bytes, 3)), ignored);
    assert!(masked(&Gray::scratched(160, 120, 100, (30, 40))).anomalous());
    let all = mask_bytes(|_, _| true);
    let view = outside.view().with_mask(mask_view(&all)).unwrap();
    let (with, without) = (model.score(&view).unwrap(), model.score(&outside.view()).unwrap());
    assert!((with.score - without.score).abs() < 1e-4 * without.score, "a mask that keeps everything changes nothing");

    let image = Gray::good(40, 30, 1);
    assert!(image.view().with_mask(mask_view(&bytes)).unwrap_err().message().contains("must be equal"));
    let none = mask_bytes(|_, _| false);
    let error = model.score(&outside.view().with_mask(mask_view(&none)).unwrap()).unwrap_err();
    assert!(error.status() == Status::InvalidImage && error.message().contains("no pixel"), "{error}");
    let mut trainer = Trainer::new(&options(&[])).unwrap();
    let error = trainer.add(&outside.view().with_mask(mask_view(&bytes)).unwrap()).unwrap_err();
    assert!(error.message().contains("one mask for all"), "{error}");
}

#[test]
fn a_mask_that_leaves_out_nothing_changes_nothing() {
    let (all, left) = (mask_bytes(|_, _| true), mask_bytes(left_half));
    let whole = Rectangle { x: 0, y: 0, width: SIZE.0, height: SIZE.1 };
    let set = |mask: Option<&[u8]>, roi| {
        let mut options = options(&[]);
        options.set_mask(mask.map(|bytes| Mask::new(mask_view(bytes)).unwrap()));
        options.set_roi(roi);
        fit(&options, &good_images(10)).unwrap()
    };
    let (plain, half) = (set(None, None), set(Some(&left), None));
    let image = Gray::scratched(SIZE.0, SIZE.1, 60, (40, 30));
    for model in [&plain, &half] {
        let expected = model.score(&image.view()).unwrap();
        let masked = image.view().with_mask(mask_view(&all)).unwrap();
        assert_eq!(model.score(&masked).unwrap(), expected);
        assert_eq!(model.score(&image.view().with_roi(whole).unwrap()).unwrap(), expected);
        assert_eq!(model.score(&masked.with_roi(whole).unwrap()).unwrap(), expected);
    }
    // Of the fit, which also fixes the size of the images.
    let (expected, masked) = (plain.score(&image.view()).unwrap(), image.view().with_mask(mask_view(&left)).unwrap());
    for model in [set(Some(&all), None), set(None, Some(whole))] {
        assert_eq!(model.metadata().image, plain.metadata().image);
        assert_eq!(model.score(&image.view()).unwrap(), expected);
        assert_eq!(model.score(&masked).unwrap(), plain.score(&masked).unwrap());
        let smaller = Gray::good(100, 80, 1);
        assert_eq!(model.score(&smaller.view()).unwrap_err().status(), Status::InvalidImage);
    }
}

#[test]
fn two_thresholds_make_three_verdicts() {
    let model = fit(&options(&[("review_rate", "0.3")]), &good_images(30)).unwrap();
    let Thresholds { review, defective } = model.thresholds();
    assert!(review < defective, "{review} {defective}");
    let verdicts: Vec<Verdict> =
        (200..240).map(|seed| model.score(&Gray::good(160, 120, seed).view()).unwrap().verdict).collect();
    let held = verdicts.iter().filter(|v| **v == Verdict::Review).count();
    assert!((2..25).contains(&held), "{held} of 40 at a rate of 30 %");
    let scratched = Gray::scratched(160, 120, 300, (50, 50));
    let score = model.score(&scratched.view()).unwrap();
    assert_eq!(score.verdict, Verdict::Defective);

    let at = |review: f32, defective: f32| model.with_thresholds(Thresholds { review, defective });
    assert_eq!(at(review, score.score + 1.0).unwrap().score(&scratched.view()).unwrap().verdict, Verdict::Review);
    let high = at(score.score + 1.0, score.score + 1.0).unwrap();
    let again = Model::from_bytes(&high.to_bytes().unwrap(), &options(&[])).unwrap();
    assert_eq!(again.thresholds(), high.thresholds());
    assert_eq!(again.score(&scratched.view()).unwrap().verdict, Verdict::Good);
    for (review, defective) in [(1.0, f32::NAN), (f32::NAN, defective), (defective + 1.0, defective), (0.0, 0.0)] {
        assert_eq!(at(review, defective).err().unwrap().status(), Status::InvalidArgument, "{review} {defective}");
    }
    let without = fit(&options(&[]), &good_images(12)).unwrap();
    assert_eq!(without.thresholds().review, without.thresholds().defective);
}

#[test]
fn thresholds_follow_new_good_images() {
    let model = fit(&options(&[]), &good_images(16)).unwrap();
    // Another lamp: all images a little noisier than those learnt from.
    let noisy = |seed: u64| {
        let mut image = Gray::good(160, 120, seed);
        let mut random = Random::new(seed);
        image.pixels.iter_mut().for_each(|p| *p = p.saturating_add(random.below(25) as u8));
        image
    };
    let alarms = |model: &Model| (600..620).filter(|&s| model.score(&noisy(s).view()).unwrap().anomalous()).count();
    let images: Vec<Gray> = (500..530).map(noisy).collect();
    let views = || images.iter().map(|image| Ok(image.view()));
    let better = model.recalibrate(views(), None, None).unwrap();
    assert!(alarms(&model) > 10 && alarms(&better) <= 1, "{} and {}", alarms(&model), alarms(&better));
    assert_eq!(better.metadata().held_out, 30);
    let loose = model.recalibrate(views(), Some((0.2, 0.4)), None).unwrap();
    assert!(loose.thresholds().defective < better.thresholds().defective);
    let few: Vec<Result<ImageView<'_>>> = views().take(1).collect();
    assert_eq!(model.recalibrate(few, None, None).err().unwrap().status(), Status::NotEnoughImages);
    assert_eq!(model.recalibrate(views(), Some((2.0, 0.0)), None).err().unwrap().status(), Status::InvalidOption);
}

#[test]
fn a_recalibration_counts_unseen_images_once_in_any_order() {
    let images = good_images(18);
    let model = fit(&options(&[]), &images[..10]).unwrap();
    let model = Model::from_bytes(&model.to_bytes().unwrap(), &options(&[])).unwrap();
    let recalibrated = |images: &[Gray]| model.recalibrate(images.iter().map(|image| Ok(image.view())), None, None);
    let bytes = |images: &[Gray]| recalibrated(images).unwrap().to_bytes().unwrap();
    let expected = bytes(&images[10..]);
    let reversed: Vec<Gray> = images[10..].iter().rev().cloned().collect();
    assert!(bytes(&reversed) == expected, "another order");
    let more: Vec<Gray> = images.iter().chain(&images[5..15]).cloned().collect();
    assert!(bytes(&more) == expected, "with learnt images and copies");
    assert_eq!(recalibrated(&more).unwrap().metadata().recalibration.unwrap().images, 8);
    for few in [&images[..12], &vec![images[17].clone(); 9]] {
        let error = recalibrated(few).err().unwrap();
        assert_eq!(error.status(), Status::NotEnoughImages);
        assert!(error.message().contains("learnt do not count") && error.message().contains("count once"), "{error}");
    }
}

#[test]
fn recalibration_does_not_depend_on_the_thresholds_before() {
    let model = fit(&options(&[("min_region_area", "60")]), &good_images(12)).unwrap();
    let others: Vec<Gray> = (100..112).map(|seed| Gray::good(160, 120, seed)).collect();
    let recalibrated = |defective: f32| {
        let model = model.with_thresholds(Thresholds { review: defective, defective }).unwrap();
        model.recalibrate(others.iter().map(|image| Ok(image.view())), None, None).unwrap().thresholds()
    };
    let Thresholds { defective, .. } = model.thresholds();
    assert_eq!(recalibrated(1.01 * defective), recalibrated(100.0 * defective));
    let low = model.metadata().image.typical * 1.001;
    assert_eq!(recalibrated(low), recalibrated(100.0 * defective));
}

#[test]
fn thresholds_out_of_range_are_refused() {
    let model = fit(&options(&[]), &good_images(12)).unwrap();
    let Thresholds { defective, .. } = model.thresholds();
    let inf = f32::INFINITY;
    for (review, defective) in [
        (-1.0, defective),
        (f32::NAN, defective),
        (inf, inf),
        (0.0, f32::NAN),
        (2.0 * defective, defective),
        (0.0, 0.0),
    ] {
        let error = model.with_thresholds(Thresholds { review, defective }).err().unwrap();
        assert_eq!(error.status(), Status::InvalidArgument, "{review} {defective}: {error}");
    }
}

/// Held-out scores of a small fit are those of another model.
#[test]
fn thresholds_come_from_the_further_images_where_these_are_the_majority() {
    let images = good_images(24);
    for (first, held_out) in [(3, 21), (11, 13), (12, 24), (20, 24)] {
        let model = fit(&options(&[]), &images[..first]).unwrap();
        let mut trainer = Trainer::resume(&model, &Options::default()).unwrap();
        images[first..].iter().try_for_each(|image| trainer.add(&image.view())).unwrap();
        let resumed = trainer.finish().unwrap();
        assert_eq!((resumed.metadata().images, resumed.metadata().held_out), (24, held_out), "{first}");
    }
}

#[test]
fn a_fit_goes_on_with_further_images() {
    let options = options(&[("npad.centroids", "32")]);
    let images = good_images(40);
    let first = fit(&options, &images[..25]).unwrap();
    let go_on = |model: &Model, images: &[Gray]| {
        let mut trainer = Trainer::resume(model, &options)?;
        images.iter().try_for_each(|image| trainer.add(&image.view()))?;
        trainer.finish()
    };
    // From a file, as another process would.
    let loaded = Model::from_bytes(&first.to_bytes().unwrap(), &options).unwrap();
    let more = go_on(&loaded, &images[25..]).unwrap();
    assert_eq!((more.metadata().images, more.metadata().held_out), (40, 40));
    let bytes = more.to_bytes().unwrap();
    assert!(bytes == go_on(&first, &images[25..]).unwrap().to_bytes().unwrap(), "the same from memory and from a file");
    let whole = fit(&options, &images).unwrap();
    // The same parts get the verdicts of a fit of all images at once, and stand out as much.
    for seed in 100..108 {
        let verdict = |model: &Model, image: &Gray| model.score(&image.view()).unwrap().verdict;
        let (good, scratched) = (Gray::good(160, 120, seed), Gray::scratched(160, 120, seed, (60, 30)));
        assert_eq!(verdict(&more, &good), verdict(&whole, &good), "{seed}");
        assert_eq!(verdict(&more, &scratched), Verdict::Defective, "{seed}");
        let contrast =
            |model: &Model| model.score(&scratched.view()).unwrap().score / model.score(&good.view()).unwrap().score;
        let (a, b) = (contrast(&more), contrast(&whole));
        assert!((0.6..1.7).contains(&(a / b)), "{seed}: {a} and {b}");
    }
    assert_eq!(go_on(&first, &[]).err().unwrap().status(), Status::NotEnoughImages);
    let twice = go_on(&more, &good_images(41)[40..]).unwrap();
    assert_eq!(twice.metadata().images, 41);
}

#[test]
fn a_kind_of_part_that_is_added_is_no_longer_defective() {
    let first = fit(&options(&[]), &good_images(20)).unwrap();
    let other = |seed: u64| {
        let mut image = Gray::good(160, 120, seed);
        image.pixels.iter_mut().for_each(|p| *p = p.saturating_add(40));
        image
    };
    assert!(first.score(&other(100).view()).unwrap().anomalous());
    let mut trainer = Trainer::resume(&first, &Options::default()).unwrap();
    (0..20).try_for_each(|seed| trainer.add(&other(seed).view())).unwrap();
    let both = trainer.finish().unwrap();
    let alarm = |image: Gray| usize::from(both.score(&image.view()).unwrap().anomalous());
    let alarms: usize = (100..120).map(|seed| alarm(other(seed)) + alarm(Gray::good(160, 120, seed))).sum();
    assert!(alarms <= 3, "{alarms} of 40");
    assert!(both.score(&Gray::scratched(160, 120, 100, (60, 30)).view()).unwrap().anomalous());
}

#[test]
fn progress_is_told_and_can_stop_a_fit() {
    let images = good_images(6);
    // Stops at the given report, and returns how many there were.
    let run = |stop: usize| {
        let (count, stages) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Mutex::new(Vec::new())));
        let (counter, seen) = (count.clone(), stages.clone());
        let mut options = options(&[]);
        options.set_progress(Progress::new(move |step| {
            seen.lock().unwrap().push(step.stage.to_owned());
            counter.fetch_add(1, Ordering::Relaxed) != stop
        }));
        let outcome = fit(&options, &images).map(drop);
        let stages = stages.lock().unwrap().clone();
        (outcome, count.load(Ordering::Relaxed), stages)
    };
    let (outcome, reports, stages) = run(usize::MAX);
    outcome.unwrap();
    assert!(stages.iter().filter(|s| *s == "learning").count() == 6 && stages.iter().any(|s| s == "held-out scores"));
    for stop in 0..reports {
        let (outcome, count, stages) = run(stop);
        let error = outcome.unwrap_err();
        assert!(error.status() == Status::Cancelled && error.message().contains(stages.last().unwrap()), "{error}");
        assert_eq!(count, stop + 1);
    }
}
