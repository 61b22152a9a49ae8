#!/usr/bin/env bash
# The Conan package, shared and static, built and used as its users do: conan.sh ONNXRUNTIME SCRATCH_FOLDER
set -euo pipefail
runtime=$(realpath "$1")
root=$(realpath "$(dirname "$0")/../..")
recipe=$root/packaging/conan
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
mkdir -p "$2"
cd "$2"

[ -e conan ] || python3 -m venv conan
conan/bin/pip install --quiet --disable-pip-version-check conan==2.34.0
rm -rf home
# Both packages are built from the same crates.
export CONAN_HOME=$PWD/home CARGO_TARGET_DIR=$PWD/target
conan() { "$PWD/conan/bin/conan" "$@" >log.txt 2>&1 || { tail -n 40 log.txt && exit 1; }; }
conan profile detect
for shared in True False; do
  echo "Conan, shared=$shared: without ONNX Runtime and with it"
  unset NPAD_ONNXRUNTIME
  conan create "$recipe" -o "npad/*:shared=$shared"
  export NPAD_ONNXRUNTIME=$runtime
  conan test "$recipe/test_package" "npad/$version" -o "npad/*:shared=$shared"
  grep -q 'the scratched part is found' log.txt
done
