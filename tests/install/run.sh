#!/usr/bin/env bash
# Uses an installed npad as programs outside the tree do: run.sh PREFIX WHEEL SCRATCH_FOLDER
# Every host fits, saves, loads and scores the same parts, and all must say the same to the last bit.
set -euo pipefail
prefix=$(realpath "$1")
wheel=$(realpath "$2")
here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
# shellcheck source=tests/install/hosts.sh
. "$here/hosts.sh"
rm -rf "$3"
mkdir -p "$3"
cd "$3"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check numpy==2.2.6 pillow==12.0.0 pytest==8.4.2 "$wheel"
python/bin/python "$here/make_parts.py" parts

# inspect HOST PROGRAM...: what the host says of the parts, a line for each image and region, goes to HOST.txt.
inspect() {
  local host=$1
  shift
  mkdir -p "run-$host"
  (cd "run-$host" && "$@" ../parts/good ../parts/fine.pgm ../parts/scratched.pgm size=128 npad.channels=30 threads=2 date=none) | verdicts >"$host.txt"
}

echo "C++ through CMake, with the shared and the static library"
cmake -S "$here/cmake" -B cmake -DCMAKE_PREFIX_PATH="$prefix" -DNPAD_EXAMPLES="$root/examples" >cmake.log
cmake --build cmake >>cmake.log
inspect cmake "$PWD/cmake/shared"
inspect static "$PWD/cmake/alone/static"

echo "C and C++ through pkg-config"
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
flags=$(pkg-config --cflags --libs npad)
# shellcheck disable=SC2086
cc -std=c99 -Wall -Wextra -Werror "$root/examples/c/inspect.c" $flags -o inspect-c
# shellcheck disable=SC2086
c++ -std=c++17 -Wall -Wextra -Werror "$root/examples/cpp/inspect.cpp" $flags -o inspect-cpp
LD_LIBRARY_PATH="$prefix/lib" inspect c "$PWD/inspect-c"
LD_LIBRARY_PATH="$prefix/lib" inspect cpp "$PWD/inspect-cpp"

echo "C# on Mono"
csharp -unsafe -target:library -out:NpadNet.dll "$root"/bindings/csharp/Npad/*.cs
csharp -r:NpadNet.dll -out:Inspect.exe "$root/examples/csharp/Inspect.cs"
# With Span, as for netstandard2.1, in a folder of its own, and without, as for netstandard2.0.
mkdir span
csharp -unsafe -define:NETCOREAPP -target:library -out:span/NpadNet.dll "$root"/bindings/csharp/Npad/*.cs
csharp -define:NETCOREAPP -r:span/NpadNet.dll -out:span/Tests.exe "$root/bindings/csharp/Npad.Tests/"*.cs
csharp -r:NpadNet.dll -out:Tests.exe "$root/bindings/csharp/Npad.Tests/"*.cs
LD_LIBRARY_PATH="$prefix/lib" mono span/Tests.exe
LD_LIBRARY_PATH="$prefix/lib" mono Tests.exe
LD_LIBRARY_PATH="$prefix/lib" inspect csharp mono "$PWD/Inspect.exe"

echo "Python, from the wheel in a new environment"
cp -r "$root/bindings/python/tests" python-tests
python/bin/python -m pytest -q -p no:cacheprovider python-tests
inspect python "$PWD/python/bin/python" "$root/examples/python/inspect_parts.py"

echo "the command-line tool"
"$prefix/bin/npad" fit parts/good -o tool.npad --size 128 --set npad.channels=30 --set date=none --threads 2
(cd parts && "$prefix/bin/npad" score ../tool.npad fine.pgm scratched.pgm --json) | python/bin/python -c '
import json, sys
for line in sys.stdin:
    r = json.loads(line)
    verdict = "DEFECTIVE" if r["anomalous"] else "good"
    print("%s: %s, score %.9g" % (r["path"], verdict, r["score"]))
    for g in r["regions"]:
        x, y, w, h = (g[k] for k in ("x", "y", "width", "height"))
        print(f"  region at ({x}, {y}), {w} x {h}")
' >tool.txt

echo "OpenCV"
(mkdir run-opencv && cd run-opencv && mkdir images && cp ../parts/fine.pgm ../parts/scratched.pgm images &&
  ../cmake/opencv ../parts/good images --headless overlays size=128 npad.channels=30 threads=2 date=none >../opencv.all &&
  test -s overlays/fine.pgm.png && test -s overlays/scratched.pgm.png)
grep -E 'score|region' opencv.all >opencv.txt

for host in static c cpp csharp python tool opencv; do
  cmp cmake.txt "$host.txt"
  model=$host.npad
  [ "$host" = tool ] || model=run-$host/inspect.npad
  cmp run-cmake/inspect.npad "$model"
done
grep -q "^fine.pgm: good" cmake.txt
grep -q "^scratched.pgm: DEFECTIVE" cmake.txt
echo "all hosts say the same, to the last bit, and write the same model"

echo "the programs and commands of README"
"$here/readme.sh" "$prefix" "$wheel" python parts readme

echo "the programs of the documentation"
mkdir docs
program() { documented "$1" "$2" "${4-0}" >"docs/$3"; }
program c c program.c
program cpp cpp program.cpp
program cpp cmake CMakeLists.txt
program opencv cpp opencv.cpp
program halcon cpp halcon.cpp
program csharp csharp program.cs
program csharp csharp line.cs 1
program python python program.py
program python python line.py 1
# shellcheck disable=SC2086
cc -std=c11 -Wall -Wextra -Werror docs/program.c $flags -o docs/c
cmake -S docs -B docs/cmake -DCMAKE_PREFIX_PATH="$prefix" >cmake.log
cmake --build docs/cmake >>cmake.log
# shellcheck disable=SC2046,SC2086
c++ -std=c++17 -Wall -Wextra -Werror docs/opencv.cpp $flags $(pkg-config --cflags opencv4) -lopencv_core -lopencv_imgproc -o docs/opencv
# HALCON itself cannot be had here.
# shellcheck disable=SC2086
c++ -std=c++17 -Wall -Wextra -Werror docs/halcon.cpp -I"$root/tests/halcon" $flags -o docs/halcon
csharp -r:NpadNet.dll -out:docs/program.exe docs/program.cs
csharp -r:NpadNet.dll -out:docs/line.exe docs/line.cs
cp NpadNet.dll docs
cd docs
export LD_LIBRARY_PATH="$prefix/lib"
for command in ./c cmake/app ./opencv ./halcon "mono program.exe" "mono line.exe" \
  "../python/bin/python program.py ../parts/good ../parts/fine.pgm ../parts/scratched.pgm" "../python/bin/python line.py"; do
  # shellcheck disable=SC2086
  finds_defects $command
done
echo "all of them run and find their defects"
