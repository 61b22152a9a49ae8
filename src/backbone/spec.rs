//! Where a backbone comes from.

use std::path::Path;
use std::sync::Arc;

use super::onnx::{Network, OnnxBackbone};
use super::{Device, FeatureExtractor};
use crate::error::{Error, Result};
use crate::preprocess::Normalisation;

/// Which backbone a model uses.
#[derive(Clone)]
pub enum BackboneSpec {
    /// The network embedded in this library.
    Builtin,
    /// A user's own network, which travels inside the model file.
    Onnx {
        /// The file's contents.
        bytes: Arc<[u8]>,
        /// How pixel values become its input.
        normalisation: Normalisation,
    },
    /// The host's own feature extractor, which a model file can only name.
    Host(Arc<dyn FeatureExtractor>),
}

impl BackboneSpec {
    /// Reads a user's own network from an ONNX file.
    ///
    /// # Errors
    /// [`NotFound`](crate::error::Status::NotFound) or [`Io`](crate::error::Status::Io) when the file cannot be read.
    pub fn from_file(path: &Path, normalisation: Normalisation) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|e| Error::io(format_args!("cannot read the backbone {}", path.display()), &e))?;
        Ok(Self::Onnx { bytes: bytes.into(), normalisation })
    }

    /// Opens it on a device with so many threads for each run, or shares the one that is open already; a host's extractor
    /// decides on both for itself.
    ///
    /// # Errors
    /// As [`OnnxBackbone::shared`].
    pub fn open(&self, device: Device, threads: usize) -> Result<Arc<dyn FeatureExtractor>> {
        let network = match self {
            Self::Builtin => Network::builtin(),
            Self::Onnx { bytes, normalisation } => Network::onnx(bytes.clone(), *normalisation),
            Self::Host(extractor) => return Ok(extractor.clone()),
        };
        Ok(OnnxBackbone::shared(network, device, threads)?)
    }
}
