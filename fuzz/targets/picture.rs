//! Image files, as the tool decodes them.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use npad_cli::picture::Picture;

static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("npad-fuzz-picture-{}", std::process::id())));

fuzz_target!(|data: &[u8]| {
    std::fs::write(&*FILE, data).expect("a temporary file");
    if let Ok(picture) = Picture::read(&FILE) {
        let size = picture.width * picture.height * picture.format.bytes_per_pixel();
        assert_eq!(picture.pixels.len(), size * picture.format.planes());
    }
});
