//! Webcams and grabbers by Video4Linux: devices `/dev/video*`.

mod kernel;

use std::fs::{File, OpenOptions, read_dir};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use super::convert::{Layout, Raw, decode_jpeg};
use super::latest::{BUFFERS, Source, Taken};
use super::{CameraInfo, gone, not_found};
use crate::picture::Picture;
use npad::error::{Error, Result, Status};

use kernel::{Buffer, Capability, Format, FormatDescription, Mapping, PixFormat, RequestBuffers, ioctl};

const FOLDER: &str = "/dev/";
const PREFIX: &str = "video";
/// The largest frame in bytes.
const MAX_BYTES: usize = 512 << 20;

/// How a frame is converted.
#[derive(Clone, Copy)]
enum Coding {
    Plain(Layout),
    Jpeg,
}

/// The supported formats, the best first.
const FORMATS: [(&[u8; 4], Coding); 15] = [
    (b"RGB3", Coding::Plain(Layout::Rgb8)),
    (b"BGR3", Coding::Plain(Layout::Bgr8)),
    (b"BA81", Coding::Plain(Layout::Bayer8 { red_x: 1, red_y: 1 })),
    (b"GBRG", Coding::Plain(Layout::Bayer8 { red_x: 0, red_y: 1 })),
    (b"GRBG", Coding::Plain(Layout::Bayer8 { red_x: 1, red_y: 0 })),
    (b"RGGB", Coding::Plain(Layout::Bayer8 { red_x: 0, red_y: 0 })),
    (b"Y16 ", Coding::Plain(Layout::Gray16 { bits: 16 })),
    (b"Y14 ", Coding::Plain(Layout::Gray16 { bits: 14 })),
    (b"Y12 ", Coding::Plain(Layout::Gray16 { bits: 12 })),
    (b"Y10 ", Coding::Plain(Layout::Gray16 { bits: 10 })),
    (b"YUYV", Coding::Plain(Layout::Yuv422 { luma_first: true, full_range: false })),
    (b"UYVY", Coding::Plain(Layout::Yuv422 { luma_first: false, full_range: false })),
    (b"MJPG", Coding::Jpeg),
    (b"JPEG", Coding::Jpeg),
    (b"GREY", Coding::Plain(Layout::Gray8)),
];

/// The number of a device from its name, none for other names.
fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(PREFIX)?;
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// The numbers of the devices there are.
fn numbers() -> Vec<u32> {
    let entries = read_dir(FOLDER).into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| number(entry.file_name().to_str()?)).collect();
    numbers.sort_unstable();
    numbers
}

/// Whether there is a device.
pub fn is_available() -> bool {
    !numbers().is_empty()
}

/// The devices that capture. One that cannot be asked is among them, so that opening it tells why.
pub fn cameras() -> Vec<CameraInfo> {
    let camera = |number| {
        let id = format!("{FOLDER}{PREFIX}{number}");
        let name = match open(&id).and_then(|file| capability(&file)) {
            Ok(capability) if captures(&capability) => format!("{} ({id})", card(&capability)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => id.clone(),
            _ => return None,
        };
        Some(CameraInfo { id, name })
    };
    numbers().into_iter().filter_map(camera).collect()
}

fn open(id: &str) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(id)
}

fn capability(file: &File) -> io::Result<Capability> {
    let mut capability = Capability::default();
    // SAFETY: the request's type.
    unsafe { ioctl(file, kernel::QUERYCAP, &mut capability) }?;
    Ok(capability)
}

fn captures(capability: &Capability) -> bool {
    // A device may have several nodes, and the first field tells what all of them can do together.
    let has_own = capability.capabilities & kernel::CAP_DEVICE_CAPS != 0;
    let capabilities = if has_own { capability.device_caps } else { capability.capabilities };
    let needed = kernel::CAP_VIDEO_CAPTURE | kernel::CAP_STREAMING;
    capabilities & needed == needed
}

fn card(capability: &Capability) -> String {
    let text = capability.card.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).trim().to_string()
}

/// A device that delivers frames.
pub struct Device {
    mappings: Vec<Mapping>,
    file: File,
    format: PixFormat,
    coding: Coding,
    id: String,
}

/// A filled buffer.
pub struct Frame {
    index: u32,
    bytes: usize,
}

impl Device {
    /// Opens a device and starts it, with the frame size that it has, and the pixel format too if that is supported.
    pub fn open(id: &str) -> Result<Self> {
        id.strip_prefix(FOLDER).and_then(number).ok_or_else(|| not_found(id))?;
        let file = open(id).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => not_found(id),
            io::ErrorKind::PermissionDenied => {
                let message = format!("{id} must not be opened ({e}): make the user a member of the group \"video\"");
                Error::new(Status::Io, message)
            }
            _ => failed(id, "open it", &e),
        })?;
        if !captures(&capability(&file).map_err(|e| failed(id, "ask what it is", &e))?) {
            let message = format!("{id} is no camera that streams single-plane video: choose another device");
            return Err(Error::new(Status::NotFound, message));
        }
        let (format, coding) = negotiate(&file, id)?;
        let mut device = Self { mappings: Vec::new(), file, format, coding, id: id.to_string() };
        device.start()?;
        Ok(device)
    }

    fn start(&mut self) -> Result<()> {
        let (id, file) = (&self.id, &self.file);
        let fail = |what: &'static str| move |e: io::Error| failed(id, what, &e);
        let (kind, memory) = (kernel::BUF_TYPE_VIDEO_CAPTURE, kernel::MEMORY_MMAP);
        let mut request = RequestBuffers { count: BUFFERS, kind, memory, ..RequestBuffers::default() };
        // SAFETY: the request's type.
        unsafe { ioctl(file, kernel::REQBUFS, &mut request) }.map_err(fail("get buffers"))?;
        for index in 0..request.count {
            let mut buffer = Buffer::capture(index);
            // SAFETY: the request's type.
            unsafe { ioctl(file, kernel::QUERYBUF, &mut buffer) }.map_err(fail("ask for a buffer"))?;
            self.mappings.push(Mapping::new(file, &buffer).map_err(fail("map a buffer"))?);
            self.queue(index).map_err(fail("queue a buffer"))?;
        }
        let mut kind = kernel::BUF_TYPE_VIDEO_CAPTURE;
        // SAFETY: the request's type.
        unsafe { ioctl(file, kernel::STREAMON, &mut kind) }.map_err(fail("start it"))
    }

    fn queue(&self, index: u32) -> io::Result<()> {
        // SAFETY: the request's type.
        unsafe { ioctl(&self.file, kernel::QBUF, &mut Buffer::capture(index)) }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let mut kind = kernel::BUF_TYPE_VIDEO_CAPTURE;
        // SAFETY: the request's type. Closing the file stops it too, so that nothing is to be done where this fails.
        let _ = unsafe { ioctl(&self.file, kernel::STREAMOFF, &mut kind) };
    }
}

/// The device's format if it is supported, else the best of those it offers.
fn negotiate(file: &File, id: &str) -> Result<(PixFormat, Coding)> {
    let mut format = Format::capture(PixFormat::default());
    // SAFETY: the request's type.
    unsafe { ioctl(file, kernel::G_FMT, &mut format) }.map_err(|e| failed(id, "ask for its format", &e))?;
    if coding(&format.pix()).is_none() {
        let offered = offered(file);
        let best = FORMATS.iter().map(|(name, _)| u32::from_le_bytes(**name)).find(|name| offered.contains(name));
        let Some(best) = best else {
            let names: Vec<String> = offered.iter().map(|name| four_letters(*name)).collect();
            let supported: Vec<String> =
                FORMATS.iter().map(|(name, _)| String::from_utf8_lossy(*name).into()).collect();
            let message = format!(
                "{id} offers the pixel formats {}, but {} are supported: choose another device",
                names.join(", "),
                supported.join(", ")
            );
            return Err(Error::new(Status::InvalidImage, message));
        };
        let PixFormat { width, height, .. } = format.pix();
        format = Format::capture(PixFormat { width, height, pixelformat: best, ..PixFormat::default() });
        // SAFETY: the request's type.
        unsafe { ioctl(file, kernel::S_FMT, &mut format) }.map_err(|e| failed(id, "set its pixel format", &e))?;
    }
    let pix = format.pix();
    let coding = coding(&pix).filter(|_| pix.sizeimage as usize <= MAX_BYTES).ok_or_else(|| {
        let message = format!(
            "{id} has frames of {} bytes in the pixel format {}, but at most {MAX_BYTES} in a supported one can be \
             used: set another format with v4l2-ctl",
            pix.sizeimage,
            four_letters(pix.pixelformat)
        );
        Error::new(Status::InvalidImage, message)
    })?;
    Ok((pix, coding))
}

/// The pixel formats that a device offers.
fn offered(file: &File) -> Vec<u32> {
    let describe = |index| {
        let kind = kernel::BUF_TYPE_VIDEO_CAPTURE;
        let mut description = FormatDescription { index, kind, ..FormatDescription::default() };
        // SAFETY: the request's type.
        unsafe { ioctl(file, kernel::ENUM_FMT, &mut description) }.ok()?;
        Some(description.pixelformat)
    };
    (0..256).map_while(describe).collect()
}

/// How a format is converted, if it is supported.
fn coding(format: &PixFormat) -> Option<Coding> {
    let (_, coding) = FORMATS.into_iter().find(|(name, _)| u32::from_le_bytes(**name) == format.pixelformat)?;
    Some(match coding {
        Coding::Plain(Layout::Yuv422 { luma_first, .. }) => {
            let full_range = format.quantization == kernel::QUANTIZATION_FULL_RANGE;
            Coding::Plain(Layout::Yuv422 { luma_first, full_range })
        }
        other => other,
    })
}

fn four_letters(format: u32) -> String {
    String::from_utf8_lossy(&format.to_le_bytes()).trim_end().to_string()
}

fn failed(id: &str, what: &str, error: &io::Error) -> Error {
    let message = format!(
        "cannot use the camera {id}: cannot {what}: {error}: check its cable and that no other program uses it"
    );
    Error::new(Status::Io, message)
}

impl Source for Device {
    type Frame = Frame;

    fn next(&self, timeout: Duration) -> Result<Option<Taken<Frame>>> {
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let events = kernel::poll(&self.file, milliseconds).map_err(|e| gone(&self.id, e))?;
        if events == 0 {
            return Ok(None);
        }
        if events & libc::POLLIN == 0 {
            return Err(gone(&self.id, "it was unplugged or stopped"));
        }
        let mut buffer = Buffer::capture(0);
        // SAFETY: the request's type.
        match unsafe { ioctl(&self.file, kernel::DQBUF, &mut buffer) } {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(e) if e.raw_os_error() == Some(libc::EIO) => {
                // The kernel's word for a lost signal, which may come back. Nothing says when.
                std::thread::sleep(timeout);
                return Ok(Some(Taken::Damaged("the signal is lost".into())));
            }
            Err(e) => return Err(gone(&self.id, e)),
        }
        let frame = Frame { index: buffer.index, bytes: buffer.bytesused as usize };
        if buffer.flags & kernel::BUF_FLAG_ERROR == 0 {
            return Ok(Some(Taken::Whole(frame)));
        }
        self.release(frame);
        Ok(Some(Taken::Damaged("the driver says so".into())))
    }

    fn picture(&self, frame: &Frame) -> Result<Taken<Picture>> {
        let data = self.mappings.get(frame.index as usize).map_or(&[][..], |mapping| mapping.bytes(frame.bytes));
        let (width, height) = (self.format.width as usize, self.format.height as usize);
        let picture = match self.coding {
            Coding::Jpeg => decode_jpeg(data),
            Coding::Plain(layout) => {
                let stride = (self.format.bytesperline as usize).max(layout.row_bytes(width));
                Raw { data, width, height, stride, layout }.to_picture()
            }
        };
        Ok(picture.map_or_else(Taken::Damaged, Taken::Whole))
    }

    fn release(&self, frame: Frame) {
        // Where this fails, the device is gone, which the next frame tells.
        let _ = self.queue(frame.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_their_names() {
        assert_eq!(number("video12"), Some(12));
        for name in ["video", "videox", "video1x", "video+1", "vbi0", "Video0", "video99999999999"] {
            assert_eq!(number(name), None, "{name}");
        }
    }

    #[test]
    fn formats_have_the_codes_of_the_header() {
        let expected = [
            (0x5659_5559, "YUYV"),
            (0x5956_5955, "UYVY"),
            (0x5945_5247, "GREY"),
            (0x2030_3159, "Y10"),
            (0x2032_3159, "Y12"),
            (0x2034_3159, "Y14"),
            (0x2036_3159, "Y16"),
            (0x3342_4752, "RGB3"),
            (0x3352_4742, "BGR3"),
            (0x4750_4a4d, "MJPG"),
            (0x4745_504a, "JPEG"),
            (0x3138_4142, "BA81"),
            (0x4752_4247, "GBRG"),
            (0x4742_5247, "GRBG"),
            (0x4247_4752, "RGGB"),
        ];
        assert_eq!(expected.len(), FORMATS.len());
        for (code, name) in expected {
            assert_eq!(four_letters(code), name);
            assert!(coding(&PixFormat { pixelformat: code, ..PixFormat::default() }).is_some(), "{name}");
        }
        assert!(coding(&PixFormat { pixelformat: 0x3231_564e, ..PixFormat::default() }).is_none(), "NV12");
    }
}
