//! Structs that begin with their size, so that programs and libraries of different versions work together.
//!
//! The caller sets the size of its struct. Fields that the caller's struct lacks are read as 0, which has no effect.
//! Bytes beyond the library's struct must be 0, since the library cannot act on them.

use std::mem::MaybeUninit;

use super::callbacks::{NPAD_CALLBACK_MESSAGE_SIZE, npad_callback_error};
use super::extractor::npad_extractor;
use super::image::{npad_image, npad_mask};
use super::output::{npad_drift, npad_known_defects, npad_output, npad_region};
use super::plugin::{npad_features, npad_plugin, npad_plugin_parameter};
use crate::error::{Error, Result, Status};

/// Upper limit of a struct's size; a larger value is an uninitialised variable.
const LARGEST_SIZE: usize = 4096;

/// A struct of the C interface. Later releases may append fields.
///
/// # Safety
/// It is `repr(C)`, and all bytes zero are a valid value.
pub unsafe trait Growing: Copy {
    /// The name in C.
    const NAME: &'static str;
    /// sizeof in the first release, the least that a caller may have.
    const FIRST_SIZE: usize;
}

/// Names the last field of the first release. The struct must end there without padding, since a later field in the
/// padding would receive uninitialised bytes from old callers.
macro_rules! growing {
    ($($name:ident: $last:ident: $type:ty;)+) => {$(
        // SAFETY: numbers, pointers and optional functions, all of which may be zero.
        unsafe impl Growing for $name {
            const NAME: &'static str = stringify!($name);
            const FIRST_SIZE: usize =
                (std::mem::offset_of!($name, $last) + size_of::<$type>()).next_multiple_of(align_of::<$name>());
        }
        #[cfg(target_pointer_width = "64")]
        const _: () = assert!($name::FIRST_SIZE == std::mem::offset_of!($name, $last) + size_of::<$type>());
    )+};
}

growing! {
    npad_mask: stride: i64;
    npad_image: roi_height: i32;
    npad_region: calibrated_peak: f32;
    npad_output: region_count: usize;
    npad_known_defects: cost_threshold: f32;
    npad_drift: reserved: i32;
    npad_callback_error: message: [std::ffi::c_char; NPAD_CALLBACK_MESSAGE_SIZE];
    npad_features: data: *const f32;
    npad_extractor: user_data: *mut std::ffi::c_void;
    npad_plugin_parameter: help: *const std::ffi::c_char;
    npad_plugin: scorer_free: Option<unsafe extern "C" fn(*mut std::ffi::c_void)>;
}

/// A struct with all fields zero.
pub fn zeroed<T: Growing>() -> T {
    // SAFETY: a valid value by the trait's contract.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// The value of a struct's size field.
///
/// # Safety
/// `pointer` must be valid for reading a `size_t`, which need not be aligned.
pub unsafe fn size_at<T: Growing>(pointer: *const T) -> usize {
    // SAFETY: by contract.
    unsafe { pointer.cast::<usize>().read_unaligned() }
}

/// Reads a struct that begins with its size.
///
/// # Errors
/// [`Status::InvalidArgument`] for a size that no release has had, or fields that this one does not know.
///
/// # Safety
/// `pointer` must be valid for reading as many bytes as its first member says, if these are plausible.
pub unsafe fn read_sized<T: Growing>(pointer: *const T) -> Result<T> {
    // SAFETY: by contract.
    unsafe { read(pointer.cast(), size_at(pointer)) }
}

/// Reads a struct of `size` bytes.
///
/// # Errors
/// As [`read_sized`].
///
/// # Safety
/// `pointer` must be valid for reading `size` bytes, if these are plausible. It need not be aligned.
pub unsafe fn read<T: Growing>(pointer: *const u8, size: usize) -> Result<T> {
    check_size::<T>(size)?;
    let own = size_of::<T>();
    let mut value = zeroed::<T>();
    // SAFETY: both hold as many bytes.
    unsafe { std::ptr::copy_nonoverlapping(pointer, (&raw mut value).cast(), size.min(own)) };
    // SAFETY: by contract.
    if (own..size).any(|at| unsafe { pointer.add(at).read() } != 0) {
        let (name, surplus) = (T::NAME, size - own);
        return Err(Error::new(
            Status::InvalidArgument,
            format!(
                "the last {surplus} bytes of an {name} of {size} are not 0, but this npad supports only {own} bytes: \
                 the program was built against a newer header and sets a field that this library lacks; use the \
                 library of that header"
            ),
        ));
    }
    Ok(value)
}

/// Writes a struct to memory of `size` bytes; bytes beyond this release's struct become zero.
///
/// # Errors
/// [`Status::InvalidArgument`] for a size that no release has had.
///
/// # Safety
/// `pointer` must be valid for writing `size` bytes, if these are plausible. It need not be aligned.
pub unsafe fn write<T: Growing>(pointer: *mut u8, size: usize, value: &T) -> Result<()> {
    check_size::<T>(size)?;
    let common = size.min(size_of::<T>());
    // SAFETY: both hold as many bytes, and a caller's memory is not a local variable.
    unsafe {
        std::ptr::copy_nonoverlapping((&raw const *value).cast(), pointer, common);
        pointer.add(common).write_bytes(0, size - common);
    }
    Ok(())
}

/// Checks the size of a caller's struct.
///
/// # Errors
/// [`Status::InvalidArgument`] where it cannot.
pub fn check_size<T: Growing>(size: usize) -> Result<()> {
    if (T::FIRST_SIZE..=LARGEST_SIZE).contains(&size) {
        return Ok(());
    }
    let (name, least) = (T::NAME, T::FIRST_SIZE);
    Err(Error::new(
        Status::InvalidArgument,
        format!("the size of an {name} is {size}, but must be sizeof({name}), which is at least {least}"),
    ))
}

/// An array of structs that begin with their size, which must be the same for all.
#[derive(Clone, Copy)]
pub struct SizedArray<T> {
    first: *const T,
    size: usize,
    count: usize,
}

impl<T: Growing> SizedArray<T> {
    /// An array of `count` structs; error messages call it `name`.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] for null, or a first struct whose size is wrong.
    ///
    /// # Safety
    /// `first` must be null or point to as many structs, of the size that the first one says.
    pub unsafe fn new(first: *const T, count: usize, name: &str) -> Result<Self> {
        if count == 0 {
            return Ok(Self { first, size: T::FIRST_SIZE, count });
        }
        if first.is_null() {
            let message = format!("{name} is null, but must point to an array of {count} {}", T::NAME);
            return Err(Error::new(Status::InvalidArgument, message));
        }
        // SAFETY: by contract.
        let size = unsafe { size_at(first) };
        check_size::<T>(size)?;
        if size.checked_mul(count).is_none_or(|bytes| bytes > isize::MAX as usize) {
            let message = format!("an array of {count} {name} exceeds the address space");
            return Err(Error::new(Status::InvalidArgument, message));
        }
        Ok(Self { first, size, count })
    }

    /// The number of structs.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Address of struct `index`.
    pub fn pointer(&self, index: usize) -> *const T {
        self.first.cast::<u8>().wrapping_add(index * self.size).cast()
    }

    /// Reads struct `index`.
    ///
    /// # Errors
    /// As [`read_sized`]; [`Status::InvalidArgument`] where its size is not that of the first.
    ///
    /// # Safety
    /// `index` must be below the count, and the array must still be there.
    pub unsafe fn get(&self, index: usize) -> Result<T> {
        let pointer = self.pointer(index);
        // SAFETY: by contract.
        let size = unsafe { size_at(pointer) };
        if size != self.size {
            let (name, first) = (T::NAME, self.size);
            let message = format!("its size is {size}, but that of the first of the {name} is {first}: all must agree");
            return Err(Error::new(Status::InvalidArgument, message));
        }
        // SAFETY: by contract.
        unsafe { read_sized(pointer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Today's struct and a library's that has grown.
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Old {
        size: usize,
        value: u64,
    }

    #[derive(Clone, Copy)]
    #[repr(C)]
    struct New {
        size: usize,
        value: u64,
        more: [u64; 2],
    }

    const FIRST: usize = size_of::<Old>();

    // SAFETY: numbers.
    unsafe impl Growing for Old {
        const NAME: &'static str = "thing";
        const FIRST_SIZE: usize = FIRST;
    }
    // SAFETY: numbers.
    unsafe impl Growing for New {
        const NAME: &'static str = "thing";
        const FIRST_SIZE: usize = FIRST;
    }

    #[test]
    fn old_programs_leave_new_fields_zero() {
        let old = Old { size: FIRST, value: 7 };
        let new: New = unsafe { read_sized((&raw const old).cast()) }.unwrap();
        assert_eq!((new.size, new.value, new.more), (FIRST, 7, [0; 2]));
    }

    #[test]
    fn new_programs_may_leave_new_fields_zero_only() {
        let mut new = New { size: size_of::<New>(), value: 7, more: [0; 2] };
        let old: Old = unsafe { read_sized((&raw const new).cast()) }.unwrap();
        assert_eq!(old.value, 7);
        new.more[1] = 1 << 63;
        let error = unsafe { read_sized::<Old>((&raw const new).cast()) }.err().unwrap();
        assert!(error.status() == Status::InvalidArgument && error.message().contains("newer header"), "{error}");
    }

    #[test]
    fn sizes_that_no_release_has_are_refused_before_anything_is_read() {
        for size in [0, 1, FIRST - 1, LARGEST_SIZE + 1, usize::MAX] {
            let thing = Old { size, value: 0 };
            let error = unsafe { read_sized(&raw const thing) }.err().unwrap();
            assert!(error.status() == Status::InvalidArgument && error.message().contains("sizeof(thing)"), "{error}");
        }
    }

    #[test]
    fn arrays_are_walked_by_the_first_size_and_written_by_the_callers() {
        let things = [1, 2, 3].map(|value| New { size: size_of::<New>(), value, more: [0; 2] });
        let array = unsafe { SizedArray::<Old>::new(things.as_ptr().cast(), 3, "things") }.unwrap();
        for index in 0..array.len() {
            assert_eq!(unsafe { array.get(index) }.unwrap().value, index as u64 + 1);
        }
        let mixed = [Old { size: FIRST, value: 1 }, Old { size: FIRST + 8, value: 2 }];
        let array = unsafe { SizedArray::new(mixed.as_ptr(), 2, "things") }.unwrap();
        assert!(unsafe { array.get(1) }.err().unwrap().message().contains("all must agree"));
        assert!(unsafe { SizedArray::<Old>::new(std::ptr::null(), 1, "things") }.is_err());
        assert!(unsafe { SizedArray::new(mixed.as_ptr(), usize::MAX / 2, "things") }.is_err());

        let mut room = [0xffu8; 40];
        unsafe { write(room.as_mut_ptr(), 24, &mixed[0]) }.unwrap();
        assert!(room[16..24] == [0; 8] && room[24..] == [0xff; 16], "{room:?}");
        unsafe { write(room.as_mut_ptr(), FIRST, &things[0]) }.unwrap();
        assert!(room[24..] == [0xff; 16]);
        assert!(unsafe { write(room.as_mut_ptr(), FIRST - 1, &things[0]) }.is_err());
    }
}
