//! Random names, which nobody guesses and no other studio has.

use npad::error::{Error, Result, Status};

/// 32 hexadecimal digits.
///
/// # Errors
/// [`Status::Io`] when the system has no random numbers.
pub fn random() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::new(Status::Io, format!("the system has no random numbers: {e}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
