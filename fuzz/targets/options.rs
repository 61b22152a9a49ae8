//! Texts of options: a line is a key and a value. What is taken is reported and taken once more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use npad::error::Status;
use npad::model::Options;

fuzz_target!(|data: &str| {
    let mut options = Options::default();
    for (key, value) in data.lines().filter_map(|line| line.split_once('=')) {
        match options.set(key, value) {
            Ok(()) => {
                let kept = options.get(key).expect("what was set can be read");
                // A file that a path names is read only by a fit.
                options.set(key, &kept).unwrap_or_else(|error| panic!("{key}={kept}: {error}"));
                assert_eq!(options.get(key).expect("as before"), kept);
            }
            Err(error) => assert!(matches!(error.status(), Status::InvalidOption | Status::OutOfMemory), "{error}"),
        }
    }
});
