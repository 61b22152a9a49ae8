//! ONNX files, as far as npad itself reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use npad::fuzzing::read_network;

fuzz_target!(|data: &[u8]| read_network(data));
