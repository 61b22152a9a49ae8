# shellcheck shell=bash disable=SC2034
# Building and trying npad on another system, to be sourced.
# shellcheck source=tools/cross/cross.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/cross/cross.sh"
here=$root/tests/platforms
# shellcheck source=tests/install/hosts.sh
. "$root/tests/install/hosts.sh"

# cross TARGET LINKER NPAD ONNXRUNTIME FOLDER: builds tool and library for TARGET, with the standard library; what is built stays in FOLDER.
# Then "$npad", "$runtime" and "$folder" are the last three in full, "$installed" is an installation of what was built, and "${build[@]}"
# are the arguments with which cargo builds more.
cross() {
  npad=$(realpath "$3")
  runtime=$(realpath "$4")
  mkdir -p "$5"
  folder=$(realpath "$5")
  toolchain "$folder" "$1" "$2"
  cd "$root"
  cargo build "${build[@]}" --workspace
  installed=$folder/installed-$1
  rm -rf "$installed"
  tools/install.sh "$installed" "$CARGO_TARGET_DIR/$1/release" "$runtime"
}

# built_tests ARGUMENT...: builds tests with these arguments of cargo, and prints for each program its name, the folder to run it in
# and its path.
built_tests() {
  cargo test "$@" --no-run --message-format json | python3 -c 'import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("profile", {}).get("test") and message.get("executable"):
        print(message["target"]["name"], os.path.dirname(message["manifest_path"]), message["executable"], sep="\t")'
}

# unit_tests ARGUMENT...: builds the unit tests of the library with these arguments of cargo, and prints their path.
unit_tests() {
  # With the tool's, so that what both need is compiled once.
  built_tests "$@" --lib | awk -F '\t' '$1 == "npad" { print $3 }'
}
