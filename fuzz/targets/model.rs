//! Model files with a right checksum: they load and score, or are refused; what has loaded is saved and loads again.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use npad::error::Status;
use npad::model::{Model, Options};
use npad_fuzz::{good_images, options, repair, view};

static OPTIONS: LazyLock<Options> = LazyLock::new(|| options("npad"));
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(good_images);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    // Mostly one part alone: a file whose parts no longer fit is refused at once.
    let length = data.first_chunk::<8>().map_or(0, |length| u64::from_le_bytes(*length) as usize);
    let header = length.saturating_add(8).min(size);
    let size = match seed % 4 {
        0 => fuzzer_mutate(data, size, max_size),
        1 if header > 8 => {
            fuzzer_mutate(&mut data[8..header], header - 8, header - 8);
            size
        }
        _ if header < size => {
            fuzzer_mutate(&mut data[header..size], size - header, size - header);
            size
        }
        _ => fuzzer_mutate(data, size, max_size),
    };
    repair(&mut data[..size]);
    size
});

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
