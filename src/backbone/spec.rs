//! Sources of a backbone.

use std::path::Path;
use std::sync::Arc;

use prost::bytes::Bytes;

use super::onnx::{Network, OnnxBackbone};
use super::{Device, FeatureExtractor};
use crate::error::{Error, Result};
use crate::preprocess::Normalisation;

/// The backbone of a model.
#[derive(Clone)]
pub enum BackboneSpec {
    /// The network embedded in this library.
    Builtin,
    /// A custom network, which the model file contains.
    Onnx {
        /// The file's contents.
        bytes: Bytes,
        /// The normalisation of its input.
        normalisation: Normalisation,
    },
    /// A feature extractor of the host; the model file contains only its name.
    Host(Arc<dyn FeatureExtractor>),
}

impl BackboneSpec {
    /// Reads a custom network from an ONNX file.
    ///
    /// # Errors
    /// [`NotFound`](crate::error::Status::NotFound) or [`Io`](crate::error::Status::Io) when the file cannot be read.
    pub fn from_file(path: &Path, normalisation: Normalisation) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|e| Error::io(format_args!("cannot read the backbone {}", path.display()), &e))?;
        Ok(Self::Onnx { bytes: bytes.into(), normalisation })
    }

    /// Opens the backbone on a device with `threads` threads for each run, or shares the one that is already open. A
    /// host's extractor ignores both.
    ///
    /// # Errors
    /// As [`OnnxBackbone::shared`].
    pub fn open(&self, device: &Device, threads: usize) -> Result<Arc<dyn FeatureExtractor>> {
        let network = match self {
            Self::Builtin => Network::builtin(),
            Self::Onnx { bytes, normalisation } => Network::onnx(bytes.clone(), *normalisation),
            Self::Host(extractor) => return Ok(extractor.clone()),
        };
        Ok(OnnxBackbone::shared(network, device, threads)?)
    }

    /// The network's file; none for a host's extractor.
    pub(super) fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::Builtin => Some(Bytes::from_static(Network::builtin_bytes())),
            Self::Onnx { bytes, .. } => Some(bytes.clone()),
            Self::Host(_) => None,
        }
    }
}
