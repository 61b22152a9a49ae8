//! The version of the interface.

/// The major version. Incompatible changes of this interface raise it.
pub const NPAD_VERSION_MAJOR: u32 = 0;
/// The minor version. Additions raise it; while the major version is 0, incompatible changes raise it too.
pub const NPAD_VERSION_MINOR: u32 = 2;
/// The patch version. Corrections raise it.
pub const NPAD_VERSION_PATCH: u32 = 0;
/// The version of this header as one number, to compare with npad_version_number().
pub const NPAD_VERSION_NUMBER: u32 = NPAD_VERSION_MAJOR * 1_000_000 + NPAD_VERSION_MINOR * 1_000 + NPAD_VERSION_PATCH;
