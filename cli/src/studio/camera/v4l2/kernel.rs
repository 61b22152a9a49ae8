//! The part of the kernel's interface `linux/videodev2.h` that capturing needs.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;

pub const CAP_VIDEO_CAPTURE: u32 = 1;
pub const CAP_STREAMING: u32 = 0x0400_0000;
pub const CAP_DEVICE_CAPS: u32 = 0x8000_0000;
pub const BUF_TYPE_VIDEO_CAPTURE: u32 = 1;
pub const BUF_FLAG_ERROR: u32 = 0x40;
pub const MEMORY_MMAP: u32 = 1;
pub const QUANTIZATION_FULL_RANGE: u32 = 1;

#[repr(C)]
#[derive(Default)]
pub struct Capability {
    pub driver: [u8; 16],
    pub card: [u8; 32],
    pub bus_info: [u8; 32],
    pub version: u32,
    pub capabilities: u32,
    pub device_caps: u32,
    pub reserved: [u32; 3],
}

#[repr(C)]
#[derive(Default)]
pub struct FormatDescription {
    pub index: u32,
    pub kind: u32,
    pub flags: u32,
    pub description: [u8; 32],
    pub pixelformat: u32,
    pub mbus_code: u32,
    pub reserved: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct PixFormat {
    pub width: u32,
    pub height: u32,
    pub pixelformat: u32,
    pub field: u32,
    pub bytesperline: u32,
    pub sizeimage: u32,
    pub colorspace: u32,
    pub private: u32,
    pub flags: u32,
    pub ycbcr_enc: u32,
    pub quantization: u32,
    pub xfer_func: u32,
}

/// The header's union, which begins at a pointer's alignment.
#[repr(C)]
#[derive(Clone, Copy)]
pub union FormatUnion {
    pub pix: PixFormat,
    pub raw: [u8; 200],
    pub pointer: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Format {
    pub kind: u32,
    pub fmt: FormatUnion,
}

#[repr(C)]
#[derive(Default)]
pub struct RequestBuffers {
    pub count: u32,
    pub kind: u32,
    pub memory: u32,
    pub capabilities: u32,
    pub flags: u8,
    pub reserved: [u8; 3],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union BufferPlace {
    pub offset: u32,
    pub userptr: libc::c_ulong,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Buffer {
    pub index: u32,
    pub kind: u32,
    pub bytesused: u32,
    pub flags: u32,
    pub field: u32,
    pub timestamp: libc::timeval,
    pub timecode: [u32; 4],
    pub sequence: u32,
    pub memory: u32,
    pub m: BufferPlace,
    pub length: u32,
    pub reserved2: u32,
    pub request_fd: i32,
}

const TYPE: u32 = b'V' as u32;
pub const QUERYCAP: libc::Ioctl = libc::_IOR::<Capability>(TYPE, 0);
pub const ENUM_FMT: libc::Ioctl = libc::_IOWR::<FormatDescription>(TYPE, 2);
pub const G_FMT: libc::Ioctl = libc::_IOWR::<Format>(TYPE, 4);
pub const S_FMT: libc::Ioctl = libc::_IOWR::<Format>(TYPE, 5);
pub const REQBUFS: libc::Ioctl = libc::_IOWR::<RequestBuffers>(TYPE, 8);
pub const QUERYBUF: libc::Ioctl = libc::_IOWR::<Buffer>(TYPE, 9);
pub const QBUF: libc::Ioctl = libc::_IOWR::<Buffer>(TYPE, 15);
pub const DQBUF: libc::Ioctl = libc::_IOWR::<Buffer>(TYPE, 17);
pub const STREAMON: libc::Ioctl = libc::_IOW::<i32>(TYPE, 18);
pub const STREAMOFF: libc::Ioctl = libc::_IOW::<i32>(TYPE, 19);

impl Format {
    /// A capture format; of pixels 0 to be filled by the kernel.
    pub fn capture(pix: PixFormat) -> Self {
        let mut fmt = FormatUnion { raw: [0; 200] };
        fmt.pix = pix;
        Self { kind: BUF_TYPE_VIDEO_CAPTURE, fmt }
    }

    pub fn pix(&self) -> PixFormat {
        // SAFETY: all bytes were initialized, and every value is valid.
        unsafe { self.fmt.pix }
    }
}

impl Buffer {
    /// A capture buffer of the kernel's memory.
    pub fn capture(index: u32) -> Self {
        Self {
            index,
            kind: BUF_TYPE_VIDEO_CAPTURE,
            bytesused: 0,
            flags: 0,
            field: 0,
            timestamp: libc::timeval { tv_sec: 0, tv_usec: 0 },
            timecode: [0; 4],
            sequence: 0,
            memory: MEMORY_MMAP,
            m: BufferPlace { userptr: 0 },
            length: 0,
            reserved2: 0,
            request_fd: 0,
        }
    }

    pub fn offset(&self) -> u32 {
        // SAFETY: all bytes were initialized, and every value is valid.
        unsafe { self.m.offset }
    }
}

/// Calls a device's function, again where a signal interrupts it.
///
/// # Safety
/// The request must be one for which the kernel reads and writes a `T`.
pub unsafe fn ioctl<T>(file: &File, request: libc::Ioctl, value: &mut T) -> io::Result<()> {
    loop {
        // SAFETY: as the caller assures.
        if unsafe { libc::ioctl(file.as_raw_fd(), request, &raw mut *value) } != -1 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Waits until a frame is there; what poll says of the device, 0 when the time is over.
pub fn poll(file: &File, milliseconds: i32) -> io::Result<i16> {
    let mut asked = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one element.
    if unsafe { libc::poll(&raw mut asked, 1, milliseconds) } >= 0 {
        return Ok(asked.revents);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(0) } else { Err(error) }
}

/// A buffer of the device in our address space.
pub struct Mapping {
    address: *mut c_void,
    length: usize,
}

// SAFETY: memory that belongs to no thread and is only read.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub fn new(file: &File, buffer: &Buffer) -> io::Result<Self> {
        let (length, offset) = (buffer.length as usize, buffer.offset());
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: new memory at a place that the kernel chooses.
        let address = unsafe { libc::mmap(null_mut(), length, access, flags, file.as_raw_fd(), offset.into()) };
        if address == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self { address, length }) }
    }

    /// The first bytes, at most as many as there are. The driver must not have the buffer.
    pub fn bytes(&self, length: usize) -> &[u8] {
        // SAFETY: mapped until this is dropped, and nobody writes.
        unsafe { std::slice::from_raw_parts(self.address.cast(), length.min(self.length)) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing borrows from it any more.
        unsafe { libc::munmap(self.address, self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    // The numbers that a C program with linux/videodev2.h prints.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn structures_are_those_of_the_header() {
        assert_eq!(size_of::<Capability>(), 104);
        assert_eq!(offset_of!(Capability, card), 16);
        assert_eq!((offset_of!(Capability, capabilities), offset_of!(Capability, device_caps)), (84, 88));
        assert_eq!(size_of::<FormatDescription>(), 64);
        assert_eq!(offset_of!(FormatDescription, pixelformat), 44);
        assert_eq!((size_of::<Format>(), offset_of!(Format, fmt)), (208, 8));
        assert_eq!((size_of::<PixFormat>(), offset_of!(PixFormat, pixelformat)), (48, 8));
        assert_eq!((offset_of!(PixFormat, bytesperline), offset_of!(PixFormat, sizeimage)), (16, 20));
        assert_eq!(offset_of!(PixFormat, quantization), 40);
        assert_eq!(size_of::<RequestBuffers>(), 20);
        assert_eq!(size_of::<Buffer>(), 88);
        assert_eq!((offset_of!(Buffer, bytesused), offset_of!(Buffer, flags)), (8, 12));
        assert_eq!((offset_of!(Buffer, timestamp), offset_of!(Buffer, timecode)), (24, 40));
        assert_eq!((offset_of!(Buffer, sequence), offset_of!(Buffer, memory)), (56, 60));
        assert_eq!((offset_of!(Buffer, m), offset_of!(Buffer, length)), (64, 72));
    }

    #[test]
    #[cfg(all(target_pointer_width = "64", any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn requests_are_those_of_the_header() {
        let requests = [QUERYCAP, ENUM_FMT, G_FMT, S_FMT, REQBUFS, QUERYBUF, QBUF, DQBUF, STREAMON, STREAMOFF];
        let expected = [
            0x8068_5600u32,
            0xc040_5602,
            0xc0d0_5604,
            0xc0d0_5605,
            0xc014_5608,
            0xc058_5609,
            0xc058_560f,
            0xc058_5611,
            0x4004_5612,
            0x4004_5613,
        ];
        assert_eq!(requests.map(|request| request as u32), expected);
    }
}
