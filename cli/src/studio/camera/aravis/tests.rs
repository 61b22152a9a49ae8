//! With Aravis' simulated camera. Where the library is missing, all that can be tested is that it is.

use std::time::Instant;

use super::*;
use crate::studio::camera::latest::Latest;
use npad::image::PixelFormat;

const FAKE: &str = "Fake_1";
const TIMEOUT: Duration = Duration::from_secs(10);

/// Opens the simulated camera, which only one test can have at a time; nothing where the library is missing.
fn with_fake(check: impl Fn()) {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE.lock().unwrap();
    if !is_available() {
        assert_eq!(cameras().unwrap(), []);
        assert_eq!(Device::open(FAKE).err().unwrap().status(), Status::NotFound);
        return;
    }
    library::enable_fake();
    check();
}

#[test]
fn the_simulated_camera_is_listed_and_delivers_pictures() {
    with_fake(|| {
        let cameras = cameras().unwrap();
        assert!(cameras.iter().any(|camera| camera.id == FAKE && !camera.name.is_empty()), "{cameras:?}");
        let latest = Latest::start(Device::open(FAKE).unwrap()).unwrap();
        let first = latest.grab(TIMEOUT).unwrap();
        assert_eq!(first.format, PixelFormat::Gray8);
        assert!(first.width > 0 && first.pixels.len() == first.width * first.height);
        // Its picture moves.
        let moved = (0..10).any(|_| latest.grab(TIMEOUT).unwrap().pixels != first.pixels);
        assert!(moved);
    });
}

#[test]
fn the_simulated_camera_can_be_opened_again_and_again() {
    with_fake(|| {
        for _ in 0..20 {
            let latest = Latest::start(Device::open(FAKE).unwrap()).unwrap();
            latest.grab(TIMEOUT).unwrap();
        }
    });
}

#[test]
fn pictures_after_a_pause_are_new_ones() {
    with_fake(|| {
        let latest = Latest::start(Device::open(FAKE).unwrap()).unwrap();
        let first = latest.grab(TIMEOUT).unwrap();
        std::thread::sleep(Duration::from_secs(1));
        let started = Instant::now();
        let frames = (0..5).map(|_| latest.grab(TIMEOUT).unwrap()).collect::<Vec<_>>();
        assert!(frames[0].pixels != first.pixels);
        // Five at once would be those of the driver's queue.
        assert!(started.elapsed() > Duration::from_millis(20));
    });
}

#[test]
fn a_signal_sets_its_flag_and_frees_it() {
    let lost = Arc::new(AtomicBool::new(false));
    let flag: *mut c_void = Arc::into_raw(lost.clone()).cast_mut().cast();
    // SAFETY: called as by the library.
    unsafe {
        set_flag(null_mut(), flag);
        free_flag(flag, null_mut());
    }
    assert!(lost.load(Ordering::SeqCst));
    assert_eq!(Arc::strong_count(&lost), 1);
}

#[test]
fn formats_that_are_not_supported_are_named() {
    assert_eq!(layout(0x010C_0006), None);
    assert!(unsupported("a", "Mono12Packed").message().contains("Mono12Packed"));
    assert_eq!(layout(0x0108_0009), Some(Layout::Bayer8 { red_x: 0, red_y: 0 }));
}
