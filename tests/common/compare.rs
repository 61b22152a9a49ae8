//! Comparison of models that run on different devices.

use npad::model::{Inspection, Model};

use super::Gray;

/// Largest difference of two scores or maps, as a share of the largest value.
pub const MOST: f32 = 1e-3;

/// Four defective parts and four good ones.
pub fn images() -> Vec<Gray> {
    let scratched = (0..4).map(|seed| Gray::scratched(160, 120, 200 + seed, (60, 50)));
    scratched.chain((0..4).map(|seed| Gray::good(160, 120, 300 + seed))).collect()
}

pub fn inspections(model: &Model) -> Vec<Inspection> {
    images().iter().map(|image| model.score(&image.view()).unwrap()).collect()
}

/// The largest difference of the scores and maps of two models, as a share of the largest value. The verdicts must be equal.
pub fn difference(a: &Model, b: &Model) -> f32 {
    let mut largest = 0f32;
    for (a, b) in inspections(a).iter().zip(&inspections(b)) {
        assert_eq!(a.verdict, b.verdict, "{} and {}", a.score, b.score);
        let top = a.map.iter().fold(0f32, |top, value| top.max(*value));
        let apart = a.map.iter().zip(&b.map).map(|(a, b)| (a - b).abs() / top);
        largest = apart.chain([(a.score - b.score).abs() / a.score]).fold(largest, f32::max);
    }
    largest
}
