#!/usr/bin/env bash
# Uses an installed npad as programs outside the tree do: run.sh PREFIX SCRATCH_FOLDER
# All of them fit, save, load and score, and must print the same scores to the last bit.
set -euo pipefail
prefix=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
rm -rf "$2"
mkdir -p "$2"
cd "$2"

inspect() { (mkdir -p "run-$1" && cd "run-$1" && shift && "$@" size=128 npad.channels=30 threads=2); }

cmake -S "$here/cmake" -B cmake -DCMAKE_PREFIX_PATH="$prefix" -DNPAD_EXAMPLES="$root/examples" >cmake.log
cmake --build cmake >>cmake.log
inspect cmake "$PWD/cmake/shared" >cmake.txt
# Nothing stands beside a program that carries the library in itself, so it is told where ONNX Runtime is.
NPAD_ONNXRUNTIME="$prefix/lib" inspect static "$PWD/cmake/static" >static.txt

export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
# shellcheck disable=SC2046
c++ -std=c++17 -Wall -Wextra -Werror "$root/examples/cpp/inspect.cpp" $(pkg-config --cflags --libs npad) -o pkg
LD_LIBRARY_PATH="$prefix/lib" inspect pkg "$PWD/pkg" >pkg.txt

cmp cmake.txt static.txt
cmp cmake.txt pkg.txt
cmp run-cmake/inspect.npad run-pkg/inspect.npad
grep -q "scratched: DEFECTIVE" cmake.txt
echo "CMake shared, CMake static and pkg-config programs agree"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check numpy==2.2.6 pytest==8.4.2
cp -r "$root/bindings/python/npad" "$root/bindings/python/tests" .
NPAD_ROOT="$root" NPAD_LIBRARY="$prefix/lib/libnpad.so" PYTHONPATH="$PWD" python/bin/python -m pytest -q -p no:cacheprovider tests
