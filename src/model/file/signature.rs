//! Signatures of model files: Ed25519 (RFC 8032) over a BLAKE3 hash of the file.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::error::{Error, Result, Status};

/// Length of a key in bytes; as text it has twice as many digits.
pub const KEY_BYTES: usize = 32;
/// Length of a signature as text.
pub const SIGNATURE_DIGITS: usize = 128;
/// What is signed begins with this, so that a signature of a model is none of anything else.
const CONTEXT: &[u8] = b"npad model signature 1\0";

/// A key that signs models. Whoever has it can sign.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

/// The public half of a [`SecretKey`], with which its signatures are verified: 64 hexadecimal digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl SecretKey {
    /// The key of these bytes, which must come from a cryptographic random generator.
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The signature of a file with this hash, as text.
    pub(super) fn sign(&self, hash: &blake3::Hash) -> String {
        self.0.sign(&message(hash)).to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl PublicKey {
    /// Whether `signature` is that of a file with this hash.
    pub(super) fn verifies(&self, hash: &blake3::Hash, signature: &str) -> bool {
        let Some(signature) = from_hex(signature) else { return false };
        self.0.verify_strict(&message(hash), &Signature::from_bytes(&signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let key = from_hex(&text.to_ascii_lowercase()).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        // A weak key verifies signatures that nobody made.
        key.filter(|key| !key.is_weak()).map(Self).ok_or_else(|| {
            let message =
                format!("'{text}' is no public key: it must be the 64 hexadecimal digits that `npad key` prints");
            Error::new(Status::InvalidOption, message)
        })
    }
}

impl FromStr for SecretKey {
    type Err = Error;

    /// Reads the text of a key file: 64 hexadecimal digits, and perhaps the end of the line.
    fn from_str(text: &str) -> Result<Self> {
        // The message must not show the key.
        let message = "this is no secret key: it must be the 64 hexadecimal digits that `npad key --new` writes";
        from_hex(&text.trim_end().to_ascii_lowercase())
            .map(|bytes| Self::new(&bytes))
            .ok_or_else(|| Error::new(Status::InvalidArgument, message))
    }
}

fn message(hash: &blake3::Hash) -> Vec<u8> {
    [CONTEXT, hash.as_bytes()].concat()
}

/// Bytes from two lower-case hexadecimal digits each.
fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first test vector of RFC 8032, 7.1.
    #[test]
    fn keys_are_those_of_the_standard() {
        let secret = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(secret.parse::<SecretKey>().unwrap().public().to_string(), public);
        assert_eq!(public.to_uppercase().parse::<PublicKey>().unwrap().to_string(), public);
        assert_eq!(format!("{secret}\n").parse::<SecretKey>().unwrap().public().to_string(), public);
    }

    #[test]
    fn a_signature_is_of_one_hash_by_one_key() {
        let (key, other) = (SecretKey::new(&[1; 32]), SecretKey::new(&[2; 32]));
        let (hash, changed) = (blake3::hash(b"model"), blake3::hash(b"modem"));
        let signature = key.sign(&hash);
        assert_eq!(signature.len(), SIGNATURE_DIGITS);
        assert!(key.public().verifies(&hash, &signature));
        assert!(!key.public().verifies(&changed, &signature));
        assert!(!other.public().verifies(&hash, &signature));
        for damaged in [&signature[1..], &signature.replace('a', "b"), &signature.to_uppercase(), ""] {
            assert!(!key.public().verifies(&hash, damaged), "{damaged}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let (digits, zeros) = ("d".repeat(63), "0".repeat(64));
        for text in ["", "key", &digits, &"g".repeat(64), &"é".repeat(32), &zeros] {
            assert_eq!(text.parse::<PublicKey>().unwrap_err().status(), Status::InvalidOption, "{text}");
        }
        let error = digits.parse::<SecretKey>().err().unwrap();
        assert!(!error.message().contains(&digits), "a secret is not shown");
    }
}
