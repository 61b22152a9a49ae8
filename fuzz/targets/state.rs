//! States of trainers with a right checksum: they load, learn, merge and finish, or are refused; what has loaded is saved the same again.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use npad::error::{Result, Status};
use npad::model::{Options, Trainer};
use npad_fuzz::{good_images, machine, mutate_file, view};

static OPTIONS: LazyLock<Options> = LazyLock::new(machine);
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(good_images);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| { mutate_file(data, size, max_size, seed) });

/// Whether a call worked. None may fail for a reason that is npad's own.
fn works<T>(result: Result<T>) -> bool {
    result.inspect_err(|error| assert_ne!(error.status(), Status::Internal, "{error}")).is_ok()
}

fuzz_target!(|data: &[u8]| {
    let trainer = || Trainer::from_bytes(data, &OPTIONS);
    let Ok(mut trainer) = trainer().inspect_err(|error| assert_ne!(error.status(), Status::Internal, "{error}")) else {
        return;
    };
    let saved = trainer.to_bytes().expect("a loaded state can be saved");
    let mut again = Trainer::from_bytes(&saved, &OPTIONS).expect("a saved state loads");
    assert_eq!(again.to_bytes().expect("a loaded state can be saved"), saved);
    for pixels in &IMAGES[..2] {
        works(trainer.add(&view(pixels)));
    }
    let before = trainer.to_bytes().expect("a state can be saved");
    if !works(trainer.merge(data)) {
        assert_eq!(trainer.to_bytes().expect("a state can be saved"), before, "a refused state changes nothing");
    }
    if let Ok(model) = trainer.finish().inspect_err(|error| assert_ne!(error.status(), Status::Internal, "{error}")) {
        works(model.score(&view(&IMAGES[0])));
    }
});
