//! Parity with the NumPy reference of the method, element by element: `tests/vectors/npad.json` holds its inputs and
//! results (tools/reference/make_vectors.py).

use ndarray::Array3;
use npad::backbone::FeatureMap;
use npad::exec::Threads;
use npad::method::{Environment, FitOutcome, GridScore, HalfMap, Parameters, Sample, SampleImage, method};
use serde_json::Value;

struct Vectors(Value);

impl Vectors {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/npad.json");
        Self(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
    }

    fn rows(&self, name: &str) -> Vec<Vec<f32>> {
        serde_json::from_value(self.0[name].clone()).unwrap()
    }

    fn maps(&self, name: &str) -> Vec<FeatureMap> {
        let shape: [usize; 3] = serde_json::from_value(self.0["shape"].clone()).unwrap();
        let shape = (shape[0], shape[1], shape[2]);
        let map = |data| FeatureMap::from(Array3::from_shape_vec(shape, data).unwrap());
        self.rows(name).into_iter().map(map).collect()
    }

    /// Fits one level on the training maps with the reference's settings.
    fn fit(&self, level: &str, threads: &Threads) -> FitOutcome {
        self.fit_levels(level, level, threads)
    }

    /// The same with one level for the map and one for the image score.
    fn fit_levels(&self, map_level: &str, image_level: &str, threads: &Threads) -> FitOutcome {
        let npad = method("npad").unwrap();
        let mut parameters = Parameters::new(npad.parameters());
        let kept = self.0["kept_channels"].to_string();
        for (name, value) in [
            ("npad.levels", map_level),
            ("npad.image_levels", image_level),
            ("npad.fusion", "mean"),
            ("npad.shrinkage", "0"),
            ("npad.block", "1x1"),
            ("npad.regularisation", "0.01"),
            ("npad.channels", &kept),
            ("npad.selection", "variance"),
            ("npad.centroids", "8192"),
            ("npad.centroid_patch", "3"),
        ] {
            parameters.set(name, value).unwrap();
        }
        let mut fitter = npad.fitter(&parameters, 0, &Environment::default()).unwrap();
        let mut sample = Sample::new(0);
        let train = self.maps("train");
        for (number, map) in train.iter().enumerate() {
            let image =
                SampleImage { maps: vec![HalfMap::new(map).unwrap()], size: (1, 1), hash: number as u64, content: 0 };
            sample.accept(sample.offer(1, number as u64), Some(image));
        }
        fitter.finish(&sample, threads, &npad::exec::progress::Progress::default()).unwrap()
    }
}

fn assert_close(got: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), expected.len());
    for (p, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (got - expected).abs() / expected.abs();
        assert!(error < tolerance, "{what}, position {p}: {got}, the reference has {expected} ({error})");
    }
}

#[test]
fn distances_equal_the_reference() {
    let (vectors, threads) = (Vectors::read(), Threads::new(2).unwrap());
    for level in ["pixel", "patch", "centroids"] {
        let scorer = vectors.fit(level, &threads).scorer;
        for (map, expected) in vectors.maps("test").iter().zip(vectors.rows(level)) {
            let mut score = GridScore::default();
            scorer.score(map, &threads, &mut score).unwrap();
            assert_close(&score.map, &expected, 1e-3, level);
        }
    }
}

#[test]
fn levels_side_by_side_equal_the_reference() {
    let (vectors, threads) = (Vectors::read(), Threads::new(2).unwrap());
    for (map_level, image_level) in [("centroids", "patch"), ("patch", "pixel"), ("pixel", "centroids")] {
        let scorer = vectors.fit_levels(map_level, image_level, &threads).scorer;
        for (number, map) in vectors.maps("test").iter().enumerate() {
            let mut score = GridScore::default();
            scorer.score(map, &threads, &mut score).unwrap();
            assert_close(&score.map, &vectors.rows(map_level)[number], 1e-3, map_level);
            assert_close(&score.evidence, &vectors.rows(image_level)[number], 1e-3, image_level);
        }
    }
}

#[test]
fn the_same_channels_are_chosen() {
    let vectors = Vectors::read();
    let mut state = vectors.fit("pixel", &Threads::new(1).unwrap()).scorer.state().unwrap();
    let expected: Vec<u32> = serde_json::from_value::<Vec<f64>>(vectors.0["channels"].clone())
        .unwrap()
        .into_iter()
        .map(|c| c as u32)
        .collect();
    assert_eq!(state.take_u32("channels").unwrap(), expected);
}

/// The closed form keeps the ridge's share of the whole, a refit does not: hence the wider tolerance.
#[test]
fn held_out_distances_equal_refitting_without_the_image() {
    let (vectors, threads) = (Vectors::read(), Threads::new(2).unwrap());
    for level in ["pixel", "patch"] {
        let held_out = vectors.fit(level, &threads).held_out;
        for (score, expected) in held_out.iter().zip(vectors.rows(&format!("{level}_held_out"))) {
            assert_close(&score[0].map, &expected, 0.03, level);
        }
    }
}

#[test]
fn a_loaded_scorer_scores_the_same() {
    let (vectors, threads) = (Vectors::read(), Threads::new(1).unwrap());
    let npad = method("npad").unwrap();
    let mut parameters = Parameters::new(npad.parameters());
    parameters.set("npad.levels", "pixel").unwrap();
    parameters.set("npad.image_levels", "pixel").unwrap();
    let scorer = vectors.fit("pixel", &threads).scorer;
    let loaded = npad.load(&parameters, scorer.state().unwrap(), &Environment::default()).unwrap();
    for map in vectors.maps("test") {
        let (mut a, mut b) = (GridScore::default(), GridScore::default());
        scorer.score(&map, &threads, &mut a).unwrap();
        loaded.score(&map, &threads, &mut b).unwrap();
        assert_eq!(a, b);
    }
}
