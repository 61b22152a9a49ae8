//! Backbones of the user: ONNX files and feature extractors, and what they may get wrong.

mod common;

use std::sync::Arc;

use common::{Gray, fit, good_images, network, options};
use npad::backbone::{BackboneSpec, Device, FeatureExtractor, TapMap};
use npad::error::{Error, Result, Status};
use npad::model::{Model, Trainer};
use npad::preprocess::{InputSize, Normalisation};

#[test]
fn batches_are_scored_as_their_images_are_whatever_the_backbone_takes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    let images: Vec<Gray> = (0..5).map(|seed| Gray::scratched(120, 100, seed, (50, 40))).collect();
    let views: Vec<_> = images.iter().map(Gray::view).collect();
    // Fixed to one image, free, and free at the input alone, which is no promise.
    for (input, output) in [(1, 1), (0, 0), (0, 1)] {
        let outputs = ["fine", "coarse"].map(|name| network::value(name, 1, &[output, 3, 0, 0]));
        let nodes = [network::pooling("image", "fine", 4), network::pooling("image", "coarse", 8)];
        let image = network::value("image", 1, &[input, 3, 0, 0]);
        std::fs::write(&path, network::model(&nodes, &[image], &outputs)).unwrap();
        let model = fit(&options(&[("backbone", path.to_str().unwrap())]), &good_images(12)).unwrap();
        let single: Vec<_> = views.iter().map(|view| model.score(view).unwrap()).collect();
        assert!(model.score_batch(&views, None).unwrap() == single, "first dimensions {input} and {output}");
    }
}

/// ONNX Runtime would return the caller's pixels for such an output.
#[test]
fn a_backbone_with_its_input_as_an_output_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    let (image, fine) = (network::value("image", 1, &[1, 3, 0, 0]), network::value("fine", 1, &[1, 3, 0, 0]));
    let nodes = [network::pooling("image", "fine", 4)];
    for outputs in [vec![fine, image.clone()], vec![image.clone()]] {
        std::fs::write(&path, network::model(&nodes, std::slice::from_ref(&image), &outputs)).unwrap();
        let error = Trainer::new(&options(&[("backbone", path.to_str().unwrap())])).err().unwrap();
        assert!(error.status() == Status::Backbone && error.message().contains("'image' is its input"), "{error}");
    }
}

#[test]
fn small_images_run_together_and_large_ones_alone() {
    let backbone = BackboneSpec::Builtin.open(&Device::CPU, 1).unwrap();
    for (height, width, together) in [(224, 224, 2), (240, 240, 2), (128, 128, 8), (320, 320, 1), (2048, 2448, 1)] {
        assert_eq!(backbone.max_batch(InputSize { height, width }), together, "{height} x {width}");
    }
}

/// Says that it takes two images at once, and fails on them.
struct OneAfterAll;

impl FeatureExtractor for OneAfterAll {
    fn extract(
        &self,
        inputs: &[f32],
        size: InputSize,
        consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
    ) -> Result<()> {
        if inputs.len() > 3 * size.height * size.width {
            return Err(Error::new(Status::Backbone, "one image only"));
        }
        consume(0, &[TapMap { channels: 3, rows: size.height, cols: size.width, data: inputs }])
    }

    fn max_batch(&self, _: InputSize) -> usize {
        2
    }

    fn normalisation(&self) -> Normalisation {
        Normalisation { mean: [0.0; 3], std: [1.0; 3] }
    }

    fn identity(&self) -> &str {
        "host/one-after-all"
    }
}

#[test]
fn a_backbone_that_does_not_take_what_it_says_is_refused_by_the_fit() {
    let mut options = options(&[]);
    options.set_extractor(Arc::new(OneAfterAll));
    let error = Trainer::new(&options).unwrap().add(&Gray::good(64, 64, 0).view()).unwrap_err();
    assert!(error.message().contains("one image only"), "{error}");
}

#[test]
fn a_users_own_backbone_is_used_and_travels_with_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pyramid.onnx");
    std::fs::write(&path, network::pyramid(&[4, 8])).unwrap();
    let model = fit(&options(&[("backbone", path.to_str().unwrap())]), &good_images(12)).unwrap();
    assert!(model.metadata().backbone.starts_with("onnx/"));
    let image = Gray::scratched(160, 120, 77, (60, 50));
    let expected = model.score(&image.view()).unwrap();
    assert!(expected.anomalous());
    let bytes = model.to_bytes().unwrap();
    std::fs::remove_file(&path).unwrap();
    let loaded = Model::from_bytes(&bytes, &options(&[])).unwrap();
    assert_eq!(loaded.score(&image.view()).unwrap(), expected);
}

#[test]
fn networks_that_do_not_fit_are_explained() {
    let image = || network::value("image", 1, &[1, 3, 0, 0]);
    let taps = || network::value("out", 1, &[1, 3, 0, 0]);
    let cases: [(&str, Vec<u8>, Status); 7] = [
        ("cannot be loaded", b"not a network".to_vec(), Status::Backbone),
        (
            "2 inputs",
            network::model(
                &[network::node("Add", &["image", "other"], "out")],
                &[image(), network::value("other", 1, &[1, 3, 0, 0])],
                &[taps()],
            ),
            Status::Backbone,
        ),
        (
            "[1, 5",
            network::model(
                &[network::pooling("image", "out", 4)],
                &[network::value("image", 1, &[1, 5, 0, 0])],
                &[network::value("out", 1, &[1, 5, 0, 0])],
            ),
            Status::Backbone,
        ),
        (
            "'out' is",
            network::model(
                &[network::node("Flatten", &["image"], "out")],
                &[image()],
                &[network::value("out", 1, &[1, 0])],
            ),
            Status::Backbone,
        ),
        (
            "'image' is",
            network::model(
                &[network::node("Identity", &["image"], "out")],
                &[network::value("image", 6, &[1, 3, 0, 0])],
                &[network::value("out", 6, &[1, 3, 0, 0])],
            ),
            Status::Backbone,
        ),
        (
            "it has 17 outputs",
            network::model(
                &(0..17).map(|i| network::pooling("image", &format!("out{i}"), 4)).collect::<Vec<_>>(),
                &[image()],
                &(0..17).map(|i| network::value(&format!("out{i}"), 1, &[1, 3, 0, 0])).collect::<Vec<_>>(),
            ),
            Status::Backbone,
        ),
        (
            "failed on an input of 96 x 96",
            network::model(
                &[network::pooling("image", "out", 4)],
                &[network::value("image", 1, &[1, 3, 64, 64])],
                &[network::value("out", 1, &[1, 3, 16, 16])],
            ),
            Status::Backbone,
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    for (expected, bytes, status) in cases {
        std::fs::write(&path, bytes).unwrap();
        let settings = [("backbone", path.to_str().unwrap()), ("size", "96x96")];
        let error = fit(&options(&settings), &good_images(2)).err().unwrap();
        assert_eq!(error.status(), status, "{error}");
        assert!(error.message().contains(expected), "expected '{expected}' in: {error}");
    }
    let error = fit(&options(&[("backbone", "/none.onnx")]), &[]).err().unwrap();
    assert_eq!(error.status(), Status::NotFound);
}
