#!/usr/bin/env bash
# Every fuzz target for a moment, as many at once as there are cores: smoke.sh FOLDER SECONDS TARGET... What is built, and an input that
# fails, stays in FOLDER. It begins with fuzz/corpus. Built as by cargo-fuzz, but with little optimisation and without AddressSanitizer,
# which takes less time.
set -euo pipefail
mkdir -p "$1"
FOLDER=$(realpath "$1") SECONDS_EACH=$2
shift 2
cd "$(dirname "$0")"
flags=(--cfg fuzzing -Cpasses=sancov-module)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  flags+=("-Cllvm-args=-sanitizer-coverage-$option")
done
# --target keeps the flags out of build scripts.
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="${flags[*]}" cargo build --locked --quiet --bins --target "$host" --target-dir "$FOLDER"
export FOLDER SECONDS_EACH host
unset NPAD_ONNXRUNTIME

smoke() {
  local new kept=()
  new=$(mktemp -d)
  [ ! -d "corpus/$1" ] || kept=("corpus/$1")
  if ! "$FOLDER/$host/debug/$1" "$new" "${kept[@]}" -max_total_time="$SECONDS_EACH" -timeout=60 -rss_limit_mb=4096 \
    -artifact_prefix="$FOLDER/$1-" -print_funcs=0 >"$new.log" 2>&1; then
    tail -n 40 "$new.log" >&2
    echo "$1: failed" >&2
    return 255
  fi
  echo "$1: $(sed -n 's/^Done \([0-9]* runs\).*/\1/p' "$new.log")"
  rm -r "$new" "$new.log"
}
export -f smoke
printf '%s\n' "$@" | xargs -P "$(nproc)" -I {} bash -c 'smoke {}'
