//! Rows of a matrix in memory that need not be contiguous or initialised.
//!
//! A caller may pass a part of a larger matrix to npad while another thread writes the rest. A slice from the first
//! value to the last would also cover the gaps between the rows, which belong to that other thread. These types hold a
//! pointer instead and create slices of single rows only:
//!
//! - [`Rows`] can be read, like `&[T]`;
//! - [`RowsMut`] can be read and written, like `&mut [T]`;
//! - [`RowsOut`] may be uninitialised. It can be written once, which turns it into [`RowsMut`].

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::Threads;
use crate::error::{Error, Result, Status};

/// Number of rows per task of a parallel loop.
const ROWS_PER_TASK: usize = 16;

/// Shared rows of initialised values.
#[derive(Debug)]
pub struct Rows<'a, T> {
    extent: Extent<T>,
    memory: PhantomData<&'a [T]>,
}

/// Exclusive rows of initialised values.
#[derive(Debug)]
pub struct RowsMut<'a, T> {
    extent: Extent<T>,
    memory: PhantomData<&'a mut [T]>,
}

/// Exclusive rows to be written, whose memory may be uninitialised.
#[derive(Debug)]
pub struct RowsOut<'a, T> {
    extent: Extent<T>,
    memory: PhantomData<&'a mut [T]>,
}

impl<'a, T> Rows<'a, T> {
    /// `height` rows of `width` values, `stride` values apart, at the start of a slice.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when a side is 0, the stride is shorter than a row, or the slice is too short.
    pub fn from_slice(values: &'a [T], width: usize, height: usize, stride: usize) -> Result<Self> {
        let start = NonNull::from(values).cast();
        Ok(Self { extent: Extent::within(start, values.len(), width, height, stride)?, memory: PhantomData })
    }

    /// `height` rows of `width` values, `stride` values apart.
    ///
    /// # Safety
    /// For the lifetime `'a`, every value of every row must be initialised, must lie in the same allocation, and must not
    /// be written by anybody. What lies between the rows is not accessed.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when a side is 0, the stride is shorter than a row, or the pointer is null or not
    /// aligned, or the rows exceed the address space.
    #[allow(unsafe_code)]
    pub unsafe fn from_raw(start: *const T, width: usize, height: usize, stride: usize) -> Result<Self> {
        Ok(Self { extent: Extent::at(start.cast_mut(), width, height, stride)?, memory: PhantomData })
    }

    /// Values in a row.
    pub fn width(&self) -> usize {
        self.extent.width
    }

    /// The number of rows.
    pub fn height(&self) -> usize {
        self.extent.height
    }

    /// Row `y`.
    ///
    /// # Panics
    /// When there is no such row.
    #[allow(unsafe_code)]
    pub fn row(&self, y: usize) -> &'a [T] {
        // SAFETY: a row of initialised values that nobody writes for `'a`.
        unsafe { std::slice::from_raw_parts(self.extent.row(y), self.extent.width) }
    }

    /// All rows, from the first to the last.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [T]> {
        let rows = *self;
        (0..self.height()).map(move |y| rows.row(y))
    }
}

impl<T> Clone for Rows<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Rows<'_, T> {}

impl<'a, T> RowsMut<'a, T> {
    /// `height` rows of `width` values, `stride` values apart, at the start of a slice.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when a side is 0, the stride is shorter than a row, or the slice is too short.
    pub fn from_slice(values: &'a mut [T], width: usize, height: usize, stride: usize) -> Result<Self> {
        let (length, start) = (values.len(), NonNull::from(values).cast());
        Ok(Self { extent: Extent::within(start, length, width, height, stride)?, memory: PhantomData })
    }

    /// Values in a row.
    pub fn width(&self) -> usize {
        self.extent.width
    }

    /// The number of rows.
    pub fn height(&self) -> usize {
        self.extent.height
    }

    /// Row `y`.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, y: usize) -> &[T] {
        self.as_rows().row(y)
    }

    /// Row `y`, to write to.
    ///
    /// # Panics
    /// When there is no such row.
    #[allow(unsafe_code)]
    pub fn row_mut(&mut self, y: usize) -> &mut [T] {
        // SAFETY: a row of initialised values, exclusively borrowed through `self`.
        unsafe { std::slice::from_raw_parts_mut(self.extent.row(y), self.extent.width) }
    }

    /// The rows, to read.
    pub fn as_rows(&self) -> Rows<'_, T> {
        Rows { extent: self.extent, memory: PhantomData }
    }
}

impl<'a, T: Copy> RowsOut<'a, T> {
    /// `height` rows of `width` values, `stride` values apart, at the start of a slice.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when a side is 0, the stride is shorter than a row, or the slice is too short.
    pub fn from_slice(values: &'a mut [T], width: usize, height: usize, stride: usize) -> Result<Self> {
        let RowsMut { extent, memory } = RowsMut::from_slice(values, width, height, stride)?;
        Ok(Self { extent, memory })
    }

    /// `height` rows of `width` values, `stride` values apart, in memory that may be uninitialised.
    ///
    /// # Safety
    /// For the lifetime `'a`, every value of every row must be valid for writes, must lie in the same allocation, and must
    /// not be read or written by anybody else. What lies between the rows is not accessed.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when a side is 0, the stride is shorter than a row, or the pointer is null or not
    /// aligned, or the rows exceed the address space.
    #[allow(unsafe_code)]
    pub unsafe fn from_raw(start: *mut T, width: usize, height: usize, stride: usize) -> Result<Self> {
        Ok(Self { extent: Extent::at(start, width, height, stride)?, memory: PhantomData })
    }

    /// Values in a row.
    pub fn width(&self) -> usize {
        self.extent.width
    }

    /// The number of rows.
    pub fn height(&self) -> usize {
        self.extent.height
    }

    /// The same rows for a shorter time.
    pub fn reborrow(&mut self) -> RowsOut<'_, T> {
        RowsOut { extent: self.extent, memory: PhantomData }
    }

    /// Sets every value.
    pub fn fill(self, value: T) -> RowsMut<'a, T> {
        self.write(value, |_, _| ())
    }

    /// Sets the values of each row to `value` and then calls `work` with the row's number and the row.
    #[allow(unsafe_code)]
    pub fn write(self, value: T, mut work: impl FnMut(usize, &mut [T])) -> RowsMut<'a, T> {
        for y in 0..self.extent.height {
            // SAFETY: the rows are exclusively borrowed through `self`, and no other slice of this row is alive.
            work(y, unsafe { self.extent.fill_row(y, value) });
        }
        RowsMut { extent: self.extent, memory: self.memory }
    }

    /// As [`RowsOut::write`], with the rows shared among the threads of scoring.
    #[allow(unsafe_code)]
    pub fn write_parallel(self, value: T, threads: &Threads, work: impl Fn(usize, &mut [T]) + Sync) -> RowsMut<'a, T>
    where
        T: Send + Sync,
    {
        let extent = self.extent;
        // A loop over numbers: `()` takes no memory.
        let mut tasks = vec![(); extent.height.div_ceil(ROWS_PER_TASK)];
        threads.chunks(&mut tasks, 1, |task, _| {
            let first = task * ROWS_PER_TASK;
            for y in first..(first + ROWS_PER_TASK).min(extent.height) {
                // SAFETY: the rows are exclusively borrowed through `self`, and each belongs to one task.
                work(y, unsafe { extent.fill_row(y, value) });
            }
        });
        RowsMut { extent, memory: self.memory }
    }
}

/// Position of rows in memory, without access rights.
#[derive(Debug)]
struct Extent<T> {
    start: NonNull<T>,
    width: usize,
    height: usize,
    stride: usize,
}

impl<T> Clone for Extent<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Extent<T> {}

#[allow(unsafe_code)]
// SAFETY: an address and three numbers. The types above borrow the values, and their `PhantomData` has their auto traits.
unsafe impl<T> Send for Extent<T> {}
#[allow(unsafe_code)]
// SAFETY: as for `Send`.
unsafe impl<T> Sync for Extent<T> {}

impl<T> Extent<T> {
    fn within(start: NonNull<T>, length: usize, width: usize, height: usize, stride: usize) -> Result<Self> {
        let needed = Self::length(width, height, stride)?;
        if length < needed {
            return Err(invalid(format!(
                "a buffer of {length} values does not hold {height} rows of {width} values, {stride} apart: it needs {needed}"
            )));
        }
        Ok(Self { start, width, height, stride })
    }

    fn at(start: *mut T, width: usize, height: usize, stride: usize) -> Result<Self> {
        Self::length(width, height, stride)?;
        let start = NonNull::new(start).ok_or_else(|| invalid("the pointer to the rows is null".to_owned()))?;
        if !start.is_aligned() {
            let message = format!("the rows start at {start:p}, which is not a multiple of {} bytes", align_of::<T>());
            return Err(invalid(message));
        }
        Ok(Self { start, width, height, stride })
    }

    /// Number of values from the start of the first row to the end of the last.
    fn length(width: usize, height: usize, stride: usize) -> Result<usize> {
        if width == 0 || height == 0 || stride < width {
            return Err(invalid(format!(
                "{height} rows of {width} values, {stride} apart, cannot be used: both sides must be at least 1, and the \
                 stride at least the width"
            )));
        }
        let length = stride.checked_mul(height - 1).and_then(|length| length.checked_add(width));
        let fits =
            |length: &usize| length.checked_mul(size_of::<T>()).is_some_and(|bytes| isize::try_from(bytes).is_ok());
        length.filter(fits).ok_or_else(|| {
            invalid(format!("{height} rows of {width} values, {stride} apart, exceed the address space"))
        })
    }

    #[allow(unsafe_code)]
    fn row(&self, y: usize) -> *mut T {
        assert!(y < self.height, "row {y} of {}", self.height);
        // SAFETY: within the extent, which was checked not to exceed `isize::MAX` bytes and lies in one allocation.
        unsafe { self.start.add(y * self.stride).as_ptr() }
    }

    /// Initialises row `y`.
    ///
    /// # Safety
    /// The row must be valid for writes, and nobody else may access it as long as the slice lives.
    #[allow(unsafe_code)]
    unsafe fn fill_row<'a>(&self, y: usize, value: T) -> &'a mut [T]
    where
        T: Copy,
    {
        let row = self.row(y);
        // SAFETY: by contract; `MaybeUninit` values need not be initialised, and after the fill they are.
        unsafe {
            std::slice::from_raw_parts_mut(row.cast::<MaybeUninit<T>>(), self.width).fill(MaybeUninit::new(value));
            std::slice::from_raw_parts_mut(row, self.width)
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(Status::InvalidArgument, message)
}

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn geometry_is_checked() {
        let mut values = [0u32; 20];
        for (width, height, stride) in [(0, 1, 1), (1, 0, 1), (5, 4, 4), (5, 5, 5), (5, 2, usize::MAX), (21, 1, 21)] {
            let error = RowsOut::from_slice(&mut values, width, height, stride).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument, "{error}");
        }
        assert!(Rows::from_slice(&values, 2, 3, 9).is_ok(), "the last row needs no padding");
        let start = values.as_mut_ptr();
        // SAFETY: refused before anything is accessed.
        unsafe {
            assert!(RowsOut::from_raw(std::ptr::null_mut::<u32>(), 1, 1, 1).is_err());
            assert!(RowsOut::from_raw(start.wrapping_byte_add(1), 1, 1, 1).is_err());
            assert!(RowsOut::from_raw(start, 1, 2, isize::MAX as usize / 4).is_err(), "more than isize::MAX bytes");
            assert!(Rows::from_raw(start, 5, 4, 5).is_ok());
        }
    }

    #[test]
    fn two_threads_write_interleaved_halves_of_uninitialised_memory() {
        const HEIGHT: usize = 50;
        const HALF: usize = 7;
        // Two halves and a gap after each, which nobody writes.
        const STRIDE: usize = 2 * (HALF + 1);
        let mut matrix = vec![MaybeUninit::<u64>::uninit(); HEIGHT * STRIDE];
        for y in 0..HEIGHT {
            matrix[y * STRIDE + HALF].write(u64::MAX);
            matrix[y * STRIDE + 2 * HALF + 1].write(u64::MAX);
        }
        let start = matrix.as_mut_ptr().cast::<u64>();
        // SAFETY: the halves do not overlap, and both end before the matrix is looked at again.
        let halves = [0, HALF + 1].map(|x| unsafe { RowsOut::from_raw(start.add(x), HALF, HEIGHT, STRIDE).unwrap() });
        std::thread::scope(|scope| {
            for (half, rows) in halves.into_iter().enumerate() {
                scope.spawn(move || {
                    let threads = Threads::new(2).unwrap();
                    let mut rows = rows.write_parallel(half as u64, &threads, |y, row| {
                        row.iter_mut().for_each(|value| *value += 10 * y as u64);
                    });
                    rows.row_mut(0)[0] += 1000;
                });
            }
        });
        // SAFETY: the rows and the gaps have been written.
        let matrix: Vec<u64> = matrix.into_iter().map(|value| unsafe { value.assume_init() }).collect();
        for (at, value) in matrix.into_iter().enumerate() {
            let (y, x) = (at / STRIDE, at % STRIDE);
            let first = u64::from(y == 0 && x % (HALF + 1) == 0);
            let gap = x % (HALF + 1) == HALF;
            let expected = if gap { u64::MAX } else { (x / (HALF + 1) + 10 * y) as u64 + 1000 * first };
            assert_eq!(value, expected, "row {y}, column {x}");
        }
    }

    proptest! {
        #[test]
        fn rows_are_those_of_the_slice(width in 1usize..9, height in 1usize..40, padding in 0usize..4) {
            let stride = width + padding;
            let length = stride * height - padding;
            let number = |y: usize, x: usize| (1 + y * stride + x) as u32;
            let mut expected = vec![0; length];
            for (y, row) in expected.chunks_mut(stride).enumerate() {
                row[..width].iter_mut().enumerate().for_each(|(x, value)| *value = number(y, x));
            }
            let work = |y: usize, row: &mut [u32]| {
                assert!(row.iter().all(|value| *value == 7), "filled before the work");
                row.iter_mut().enumerate().for_each(|(x, value)| *value = number(y, x));
            };
            let threads = Threads::new(2).unwrap();
            for parallel in [false, true] {
                let mut values = vec![0; length];
                let out = RowsOut::from_slice(&mut values, width, height, stride).unwrap();
                let rows = if parallel { out.write_parallel(7, &threads, work) } else { out.write(7, work) };
                let of_slice = expected.chunks(stride).map(|row| &row[..width]);
                prop_assert!(rows.as_rows().iter().eq(of_slice));
                prop_assert_eq!(&values, &expected);
            }
        }
    }
}
