//! Fits and scores on the device that NPAD_TEST_DEVICE names, and how long they take. `make test-cuda` runs it.

mod common;

use std::time::{Duration, Instant};

use common::compare::{MOST, difference};
use common::{Gray, built_in_methods, fit, good_images, options};
use npad::backbone::{BackboneSpec, Device, FeatureExtractor};
use npad::model::Model;
use npad::preprocess::InputSize;

const RUNS: usize = 50;
const BATCHES: [usize; 2] = [1, 16];

fn median(mut work: impl FnMut()) -> Duration {
    (0..5).for_each(|_| work());
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

/// A batch of inputs of zeros through the backbone alone.
fn run_backbone(backbone: &dyn FeatureExtractor, size: InputSize, batch: usize) {
    let most = backbone.max_batch(size);
    let inputs = vec![0.0; batch * 3 * size.height * size.width];
    for inputs in inputs.chunks(most * 3 * size.height * size.width) {
        backbone.extract(inputs, size, &mut |_, _| Ok(())).unwrap();
    }
}

#[test]
#[ignore = "needs the device that NPAD_TEST_DEVICE names"]
fn an_accelerator_scores_as_the_cpu_does() {
    let name = std::env::var("NPAD_TEST_DEVICE").expect("NPAD_TEST_DEVICE names a device");
    for method in built_in_methods() {
        let on = |device| options(&[("method", method), ("device", device)]);
        let cpu = fit(&on("cpu"), &good_images(16)).unwrap();
        let loaded = Model::from_bytes(&cpu.to_bytes().unwrap(), &on(&name)).unwrap();
        let fitted = fit(&on(&name), &good_images(16)).unwrap();
        let (scores, fits) = (difference(&cpu, &loaded), difference(&cpu, &fitted));
        println!(
            "{name}, {method}: scores differ by {scores:.1e} of the largest value, with a fit there by {fits:.1e}"
        );
        assert!(scores < MOST && fits < MOST, "{method}");
    }
    for side in [224, 512] {
        let size = side.to_string();
        let good: Vec<Gray> = (0..16).map(|seed| Gray::good(side, side, seed)).collect();
        let views: Vec<_> = good.iter().map(Gray::view).collect();
        let bytes = fit(&options(&[("size", &size), ("threads", "0")]), &good).unwrap().to_bytes().unwrap();
        for device in ["cpu", &name] {
            let model = Model::from_bytes(&bytes, &options(&[("device", device), ("threads", "0")])).unwrap();
            let device: Device = device.parse().unwrap();
            let backbone = BackboneSpec::Builtin.open(&device, npad::exec::Threads::resolve(0)).unwrap();
            for batch in BATCHES {
                let score = median(|| drop(model.score_batch(&views[..batch], None).unwrap()));
                let alone = median(|| run_backbone(&*backbone, model.metadata().input, batch));
                let ms = |time: Duration| time.as_secs_f64() * 1e3;
                println!(
                    "{device}, {side} x {side}, batch of {batch}: {:.2} ms, the backbone alone {:.2} ms",
                    ms(score),
                    ms(alone)
                );
            }
        }
    }
}
