//! The model file: safetensors with a checksum over every byte and, where it was signed, a signature.
//!
//! Safetensors is a length, a JSON header and raw arrays: simple to read from any language, safe to map, and nothing in
//! it is executed (unlike pickles) but networks, which ONNX Runtime runs. Its header carries npad's own metadata. The checksum stands in
//! the header as eight hexadecimal digits and is computed over the whole file with these digits as zeros. The signature is one of
//! the hash of the whole file with its own digits and those of the checksum as zeros.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use half::f16;
use safetensors::tensor::{Dtype, Metadata as TensorMetadata, SafeTensors, TensorInfo};
use serde::Deserialize;

use super::signature::{PublicKey, SIGNATURE_DIGITS, SecretKey};
use crate::error::{Error, Result, Status};
use crate::exec::huge_pages;
use crate::exec::memory::try_reserve;
use crate::method::Array;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A model, or the checkpoint of a training.
    Model,
    /// The state of a trainer.
    TrainerState,
}

impl Content {
    const ALL: [Self; 2] = [Self::Model, Self::TrainerState];

    /// Name of the format in the file.
    fn format(self) -> &'static str {
        match self {
            Self::Model => "npad-model",
            Self::TrainerState => "npad-trainer-state",
        }
    }

    /// Version of the format. Files of a later version are refused. Version 2 of models has one scale for score and map.
    fn version(self) -> u32 {
        match self {
            Self::Model => 2,
            Self::TrainerState => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::TrainerState => "trainer state",
        }
    }

    fn invalid(self, what: &str) -> Error {
        Error::new(Status::InvalidModel, format!("this is not an intact npad {}: {what}", self.name()))
    }
}

/// Fields of the header that are computed over the file with zeros in their place.
const CHECKSUM: Digits = Digits { name: "checksum", count: 8 };
const SIGNATURE: Digits = Digits { name: "signature", count: SIGNATURE_DIGITS };
/// The field of the public key that belongs to the signature.
const SIGNER: &str = "signer";
/// Limit of the header's length. The header has names, shapes and settings alone, and takes several times its length while it is read.
const MAX_HEADER: u64 = 1 << 20;
/// The header is filled up with spaces to a multiple of this length.
const ALIGNMENT: usize = 8;

/// Length of the part of a file that [`is_plausible`] looks at.
pub const PREFIX: usize = 9;

/// Whether a file that begins with these bytes may be a model: a header of a possible length that begins with JSON.
pub fn is_plausible(prefix: &[u8]) -> bool {
    let Some((length, header)) = prefix.split_first_chunk::<8>() else { return false };
    header.first() == Some(&b'{') && u64::from_le_bytes(*length) <= MAX_HEADER
}

/// Parts of a long header are larger than the blocks of the reserve: checks that there is memory for what is made of one.
fn check_memory_for(header: usize) -> Result<()> {
    const SHORT: usize = 64 << 10;
    const TIMES: usize = 32;
    if header <= SHORT { Ok(()) } else { try_reserve(&mut Vec::<u8>::new(), header.saturating_mul(TIMES)) }
}

/// The contents of a model file.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// The model's metadata, as JSON.
    pub metadata: String,
    /// The arrays, by name.
    pub arrays: BTreeMap<String, Array>,
}

/// npad's own part of the header. Fields that are not known are skipped and take no memory.
#[derive(Deserialize)]
struct Own {
    #[serde(default)]
    format: String,
    version: Option<u64>,
    settings: Option<String>,
    signer: Option<String>,
    signature: Option<String>,
}

/// Refuses models that are not signed with one of the keys; without keys, none.
pub type TrustedKeys = [PublicKey];

impl Container {
    /// Serialises the contents, and signs them where there is a key.
    ///
    /// # Errors
    /// [`Status::Internal`] when the arrays' shapes and lengths disagree; [`Status::InvalidArgument`] when the metadata are too long to be
    /// read again; [`Status::OutOfMemory`].
    pub fn to_bytes(&self, content: Content, key: Option<&SecretKey>) -> Result<Vec<u8>> {
        let internal = |e: &dyn std::fmt::Display| {
            Error::new(Status::Internal, format!("the {} cannot be written: {e}", content.name()))
        };
        // The order of safetensors' own writer, which copies all arrays once more: larger types first, then by name.
        let mut arrays: Vec<(&String, &Array)> = self.arrays.iter().collect();
        arrays.sort_by_key(|(_, array)| std::cmp::Reverse(dtype(array)));
        let mut offset = 0;
        let mut tensors = Vec::new();
        for (name, array) in &arrays {
            let start = offset;
            offset += byte_len(array);
            let info = TensorInfo { dtype: dtype(array), shape: array.shape().to_vec(), data_offsets: (start, offset) };
            tensors.push(((*name).clone(), info));
        }
        // One entry, so that the header's text does not depend on a hash map's order.
        let mut metadata = serde_json::json!({
            "format": content.format(), "version": content.version(), CHECKSUM.name: CHECKSUM.zeros(), "settings": self.metadata
        });
        if let Some(key) = key {
            metadata[SIGNER] = key.public().to_string().into();
            metadata[SIGNATURE.name] = SIGNATURE.zeros().into();
        }
        check_memory_for(self.metadata.len())?;
        let metadata = HashMap::from([("npad".to_owned(), metadata.to_string())]);
        let metadata = TensorMetadata::new(Some(metadata), tensors).map_err(|e| internal(&e))?;
        let mut header = serde_json::to_vec(&metadata).map_err(|e| internal(&e))?;
        header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
        if header.len() as u64 > MAX_HEADER {
            let message = format!(
                "the settings take {} bytes, but a {} has room for {MAX_HEADER}: use shorter values of the method's parameters",
                header.len(),
                content.name()
            );
            return Err(Error::new(Status::InvalidArgument, message));
        }

        let mut bytes = Vec::new();
        try_reserve(&mut bytes, size_of::<u64>() + header.len() + offset)?;
        bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&header);
        for (_, array) in arrays {
            match array {
                Array::U8(_, data) => bytes.extend_from_slice(data),
                Array::F64(_, data) => append(&mut bytes, data, f64::to_le_bytes),
                Array::I64(_, data) => append(&mut bytes, data, i64::to_le_bytes),
                Array::F32(_, data) => append(&mut bytes, data, f32::to_le_bytes),
                Array::F16(_, data) => append(&mut bytes, data, f16::to_le_bytes),
                Array::U32(_, data) => append(&mut bytes, data, u32::to_le_bytes),
            }
        }
        let missing = || internal(&"the header has no checksum or signature field");
        if let Some(key) = key {
            let signature = key.sign(&blake3::hash(&bytes));
            let at = SIGNATURE.find(&bytes).ok_or_else(missing)?;
            bytes[at].copy_from_slice(signature.as_bytes());
        }
        let checksum = format!("{:08x}", crc32fast::hash(&bytes));
        let at = CHECKSUM.find(&bytes).ok_or_else(missing)?;
        bytes[at].copy_from_slice(checksum.as_bytes());
        Ok(bytes)
    }

    /// Checks and parses the bytes of a file. Returns the key that it was signed with, if it was.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] for anything that is not an intact npad model, [`Status::UnsupportedModel`] for one of a
    /// newer npad, [`Status::UntrustedModel`] for one that is not signed with a trusted key.
    pub fn from_bytes(bytes: &[u8], content: Content, trusted: &TrustedKeys) -> Result<(Self, Option<PublicKey>)> {
        let invalid = |what: &str| content.invalid(what);
        if !is_plausible(bytes) {
            return Err(invalid("it does not begin as one"));
        }
        let length = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
        check_memory_for(length as usize)?;
        let (_, header) = SafeTensors::read_metadata(bytes)
            .map_err(|e| invalid(&format!("{e}; the file is truncated, corrupted or of another format")))?;
        let own = header
            .metadata()
            .as_ref()
            .and_then(|m| m.get("npad"))
            .ok_or_else(|| invalid("it is a safetensors file, but was not written by npad"))?;
        let own: Own = serde_json::from_str(own).map_err(|e| invalid(&e.to_string()))?;
        if own.format != content.format() {
            let found = Content::ALL.into_iter().find(|content| content.format() == own.format);
            return Err(match found {
                Some(Content::Model) => invalid("it is a model"),
                Some(_) => invalid("it is a trainer state; npad merge and npad_trainer_load() read it"),
                None => invalid("its header names another format"),
            });
        }
        let known = content.version();
        match own.version {
            Some(version) if (1..=u64::from(known)).contains(&version) => {}
            Some(version) => {
                let message = format!(
                    "the {} has format version {version}, but this npad reads versions up to {known}; use a newer npad",
                    content.name()
                );
                return Err(Error::new(Status::UnsupportedModel, message));
            }
            None => return Err(invalid("its header has no version")),
        }
        let checksum = CHECKSUM.find(bytes).ok_or_else(|| invalid("its header has no checksum"))?;
        let mut hasher = crc32fast::Hasher::new();
        with_zeros(bytes, [&checksum], |part| hasher.update(part));
        if format!("{:08x}", hasher.finalize()).as_bytes() != &bytes[checksum.clone()] {
            return Err(invalid("its checksum does not match; the file is corrupted"));
        }
        let signer = signer(bytes, &own, &checksum)?;
        check_trust(signer.as_ref(), trusted)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| invalid(&e.to_string()))?;
        let mut container = Self {
            metadata: own.settings.ok_or_else(|| invalid("its header has no metadata"))?,
            arrays: BTreeMap::new(),
        };
        for (name, view) in tensors.iter() {
            let (shape, data) = (view.shape().to_vec(), view.data());
            let array = match view.dtype() {
                Dtype::U8 => Array::U8(shape, values(data, u8::from_le_bytes)?),
                Dtype::F64 => Array::F64(shape, values(data, f64::from_le_bytes)?),
                Dtype::I64 => Array::I64(shape, values(data, i64::from_le_bytes)?),
                Dtype::F32 => Array::F32(shape, values(data, f32::from_le_bytes)?),
                Dtype::F16 => Array::F16(shape, values(data, f16::from_le_bytes)?),
                Dtype::U32 => Array::U32(shape, values(data, u32::from_le_bytes)?),
                other => return Err(invalid(&format!("array '{name}' has the unexpected type {other}"))),
            };
            container.arrays.insert(name.to_owned(), array);
        }
        Ok((container, signer))
    }
}

/// The key of a file's signature, which must be right; none for a file that was not signed.
fn signer(bytes: &[u8], own: &Own, checksum: &Range<usize>) -> Result<Option<PublicKey>> {
    let (signer, signature) = (own.signer.as_deref(), own.signature.as_deref());
    if signer.is_none() && signature.is_none() {
        return Ok(None);
    }
    let damaged = || Content::Model.invalid("its signature does not match; the file was changed after it was signed");
    let key: PublicKey = signer.and_then(|key| key.parse().ok()).ok_or_else(damaged)?;
    let at = SIGNATURE.find(bytes).ok_or_else(damaged)?;
    if at.start < checksum.end && checksum.start < at.end {
        return Err(damaged());
    }
    let mut hasher = blake3::Hasher::new();
    let mut blanks = [checksum, &at];
    blanks.sort_by_key(|blank| blank.start);
    with_zeros(bytes, blanks, |part| {
        hasher.update(part);
    });
    let intact = signature.is_some_and(|text| text.as_bytes() == &bytes[at] && key.verifies(&hasher.finalize(), text));
    if intact { Ok(Some(key)) } else { Err(damaged()) }
}

fn check_trust(signer: Option<&PublicKey>, trusted: &TrustedKeys) -> Result<()> {
    if trusted.is_empty() || signer.is_some_and(|signer| trusted.contains(signer)) {
        return Ok(());
    }
    let found = signer.map_or("not signed".to_owned(), |signer| format!("signed with the key {signer}"));
    let message = format!(
        "the model is {found}, but the option trusted_keys demands a signature with one of its keys: have the model signed \
         (`npad sign`), or add the key to trusted_keys if you trust its owner"
    );
    Err(Error::new(Status::UntrustedModel, message))
}

fn dtype(array: &Array) -> Dtype {
    match array {
        Array::U8(..) => Dtype::U8,
        Array::F64(..) => Dtype::F64,
        Array::I64(..) => Dtype::I64,
        Array::F32(..) => Dtype::F32,
        Array::F16(..) => Dtype::F16,
        Array::U32(..) => Dtype::U32,
    }
}

fn byte_len(array: &Array) -> usize {
    match array {
        Array::U8(_, data) => data.len(),
        Array::F64(_, data) => size_of_val(&data[..]),
        Array::I64(_, data) => size_of_val(&data[..]),
        Array::F32(_, data) => size_of_val(&data[..]),
        Array::F16(_, data) => size_of_val(&data[..]),
        Array::U32(_, data) => size_of_val(&data[..]),
    }
}

fn append<T: Copy, const N: usize>(bytes: &mut Vec<u8>, values: &[T], convert: impl Fn(T) -> [u8; N]) {
    let start = bytes.len();
    bytes.resize(start + N * values.len(), 0);
    let (chunks, _) = bytes[start..].as_chunks_mut::<N>();
    chunks.iter_mut().zip(values).for_each(|(chunk, value)| *chunk = convert(*value));
}

/// The values of an array of the file, which has `N` bytes for each.
fn values<T, const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Result<Vec<T>> {
    let (chunks, _) = bytes.as_chunks::<N>();
    let mut values = huge_pages::try_with_capacity(chunks.len())?;
    values.extend(chunks.iter().map(|chunk| convert(*chunk)));
    Ok(values)
}

/// A field of npad's metadata with a fixed number of hexadecimal digits.
struct Digits {
    name: &'static str,
    count: usize,
}

impl Digits {
    fn zeros(&self) -> String {
        "0".repeat(self.count)
    }

    /// Where the digits are in the file. The metadata is JSON within JSON, so its quotes are escaped and cannot match.
    fn find(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let length = usize::try_from(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)).ok()?;
        let header = bytes.get(8..length.checked_add(8)?)?;
        let field = format!("\\\"{}\\\":\\\"", self.name);
        let start = header.windows(field.len()).position(|w| w == field.as_bytes())? + 8 + field.len();
        (start + self.count <= 8 + length).then_some(start..start + self.count)
    }
}

/// Passes the bytes on with zeros in the place of digits, which are given in ascending order.
fn with_zeros<const N: usize>(bytes: &[u8], blanks: [&Range<usize>; N], mut take: impl FnMut(&[u8])) {
    let mut done = 0;
    for blank in blanks {
        take(&bytes[done..blank.start]);
        blank.clone().for_each(|_| take(b"0"));
        done = blank.end;
    }
    take(&bytes[done..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::Random;
    use safetensors::tensor::{TensorView, serialize};

    fn container() -> Container {
        let arrays = [
            ("a", Array::F32(vec![2, 2], vec![1.0, -2.0, 3.5, 0.0])),
            ("b", Array::F16(vec![3], vec![f16::ONE; 3])),
            ("c", Array::U32(vec![1], vec![7])),
            ("d", Array::U8(vec![3], vec![1, 2, 3])),
            ("e", Array::F64(vec![2], vec![1e300, -0.5])),
            ("f", Array::I64(vec![1, 2], vec![i64::MIN, 7])),
        ];
        let arrays = arrays.map(|(name, array)| (name.to_owned(), array)).into();
        Container { metadata: "{\"name\":\"\\\"quoted\\\"\"}".to_owned(), arrays }
    }

    #[test]
    fn what_is_written_is_read_and_always_the_same() {
        let bytes = container().to_bytes(Content::Model, None).unwrap();
        assert_eq!(Container::from_bytes(&bytes, Content::Model, &[]).unwrap(), (container(), None));
        assert_eq!(bytes, container().to_bytes(Content::Model, None).unwrap());
    }

    /// Files are those of safetensors' own writer, but for the checksum.
    #[test]
    fn arrays_stand_where_safetensors_puts_them() {
        let bytes = container().to_bytes(Content::Model, None).unwrap();
        let (header, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let views = tensors.iter().map(|(name, view)| (name.to_owned(), view));
        let own = serialize(views, metadata.metadata().clone()).unwrap();
        assert_eq!((bytes.len(), &bytes[header..]), (own.len(), &own[header..]));
        assert_eq!(bytes, own);
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let long = |length: usize| {
            Container { metadata: "x".repeat(length), arrays: BTreeMap::new() }.to_bytes(Content::Model, None)
        };
        let bytes = long(MAX_HEADER as usize - 1000).unwrap();
        assert!(Container::from_bytes(&bytes, Content::Model, &[]).is_ok());
        assert_eq!(long(MAX_HEADER as usize).unwrap_err().status(), Status::InvalidArgument);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let bytes = container().to_bytes(Content::Model, None).unwrap();
        for length in 0..bytes.len() {
            assert_eq!(
                Container::from_bytes(&bytes[..length], Content::Model, &[]).unwrap_err().status(),
                Status::InvalidModel,
                "{length}"
            );
        }
        assert!(Container::from_bytes(&[&bytes[..], &[0]].concat(), Content::Model, &[]).is_err());
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let bytes = container().to_bytes(Content::Model, None).unwrap();
        let mut random = Random::new(1);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << random.below(8);
            let status = Container::from_bytes(&changed, Content::Model, &[]).unwrap_err().status();
            assert!(matches!(status, Status::InvalidModel | Status::UnsupportedModel), "byte {at}");
        }
    }

    /// Sizes that overflow, offsets that overlap or leave gaps, and gigabytes claimed in a file of less than a kilobyte.
    #[test]
    fn claims_that_the_file_does_not_pay_for_are_refused() {
        let metadata =
            r#"{"npad":"{\"checksum\":\"00000000\",\"format\":\"npad-model\",\"settings\":\"{}\",\"version\":2}"}"#;
        let file = |arrays: &str| {
            let header = format!(r#"{{"__metadata__":{metadata},{arrays}}}"#);
            let mut bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat();
            let checksum = format!("{:08x}", crc32fast::hash(&bytes));
            let at = CHECKSUM.find(&bytes).unwrap();
            bytes[at].copy_from_slice(checksum.as_bytes());
            Container::from_bytes(&bytes, Content::Model, &[])
        };
        let one = |shape: &str, start: u64, end: u64| {
            format!(r#""a":{{"dtype":"F32","shape":[{shape}],"data_offsets":[{start},{end}]}}"#)
        };
        assert!(file(&one("16", 0, 64)).is_ok(), "the frame is right");
        for arrays in [
            one("268435456", 0, 1 << 30),
            one("268435456", 0, 64),
            one("4294967296,4294967296,4294967296", 0, 64),
            one("18446744073709551615", 0, 64),
            one("16", 0, u64::MAX),
            one("16", 64, 0),
            one("8", 32, 64),
            one("16", 0, 64) + "," + &one("16", 0, 64).replace("\"a\"", "\"b\""),
            one("8", 0, 32) + "," + &one("12", 16, 64).replace("\"a\"", "\"b\""),
        ] {
            let error = file(&arrays).unwrap_err();
            assert_eq!(error.status(), Status::InvalidModel, "{arrays}: {error}");
        }
        for length in [u64::MAX, u64::MAX - 7, 1 << 40, MAX_HEADER + 1] {
            let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
            assert_eq!(
                Container::from_bytes(&bytes, Content::Model, &[]).unwrap_err().status(),
                Status::InvalidModel,
                "{length}"
            );
        }
    }

    /// A signature that is too short, whose digits would be those of the checksum.
    #[test]
    fn a_signature_over_the_checksum_is_refused() {
        let own = serde_json::json!({
            "a": "", "format": Content::Model.format(), "version": Content::Model.version(), "settings": "{}", "signer": SecretKey::new(&[1; 32]).public().to_string()
        });
        let fields = format!(r#""signature":"ab","checksum":"00000000","pad":"{}""#, "x".repeat(SIGNATURE_DIGITS));
        let own = own.to_string().replace(r#""a":"""#, &fields);
        let header = serde_json::json!({"__metadata__": {"npad": own}}).to_string();
        let mut bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
        let (checksum, signature) = (CHECKSUM.find(&bytes).unwrap(), SIGNATURE.find(&bytes).unwrap());
        assert!(signature.start < checksum.start && checksum.end < signature.end);
        let right = format!("{:08x}", crc32fast::hash(&bytes));
        bytes[checksum].copy_from_slice(right.as_bytes());
        let error = Container::from_bytes(&bytes, Content::Model, &[]).unwrap_err();
        assert!(error.status() == Status::InvalidModel && error.message().contains("signature"), "{error}");
    }

    #[test]
    fn foreign_and_newer_files_are_told_apart() {
        let foreign = serialize([("x", TensorView::new(Dtype::U8, vec![1], &[1]).unwrap())], None).unwrap();
        let error = Container::from_bytes(&foreign, Content::Model, &[]).unwrap_err();
        assert!(error.message().contains("not written by npad"), "{error}");
        let bytes = container().to_bytes(Content::Model, None).unwrap();
        let text = b"\\\"version\\\":2";
        let at = bytes.windows(text.len()).position(|w| w == text).unwrap() + text.len() - 1;
        let mut newer = bytes;
        newer[at] = b'3';
        assert_eq!(Container::from_bytes(&newer, Content::Model, &[]).unwrap_err().status(), Status::UnsupportedModel);
    }

    #[test]
    fn a_signature_says_whose_a_file_is() {
        let (key, other) = (SecretKey::new(&[1; 32]), SecretKey::new(&[2; 32]));
        let signed = container().to_bytes(Content::Model, Some(&key)).unwrap();
        let trusted = [key.public()];
        assert_eq!(Container::from_bytes(&signed, Content::Model, &[]).unwrap(), (container(), Some(key.public())));
        assert_eq!(
            Container::from_bytes(&signed, Content::Model, &[other.public(), key.public()]).unwrap().1,
            Some(key.public())
        );
        let refusal =
            |bytes: &[u8], trusted: &TrustedKeys| Container::from_bytes(bytes, Content::Model, trusted).unwrap_err();
        let error = refusal(&signed, &[other.public()]);
        assert!(
            error.status() == Status::UntrustedModel && error.message().contains(&key.public().to_string()),
            "{error}"
        );
        let error = refusal(&container().to_bytes(Content::Model, None).unwrap(), &trusted);
        assert!(error.status() == Status::UntrustedModel && error.message().contains("not signed"), "{error}");
        // The checksum is no secret: whoever changes a file computes it anew.
        let checksum = CHECKSUM.find(&signed).unwrap();
        for at in (0..signed.len()).filter(|at| !checksum.contains(at)) {
            let mut changed = signed.clone();
            changed[at] ^= 1;
            changed[checksum.clone()].fill(b'0');
            let right = format!("{:08x}", crc32fast::hash(&changed));
            changed[checksum.clone()].copy_from_slice(right.as_bytes());
            let status = refusal(&changed, &trusted).status();
            assert!(
                matches!(status, Status::InvalidModel | Status::UnsupportedModel | Status::UntrustedModel),
                "byte {at}: {status:?}"
            );
        }
        let exchanged = |from: &PublicKey, to: &PublicKey| {
            let (from, to) = (from.to_string(), to.to_string());
            let at = signed.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
            let mut changed = signed.clone();
            changed[at..at + to.len()].copy_from_slice(to.as_bytes());
            changed[checksum.clone()].fill(b'0');
            let right = format!("{:08x}", crc32fast::hash(&changed));
            changed[checksum.clone()].copy_from_slice(right.as_bytes());
            changed
        };
        let error = refusal(&exchanged(&key.public(), &other.public()), &[other.public()]);
        assert!(error.status() == Status::InvalidModel && error.message().contains("signature"), "{error}");
    }
}
