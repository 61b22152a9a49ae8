#!/usr/bin/env bash
# The library on Windows, as Wine has it: windows.sh NPAD ONNXRUNTIME FOLDER. NPAD is this machine's tool, ONNXRUNTIME a folder with
# the library for Windows; what is built stays in FOLDER.
set -euo pipefail
# shellcheck source=tests/platforms/cross.sh
. "$(dirname "$0")/cross.sh"
npad=$(realpath "$1")
runtime=$(realpath "$2")
mkdir -p "$3"
folder=$(realpath "$3")
target=x86_64-pc-windows-gnu
toolchain "$folder" "$target" x86_64-w64-mingw32-gcc-posix

cd "$root"
cargo build "${build[@]}" --package npad-cli
cargo build "${build[@]}" --package npad --lib
tests=$(unit_tests "${build[@]}")

# As installed: programs, the library and ONNX Runtime in one folder.
installed=$folder/windows
rm -rf "$installed"
mkdir -p "$installed"
built=$folder/target/$target/release
cp "$tests" "$installed/unit_tests.exe"
cp "$built/npad.exe" "$built/npad.dll" "$runtime/onnxruntime.dll" "$installed/"
x86_64-w64-mingw32-gcc-posix -shared -O1 -o "$installed/bcryptprimitives.dll" "$here/process_prng.c" -ladvapi32
x86_64-w64-mingw32-gcc-posix -std=c99 -Wall -Wextra -Werror -O1 -I include examples/c/inspect.c -o "$installed/inspect.exe" "$built/libnpad.dll.a"
x86_64-w64-mingw32-g++-posix -std=c++17 -Wall -Wextra -Werror -O1 -static -I include examples/cpp/inspect.cpp -o "$installed/inspect-cpp.exe" "$built/libnpad.dll.a"

export WINEPREFIX=$folder/wine WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
unset NPAD_ONNXRUNTIME
[ -e "$WINEPREFIX/made" ] || { wineboot --init && wine winecfg -v win10 && touch "$WINEPREFIX/made"; }
wine "$installed/unit_tests.exe" --quiet
python3 "$here/compare.py" 0 avx2 "$npad" wine "$installed/npad.exe"
