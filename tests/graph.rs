//! The whole detector as one ONNX network: scored with it, and exported.

mod common;

use common::{FLOWS, Gray, fit, good_images, network, options};
use npad::backbone::run_network;
use npad::error::Status;
use npad::image::{ImageView, Mask, MaskView, PixelFormat, Rectangle};
use npad::model::{Inspection, Model, Options, Trainer};

/// Settings of models with a graph.
fn cases() -> Vec<Vec<(&'static str, &'static str)>> {
    let mut cases = vec![
        vec![],
        vec![("npad.block", "1x1"), ("npad.channels", "4096")],
        vec![("npad.block", "2x2"), ("npad.selection", "variance"), ("npad.centroid_patch", "3")],
        vec![("npad.block", "3x3"), ("npad.fusion", "standardised"), ("npad.levels", "pixel+patch+centroids")],
        vec![("npad.preset", "poster")],
        vec![("npad.image_levels", "patch+centroids"), ("grid_step", "1"), ("peak_share", "0")],
        vec![("scales", "1+1.6")],
        vec![("method", "padim")],
        vec![("method", "padim"), ("scales", "1+1.6"), ("grid_step", "3")],
        vec![("method", "patchcore"), ("patchcore.bank", "150")],
        vec![
            ("method", "patchcore"),
            ("patchcore.scaling", "whitened"),
            ("patchcore.neighbours", "1"),
            ("patchcore.bank", "150"),
        ],
        vec![("method", "patchcore"), ("patchcore.scaling", "none"), ("patchcore.bank", "150")],
    ];
    for &method in FLOWS {
        cases.extend([vec![("method", method)], vec![("method", method), ("scales", "1+1.6")]]);
    }
    cases
}

fn images() -> Vec<Gray> {
    (50..53).map(|seed| Gray::good(160, 120, seed)).chain([Gray::scratched(160, 120, 60, (70, 50))]).collect()
}

/// Whether two maps differ by at most a thousandth of the larger one's highest value.
fn close(a: &[f32], b: &[f32]) -> bool {
    let highest = b.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-3 * highest)
}

fn agree(graph: &Inspection, kernels: &Inspection) -> bool {
    graph.verdict == kernels.verdict
        && graph.regions.len() == kernels.regions.len()
        && close(graph.map.as_slice().unwrap(), kernels.map.as_slice().unwrap())
}

fn with(model: &Model, scoring: &str) -> Model {
    let mut options = Options::default();
    for (key, value) in [("threads", "2"), ("scoring", scoring)] {
        options.set(key, value).unwrap();
    }
    Model::from_bytes(&model.to_bytes().unwrap(), &options).unwrap()
}

fn scoring(model: &Model) -> String {
    serde_json::to_value(model.info()).unwrap()["machine"]["scoring"].as_str().unwrap().to_owned()
}

#[test]
fn a_graph_scores_as_the_kernels_do() {
    let (good, images) = (good_images(14), images());
    let views: Vec<_> = images.iter().map(Gray::view).collect();
    for case in cases() {
        let model = fit(&options(&case), &good).unwrap();
        let graph = with(&model, "graph");
        assert_eq!((scoring(&model), scoring(&graph)), ("kernels".to_owned(), "graph".to_owned()));
        let batch = graph.score_batch(&views, None).unwrap();
        for (view, in_batch) in views.iter().zip(&batch) {
            let (kernels, alone) = (model.score(view).unwrap(), graph.score(view).unwrap());
            assert!(agree(&alone, &kernels), "{case:?}: {} and {}", alone.score, kernels.score);
            assert!(agree(in_batch, &kernels), "{case:?} in a batch: {} and {}", in_batch.score, kernels.score);
        }
        assert_eq!(graph.to_bytes().unwrap(), model.to_bytes().unwrap(), "the file does not depend on what scores");
    }
}

/// Regions of interest do not need to be in the graph.
#[test]
fn a_graph_scores_within_masks() {
    let mask: Vec<u8> = (0..160 * 120).map(|i| if i % 160 < 90 { 255 } else { 0 }).collect();
    let mut options = options(&[]);
    options.set_mask(Some(Mask::new(MaskView::new(&mask, 160, 120, 160).unwrap()).unwrap()));
    let model = fit(&options, &good_images(12)).unwrap();
    let graph = with(&model, "graph");
    let image = Gray::scratched(160, 120, 60, (30, 50));
    let roi = Rectangle { x: 10, y: 10, width: 70, height: 90 };
    for view in [image.view(), image.view().with_roi(roi).unwrap()] {
        let (graph, kernels) = (graph.score(&view).unwrap(), model.score(&view).unwrap());
        assert!(agree(&graph, &kernels), "{} and {}", graph.score, kernels.score);
    }
    let error = model.export(&Options::default()).err().unwrap();
    assert!(error.status() == Status::InvalidArgument && error.message().contains("region of interest"), "{error}");
}

#[test]
fn what_has_no_graph_is_refused_when_it_is_asked_for() {
    for case in [vec![("method", "spade")], vec![("tile", "256")]] {
        let model = fit(&options(&case), &good_images(12)).unwrap();
        assert_eq!(scoring(&with(&model, "auto")), "kernels");
        let mut graph = Options::default();
        graph.set("scoring", "graph").unwrap();
        let error = Model::from_bytes(&model.to_bytes().unwrap(), &graph).err().unwrap();
        assert!(error.status() == Status::InvalidOption && error.message().contains("'graph'"), "{error}");
        assert_eq!(model.export(&Options::default()).err().unwrap().status(), Status::InvalidArgument);
    }
    for refused in [("method", "spade"), ("tile", "256")] {
        let error = Trainer::new(&options(&[("scoring", "graph"), refused])).err().unwrap();
        assert!(error.status() == Status::InvalidOption && error.message().contains("'graph'"), "{error}");
    }
    assert!(Options::default().set("scoring", "gpu").is_err());
}

/// The map of an exported network for grey images, and the score.
fn run(network: &[u8], images: &[&Gray]) -> (Vec<f32>, Vec<f32>) {
    let (width, height) = (images[0].width, images[0].height);
    let planes = |image: &&Gray| image.pixels.iter().map(|v| f32::from(*v)).collect::<Vec<_>>().repeat(3);
    let input: Vec<f32> = images.iter().flat_map(planes).collect();
    let mut outputs = run_network(network, 2, [images.len(), 3, height, width], &input).unwrap();
    let scores = outputs.pop().unwrap();
    (outputs.pop().unwrap(), scores)
}

#[test]
fn an_export_maps_and_scores_as_the_model_does() {
    let good = good_images(14);
    for case in cases() {
        let model = fit(&options(&case), &good).unwrap();
        let size = model.metadata().input;
        // Images of the network's input size, and such that the network resizes.
        for (width, height, setting) in [(size.width, size.height, "input"), (160, 120, "120x160")] {
            let mut export = Options::default();
            export.set("export_size", setting).unwrap();
            let network = model.export(&export).unwrap_or_else(|error| panic!("{case:?} {setting}: {error}")).network;
            for seed in [1, 2] {
                let image = Gray::scratched(width, height, seed, (width / 2, height / 2));
                let expected = model.score(&image.view()).unwrap();
                let (map, scores) = run(&network, &[&image]);
                assert!(close(&map, expected.map.as_slice().unwrap()), "{case:?} {setting}");
                assert!(
                    (scores[0] / expected.score - 1.0).abs() < 1e-3,
                    "{case:?} {setting}: {} and {}",
                    scores[0],
                    expected.score
                );
            }
        }
    }
}

#[test]
fn opset_and_batch_are_those_that_are_asked_for() {
    let model = fit(&options(&[]), &good_images(12)).unwrap();
    let InputImage { image, expected } = InputImage::of(&model);
    let export = |settings: &[(&str, &str)]| {
        let mut options = Options::default();
        settings.iter().for_each(|(key, value)| options.set(key, value).unwrap());
        model.export(&options)
    };
    for opset in ["13", "15", "17", "18", "20", "22"] {
        let export = export(&[("export_opset", opset)]).unwrap();
        let description: serde_json::Value = serde_json::from_str(&export.description).unwrap();
        assert_eq!(description["opset"].to_string(), opset);
        assert!(close(&run(&export.network, &[&image]).0, &expected), "opset {opset}");
    }
    // Any number of images, and a fixed one.
    let any = export(&[]).unwrap().network;
    for count in [1, 3] {
        assert!(close(&run(&any, &vec![&image; count]).0, &expected.repeat(count)), "{count}");
    }
    // Of many images, one is enough for the check.
    assert!(export(&[("export_batch", "64")]).unwrap().description.contains("64"));
    let three = export(&[("export_batch", "3")]).unwrap().network;
    assert!(close(&run(&three, &[&image; 3]).0, &expected.repeat(3)));
    let size = model.metadata().input;
    let two = vec![0.0; 2 * 3 * size.height * size.width];
    assert!(run_network(&three, 2, [2, 3, size.height, size.width], &two).is_err());
    for (key, bad) in [
        ("export_opset", "12"),
        ("export_opset", "23"),
        ("export_batch", "0"),
        ("export_size", "240"),
        ("export_size", "native"),
    ] {
        assert_eq!(Options::default().set(key, bad).unwrap_err().status(), Status::InvalidOption, "{key} {bad}");
    }
}

struct InputImage {
    image: Gray,
    expected: Vec<f32>,
}

impl InputImage {
    /// An image of the size of a model's input, and its map.
    fn of(model: &Model) -> Self {
        let size = model.metadata().input;
        let image = Gray::scratched(size.width, size.height, 5, (size.width / 2, size.height / 2));
        let expected = model.score(&image.view()).unwrap().map.iter().copied().collect();
        Self { image, expected }
    }
}

#[test]
fn a_network_of_the_user_is_embedded_in_its_own_opset_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    let fit_to = |network: Vec<u8>| {
        std::fs::write(&path, network).unwrap();
        fit(&options(&[("backbone", path.to_str().unwrap())]), &good_images(12)).unwrap()
    };
    // Its names are also those of the graph around it.
    for (first, names) in [(0, ["v1", "score"]), (1, ["map", "v2"])] {
        let outputs = names.map(|name| network::value(name, 1, &[first, 3, 0, 0]));
        let nodes = [network::pooling("image", names[0], 4), network::pooling("image", names[1], 8)];
        let model = fit_to(network::model(&nodes, &[network::value("image", 1, &[first, 3, 0, 0])], &outputs));
        let InputImage { image, expected } = InputImage::of(&model);
        let network = model.export(&Options::default()).unwrap().network;
        assert!(close(&run(&network, &[&image]).0, &expected));
        let mut three = Options::default();
        three.set("export_batch", "3").unwrap();
        assert_eq!(model.export(&three).is_ok(), first == 0);
    }
    // LpPool has another form in opset 18.
    let outputs = [network::value("fine", 1, &[0, 3, 0, 0])];
    let mut pooling = network::pooling("image", "fine", 4);
    let at = pooling.windows(11).position(|name| name == b"AveragePool").unwrap();
    pooling.splice(at - 1..at + 11, [b"\x06" as &[u8], b"LpPool"].concat());
    let model = fit_to(network::model(&[pooling], &[network::value("image", 1, &[0, 3, 0, 0])], &outputs));
    let export = model.export(&Options::default()).unwrap();
    assert!(export.description.contains("\"opset\": 15"), "{}", export.description);
    let mut options = Options::default();
    options.set("export_opset", "17").unwrap();
    let error = model.export(&options).err().unwrap();
    assert!(error.message().contains("LpPool") && error.message().contains("opset 15"), "{error}");
    assert_eq!(error.status(), Status::InvalidOption);
}

#[test]
fn an_export_is_two_whole_files_or_none() {
    let model = fit(&options(&[]), &good_images(12)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detector.onnx");
    let beside = model.export_to(&path, &Options::default()).unwrap();
    assert_eq!(beside, folder.path().join("detector.json"));
    let description: serde_json::Value = serde_json::from_slice(&std::fs::read(&beside).unwrap()).unwrap();
    let metadata = model.metadata();
    assert_eq!(description["decision"]["threshold"].as_f64().unwrap() as f32, metadata.image.threshold);
    assert_eq!(
        description["input"]["shape"].to_string(),
        format!("[\"any\",3,{},{}]", metadata.input.height, metadata.input.width)
    );
    assert!(
        std::fs::read(&path).unwrap().windows(14).any(|text| text == b"\"npad_version\""),
        "the network has the description"
    );
    let before = std::fs::read(&path).unwrap();
    std::fs::remove_file(&beside).unwrap();
    std::fs::create_dir(&beside).unwrap();
    let mut other = Options::default();
    other.set("export_batch", "2").unwrap();
    assert_eq!(model.export_to(&path, &other).err().unwrap().status(), Status::Io);
    assert!(std::fs::read(&path).unwrap() == before, "the description cannot be written, so nothing is");
    for (bad, words) in
        [("detector", ".onnx"), ("detector.json", ".onnx"), ("none/detector.onnx", "there is no folder")]
    {
        let error = model.export_to(&folder.path().join(bad), &Options::default()).err().unwrap();
        assert!(error.message().contains(words), "{error}");
    }
    #[cfg(target_os = "linux")]
    {
        std::fs::remove_dir(&beside).unwrap();
        std::os::unix::fs::symlink("/dev/full", &beside).unwrap();
        assert_eq!(model.export_to(&path, &other).err().unwrap().status(), Status::Io);
        std::fs::remove_file(&beside).unwrap();
        std::os::unix::fs::symlink(&path, &beside).unwrap();
        assert_eq!(model.export_to(&path, &other).err().unwrap().status(), Status::InvalidArgument);
        assert!(std::fs::read(&path).unwrap() == before, "a file that cannot be written, and one file for both");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

/// Distances to close points, of which products alone would leave little.
#[test]
fn good_images_are_as_good_in_a_graph() {
    let good = good_images(14);
    for scaling in ["unit", "none", "whitened"] {
        let model = fit(&options(&[("method", "patchcore"), ("patchcore.scaling", scaling)]), &good).unwrap();
        let graph = with(&model, "graph");
        for image in &good {
            let (graph, kernels) = (graph.score(&image.view()).unwrap(), model.score(&image.view()).unwrap());
            let most = 1e-3 * model.metadata().image.threshold;
            let close = graph.map.iter().zip(&kernels.map).all(|(a, b)| (a - b).abs() <= most);
            assert!(close && graph.verdict == kernels.verdict, "{scaling}: {} and {}", graph.score, kernels.score);
        }
    }
}

/// The image's own size decides, as for the model.
#[test]
fn an_export_for_the_hosts_images_takes_colours_of_any_size() {
    let (width, height) = (200, 70);
    let colours: Vec<u8> = (0..3 * width * height).map(|i| (i * i % 249) as u8).collect();
    let view = ImageView::new(&colours, width, height, 3 * width, PixelFormat::Rgb8).unwrap();
    let model = fit(&options(&[]), &good_images(12)).unwrap();
    let mut options = Options::default();
    options.set("export_size", "70x200").unwrap();
    let network = model.export(&options).unwrap().network;
    let area = width * height;
    let input: Vec<f32> = (0..3 * area).map(|i| f32::from(colours[i % area * 3 + i / area])).collect();
    let outputs = run_network(&network, 2, [1, 3, height, width], &input).unwrap();
    let expected = model.score(&view).unwrap();
    assert!(
        close(&outputs[0], expected.map.as_slice().unwrap()) && (outputs[1][0] / expected.score - 1.0).abs() < 1e-3
    );
}
