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

echo "C and C++, built by MinGW"
parts=$folder/windows-parts
rm -rf "$parts"
python3 "$here/images.py" "$parts"
for program in inspect inspect-cpp; do
  (cd "$parts" && wine "$installed/$program.exe" good fine.pgm bad.pgm size=64 threads=2 date=none) >"$parts/$program.txt"
  grep -q '^fine.pgm: good' "$parts/$program.txt"
  grep -q '^bad.pgm: DEFECTIVE' "$parts/$program.txt"
done

echo "which ONNX Runtime is loaded"
alone=$folder/windows-alone
system=$WINEPREFIX/drive_c/windows/system32/onnxruntime.dll
rm -rf "$alone"
mkdir "$alone"
cp "$installed"/{npad.exe,bcryptprimitives.dll} "$alone"
cp "$runtime/onnxruntime.dll" "$system"
refused=$(wine "$alone/npad.exe" info tests/fixtures/model-0.1.0.npad 2>&1) && { echo "that of Windows" >&2; exit 1; }
rm "$system"
grep -q 'system32.onnxruntime.dll: a part of Windows' <<<"$refused" || { echo "$refused" >&2; exit 1; }
WINEPATH=$(winepath -w "$runtime") wine "$alone/npad.exe" info tests/fixtures/model-0.1.0.npad | grep -q '"version": "1'
echo "that of Windows is refused, one in PATH is taken"
