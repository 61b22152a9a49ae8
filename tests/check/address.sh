#!/usr/bin/env bash
# The library built with AddressSanitizer, under its unit tests and the programs of tests/c.rs, which are built with it,
# too: address.sh FOLDER. NPAD_ONNXRUNTIME has ONNX Runtime; what is built stays in FOLDER.
set -euo pipefail
mkdir -p "$1"
CARGO_TARGET_DIR=$(realpath "$1")
export CARGO_TARGET_DIR
cd "$(dirname "$0")/../.."
# Sanitizers want a nightly compiler, which RUSTC_BOOTSTRAP makes of any. --target keeps them out of build scripts.
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Cforce-frame-pointers=yes" NPAD_TEST_SANITIZER=address
# Tests ask for memory that cannot be had.
export ASAN_OPTIONS=allocator_may_return_null=1
# Without training: no program uses it, and it would be most of the build.
cargo test --package npad --target "$host" --no-default-features --lib --test c
