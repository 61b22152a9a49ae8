//! The model file: safetensors with a checksum over every byte.
//!
//! Safetensors is a length, a JSON header and raw arrays: simple to read from any language, safe to map, and nothing in
//! it is ever executed (unlike pickles). Its header carries npad's own metadata. The checksum stands in the header as
//! eight hexadecimal digits and is computed over the whole file with these digits as zeros.

use std::collections::{BTreeMap, HashMap};

use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use crate::error::{Error, Result, Status};
use crate::exec::huge_pages;
use crate::method::Array;

/// Name of the format in the file.
const FORMAT: &str = "npad-model";
/// Version of the layout; files of a higher version are rejected.
const VERSION: u32 = 1;
/// The checksum's field in the header, before its digits.
const CHECKSUM: &str = "\"checksum\":\"";
const ZEROS: &str = "00000000";

/// The contents of a model file.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// The model's metadata, as JSON.
    pub metadata: String,
    /// The arrays, by name.
    pub arrays: BTreeMap<String, Array>,
}

impl Container {
    /// Serialises the contents.
    ///
    /// # Errors
    /// [`Status::Internal`] when the arrays' shapes and lengths disagree.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let internal =
            |e: &dyn std::fmt::Display| Error::new(Status::Internal, format!("the model cannot be written: {e}"));
        let raw: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = self
            .arrays
            .iter()
            .map(|(name, array)| {
                let (dtype, shape, bytes) = match array {
                    Array::U8(shape, data) => (Dtype::U8, shape, data.clone()),
                    Array::F32(shape, data) => (Dtype::F32, shape, to_bytes(data, |v| v.to_le_bytes())),
                    Array::F16(shape, data) => (Dtype::F16, shape, to_bytes(data, |v| v.to_le_bytes())),
                    Array::U32(shape, data) => (Dtype::U32, shape, to_bytes(data, |v| v.to_le_bytes())),
                };
                (name.clone(), dtype, shape.clone(), bytes)
            })
            .collect();
        let views = raw
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                TensorView::new(*dtype, shape.clone(), bytes)
                    .map(|view| (name.as_str(), view))
                    .map_err(|e| internal(&e))
            })
            .collect::<Result<Vec<_>>>()?;
        // One entry, so that the header's text does not depend on a hash map's order.
        let metadata = serde_json::json!({
            "format": FORMAT, "version": VERSION, "checksum": ZEROS, "settings": self.metadata
        });
        let metadata = HashMap::from([("npad".to_owned(), metadata.to_string())]);
        let mut bytes = serialize(views, Some(metadata)).map_err(|e| internal(&e))?;
        let at = checksum_position(&bytes).ok_or_else(|| internal(&"the header has no checksum field"))?;
        let checksum = format!("{:08x}", crc32fast::hash(&bytes));
        bytes[at..at + ZEROS.len()].copy_from_slice(checksum.as_bytes());
        Ok(bytes)
    }

    /// Checks and parses the bytes of a file.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] for anything that is not an intact npad model, [`Status::UnsupportedModel`] for one of a
    /// newer npad.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let invalid =
            |what: &str| Error::new(Status::InvalidModel, format!("this is not an intact npad model: {what}"));
        let (_, header) = SafeTensors::read_metadata(bytes)
            .map_err(|e| invalid(&format!("{e}; the file is truncated, corrupted or of another format")))?;
        let own = header
            .metadata()
            .as_ref()
            .and_then(|m| m.get("npad"))
            .ok_or_else(|| invalid("it is a safetensors file, but was not written by npad"))?;
        let own: serde_json::Value = serde_json::from_str(own).map_err(|e| invalid(&e.to_string()))?;
        if own["format"] != FORMAT {
            return Err(invalid("its header names another format"));
        }
        match own["version"].as_u64() {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => {
                return Err(Error::new(
                    Status::UnsupportedModel,
                    format!(
                        "the model has format version {version}, but this npad reads versions up to {VERSION}; use \
                             a newer npad"
                    ),
                ));
            }
            None => return Err(invalid("its header has no version")),
        }
        let at = checksum_position(bytes).ok_or_else(|| invalid("its header has no checksum"))?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[..at]);
        hasher.update(ZEROS.as_bytes());
        hasher.update(&bytes[at + ZEROS.len()..]);
        if format!("{:08x}", hasher.finalize()).as_bytes() != &bytes[at..at + ZEROS.len()] {
            return Err(invalid("its checksum does not match; the file is corrupted"));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| invalid(&e.to_string()))?;
        let mut container = Self {
            metadata: own["settings"].as_str().ok_or_else(|| invalid("its header has no metadata"))?.to_owned(),
            arrays: BTreeMap::new(),
        };
        for (name, view) in tensors.iter() {
            let (shape, data) = (view.shape().to_vec(), view.data());
            let array = match view.dtype() {
                Dtype::U8 => Array::U8(shape, data.to_vec()),
                Dtype::F32 => Array::F32(shape, words(data).map(f32::from_le_bytes).collect()),
                Dtype::F16 => {
                    let mut values = huge_pages::with_capacity(data.len() / 2);
                    values.extend(data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]])));
                    Array::F16(shape, values)
                }
                Dtype::U32 => Array::U32(shape, words(data).map(u32::from_le_bytes).collect()),
                other => return Err(invalid(&format!("array '{name}' has the unexpected type {other}"))),
            };
            container.arrays.insert(name.to_owned(), array);
        }
        Ok(container)
    }
}

fn to_bytes<T: Copy, const N: usize>(values: &[T], convert: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * N];
    bytes.chunks_exact_mut(N).zip(values).for_each(|(out, v)| out.copy_from_slice(&convert(*v)));
    bytes
}

fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    bytes.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]])
}

/// Position of the checksum's digits. The metadata is JSON within JSON, so its quotes are escaped and cannot match.
fn checksum_position(bytes: &[u8]) -> Option<usize> {
    let length = usize::try_from(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)).ok()?;
    let header = bytes.get(8..length.checked_add(8)?)?;
    let field = CHECKSUM.replace('"', "\\\"");
    let at = header.windows(field.len()).position(|w| w == field.as_bytes())? + 8 + field.len();
    (at + ZEROS.len() <= 8 + length).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::Random;

    fn container() -> Container {
        let arrays = [
            ("a", Array::F32(vec![2, 2], vec![1.0, -2.0, 3.5, 0.0])),
            ("b", Array::F16(vec![3], vec![f16::ONE; 3])),
            ("c", Array::U32(vec![1], vec![7])),
            ("d", Array::U8(vec![3], vec![1, 2, 3])),
        ];
        let arrays = arrays.map(|(name, array)| (name.to_owned(), array)).into();
        Container { metadata: "{\"name\":\"\\\"quoted\\\"\"}".to_owned(), arrays }
    }

    #[test]
    fn what_is_written_is_read_and_always_the_same() {
        let bytes = container().to_bytes().unwrap();
        assert_eq!(Container::from_bytes(&bytes).unwrap(), container());
        assert_eq!(bytes, container().to_bytes().unwrap());
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let bytes = container().to_bytes().unwrap();
        for length in 0..bytes.len() {
            assert_eq!(Container::from_bytes(&bytes[..length]).unwrap_err().status(), Status::InvalidModel, "{length}");
        }
        assert!(Container::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let bytes = container().to_bytes().unwrap();
        let mut random = Random::new(1);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << random.below(8);
            let status = Container::from_bytes(&changed).unwrap_err().status();
            assert!(matches!(status, Status::InvalidModel | Status::UnsupportedModel), "byte {at}");
        }
    }

    #[test]
    fn foreign_and_newer_files_are_told_apart() {
        let foreign = serialize([("x", TensorView::new(Dtype::U8, vec![1], &[1]).unwrap())], None).unwrap();
        let error = Container::from_bytes(&foreign).unwrap_err();
        assert!(error.message().contains("not written by npad"), "{error}");
        let bytes = container().to_bytes().unwrap();
        let text = b"\\\"version\\\":1";
        let at = bytes.windows(text.len()).position(|w| w == text).unwrap() + text.len() - 1;
        let mut newer = bytes;
        newer[at] = b'2';
        assert_eq!(Container::from_bytes(&newer).unwrap_err().status(), Status::UnsupportedModel);
    }
}
