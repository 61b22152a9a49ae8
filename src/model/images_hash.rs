//! A hash of a set of images, for the records of a model.
//!
//! Each image is hashed as the network sees it, so that files of other formats with the same pixels have the same hash.
//! The images' hashes are added up, since the sum does not depend on their order, continues in a resumed fit, and counts
//! how often an image occurs (an exclusive or would lose pairs).
//!
//! An image's hash is the first half of its BLAKE3 hash. It is a cryptographic function because the hash is known before
//! the archive of the images is shown: nobody can find another image that stands in for one of them. Against somebody who
//! may choose many of the images freely, the sum is weaker. [`Sample::hash`] would be too weak: it has 64 bits, depends
//! on the seed, and can be inverted.
//!
//! [`Sample::hash`]: crate::method::Sample::hash

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Status};

/// Values that are converted to bytes at once: enough for BLAKE3 to use vector instructions.
const PIECE: usize = 8192;

/// Hash of a set of images, which may contain equal ones: 32 hexadecimal digits as text. It does not depend on the
/// order of the images. The hash of no images is 0.
///
/// It is the sum of the images' hashes modulo 2^128. The hash of an image is the first 16 bytes, in little-endian order,
/// of the BLAKE3 hash of the network's input for the image: the red, green and blue plane as 32-bit floats in
/// little-endian order, after resizing, masking and normalisation. So it depends on the input size, the mask and the
/// normalisation as well, but not on the file format. Processors without fused multiply-add (x86 before 2013) round
/// differently, so that they give other hashes for images of more than 8 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImagesHash(u128);

impl ImagesHash {
    /// Adds an image.
    pub(super) fn add(&mut self, image: ImageHash) {
        self.0 = self.0.wrapping_add(image.0);
    }

    /// Takes out an image that was added.
    pub(super) fn remove(&mut self, image: ImageHash) {
        self.0 = self.0.wrapping_sub(image.0);
    }

    /// Adds the images of another set.
    pub(super) fn merge(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

/// Hash of one image.
#[derive(Clone, Copy)]
pub(super) struct ImageHash(u128);

impl ImageHash {
    /// The hash of an image with this input of the network.
    pub fn of(tensor: &[f32]) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut bytes = [0; size_of::<f32>() * PIECE];
        for piece in tensor.chunks(PIECE) {
            let bytes = &mut bytes[..size_of_val(piece)];
            bytes.as_chunks_mut().0.iter_mut().zip(piece).for_each(|(bytes, value)| *bytes = value.to_le_bytes());
            hasher.update(bytes);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(u128::from_le_bytes(half))
    }

    /// The hash as a number.
    pub fn bits(self) -> u128 {
        self.0
    }

    /// The hash that is this number.
    pub fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Half of the hash: enough to tell whether a model has learnt an image.
    pub fn id(self) -> u64 {
        self.0 as u64
    }
}

impl FromStr for ImagesHash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let hash = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        let message = || format!("'{text}' is no hash of images: it must have 32 hexadecimal digits, 0-9 and a-f");
        hash.map(Self).ok_or_else(|| Error::new(Status::InvalidArgument, message()))
    }
}

impl TryFrom<String> for ImagesHash {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ImagesHash> for String {
    fn from(hash: ImagesHash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for ImagesHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash<'a>(tensors: impl IntoIterator<Item = &'a Vec<f32>>) -> ImagesHash {
        let mut hash = ImagesHash::default();
        tensors.into_iter().for_each(|tensor| hash.add(ImageHash::of(tensor)));
        hash
    }

    #[test]
    fn it_depends_on_the_images_and_how_often_they_occur_but_not_on_their_order() {
        let images: Vec<Vec<f32>> = (0..5).map(|n| (0..30).map(|i| (n * 30 + i) as f32).collect()).collect();
        let all = hash(&images);
        assert_eq!(all, hash(images.iter().rev()));
        assert_ne!(all, hash(&images[1..]));
        assert_ne!(all, hash(images.iter().chain(&images[..1])));
        assert_ne!(hash(&images[..1]), hash([&images[0]; 3]));
        assert_ne!(hash(&images[..1]), hash(&images[1..2]));
    }

    /// The documented definition, with BLAKE3's one-call function.
    #[test]
    fn it_is_the_sum_of_the_first_halves_of_blake3_hashes() {
        let long: Vec<f32> = (0..3 * PIECE + 5).map(|i| (i as f32).sin()).collect();
        let of = |tensor: &[f32]| {
            let bytes: Vec<u8> = tensor.iter().flat_map(|value| value.to_le_bytes()).collect();
            u128::from_le_bytes(*blake3::hash(&bytes).as_bytes().first_chunk().unwrap())
        };
        let short = vec![1.0, 2.0];
        let expected = of(&long).wrapping_add(of(&short)).wrapping_add(of(&[]));
        assert_eq!(hash([&long, &short, &vec![]]), ImagesHash(expected));
        assert_eq!(hash([&short]).to_string(), "7a35efca73e175cb2d586f4f7b6e3783", "as in earlier versions");
    }

    #[test]
    fn text_of_another_form_is_refused() {
        let hash = ImagesHash(0xABC);
        assert_eq!(hash.to_string(), "00000000000000000000000000000abc");
        assert_eq!(hash.to_string().parse::<ImagesHash>().unwrap(), hash);
        let digits = |digit: &str, count| digit.repeat(count);
        for text in [digits("", 0), digits("a", 31), digits("a", 33), digits("A", 32), digits("g", 32), digits("ä", 16)]
        {
            assert_eq!(text.parse::<ImagesHash>().unwrap_err().status(), Status::InvalidArgument, "{text}");
        }
        let signed = format!("+{}", digits("0", 31));
        assert!(signed.parse::<ImagesHash>().is_err());
    }
}
