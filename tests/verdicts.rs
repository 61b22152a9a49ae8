//! Verdict, score, map and regions say the same: an image is defective exactly if it has a region, which holds the peak.

mod common;

use common::{Gray, built_in_methods, fit, good_images, options};
use npad::image::{Mask, MaskView, Rectangle};
use npad::math::random::Random;
use npad::model::{Inspection, Model, Verdict};

/// A part with a scratch between invisible and black, in one of several sizes.
fn part(seed: u64) -> Gray {
    let mut random = Random::new(seed);
    let (width, height) = [(160, 120), (160, 120), (160, 120), (320, 240), (80, 60)][random.below(5)];
    let (mut image, place) = (Gray::good(width, height, 500 + seed), (random.below(width), random.below(height)));
    let scratched = Gray::scratched(width, height, 500 + seed, place);
    let strength = random.below(101) * random.below(101) * random.below(2) / 200;
    for (pixel, scratched) in image.pixels.iter_mut().zip(&scratched.pixels) {
        *pixel = ((usize::from(*pixel) * (100 - strength) + usize::from(*scratched) * strength) / 100) as u8;
    }
    image
}

fn check(model: &Model, inspection: &Inspection, least_area: usize, what: &str) {
    let (image, thresholds) = (&model.metadata().image, model.thresholds());
    let peak = inspection.map.iter().copied().fold(0.0, f32::max);
    let Inspection { score, calibrated, verdict, ref regions, .. } = *inspection;
    let level = match verdict {
        Verdict::Defective => thresholds.defective,
        Verdict::Review => thresholds.review,
        Verdict::Good => {
            assert!(regions.is_empty() && score <= thresholds.review, "{what}: good with {} regions", regions.len());
            assert!(score == peak || (score < peak && least_area > 1), "{what}: {score} of {peak}");
            return;
        }
    };
    assert!(score > level && !regions.is_empty(), "{what}: {verdict:?} at {score} with {} regions", regions.len());
    assert_eq!(verdict == Verdict::Defective, calibrated > 0.5, "{what}");
    assert_eq!(calibrated, image.apply(score));
    assert!(regions.iter().all(|region| region.area >= least_area && region.peak > level), "{what}");
    if score == peak {
        assert_eq!(regions[0].peak, score, "{what}: the first region holds the peak");
    } else {
        assert!(least_area > 1 && score == thresholds.defective, "{what}: {score} of {peak}");
    }
}

/// Scores of a fit are held out, so that they are as high as those of unseen images.
#[test]
fn the_least_area_counts_for_thresholds_of_fits_as_for_those_of_recalibrations() {
    let pixels: Vec<u8> = (0..160 * 120).map(|i| if i % 160 < 40 { 0 } else { 255 }).collect();
    let half = Mask::new(MaskView::new(&pixels, 160, 120, 160).unwrap()).unwrap();
    let others: Vec<Gray> = (100..130).map(|seed| Gray::good(160, 120, seed)).collect();
    for mask in [None, Some(half)] {
        for least_area in ["1", "300", "3000"] {
            let mut options = options(&[("size", "64"), ("min_region_area", least_area)]);
            options.set_mask(mask.clone());
            let model = fit(&options, &good_images(30)).unwrap();
            let again = model.recalibrate(others.iter().map(|image| Ok(image.view())), None, None).unwrap();
            let ratio = model.metadata().image.typical / again.metadata().image.typical;
            assert!((0.85..1.18).contains(&ratio), "least area {least_area}, mask {}: {ratio}", mask.is_some());
        }
    }
}

#[test]
fn maps_of_other_sizes_are_of_the_same_image() {
    let model = fit(&options(&[("size", "64")]), &good_images(6)).unwrap();
    let image = Gray::scratched(160, 120, 300, (60, 40));
    let mut inspections = Vec::new();
    model.score_at(&image.view(), &[(160, 120), (48, 64)], |inspection| inspections.push(inspection)).unwrap();
    assert_eq!(inspections[0], model.score(&image.view()).unwrap());
    assert_eq!(inspections[1].map.dim(), (64, 48));
    assert!((inspections[1].score / inspections[0].score - 1.0).abs() < 0.1);
}

#[test]
fn an_image_is_defective_exactly_if_it_has_a_region() {
    let mut counts = [0; 3];
    for method in built_in_methods() {
        for (least_area, review_rate) in [("1", "0"), ("1", "0.2"), ("150", "0.2")] {
            let settings = [
                ("method", method),
                ("size", "64"),
                ("min_region_area", least_area),
                ("review_rate", review_rate),
                ("false_alarm_rate", "0.1"),
            ];
            let model = fit(&options(&settings), &good_images(24)).unwrap();
            for seed in 0..150 {
                let image = part(seed);
                let what = format!("{method}, least area {least_area}, image {seed}");
                let inspection = model.score(&image.view()).unwrap();
                check(&model, &inspection, least_area.parse().unwrap(), &what);
                counts[inspection.verdict as usize] += 1;
                let roi = Rectangle { x: 10, y: 5, width: image.width / 2, height: image.height / 2 };
                let view = image.view().with_roi(roi).unwrap();
                check(
                    &model,
                    &model.score(&view).unwrap(),
                    least_area.parse().unwrap(),
                    &format!("{what}, in a rectangle"),
                );
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 50), "all verdicts occur: {counts:?}");
}
