//! A trained network with all that stands around it, as ONNX.

use prost::bytes::Bytes;

use super::super::super::whitening::Whitening;
use super::super::layout::{Layout, Plane};
use super::export::Exporter;
use super::gaussians::Gaussians;
use super::network::Network;
use super::normaliser::Normaliser;
use super::weights::Weights;
use crate::error::Result;
use crate::onnx::{Setting, Value, Writer};

/// What scoring needs.
pub struct Graph<'a, N> {
    pub normaliser: &'a Normaliser,
    pub network: &'a N,
    pub weights: &'a Weights,
    /// Those of the latent values, if the network has any.
    pub gaussians: &'a [Gaussians],
}

impl<N: Network> Graph<'_, N> {
    /// The bytes of an ONNX file: from the planes, one after the other, to the anomaly map and, as a second channel, the
    /// evidence of the image score.
    pub fn write(&self, layout: &Layout, name: &str) -> Result<Bytes> {
        let mut ops = Exporter::new(self.weights);
        let input = ops.writer.input(&[1, 1, 1, layout.len()]);
        let (mut taps, mut start) = (Vec::new(), 0);
        for ((plane, means), whitening) in
            layout.planes().iter().zip(&self.normaliser.means).zip(&self.normaliser.whitenings)
        {
            taps.push(whiten(&mut ops.writer, &input, start, (*plane, means, whitening)));
            start += plane.len();
        }
        let scores = self.network.scores(&mut ops, &taps)?;
        let (writer, planes) = (&mut ops.writer, self.network.planes());
        let maps = scores.iter().zip(&planes).map(|(scores, plane)| resize(writer, &scores.map, *plane, layout));
        let mut channels = vec![maps.collect::<Vec<Value>>()];
        if !self.gaussians.is_empty() {
            let latents = scores.iter().filter_map(|scores| scores.latent.as_ref());
            let distances = latents.zip(self.gaussians).zip(&planes).map(|((latent, gaussians), plane)| {
                let distance = gaussians.write(writer, latent);
                resize(writer, &distance, *plane, layout)
            });
            channels.push(distances.collect());
        }
        let channels: Vec<Value> = channels.iter().map(|maps| mean(writer, maps)).collect();
        let output = writer.node("Concat", &channels.iter().collect::<Vec<_>>(), &[("axis", Setting::Int(1))]);
        let (rows, cols, _) = layout.shape();
        writer.output(&output, &[1, channels.len(), rows, cols]);
        ops.writer.finish(name)
    }
}

/// The whitened features of a plane, 1 x channels x rows x columns, whose values in the input begin at `start`.
fn whiten(
    writer: &mut Writer,
    input: &Value,
    start: usize,
    (plane, means, whitening): (Plane, &[f32], &Whitening),
) -> Value {
    let Plane { rows, cols, channels, .. } = plane;
    let [from, to, axis] = [start, start + plane.len(), 3].map(|n| writer.integers(&[n as i64]));
    let values = writer.node("Slice", &[input, &from, &to, &axis], &[]);
    let shape = writer.integers(&[1, rows as i64, cols as i64, channels as i64]);
    let map = writer.node("Reshape", &[&values, &shape], &[]);
    let means = writer.constant(&[1, rows, cols, channels], means);
    let relative = writer.node("Sub", &[&map, &means], &[]);
    let planes = writer.node("Transpose", &[&relative], &[("perm", Setting::Ints(&[0, 3, 1, 2]))]);
    let matrix = writer.constant(&[channels, channels, 1, 1], whitening.matrix());
    // W (x - mean), where the mean is that of the differences.
    let bias = writer.constant(&[channels], &whitening.offset());
    writer.node("Conv", &[&planes, &matrix, &bias], &[("kernel_shape", Setting::Ints(&[1, 1]))])
}

/// Resizes a map bilinearly from a plane to the grid: by the plane's step, and cut at the lower and right edge.
fn resize(writer: &mut Writer, map: &Value, plane: Plane, layout: &Layout) -> Value {
    if plane.step == 1 {
        return map.clone();
    }
    let (rows, cols, _) = layout.shape();
    let factor = plane.step as f32;
    let factors = writer.constant(&[4], &[1.0, 1.0, factor, factor]);
    let settings = [("mode", Setting::Word("linear")), ("coordinate_transformation_mode", Setting::Word("half_pixel"))];
    let absent = Writer::absent();
    let large = writer.node("Resize", &[map, &absent, &factors], &settings);
    let [from, to, axes] = [[0, 0], [rows as i64, cols as i64], [2, 3]].map(|values| writer.integers(&values));
    writer.node("Slice", &[&large, &from, &to, &axes], &[])
}

/// The mean of maps.
fn mean(writer: &mut Writer, maps: &[Value]) -> Value {
    let sum = writer.node("Sum", &maps.iter().collect::<Vec<_>>(), &[]);
    let share = writer.constant(&[1], &[1.0 / maps.len() as f32]);
    writer.node("Mul", &[&sum, &share], &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{Device, Head, Tap};

    /// Of 9 rows, the last of three cells of four has one.
    #[test]
    fn maps_are_resized_by_the_step_whatever_is_left_at_the_edge() {
        let layout = Layout::new((9, 6, 1), &[Tap { channels: 1, step: 4 }]);
        let (mut writer, plane) = (Writer::default(), layout.planes()[0]);
        let input = writer.input(&[1, 1, 1, 6]);
        let shape = writer.integers(&[1, 1, 3, 2]);
        let map = writer.node("Reshape", &[&input, &shape], &[]);
        let large = resize(&mut writer, &map, plane, &layout);
        writer.output(&large, &[1, 1, 9, 6]);
        let head = Head::open(writer.finish("resize").unwrap(), 6, (9, 6), &Device::default(), 1).unwrap();
        let (mut found, mut none) = (Vec::new(), Vec::new());
        head.run(&[0.0, 1.0, 10.0, 11.0, 20.0, 21.0], &mut found, &mut none).unwrap();
        let at = |place: usize, most: f32| ((place as f32 + 0.5) / 4.0 - 0.5).clamp(0.0, most);
        for (place, value) in found.iter().enumerate() {
            let expected = 10.0 * at(place / 6, 2.0) + at(place % 6, 1.0);
            assert!((value - expected).abs() < 1e-4, "{place}: {value} instead of {expected}");
        }
    }
}
