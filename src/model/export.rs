//! A model as a file for other programs: an ONNX network from image to anomaly map and image score, and a description of what
//! belongs before and after it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::bytes::Bytes;
use serde_json::json;

use super::file::{are_one, check_target, write_files};
use super::graph::DetectorGraph;
use super::graph::Scoring;
use super::image_ids::ImageIds;
use super::probe::{DEVICE_TOLERANCE, largest_difference, probes};
use super::{Core, Metadata, Model, Options};
use crate::backbone::run_network;
use crate::error::{Error, Result, Status};
use crate::exec::memory::{try_copy, try_vec};
use crate::exec::scratch::Pool;
use crate::image::{ImageView, PixelFormat};
use crate::math::axis::Axis;
use crate::method::GridGraph;
use crate::onnx::{BATCH, Value, Writer};
use crate::postprocess::{MapGeometry, smoothed, united};
use crate::preprocess::{HALF, InputSize, Normalisation};

/// Range of the opsets that can be asked for.
pub(super) const OPSETS: std::ops::RangeInclusive<i64> = 13..=22;
/// Upper limit of a fixed number of images.
pub(super) const MAX_BATCH: usize = 1024;
/// Largest number of images that the check of an exported network runs.
const MOST_CHECKED: usize = 4;
/// What to do where a network takes one image at a time.
const ONE: &str = "set export_batch to 1";
/// Pixels of images of which it runs two.
const MOST_SEVERAL: usize = 1 << 20;

/// Options of an export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ExportOptions {
    /// The opset; none for 17, or that of the backbone where it cannot be written in 17.
    pub opset: Option<i64>,
    /// The number of images of a run; none for any number.
    pub batch: Option<usize>,
    /// The size of the images; none for that of the network's input.
    pub size: Option<InputSize>,
}

/// A model for other programs.
pub struct Export {
    /// The network's file.
    pub network: Bytes,
    /// Its description in JSON.
    pub description: String,
}

impl Model {
    /// Writes the model as an ONNX network and its description, see `docs/export.md`. The network is run once on the mean of the good
    /// images and compared with this model.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when the model has no graph, or has a region of interest; [`Status::InvalidOption`] when it cannot be
    /// written as the options `export_*` say.
    pub fn export(&self, options: &Options) -> Result<Export> {
        let ExportOptions { opset, batch, size } = options.export;
        let (core, metadata) = (&*self.core, &self.metadata);
        if core.roi.is_some() {
            let message = "the model has a mask or a region of interest, and how npad fills what these exclude cannot be written \
                           as ONNX. Fit it without one, to images that are cropped";
            return Err(Error::new(Status::InvalidArgument, message));
        }
        let graph = DetectorGraph::new(core, metadata, opset)?;
        let images = match (batch, graph.images()) {
            (None, any) => any,
            (Some(1), _) => 1,
            (Some(count), BATCH) => count,
            (Some(count), _) => {
                let message = format!(
                    "export_batch is '{count}', but the backbone or the method of this model takes one image at a time: {ONE}"
                );
                return Err(Error::new(Status::InvalidOption, message));
            }
        };
        if images != BATCH && core.shifts.len() > 1 && graph.images() != BATCH {
            let message =
                "the model scores shifted copies of an image together, but its backbone takes one image at a time";
            return Err(Error::new(Status::InvalidArgument, message));
        }
        let opset = graph.opset();
        let input = size.unwrap_or(metadata.input);
        let description = description(metadata, opset, images, input);
        let note = description.to_string();
        if images > MOST_CHECKED {
            // The same network for one image is checked in its place, which takes less memory.
            let single = DetectorGraph::new(core, metadata, Some(opset))?;
            self.check_export(&self.write_network(single, 1, input, &note)?, 1, input)?;
        }
        let network = self.write_network(graph, images, input, &note)?;
        if images <= MOST_CHECKED {
            self.check_export(&network, images, input)?;
        }
        let description = serde_json::to_string_pretty(&description);
        Ok(Export { network, description: description.map_err(|e| Error::new(Status::Internal, e.to_string()))? })
    }

    /// Writes [`Model::export`] to files: the network to `path`, which must end in `.onnx`, and its description beside it, with the ending
    /// `.json`. Returns the latter's path. Each is written atomically, see [`write_file`].
    ///
    /// # Errors
    /// As [`Model::export`]; [`Status::NotFound`] when the folder does not exist, [`Status::Io`] when a file cannot be written.
    pub fn export_to(&self, path: &Path, options: &Options) -> Result<PathBuf> {
        if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("onnx")) {
            let message =
                format!("the path of an export is '{}', but must be a name that ends in .onnx", path.display());
            return Err(Error::new(Status::InvalidArgument, message));
        }
        let beside = path.with_extension("json");
        if are_one(path, &beside) {
            let message = format!("{} and {} are one file; an export writes two", path.display(), beside.display());
            return Err(Error::new(Status::InvalidArgument, message));
        }
        let failed = |path: &Path, e: std::io::Error| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
            let missing =
                folder.map(|folder| format!(" (there is no folder {})", folder.display())).unwrap_or_default();
            let what = format!("cannot write the export to {}; existing files are unchanged{missing}", path.display());
            Error::io(what, &e)
        };
        [path, &beside].into_iter().try_for_each(|path| check_target(path).map_err(|e| failed(path, e)))?;
        let Export { network, description } = self.export(options)?;
        let description = description + "\n";
        let files = [(path, &network[..]), (&beside, description.as_bytes())];
        write_files(&files).map_err(|(path, e)| failed(&path, e))?;
        Ok(beside)
    }

    /// The file of the network for this number of images of a size.
    fn write_network(&self, graph: DetectorGraph<'_>, images: usize, size: InputSize, note: &str) -> Result<Bytes> {
        let InputSize { height, width } = size;
        let mut writer = Writer::new(graph.opset());
        let image = writer.named_input("image", &[images, 3, height, width]);
        let (map, score) = self.write_detector(&mut writer, graph, &image, size)?;
        writer.named_output(&map, "map", &[images, 1, height, width]);
        let score = writer.reshaped(&score, &[-1]);
        writer.named_output(&score, "score", &[images]);
        writer.note("npad", note.to_owned());
        writer.finish("npad")
    }

    /// Adds everything between images of a size and their maps and scores to a graph.
    fn write_detector(
        &self,
        writer: &mut Writer,
        graph: DetectorGraph<'_>,
        image: &Value,
        size: InputSize,
    ) -> Result<(Value, Value)> {
        let (core, metadata) = (&*self.core, &self.metadata);
        let InputSize { height, width } = metadata.input;
        let mut pixels = image.clone();
        if size != metadata.input {
            // Along the rows first, and rounded after each pass, as the library resizes images of eight bits.
            let passes = [
                (Axis::shift(size.height, 0), Axis::triangle(size.width, width)),
                (Axis::triangle(size.height, height), Axis::shift(width, 0)),
            ];
            for (down, across) in passes.iter().filter(|(down, across)| !down.is_identity() || !across.is_identity()) {
                pixels = writer.mapped(&pixels, down, across);
                let half = writer.constant(&[1], &[HALF]);
                pixels = writer.apply("Add", &[&pixels, &half]);
                pixels = writer.apply("Floor", &[&pixels]);
            }
        }
        let Normalisation { mean, std } = core.backbone.normalisation();
        let scale = writer.constant(&[1, 3, 1, 1], &std.map(|std| 1.0 / (255.0 * std)));
        let offset = writer.constant(&[1, 3, 1, 1], &std::array::from_fn::<f32, 3, _>(|c| mean[c] / std[c]));
        let scaled = writer.apply("Mul", &[&pixels, &scale]);
        let tensor = writer.apply("Sub", &[&scaled, &offset]);

        let (shifts, (rows, cols, _)) = (&core.shifts, core.scorer.shape());
        let mut tensors = tensor.clone();
        if shifts.len() > 1 {
            let moved = |length: usize, by: isize| -> Vec<usize> {
                (0..length).map(|at| at.saturating_add_signed(by).min(length - 1)).collect()
            };
            let displaced = shifts.iter().map(|(dy, dx)| {
                let rows = writer.chosen(&tensor, 2, &moved(height, *dy));
                writer.chosen(&rows, 3, &moved(width, *dx))
            });
            let displaced: Vec<Value> = displaced.collect();
            tensors = writer.joined(&displaced.iter().collect::<Vec<_>>(), 0);
        }
        let GridGraph { map, evidence } = graph.embed(writer).grids(writer, &tensors)?;
        let geometry =
            MapGeometry { grid: (rows, cols), size: metadata.input, sigma: metadata.output.smoothing, masked: false };
        let mut smooth = |grids: &Value| {
            let mut parts = vec![grids.clone()];
            if shifts.len() > 1 {
                let apart = writer.reshaped(grids, &[shifts.len() as i64, -1, rows as i64, cols as i64]);
                let part = |at: usize| {
                    let one = writer.part(&apart, 0, at, at + 1);
                    writer.reshaped(&one, &[-1, 1, rows as i64, cols as i64])
                };
                parts = (0..shifts.len()).map(part).collect();
            }
            smoothed(writer, &parts, shifts, geometry)
        };
        let map = smooth(&map);
        let evidence = evidence.map(|evidence| smooth(&evidence));
        let (map, score) = united(writer, &map, evidence.as_ref(), height * width, metadata.output.peak_share);
        if size == metadata.input {
            return Ok((map, score));
        }
        let map = writer.mapped(&map, &Axis::bilinear(height, size.height), &Axis::bilinear(width, size.width));
        let values = writer.reshaped(&map, &[-1, (size.height * size.width) as i64]);
        let [score, _] = writer.largest(&values, 1);
        Ok((map, score))
    }

    /// The pixels of a normalised image: height x width x 3 values, red, green and blue.
    pub(super) fn image_of(&self, tensor: &[f32]) -> Vec<u8> {
        let Normalisation { mean, std } = self.core.backbone.normalisation();
        let plane = tensor.len() / 3;
        let value = |i: usize, c: usize| ((tensor[c * plane + i] * std[c] + mean[c]) * 255.0).round() as u8;
        (0..plane).flat_map(|i| (0..3).map(move |c| value(i, c))).collect()
    }

    /// Compares an exported network with this model.
    fn check_export(&self, network: &[u8], images: usize, size: InputSize) -> Result<()> {
        // A free number is tried with two, unless they are large.
        let several = images == BATCH && size.height * size.width <= MOST_SEVERAL;
        let count = if several { 2 } else { images.max(1) };
        let reference = self.scored_by_kernels()?;
        probes(&self.core.mean, self.metadata.input)?
            .iter()
            .try_for_each(|probe| reference.check_export_on(&self.image_of(probe), network, count, size))
    }

    /// The same, on one image of the network's input size, as often as `count`.
    fn check_export_on(&self, image: &[u8], network: &[u8], count: usize, size: InputSize) -> Result<()> {
        let (InputSize { height, width }, from) = (size, self.metadata.input);
        let at = |y: usize, x: usize| (y * from.height / height * from.width + x * from.width / width) * 3;
        let area = height * width;
        let mut pixels = try_vec(3 * area, 0u8)?;
        for (i, pixel) in pixels.chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(&image[at(i / width, i % width)..][..3]);
        }
        let view = ImageView::new(&pixels, width, height, 3 * width, PixelFormat::Rgb8)?;
        let mut expected = None;
        self.score_at(&view, &[(width, height)], |inspection| expected = Some(inspection))?;
        let expected = expected.ok_or_else(|| Error::new(Status::Internal, "an image without an inspection"))?;
        let mut input = try_vec(count * 3 * area, 0.0f32)?;
        for image in input.chunks_exact_mut(3 * area) {
            image.iter_mut().enumerate().for_each(|(i, v)| *v = f32::from(pixels[i % area * 3 + i / area]));
        }
        let outputs = run_network(network, self.core.threads.count(), [count, 3, height, width], &input);
        let outputs = outputs.map_err(|error| match count {
            1 => error,
            _ => Error::new(
                error.status(),
                format!("{}. If the backbone takes one image at a time, {ONE}", error.message()),
            ),
        })?;
        let [maps, scores] = &outputs[..] else { return Err(Error::new(Status::Internal, "an export without a map")) };
        if maps.len() != count * area || scores.len() != count {
            return Err(Error::new(Status::Internal, "an export with maps or scores of other images"));
        }
        let (tolerance, remedy) = self.tolerance(size);
        let threshold = self.metadata.image.threshold;
        for (map, score) in maps.chunks_exact(area).zip(scores) {
            let peak = map.iter().copied().fold(0.0, f32::max);
            let difference = largest_difference(map.iter(), expected.map.iter(), threshold);
            // The score is the largest value of the network's own map.
            let difference = difference.max(largest_difference([*score].iter(), [peak].iter(), threshold));
            if difference > tolerance {
                let message = format!(
                    "the exported network's map differs from the model's by {difference:.1e} of the threshold or the image score, \
                     whichever is larger, more than {tolerance:.0e}; nothing was written. {remedy}"
                );
                return Err(Error::new(Status::Backbone, message));
            }
        }
        Ok(())
    }

    /// The same model, scored by the library's kernels.
    fn scored_by_kernels(&self) -> Result<Self> {
        let core = &*self.core;
        let core = Core {
            backbone: core.backbone.clone(),
            spec: core.spec.clone(),
            scorer: core.scorer.clone(),
            network: None,
            scoring: Scoring::Kernels,
            shifts: core.shifts.clone(),
            threads: core.threads.clone(),
            roi: None,
            mean: try_copy(&core.mean)?,
            learnt: ImageIds::default(),
            contexts: Pool::default(),
            calls: core.calls.clone(),
            wait: core.wait,
            device: core.device.clone(),
        };
        let good_scores = try_copy(&self.good_scores)?;
        Ok(Self { metadata: self.metadata.clone(), good_scores, core: Arc::new(core), key: None, signer: None })
    }

    /// How much maps may differ, and what helps where they differ more.
    fn tolerance(&self, size: InputSize) -> (f32, &'static str) {
        if !self.core.device.device.is_cpu() {
            (DEVICE_TOLERANCE, "Load the model on the device 'cpu' to export it")
        } else if size != self.metadata.input {
            // A grey value may be rounded otherwise.
            (1e-2, "Leave out export_size, and resize the images before the network")
        } else {
            (1e-3, "Use the model with npad")
        }
    }
}

/// What belongs before and after the network.
fn description(metadata: &Metadata, opset: i64, images: usize, size: InputSize) -> serde_json::Value {
    let InputSize { height, width } = size;
    let images = if images == BATCH { json!("any") } else { json!(images) };
    let review = (metadata.review < metadata.image.threshold).then_some(metadata.review);
    json!({
        "format": 1,
        "npad_version": metadata.npad_version,
        "method": metadata.method,
        "opset": opset,
        "input": {
            "name": "image",
            "type": "float32",
            "shape": [images, 3, height, width],
            "layout": "images, channels (red, green, blue), rows, columns; a grey image has three equal channels",
            "range": [0, 255],
            "resize": "to this height and width with a triangle filter that is widened where the image is reduced \
                       (as Pillow's Image.BILINEAR), along the rows first; images of 8 bits are rounded after each pass, as \
                       floor(value + 0.5013)",
        },
        "outputs": {
            "map": {
                "type": "float32",
                "shape": [images, 1, height, width],
                "meaning": "anomaly map in the units of the score, from 0",
            },
            "score": {
                "type": "float32",
                "shape": [images],
                "meaning": "the largest value of this map; of the map that is resized to the image, it may be lower",
            },
        },
        "decision": {
            "threshold": metadata.image.threshold,
            "review": review,
            "typical": metadata.image.typical,
            "min_region_area": metadata.output.min_region_area,
            "rule": "resize the map bilinearly to the image (OpenCV: INTER_LINEAR). The image is defective if at least min_region_area \
                     connected pixels (8 neighbours) are above threshold, and for review if as many are above review, which is null \
                     without review. Calibrated scale: 0.5 * (score - typical) / (threshold - typical)",
        },
    })
}
