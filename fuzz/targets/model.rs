//! Model files with a right checksum: they load and score, or are refused; what has loaded is saved and loads again.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use npad::error::Status;
use npad::model::{Model, Options};
use npad_fuzz::{good_images, mutate_file, options, view};

static OPTIONS: LazyLock<Options> = LazyLock::new(|| options("npad"));
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(good_images);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| { mutate_file(data, size, max_size, seed) });

fuzz_target!(|data: &[u8]| {
    let model = match Model::from_bytes(data, &OPTIONS) {
        Ok(model) => model,
        Err(error) => {
            assert_ne!(error.status(), Status::Internal, "{error}");
            return;
        }
    };
    for pixels in &IMAGES[..2] {
        match model.score(&view(pixels)) {
            Ok(inspection) => assert!(inspection.score.is_finite() && inspection.map.iter().all(|v| v.is_finite())),
            Err(error) => assert_ne!(error.status(), Status::Internal, "{error}"),
        }
    }
    let bytes = model.to_bytes().expect("a loaded model can be saved");
    let again = Model::from_bytes(&bytes, &OPTIONS).expect("a saved model loads");
    assert_eq!(again.to_bytes().expect("a loaded model can be saved"), bytes);
});
