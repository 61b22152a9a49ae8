//! The steps from grids of values to the anomaly map and the image score, as a part of an ONNX graph.

use super::smoother::MapGeometry;
use crate::onnx::{Value, Writer};

/// Adds the smoothed map of the input's size to a graph, from the grids at each displacement, all of them images x 1 x rows x columns.
pub fn smoothed(
    writer: &mut Writer,
    grids: &[Value],
    displacements: &[(isize, isize)],
    geometry: MapGeometry,
) -> Value {
    let maps: Vec<Value> = grids
        .iter()
        .zip(displacements)
        .map(|(grid, displacement)| {
            let (down, across) = geometry.axes(*displacement, displacements.len());
            writer.mapped(grid, &down, &across)
        })
        .collect();
    writer.apply("Sum", &maps.iter().collect::<Vec<_>>())
}

/// Adds the final map and the image score to a graph: of `pixels` smoothed values for each image, and of the smoothed values that the
/// score is computed from, if these are others, both images x 1 x rows x columns. See [`super::peak`], [`super::unite`] and
/// [`super::cut_off`].
pub fn united(
    writer: &mut Writer,
    map: &Value,
    evidence: Option<&Value>,
    pixels: usize,
    peak_share: f64,
) -> (Value, Value) {
    let flat = |writer: &mut Writer, x: &Value| writer.reshaped(x, &[-1, pixels as i64]);
    let plane = |writer: &mut Writer, x: &Value| writer.reshaped(x, &[-1, 1, 1, 1]);
    let count = ((pixels as f64 * peak_share) as usize).max(1);
    let values = flat(writer, evidence.unwrap_or(map));
    let [highest, _] = writer.largest(&values, count);
    let sum = writer.sums(&highest, 1);
    let score = writer.scaled(&sum, 1.0 / count as f32);
    let score = plane(writer, &score);
    let Some(evidence) = evidence else {
        return (writer.apply("Min", &[map, &score]), score);
    };
    let level = writer.apply("Add", &[map, evidence]);
    let levels = flat(writer, &level);
    let [highest, at] = writer.largest(&levels, 1);
    let values = flat(writer, map);
    let value = writer.at(&values, &at);
    let value = plane(writer, &value);
    let gain = writer.apply("Sub", &[&score, &value]);
    let gain = writer.apply("Relu", &[&gain]);
    let highest = plane(writer, &highest);
    let highest = writer.at_least(&highest, f32::MIN_POSITIVE);
    let mut power = writer.apply("Div", &[&level, &highest]);
    for _ in 0..3 {
        power = writer.apply("Mul", &[&power, &power]);
    }
    let raise = writer.apply("Mul", &[&gain, &power]);
    let raised = writer.apply("Add", &[map, &raise]);
    (writer.apply("Min", &[&raised, &score]), score)
}
