//! A scorer's state as named arrays, which the model file stores.

use std::collections::BTreeMap;

use half::f16;

use crate::error::{Error, Result, Status};

/// Values of one type and their shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Array {
    /// Double precision.
    F64(Vec<usize>, Vec<f64>),
    /// Single precision.
    F32(Vec<usize>, Vec<f32>),
    /// Half precision.
    F16(Vec<usize>, Vec<f16>),
    /// Signed whole numbers.
    I64(Vec<usize>, Vec<i64>),
    /// Whole numbers.
    U32(Vec<usize>, Vec<u32>),
    /// Bytes.
    U8(Vec<usize>, Vec<u8>),
}

impl Array {
    /// Its extents.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F64(shape, _) => shape,
            Self::F32(shape, _) => shape,
            Self::F16(shape, _) => shape,
            Self::I64(shape, _) => shape,
            Self::U32(shape, _) => shape,
            Self::U8(shape, _) => shape,
        }
    }
}

/// Named arrays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// By name.
    pub arrays: BTreeMap<String, Array>,
}

impl State {
    /// Adds an array.
    pub fn put(&mut self, name: impl Into<String>, array: Array) {
        self.arrays.insert(name.into(), array);
    }

    /// Takes an f64 array of the expected shape.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when it is missing, of another type or shape, or holds values that are not finite.
    pub fn take_f64(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
        match self.arrays.remove(name) {
            Some(Array::F64(found, data)) if found == shape && data.iter().all(|v| v.is_finite()) => Ok(data),
            _ => Err(unfit(name)),
        }
    }

    /// Takes an i64 array of the expected shape.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when it is missing, or of another type or shape.
    pub fn take_i64(&mut self, name: &str, shape: &[usize]) -> Result<Vec<i64>> {
        match self.arrays.remove(name) {
            Some(Array::I64(found, data)) if found == shape => Ok(data),
            _ => Err(unfit(name)),
        }
    }

    /// Takes an f32 array of the expected shape.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when it is missing, of another type or shape, or holds values that are not finite.
    pub fn take_f32(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        match self.arrays.remove(name) {
            Some(Array::F32(found, data)) if found == shape && data.iter().all(|v| v.is_finite()) => Ok(data),
            _ => Err(unfit(name)),
        }
    }

    /// Takes an f16 array of the expected shape.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when it is missing, of another type or shape, or holds values that are not finite.
    pub fn take_f16(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f16>> {
        match self.arrays.remove(name) {
            Some(Array::F16(found, data)) if found == shape && data.iter().all(|v| v.is_finite()) => Ok(data),
            _ => Err(unfit(name)),
        }
    }

    /// Takes a u32 array of any length.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when it is missing, or of another type.
    pub fn take_u32(&mut self, name: &str) -> Result<Vec<u32>> {
        match self.arrays.remove(name) {
            Some(Array::U32(_, data)) => Ok(data),
            _ => Err(unfit(name)),
        }
    }

    /// Takes an array of bytes of any length.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when it is missing, or of another type.
    pub fn take_u8(&mut self, name: &str) -> Result<Vec<u8>> {
        match self.arrays.remove(name) {
            Some(Array::U8(_, data)) => Ok(data),
            _ => Err(unfit(name)),
        }
    }

    /// The shape of an array, empty where there is none of that name.
    pub fn shape(&self, name: &str) -> &[usize] {
        self.arrays.get(name).map_or(&[], Array::shape)
    }
}

/// The error for a missing or inconsistent array.
pub fn unfit(name: &str) -> Error {
    Error::new(
        Status::InvalidModel,
        format!(
            "the array '{name}' is missing, out of range or inconsistent with the others; save the model or the trainer state \
             again with this npad"
        ),
    )
}
