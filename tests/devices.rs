//! OpenVINO on the CPU, which any x86-64 machine can run: fits and scores are those of ONNX Runtime's own CPU. A process has one
//! ONNX Runtime, so this has a process of its own.

mod common;

use std::path::Path;

use common::{Gray, built_in_methods, fit, good_images, network, options};
use npad::backbone::{check_device, open_runtime};
use npad::error::Status;
use npad::model::{Inspection, Model, Trainer};

/// Largest difference of two scores or maps, as a share of the largest value.
const MOST: f32 = 1e-3;

/// Opens the OpenVINO build of ONNX Runtime; false where there is none.
fn opened() -> bool {
    let Some(folder) = std::env::var_os("NPAD_TEST_ONNXRUNTIME_OPENVINO") else {
        println!(
            "skipped: NPAD_TEST_ONNXRUNTIME_OPENVINO names no OpenVINO build of ONNX Runtime (`make test` fetches one)"
        );
        return false;
    };
    open_runtime(Path::new(&folder)).unwrap();
    true
}

fn images() -> Vec<Gray> {
    let scratched = (0..4).map(|seed| Gray::scratched(160, 120, 200 + seed, (60, 50)));
    scratched.chain((0..4).map(|seed| Gray::good(160, 120, 300 + seed))).collect()
}

fn inspections(model: &Model) -> Vec<Inspection> {
    images().iter().map(|image| model.score(&image.view()).unwrap()).collect()
}

/// The largest difference of the scores and maps of two models, as a share of the largest value. The verdicts must be equal.
fn difference(a: &Model, b: &Model) -> f32 {
    let mut largest = 0f32;
    for (a, b) in inspections(a).iter().zip(&inspections(b)) {
        assert_eq!(a.verdict, b.verdict, "{} and {}", a.score, b.score);
        let top = a.map.iter().fold(0f32, |top, value| top.max(*value));
        let apart = a.map.iter().zip(&b.map).map(|(a, b)| (a - b).abs() / top);
        largest = apart.chain([(a.score - b.score).abs() / a.score]).fold(largest, f32::max);
    }
    largest
}

#[test]
fn fits_and_scores_on_openvino_are_those_on_the_cpu() {
    if !opened() {
        return;
    }
    for method in built_in_methods() {
        let on = |device| options(&[("method", method), ("device", device)]);
        let cpu = fit(&on("cpu"), &good_images(16)).unwrap();
        let bytes = cpu.to_bytes().unwrap();
        let loaded = Model::from_bytes(&bytes, &on("openvino")).unwrap();
        assert_eq!(loaded.device().to_string(), "openvino:CPU");
        let apart = difference(&cpu, &loaded);
        println!("{method}: scores {apart:e}");
        assert!(apart < MOST, "{method}: scores differ by {apart}");
        let fitted = fit(&on("openvino"), &good_images(16)).unwrap();
        let apart = difference(&cpu, &fitted);
        println!("{method}: fits {apart:e}");
        assert!(apart < MOST, "{method}: fits differ by {apart}");
    }
}
