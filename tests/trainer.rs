//! A trainer after calls that fail: as if they had not been made.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{FLOWS, Gray, Pixels, built_in_methods, fit, good_images, options};
use npad::error::{Error, Result, Status};
use npad::exec::Threads;
use npad::exec::progress::Progress;
use npad::image::{ImageView, PixelFormat};
use npad::method::{
    Accumulator, Environment, FitOutcome, Fitter, Leaving, Method, Parameter, Parameters, Sample, SampleImage, Scorer,
    State, register,
};
use npad::model::{Model, Options, Trainer};

#[test]
fn a_refused_first_image_decides_nothing() {
    let options = options(&[]);
    let mut trainer = Trainer::new(&options).unwrap();
    let pixels: Vec<u8> = std::iter::repeat_n(f32::NAN.to_ne_bytes(), 100 * 500).flatten().collect();
    let bad = ImageView::new(&pixels, 100, 500, 400, PixelFormat::Grayf32).unwrap();
    assert_eq!(trainer.add(&bad).unwrap_err().status(), Status::InvalidImage);
    assert_eq!(trainer.images(), 0);
    let images = good_images(6);
    for image in &images {
        trainer.add(&image.view()).unwrap();
        assert_eq!(trainer.add(&bad).unwrap_err().status(), Status::InvalidImage);
    }
    assert_eq!(trainer.images(), 6);
    let model = trainer.finish().unwrap();
    assert!(model.to_bytes().unwrap() == fit(&options, &images).unwrap().to_bytes().unwrap());
}

#[test]
fn a_refused_image_changes_nothing_for_known_defects() {
    let mut trainer = Trainer::new(&options(&[])).unwrap();
    good_images(4).iter().try_for_each(|image| trainer.add(&image.view())).unwrap();
    let pixels: Vec<u8> = std::iter::repeat_n(f32::NAN.to_ne_bytes(), 100 * 50).flatten().collect();
    let bad = ImageView::new(&pixels, 100, 50, 400, PixelFormat::Grayf32).unwrap();
    assert!(trainer.add(&bad).is_err());
    trainer.add_defect(&Gray::scratched(160, 120, 100, (60, 40)).view()).unwrap();
    assert_eq!(trainer.finish().unwrap().metadata().known_defects.as_ref().unwrap().count, 1);
}

/// A copy of a learnt image scores far lower than an unseen one when it is held out.
#[test]
fn copies_are_not_learnt() {
    let images = good_images(12);
    for method in built_in_methods() {
        let options = options(&[("method", method)]);
        let once = fit(&options, &images).unwrap();
        let copies: Vec<Gray> = images.iter().chain(&images[..5]).chain(&images[..1]).cloned().collect();
        assert!(fit(&options, &copies).unwrap().to_bytes().unwrap() == once.to_bytes().unwrap(), "{method}");
        let same = vec![images[0].clone(); 20];
        let error = fit(&options, &same).err().unwrap();
        assert!(error.status() == Status::NotEnoughImages && error.message().contains("equal others"), "{error}");
    }
    let mut trainer = Trainer::new(&options(&[])).unwrap();
    images[..2].iter().chain(&images[..2]).try_for_each(|image| trainer.add(&image.view())).unwrap();
    assert_eq!((trainer.images(), trainer.finish().err().unwrap().status()), (2, Status::NotEnoughImages));
    trainer.add(&images[2].view()).unwrap();
    trainer.finish().unwrap();
}

/// Resumes the fit of a model with further images.
fn resume(model: &Model, images: &[Gray]) -> Result<Model> {
    let mut trainer = Trainer::resume(model, &options(&[]))?;
    images.iter().try_for_each(|image| trainer.add(&image.view()))?;
    trainer.finish()
}

#[test]
fn a_resumed_fit_does_not_learn_again_what_the_model_has_learnt() {
    let images = good_images(13);
    for method in ["npad", "padim"] {
        let model = fit(&options(&[("method", method)]), &images[..12]).unwrap();
        let loaded = Model::from_bytes(&model.to_bytes().unwrap(), &options(&[])).unwrap();
        let expected = resume(&model, &images[12..]).unwrap();
        assert_eq!(expected.metadata().images, 13);
        for model in [&model, &loaded, &loaded.with_thresholds(model.thresholds()).unwrap()] {
            assert!(resume(model, &images).unwrap().to_bytes().unwrap() == expected.to_bytes().unwrap(), "{method}");
            let error = resume(model, &images[..12]).err().unwrap();
            assert_eq!(error.status(), Status::NotEnoughImages);
            assert!(error.message().contains("images learnt before"), "{error}");
        }
        // What a resumed fit has learnt is known to the next one.
        let error = resume(&expected, &images).err().unwrap();
        assert_eq!(error.status(), Status::NotEnoughImages);
    }
}

#[test]
fn a_resumed_fit_of_an_older_file_recognises_copies_among_the_further_images() {
    let model = Model::from_bytes(include_bytes!("fixtures/model-0.1.0.npad"), &options(&[])).unwrap();
    let (images, before) = (good_images(4), model.metadata().images);
    let twice: Vec<Gray> = images.iter().chain(&images).cloned().collect();
    let resumed = resume(&model, &twice).unwrap();
    assert_eq!(resumed.metadata().images, before + 4);
    assert_eq!(resume(&resumed, &images).err().unwrap().status(), Status::NotEnoughImages);
}

/// Such large features that the sample holds 16 images.
#[test]
fn copies_are_not_learnt_once_the_sample_is_full() {
    let mut options = Options::default();
    options.set_extractor(Arc::new(Pixels));
    let settings =
        [("method", "padim"), ("size", "1024x1024"), ("grid_step", "1"), ("smoothing", "0"), ("date", "none")];
    settings.iter().for_each(|(key, value)| options.set(key, value).unwrap());
    let images: Vec<Gray> = (0..20).map(|seed| Gray::good(32, 32, seed)).collect();
    let once = fit(&options, &images).unwrap();
    let twice: Vec<Gray> = images.iter().chain(&images).cloned().collect();
    let again = fit(&options, &twice).unwrap();
    assert_eq!((once.metadata().images, once.metadata().held_out), (20, 16));
    assert!(again.to_bytes().unwrap() == once.to_bytes().unwrap());
}

#[test]
fn a_model_that_cannot_be_handed_over_does_not_end_the_fit() {
    let fitted = |refusals: usize| {
        let mut trainer = Trainer::new(&options(&[("date", "none")])).unwrap();
        good_images(4).iter().try_for_each(|image| trainer.add(&image.view())).unwrap();
        for _ in 0..refusals {
            let refused = trainer.finish_as(|_| Err::<(), _>(Error::new(Status::OutOfMemory, "no handle")));
            assert_eq!(refused.unwrap_err().status(), Status::OutOfMemory);
        }
        trainer.finish().unwrap().to_bytes().unwrap()
    };
    assert!(fitted(0) == fitted(2));
}

#[test]
fn a_cancelled_finish_changes_nothing() {
    let images = good_images(8);
    for method in ["npad", "patchcore", "spade"].iter().chain(FLOWS) {
        let whole = fit(&options(&[("method", method)]), &images).unwrap().to_bytes().unwrap();
        // Reports of `finish` until the callback cancels.
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let budget = left.clone();
        let mut options = options(&[("method", method)]);
        options.set_progress(Progress::new(move |step| {
            step.stage == "learning" || budget.fetch_sub(1, Ordering::Relaxed) != 0
        }));
        let mut trainer = Trainer::new(&options).unwrap();
        images[..7].iter().try_for_each(|image| trainer.add(&image.view())).unwrap();
        let mut reports = 0;
        loop {
            left.store(reports, Ordering::Relaxed);
            match trainer.finish() {
                Err(error) => assert_eq!(error.status(), Status::Cancelled, "{error}"),
                Ok(_) => break,
            }
            reports += 1;
        }
        assert!(reports >= 1, "{method}");
        assert_eq!(trainer.finish().err().unwrap().status(), Status::WrongState);
        assert_eq!(trainer.add(&images[7].view()).unwrap_err().status(), Status::WrongState);
        assert_eq!(trainer.expect(3).unwrap_err().status(), Status::WrongState);
        assert_eq!(trainer.images(), 0);

        // One image more after each failure gives the model of an undisturbed fit.
        for stop in 0..reports {
            let mut trainer = Trainer::new(&options).unwrap();
            images[..7].iter().try_for_each(|image| trainer.add(&image.view())).unwrap();
            left.store(stop, Ordering::Relaxed);
            assert_eq!(trainer.finish().err().unwrap().status(), Status::Cancelled);
            assert_eq!(trainer.images(), 7);
            trainer.add(&images[7].view()).unwrap();
            left.store(usize::MAX, Ordering::Relaxed);
            assert!(trainer.finish().unwrap().to_bytes().unwrap() == whole, "{method}, cancelled at report {stop}");
        }
    }
}

#[test]
fn too_few_images_are_an_error_that_more_images_mend() {
    let mut trainer = Trainer::new(&options(&[])).unwrap();
    assert_eq!(trainer.finish().err().unwrap().status(), Status::NotEnoughImages);
    trainer.add(&Gray::good(160, 120, 0).view()).unwrap();
    assert_eq!(trainer.finish().err().unwrap().status(), Status::NotEnoughImages);
    // The same image again is not learnt.
    trainer.add(&Gray::good(160, 120, 0).view()).unwrap();
    assert_eq!(trainer.finish().err().unwrap().status(), Status::NotEnoughImages);
    (1..8).for_each(|seed| trainer.add(&Gray::good(160, 120, seed).view()).unwrap());
    assert_eq!(trainer.finish().unwrap().metadata().images, 8);
}

/// A method whose statistics refuse three images, and that remembers how many they took in.
struct Stubborn;

static REFUSALS: AtomicUsize = AtomicUsize::new(3);
static OBSERVED: AtomicUsize = AtomicUsize::new(0);

struct StubbornFitter;

impl Accumulator for StubbornFitter {
    fn observe(&mut self, _: Leaving<'_>, _: &Sample, _: &Threads) -> Result<()> {
        let refuse = |left: usize| left.checked_sub(1);
        match REFUSALS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, refuse) {
            Ok(_) => Err(Error::new(Status::Plugin, "not yet")),
            Err(_) => {
                OBSERVED.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    fn save(&mut self, _: &Threads) -> Result<State> {
        Err(Error::new(Status::Plugin, "it never saves"))
    }

    fn stage(&mut self, _: State, _: &[&SampleImage], _: &Sample, _: &Threads) -> Result<()> {
        Err(Error::new(Status::Plugin, "it never merges"))
    }

    fn merge(&mut self) {}
}

impl Fitter for StubbornFitter {
    fn accumulator(&mut self) -> Option<&mut dyn Accumulator> {
        Some(self)
    }

    fn finish(&mut self, _: &Sample, _: &Threads, _: &Progress) -> Result<FitOutcome> {
        Err(Error::new(Status::Plugin, "it never finishes"))
    }
}

impl Method for Stubborn {
    fn name(&self) -> &str {
        "stubborn"
    }

    fn help(&self) -> &str {
        "refuses to begin three times"
    }

    fn parameters(&self) -> &[Parameter] {
        &[]
    }

    fn shifts(&self, _: &Parameters) -> Vec<(isize, isize)> {
        vec![(0, 0)]
    }

    fn fitter(&self, _: &Parameters, _: u64, _: &Environment) -> Result<Box<dyn Fitter>> {
        Ok(Box::new(StubbornFitter))
    }

    fn load(&self, _: &Parameters, _: State, _: &Environment) -> Result<Box<dyn Scorer>> {
        Err(Error::new(Status::Plugin, "it never loads"))
    }
}

#[test]
fn images_count_once_however_often_the_statistics_fail_to_begin() {
    register(Stubborn.name(), || Stubborn).unwrap();
    let mut options = Options::default();
    options.set_extractor(Arc::new(Pixels));
    for (key, value) in [("method", "stubborn"), ("size", "32x32")] {
        options.set(key, value).unwrap();
    }
    let mut trainer = Trainer::new(&options).unwrap();
    let (mut refused, mut learnt) = (0, 0);
    // The statistics begin once the sample is full.
    while OBSERVED.load(Ordering::Relaxed) == 0 {
        match trainer.add(&Gray::good(32, 32, learnt as u64).view()) {
            Ok(()) => learnt += 1,
            Err(error) => {
                assert_eq!(error.message(), "not yet");
                refused += 1;
            }
        }
        assert_eq!(trainer.images(), learnt);
    }
    assert_eq!((refused, learnt), (3, 4097), "one more than the sample holds");
}
