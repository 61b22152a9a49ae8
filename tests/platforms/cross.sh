# Building for another system, to be sourced: the variables that cargo takes, and "skipped" where Debian no longer has what it needs.
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")

# needs FOLDER PACKAGE VERSION: a package of Debian in FOLDER/PACKAGE.
needs() {
  "$root/tools/cross/debian.sh" "$@" || skipped $? "$2 $3"
}

# toolchain FOLDER TARGET LINKER: cargo builds for TARGET from now on, with the standard library; "${build[@]}" are its arguments.
toolchain() {
  "$root/tools/cross/toolchain.sh" "$1" || skipped $? "the sources of Rust's standard library for $(rustc --version)"
  local name=${2//-/_}
  # Not rustup's: it would lead to the libraries of the toolchain that this one is a copy of.
  PATH=$(realpath "$1")/toolchain/bin:$PATH
  export PATH RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$1/target"
  export "CARGO_TARGET_${name^^}_LINKER=$3" "CC_$name=$3"
  build=(--release --quiet -Zbuild-std=std,panic_unwind,test --target "$2")
}

# skipped STATUS WHAT: ends the test, well where Debian has no such thing.
skipped() {
  [ "$1" = 3 ] || exit "$1"
  echo "SKIPPED: Debian has no $2" >&2
  exit 0
}

# unit_tests ARGUMENT...: builds the library's unit tests with these arguments of cargo, and prints their path.
unit_tests() {
  cargo test "$@" --package npad --lib --no-run --message-format json |
    python3 -c 'import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("profile", {}).get("test") and message.get("executable"):
        print(message["executable"])'
}
