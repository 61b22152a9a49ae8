#!/usr/bin/env bash
# Threads, working memory and concurrent calls under ThreadSanitizer, with which the standard library is built, too:
# thread.sh FOLDER. NPAD_ONNXRUNTIME has ONNX Runtime; what is built stays in FOLDER.
set -euo pipefail
# shellcheck source=tools/cross/cross.sh
. "$(dirname "$0")/../../tools/cross/cross.sh"
mkdir -p "$1"
folder=$(realpath "$1")
toolchain "$folder" "$(rustc -vV | sed -n 's/^host: //p')" cc
export RUSTFLAGS="-Zsanitizer=thread -Cdebuginfo=1"
# Tests ask for memory that cannot be had.
export TSAN_OPTIONS="allocator_may_return_null=1 suppressions=$root/tests/tsan.supp"
cd "$root"
# Without training: it would be most of the build.
build+=(--package npad --no-default-features)
cargo test "${build[@]}" --lib --test concurrency --test panics --test threads
cargo test "${build[@]}" --test model many_threads
report=$(cargo test "${build[@]}" --test concurrency a_race -- --ignored 2>&1) &&
  { echo "ThreadSanitizer has not seen a race" >&2; exit 1; }
grep 'WARNING: ThreadSanitizer: data race' <<<"$report" >/dev/null || { echo "$report" >&2; exit 1; }
