# Building for another system, to be sourced: the variables that cargo takes, and "skipped" where Debian no longer has what it needs.
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")

# needs FOLDER PACKAGE VERSION: a package of Debian in FOLDER/PACKAGE.
needs() {
  "$root/tools/cross/debian.sh" "$@" || skipped $? "$2 $3"
}

# cross TARGET LINKER NPAD ONNXRUNTIME FOLDER: builds the tool for TARGET, with the standard library; what is built stays in FOLDER.
# Then "$npad", "$runtime" and "$folder" are the last three in full, "$built" is where cargo puts what it builds from now on, and
# "${build[@]}" are its arguments.
cross() {
  local name=${1//-/_} made
  npad=$(realpath "$3")
  runtime=$(realpath "$4")
  mkdir -p "$5"
  folder=$(realpath "$5")
  built=$folder/target/$1/release
  made=$folder/toolchain
  "$root/tools/cross/toolchain.sh" "$folder" || skipped $? "the sources of Rust's standard library for $(rustc --version)"
  # Not rustup's: it would lead to the libraries of the toolchain that this one is a copy of.
  export PATH=$made/bin:$PATH RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$folder/target
  export "CARGO_TARGET_${name^^}_LINKER=$2" "CC_$name=$2"
  build=(--release --quiet -Zbuild-std=std,panic_unwind,test --target "$1")
  cd "$root"
  cargo build "${build[@]}" --package npad-cli
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
