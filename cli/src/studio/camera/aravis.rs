//! GigE Vision and USB3 Vision cameras by Aravis.

mod library;

use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::convert::{Layout, Raw};
use super::gone;
use super::latest::{BUFFERS, Source, Taken};
use crate::picture::Picture;
use npad::error::{Error, Result, Status};

use library::{Object, Owned, text};
pub use library::{cameras, is_available};

/// The largest frame in bytes.
const MAX_BYTES: usize = 512 << 20;
const CONTINUOUS: c_int = 0;
const PAYLOAD_IMAGE: c_int = 1;
/// An image with data about it behind it.
const PAYLOAD_IMAGE_CHUNKS: c_int = 5;

/// A camera that delivers frames. The fields are dropped in this order: what uses a thing comes before it.
pub struct Device {
    stream: Owned,
    camera: Owned,
    /// What the stream's buffers point to.
    _memory: Vec<Vec<u8>>,
    lost: Arc<AtomicBool>,
    id: String,
}

impl Device {
    /// Opens a camera and starts it.
    pub fn open(id: &str) -> Result<Self> {
        let camera = library::open(id)?;
        let (functions, object) = (camera.functions, camera.object);
        let what = |what: &str| format!("{what} of the camera {id}");
        let lost = Arc::new(AtomicBool::new(false));
        // SAFETY: here and below the camera is alive, and texts end with a zero.
        unsafe {
            let device = (functions.arv_camera_get_device)(object);
            if !device.is_null() {
                let flag = Arc::into_raw(lost.clone()).cast_mut().cast();
                (functions.g_signal_connect_data)(device, c"control-lost".as_ptr(), set_flag, flag, free_flag, 0);
            }
            let mode = c"AcquisitionMode".as_ptr();
            let has_mode = |failure| (functions.arv_camera_is_feature_available)(object, mode, failure);
            if functions.attempt(what("ask for the acquisition mode"), has_mode)? != 0 {
                let set = |failure| (functions.arv_camera_set_acquisition_mode)(object, CONTINUOUS, failure);
                functions.attempt(what("set the acquisition mode"), set)?;
            }
            let format = |failure| (functions.arv_camera_get_pixel_format)(object, failure);
            let format = functions.attempt(what("get the pixel format"), format)?;
            if layout(format).is_none() {
                let name = |failure| text((functions.arv_camera_get_pixel_format_as_string)(object, failure));
                return Err(unsupported(id, &functions.attempt(what("get the pixel format"), name)?));
            }
        }
        // SAFETY: as above.
        let payload = |failure| unsafe { (functions.arv_camera_get_payload)(object, failure) };
        let payload = functions.attempt(what("get the frame size"), payload)? as usize;
        if payload == 0 || payload > MAX_BYTES {
            let message = format!(
                "the camera {id} has frames of {payload} bytes, but 1 to {MAX_BYTES} are supported: \
                 set a smaller region"
            );
            return Err(Error::new(Status::InvalidImage, message));
        }
        let mut memory = Vec::new();
        for _ in 0..BUFFERS {
            // GLib would end the process where there is no memory.
            let mut buffer = Vec::new();
            buffer.try_reserve_exact(payload).map_err(|_| {
                let message = format!("there is no memory for {BUFFERS} frames of {payload} bytes of the camera {id}");
                Error::new(Status::OutOfMemory, message)
            })?;
            buffer.resize(payload, 0u8);
            memory.push(buffer);
        }
        // SAFETY: without a callback; the result is ours.
        let stream = unsafe {
            let create = |failure| (functions.arv_camera_create_stream)(object, null(), null_mut(), failure);
            Owned::new(functions.attempt(what("create the stream"), create)?, functions, "stream")?
        };
        for memory in &mut memory {
            // SAFETY: the memory outlives the stream, which takes the buffer over.
            let buffer = unsafe { (functions.arv_buffer_new)(memory.len(), memory.as_mut_ptr().cast()) };
            // SAFETY: the reference is ours.
            push(&stream, unsafe { Owned::new(buffer, functions, "buffer") }?);
        }
        let device = Self { stream, camera, _memory: memory, lost, id: id.to_string() };
        // SAFETY: as above.
        let start = |failure| unsafe { (functions.arv_camera_start_acquisition)(object, failure) };
        functions.attempt(what("start the acquisition"), start)?;
        Ok(device)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // A camera that is gone would be waited for.
        if !self.lost.load(Ordering::SeqCst) {
            let stop = |failure| {
                // SAFETY: the camera is alive.
                unsafe { (self.camera.functions.arv_camera_stop_acquisition)(self.camera.object, failure) }
            };
            // What is left to do is the same where it failed.
            let _ = self.camera.functions.attempt("stop the camera", stop);
        }
    }
}

impl Source for Device {
    type Frame = Owned;

    fn next(&self, timeout: Duration) -> Result<Option<Taken<Owned>>> {
        let functions = self.stream.functions;
        if self.lost.load(Ordering::SeqCst) {
            return Err(gone(&self.id, "the connection is lost"));
        }
        let timeout = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
        // SAFETY: the stream is alive; a buffer that it gives is ours until it is pushed.
        let buffer = unsafe { (functions.arv_stream_timeout_pop_buffer)(self.stream.object, timeout) };
        if buffer.is_null() {
            return Ok(None);
        }
        // SAFETY: the reference is ours.
        let frame = unsafe { Owned::new(buffer, functions, "buffer") }?;
        // SAFETY: the buffer is alive.
        let damage = match unsafe { (functions.arv_buffer_get_status)(buffer) } {
            0 => return Ok(Some(Taken::Whole(frame))),
            2 => "its packets took too long".into(),
            3 => "packets are missing".into(),
            4 => "a packet has a wrong number".into(),
            5 => "it is larger than the camera said".into(),
            status => format!("Aravis' status {status}"),
        };
        self.release(frame);
        Ok(Some(Taken::Damaged(damage)))
    }

    fn picture(&self, frame: &Owned) -> Result<Taken<Picture>> {
        let (functions, buffer) = (frame.functions, frame.object);
        // SAFETY: here and below the buffer is alive, filled, and ours.
        let payload = unsafe { (functions.arv_buffer_get_payload_type)(buffer) };
        if !matches!(payload, PAYLOAD_IMAGE | PAYLOAD_IMAGE_CHUNKS) {
            let message = format!(
                "the camera {} sends data of GenICam's payload type {payload}, but plain images (type 1) are expected: \
                 switch off compression, multipart and 3D modes",
                self.id
            );
            return Err(Error::new(Status::InvalidImage, message));
        }
        let (mut padding, mut rows, mut bytes) = (0, 0, 0);
        // SAFETY: as above.
        let (format, width, height, data) = unsafe {
            (functions.arv_buffer_get_image_padding)(buffer, &raw mut padding, &raw mut rows);
            (
                (functions.arv_buffer_get_image_pixel_format)(buffer),
                (functions.arv_buffer_get_image_width)(buffer),
                (functions.arv_buffer_get_image_height)(buffer),
                (functions.arv_buffer_get_data)(buffer, &raw mut bytes),
            )
        };
        let layout = layout(format).ok_or_else(|| unsupported(&self.id, &format!("{format:#010x}")))?;
        let data: &[u8] = if data.is_null() {
            &[]
        } else {
            // SAFETY: the buffer's bytes, initialized when they were allocated, which no one else uses for now.
            unsafe { std::slice::from_raw_parts(data, bytes.min(MAX_BYTES)) }
        };
        let [width, height, padding] = [width, height, padding].map(|v| usize::try_from(v).unwrap_or(0));
        let stride = layout.row_bytes(width) + padding;
        Ok(match (Raw { data, width, height, stride, layout }.to_picture()) {
            Ok(picture) => Taken::Whole(picture),
            Err(damage) => Taken::Damaged(damage),
        })
    }

    fn release(&self, frame: Owned) {
        push(&self.stream, frame);
    }
}

/// Gives a buffer to the stream to be filled.
fn push(stream: &Owned, buffer: Owned) {
    // SAFETY: both are alive, and the stream takes the reference over.
    unsafe { (stream.functions.arv_stream_push_buffer)(stream.object, buffer.object) };
    std::mem::forget(buffer);
}

/// The camera's signal that it is gone.
unsafe extern "C" fn set_flag(_: Object, flag: *mut c_void) {
    // SAFETY: the flag lives until the signal is disconnected.
    unsafe { (*flag.cast::<AtomicBool>()).store(true, Ordering::SeqCst) };
}

/// The signal is disconnected.
unsafe extern "C" fn free_flag(flag: *mut c_void, _: *mut c_void) {
    // SAFETY: the reference was given to the signal, and this is called once.
    drop(unsafe { Arc::from_raw(flag.cast::<AtomicBool>()) });
}

/// The layout of a pixel format of GenICam's naming convention, if it is supported.
fn layout(format: u32) -> Option<Layout> {
    Some(match format {
        0x0108_0001 => Layout::Gray8,
        0x0110_0003 => Layout::Gray16 { bits: 10 },
        0x0110_0005 => Layout::Gray16 { bits: 12 },
        0x0110_0025 => Layout::Gray16 { bits: 14 },
        0x0110_0007 => Layout::Gray16 { bits: 16 },
        0x0218_0014 => Layout::Rgb8,
        0x0218_0015 => Layout::Bgr8,
        0x0108_0008 => Layout::Bayer8 { red_x: 1, red_y: 0 },
        0x0108_0009 => Layout::Bayer8 { red_x: 0, red_y: 0 },
        0x0108_000A => Layout::Bayer8 { red_x: 0, red_y: 1 },
        0x0108_000B => Layout::Bayer8 { red_x: 1, red_y: 1 },
        _ => return None,
    })
}

fn unsupported(id: &str, format: &str) -> Error {
    let message = format!(
        "the camera {id} sends pixels in the format {format}, but Mono8, Mono10, Mono12, Mono14, Mono16, RGB8, BGR8 \
         and 8-bit Bayer formats are supported: choose one of these with the camera's tool"
    );
    Error::new(Status::InvalidImage, message)
}

#[cfg(test)]
mod tests;
