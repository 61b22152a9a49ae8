//! The backbone and the scorer of a model as one ONNX network.

use std::sync::Arc;

use super::device::Reference;
use super::export::OPSETS;
use super::probe::{DEVICE_TOLERANCE, largest_difference, probes};
use super::{Core, Metadata, Options};
use crate::backbone::{Assembler, BackboneSpec, EmbeddedFeatures, FeatureExtractor, FeatureGraph, FeatureMap};
use crate::error::{Error, Result, Status};
use crate::method::{GridGraph, GridScore, Scorer};
use crate::onnx::{BATCH, Embeddable, OPSET, Value, Writer};

/// The option `scoring`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// The graph on devices with memory of their own, if there is one.
    Auto,
    /// The library's own kernels.
    Kernels,
    /// The graph.
    Graph,
}

impl Scoring {
    /// The values of the option.
    pub const NAMES: &'static [&'static str] = &["auto", "kernels", "graph"];

    /// The choice of that name.
    pub fn named(name: &str) -> Option<Self> {
        let at = Self::NAMES.iter().position(|known| *known == name)?;
        [Self::Auto, Self::Kernels, Self::Graph].get(at).copied()
    }
}

/// A graph that computes grids of scores from normalised images.
pub struct DetectorGraph<'a> {
    features: FeatureGraph,
    scorer: &'a dyn Scorer,
    opset: i64,
    several: bool,
}

/// The same, with its backbone in a graph.
pub struct EmbeddedDetector<'a> {
    features: EmbeddedFeatures,
    scorer: &'a dyn Scorer,
}

impl<'a> DetectorGraph<'a> {
    /// Prepares the graph of a model, in the operators of an opset, or by default of one that the backbone can be written in.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when the model has no graph.
    pub fn new(core: &'a Core, metadata: &Metadata, opset: Option<i64>) -> Result<Self> {
        if metadata.tile != 0 {
            return Err(Error::new(Status::InvalidArgument, TILES));
        }
        let scales = metadata.scales()?;
        let features = FeatureGraph::new(&core.spec, &*core.backbone, &scales, metadata.input, metadata.grid_step)?;
        let network = features.network();
        let asked = opset.is_some();
        let opset = opset.unwrap_or_else(|| if network.check_opset(OPSET).is_ok() { OPSET } else { network.opset() });
        check_opset(network, opset, asked)?;
        let several = network.takes_several() && core.scorer.graph_takes_several();
        Ok(Self { scorer: &*core.scorer, opset, several, features })
    }

    /// The version of the operators.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// The extent of the images' axis: free, or 1.
    pub fn images(&self) -> usize {
        if self.several { BATCH } else { 1 }
    }

    /// Adds the backbone's constants to a graph.
    pub fn embed(self, writer: &mut Writer) -> EmbeddedDetector<'a> {
        EmbeddedDetector { features: self.features.embed(writer), scorer: self.scorer }
    }
}

impl EmbeddedDetector<'_> {
    /// Adds the grids of normalised images, images x 3 x height x width, to the graph.
    ///
    /// # Errors
    /// As [`Scorer::to_graph`].
    pub fn grids(&mut self, writer: &mut Writer, images: &Value) -> Result<GridGraph> {
        let features = self.features.of(writer, images);
        self.scorer.to_graph(writer, &features)
    }
}

/// Checks that a graph with the backbone can be written in an opset, which was asked for or not.
fn check_opset(backbone: &Embeddable, opset: i64, asked: bool) -> Result<()> {
    let (own, (first, last)) = (backbone.opset(), (OPSETS.start(), OPSETS.end()));
    let result = backbone.check_opset(opset);
    if result.is_ok() && OPSETS.contains(&opset) {
        return Ok(());
    }
    let why = result.err().unwrap_or_else(|| format!("is written in opset {own}"));
    let remedy = if OPSETS.contains(&own) {
        format!("choose the opset {own}")
    } else {
        format!(
            "fit with a backbone that is written in an opset from {first} to {last} (Python: onnx.version_converter)"
        )
    };
    let status = if asked { Status::InvalidOption } else { Status::InvalidArgument };
    let message = format!("the graph cannot be written in opset {opset}: the model's backbone {why}; {remedy}");
    Err(Error::new(status, message))
}

/// Why there is no graph of a model with tiles.
const TILES: &str =
    "the model runs its backbone in tiles, which a graph does not have; fit it with the option tile at 0";

/// The error for a model that is to be scored with a graph and has none.
fn without_graph(method: &str, cause: &str) -> Error {
    let message = format!("scoring is 'graph', but a model of the method '{method}' has none: {cause}");
    Error::new(Status::InvalidOption, message)
}

impl Options {
    /// Checks, as far as the options say, that a model can be scored as they ask.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] when it cannot.
    pub(super) fn check_scoring(&self) -> Result<()> {
        let method = self.method();
        match self.scoring {
            Scoring::Graph if self.tile != 0 => Err(without_graph(method.name(), TILES)),
            Scoring::Graph if !method.has_graph() => {
                Err(without_graph(method.name(), "the method cannot be written as one"))
            }
            _ => Ok(()),
        }
    }
}

impl Core {
    /// Opens the network of the whole detector if images are to be scored with it.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] when it is asked for and the model has none; as
    /// [`OnnxBackbone::shared`](crate::backbone::OnnxBackbone::shared).
    pub(super) fn choose_network(&mut self, metadata: &Metadata) -> Result<()> {
        let wanted = match self.scoring {
            Scoring::Auto => !self.device.device.is_host(),
            Scoring::Kernels => false,
            Scoring::Graph => true,
        };
        if !wanted {
            return Ok(());
        }
        let method = &metadata.method;
        match self.open_network(metadata) {
            Ok(network) => self.network = Some(network),
            Err(error) if self.scoring == Scoring::Auto && error.status() != Status::OutOfMemory => {
                // Without a graph that is as it should be; one that the device does not take costs speed.
                let level = if error.status() == Status::InvalidArgument { log::Level::Info } else { log::Level::Warn };
                log::log!(level, "a model of the method {method} is scored by the library's own kernels: {error}");
            }
            Err(error) if error.status() != Status::InvalidArgument => return Err(error),
            Err(error) => return Err(without_graph(method, error.message())),
        }
        Ok(())
    }

    fn open_network(&self, metadata: &Metadata) -> Result<Arc<dyn FeatureExtractor>> {
        let graph = DetectorGraph::new(self, metadata, None)?;
        let (mut writer, images) = (Writer::new(graph.opset()), graph.images());
        let input = writer.named_input("images", &[images, 3, metadata.input.height, metadata.input.width]);
        let GridGraph { map, evidence } = graph.embed(&mut writer).grids(&mut writer, &input)?;
        let (rows, cols, _) = self.scorer.shape();
        for (name, value) in [("map", Some(&map)), ("evidence", evidence.as_ref())] {
            if let Some(value) = value {
                writer.named_output(value, name, &[images, 1, rows, cols]);
            }
        }
        let normalisation = self.backbone.normalisation();
        let network = BackboneSpec::Onnx { bytes: writer.finish("npad")?, normalisation };
        let network = network
            .open(&self.device.device, self.threads.count())
            .map_err(|error| error.context("the whole detector as one network"))?;
        self.check_network(metadata, &*network)?;
        Ok(network)
    }

    /// Compares the network with the library's own code on the CPU.
    fn check_network(&self, metadata: &Metadata, network: &dyn FeatureExtractor) -> Result<()> {
        let (size, threshold) = (metadata.input, metadata.image.threshold);
        let (spec, scales) = (&self.spec, &metadata.scales()?);
        let backbone = Reference { spec, tile: metadata.tile, scales, threads: &self.threads }.open()?;
        let mut assembler = Assembler::new(metadata.grid_step, backbone.scales());
        let (mut features, mut expected, mut found) =
            (FeatureMap::default(), GridScore::default(), GridScore::default());
        for image in probes(&self.mean, size)? {
            backbone.extract(&image, size, &mut |_, taps| assembler.run(taps, &self.threads, &mut features))?;
            self.scorer.score(&features, &self.threads, &mut expected)?;
            network.extract(&image, size, &mut |_, outputs| found.read(outputs))?;
            for (found, expected) in [(&found.map, &expected.map), (&found.evidence, &expected.evidence)] {
                let difference = largest_difference(found.iter(), expected.iter(), threshold);
                if difference > DEVICE_TOLERANCE {
                    let device = &self.device.device;
                    let message = format!(
                        "the graph of the detector on {device} gives other scores than the library's kernels: they differ by \
                         {difference:.1e} of the largest, more than {DEVICE_TOLERANCE:.0e}. Set scoring to kernels"
                    );
                    return Err(Error::new(Status::Backbone, message));
                }
            }
        }
        Ok(())
    }

    /// What scores the features.
    pub(super) fn scoring_in_use(&self) -> &'static str {
        Scoring::NAMES[if self.network.is_some() { Scoring::Graph } else { Scoring::Kernels } as usize]
    }
}
