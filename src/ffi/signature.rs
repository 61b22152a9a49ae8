use std::ffi::c_char;

use super::error::npad_error;
use super::model::npad_model;
use super::{borrow, guard, guard_value, invalid, null, output};
use crate::error::Status;
use crate::model::{KEY_BYTES, SecretKey};

/// Creates a copy of a model that is signed whenever it is saved, so that a program with the option "trusted_keys" can know who
/// taught it. The signature is Ed25519 (RFC 8032) over a hash of the whole file. The two models share memory; each must be
/// freed. The copy keeps the key in memory until it is freed.
///
/// A signature belongs to one file: a model that is loaded and saved again, or a copy with other thresholds, is not signed until
/// this function signs it. `npad key` makes keys, and `npad sign` signs files.
///
/// @param model         the original model; it does not change
/// @param key           the secret key, `key_size` bytes from a cryptographic random generator; read during the call only. A file that
///                      `npad key` made has them as hexadecimal digits, which the program must decode
/// @param key_size      must be 32
/// @param signed_model  receives the new model, null on failure
/// @param error         receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when an argument is null or the key has another size
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_with_signature(
    model: *const npad_model,
    key: *const u8,
    key_size: usize,
    signed_model: *mut *mut npad_model,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(signed_model, "signed_model")?;
            let model = &borrow(model, "model")?.model;
            if key.is_null() {
                return Err(null("key"));
            }
            if key_size != KEY_BYTES {
                return Err(invalid(format!("the key has {key_size} bytes, but must have {KEY_BYTES}")));
            }
            let key = SecretKey::new(&key.cast::<[u8; KEY_BYTES]>().read());
            *out = npad_model::into_raw(model.with_signature(&key))?;
            Ok(())
        })
    }
}

/// Returns the public key that belongs to a model's signature, 64 hexadecimal digits as "trusted_keys" takes them: that of the
/// file that the model was loaded from, or of npad_model_with_signature(). The signature of a file has been verified when it
/// was loaded, but anybody can sign: only "trusted_keys" refuses strangers. An empty string if the model is not signed or
/// `model` is null. Valid until the model is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_signer(model: *const npad_model) -> *const c_char {
    guard_value(c"".as_ptr(), || unsafe { npad_model::text(model, |m| &m.signer) })
}
