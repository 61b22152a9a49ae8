//! Models that score at several scales.

mod common;

use common::{Gray, fit, good_images, options};
use npad::error::Status;
use npad::image::{Mask, MaskView};
use npad::model::{Model, Options, Trainer};

const SCALES: (&str, &str) = ("scales", "1+1.6");

fn bytes(model: &Model) -> Vec<u8> {
    model.to_bytes().unwrap()
}

#[test]
fn every_method_scores_at_several_scales() {
    let good = good_images(12);
    let defect = Gray::scratched(160, 120, 100, (60, 40));
    for method in ["npad", "padim", "patchcore", "spade"] {
        let options = options(&[SCALES, ("method", method)]);
        let model = fit(&options, &good).unwrap();
        let found = model.score(&defect.view()).unwrap();
        assert!(found.anomalous() && !found.regions.is_empty(), "{method}: {}", found.calibrated);
        let metadata = model.metadata();
        assert_eq!((metadata.scales.as_slice(), metadata.output.smoothing), (&[1.0, 1.6][..], 6.4));
        let size = fit(&common::options(&[("method", method)]), &good).unwrap().metadata().input;
        assert_eq!(metadata.input.height, ((size.height as f64 * 1.6 / 16.0).round() * 16.0) as usize);

        let loaded = Model::from_bytes(&bytes(&model), &Options::default()).unwrap();
        let images: Vec<Gray> = (200..210).map(|seed| Gray::good(160, 120, seed)).chain([defect.clone()]).collect();
        let views: Vec<_> = images.iter().map(Gray::view).collect();
        loaded.warm_up(160, 120).unwrap();
        let batch = loaded.score_batch(&views, None).unwrap();
        for (view, inspection) in views.iter().zip(&batch) {
            assert!(
                model.score(view).unwrap() == *inspection,
                "{method}: one by one before saving, a batch after loading"
            );
        }
    }
}

#[test]
fn the_model_depends_on_neither_order_nor_threads() {
    let good = good_images(10);
    let model = bytes(&fit(&options(&[SCALES]), &good).unwrap());
    let reversed: Vec<Gray> = good.iter().rev().cloned().collect();
    assert!(model == bytes(&fit(&options(&[SCALES, ("threads", "1")]), &reversed).unwrap()));
}

#[test]
fn a_resumed_fit_has_the_statistics_of_all_images() {
    let good = good_images(16);
    let first = fit(&options(&[SCALES]), &good[..12]).unwrap();
    let mut trainer = Trainer::resume(&first, &Options::default()).unwrap();
    good[12..].iter().for_each(|image| trainer.add(&image.view()).unwrap());
    let resumed = trainer.finish().unwrap();
    let all = fit(&options(&[SCALES]), &good).unwrap();
    assert_eq!((resumed.metadata().images, resumed.metadata().input), (16, all.metadata().input));
    assert_eq!(resumed.metadata().output, all.metadata().output);
    let image = Gray::scratched(160, 120, 100, (60, 40));
    let (resumed, all) = (resumed.score(&image.view()).unwrap(), all.score(&image.view()).unwrap());
    assert!((resumed.score / all.score - 1.0).abs() < 0.2, "{} and {}", resumed.score, all.score);
}

#[test]
fn a_mask_holds_at_every_scale() {
    let mask: Vec<u8> = (0..160 * 120).map(|i| if i % 160 < 80 { 255 } else { 0 }).collect();
    let mut options = options(&[SCALES]);
    options.set_mask(Some(Mask::new(MaskView::new(&mask, 160, 120, 160).unwrap()).unwrap()));
    let model = fit(&options, &good_images(12)).unwrap();
    let inside = model.score(&Gray::scratched(160, 120, 100, (30, 40)).view()).unwrap();
    let outside = model.score(&Gray::scratched(160, 120, 100, (110, 40)).view()).unwrap();
    assert!(inside.anomalous() && !outside.anomalous(), "{} and {}", inside.calibrated, outside.calibrated);
    assert!(outside.map.iter().zip(&mask).all(|(value, mask)| *mask != 0 || *value == 0.0));
}

#[test]
fn scales_that_make_no_sense_are_refused() {
    for bad in ["", "2", "1+1", "1+0.5", "1+5", "1+2+3+4", "1;2", "nan", "1+nan"] {
        let error = Options::default().set("scales", bad).unwrap_err();
        assert!(error.status() == Status::InvalidOption && error.message().contains("scales"), "{bad}: {error}");
    }
}
