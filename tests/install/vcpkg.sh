#!/usr/bin/env bash
# The vcpkg port, as far as it can be run without vcpkg, and a program with what it installs: vcpkg.sh ONNXRUNTIME SCRATCH_FOLDER
set -euo pipefail
runtime=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
mkdir -p "$2"
cd "$2"
rm -rf installed program

echo "the vcpkg port, without vcpkg"
cmake -DPACKAGES="$PWD/installed" -DBUILDTREES="$PWD" -P "$here/vcpkg.cmake" >log.txt 2>&1 || { tail -n 40 log.txt && exit 1; }
# A toolchain of vcpkg finds packages in the folder share.
cmake -S "$here/../../packaging/conan/test_package" -B program -DCMAKE_PREFIX_PATH="$PWD/installed" >log.txt
cmake --build program >>log.txt
env -u NPAD_ONNXRUNTIME program/test_package
NPAD_ONNXRUNTIME=$runtime program/test_package | grep -q 'the scratched part is found'
test -s installed/share/npad/copyright && test -s installed/share/npad/usage
