#!/usr/bin/env bash
# The library on Windows, as Wine has it: windows.sh NPAD ONNXRUNTIME FOLDER DOTNET. NPAD is this machine's tool, beside its library,
# ONNXRUNTIME a folder with the library for Windows, DOTNET one with .NET for Windows; what is built stays in FOLDER. NPAD_ONNXRUNTIME
# is this machine's ONNX Runtime.
set -euo pipefail
# shellcheck source=tests/platforms/cross.sh
. "$(dirname "$0")/cross.sh"
dotnet=$(realpath "$4")
# Of tests/*.rs and cli/tests/*.rs, those without a test for Windows: they compile programs for the system that they run on, read /proc,
# start a browser, or panic on stacks that Wine does not know.
elsewhere="c growth handshake readme report threads training_threads"

"$root/tools/install.sh" "$3/linux" "$(dirname "$1")" "$NPAD_ONNXRUNTIME"
unset NPAD_ONNXRUNTIME
cross x86_64-pc-windows-gnu x86_64-w64-mingw32-gcc-posix "$1" "$2" "$3"
wine_in "$folder"
system=$WINEPREFIX/drive_c/windows/system32
gcc() { x86_64-w64-mingw32-gcc-posix "$@"; }
gxx() { x86_64-w64-mingw32-g++-posix "$@"; }

# Wine has this processor's instructions.
kernels=avx2
! grep -q avx512f /proc/cpuinfo || kernels=avx512
python3 "$here/compare.py" 0 "$kernels" "$folder/linux/bin/npad" wine "$installed/bin/npad.exe"

echo "tests in Rust"
NPAD_ONNXRUNTIME=$(winepath -w "$runtime")
export NPAD_ONNXRUNTIME
for package in npad npad-cli; do built_tests "${build[@]}" --package "$package" --lib --test '*'; done >"$folder/tests.txt"
none=()
while IFS=$'\t' read -r name package program; do
  echo "$name"
  # The tool's tests start processes, and Wine hangs where several threads do.
  [ "$package" = "$root" ] && threads=$(nproc) || threads=1
  (cd "$package" && wine "$program" --quiet --test-threads "$threads" </dev/null) | tee "$folder/test.txt"
  ! grep -q '^running 0 tests' "$folder/test.txt" || none+=("$name")
done <"$folder/tests.txt"
empty=$(printf '%s\n' "${none[@]}" | sort | xargs)
[ "$empty" = "$elsewhere" ] || { echo "without a test: $empty; expected: $elsewhere" >&2; exit 1; }
unset NPAD_ONNXRUNTIME

echo "tests in C and C++"
programs=$folder/windows-programs
rm -rf "$programs"
mkdir -p "$programs/plugins"
cp "$installed"/bin/*.dll "$programs"
flags=(-Wall -Wextra -Werror -O1 -I include)
# as_documented FOLDER ARGUMENT...: the test in FOLDER/test.exe finds nothing wrong.
as_documented() {
  local folder=$1
  shift
  (cd "$folder" && wine "$folder/test.exe" "$@") | tr -d '\r' | grep -qx 'all as documented'
}
for lie in $(seq 0 28); do
  gcc -std=c99 "${flags[@]}" "-DLIE=$lie" -shared tests/c/lying_plugin.c -o "$programs/plugins/liar-$lie.so"
done
gcc -std=c99 "${flags[@]}" -DLIE=0 '-DNAME_OF(lie)="twin"' -shared tests/c/lying_plugin.c -o "$programs/plugins/twin.so"
gcc -std=c99 "${flags[@]}" -shared examples/c/plugin.c -o "$programs/plugins/diagonal.so"
for test in boundary lists log misuse plugins results threads waiting; do
  echo "$test.c"
  gcc -std=c99 "${flags[@]}" -static "tests/c/$test.c" "$installed/lib/libnpad.dll.a" -o "$programs/test.exe"
  as_documented "$programs" "$(winepath -w "$programs/plugins")"
done
for standard in c++17 c++20; do
  for test in callbacks halcon version wrapper; do
    echo "$test.cpp, $standard"
    gxx -std=$standard "${flags[@]}" -I tests/halcon -static "tests/c/$test.cpp" "$installed/lib/libnpad.dll.a" -o "$programs/test.exe"
    as_documented "$programs"
  done
done
echo "extractor.c"
gcc -std=c99 "${flags[@]}" examples/c/extractor.c "$installed/lib/libnpad.dll.a" -o "$programs/extractor.exe"
(cd "$programs" && wine extractor.exe own.npad) | tr -d '\r' | cmp - <(printf 'fine: good\nscratched: DEFECTIVE\nthe engine ran 23 times\n')
echo "libraries.cpp"
# Exceptions cross libraries that share those of the compiler.
compiler=$(dirname "$(gxx -print-file-name=libstdc++-6.dll)"):$(dirname "$(gxx -print-file-name=libwinpthread-1.dll)")
gxx -std=c++17 "${flags[@]}" -DLIBRARY -shared tests/c/libraries.cpp "$installed/lib/libnpad.dll.a" -o "$programs/options.dll"
gxx -std=c++17 "${flags[@]}" tests/c/libraries.cpp "$programs/options.dll" "$installed/lib/libnpad.dll.a" -o "$programs/test.exe"
WINEPATH=$(winepath -w "${compiler%%:*}")\;$(winepath -w "${compiler##*:}") as_documented "$programs"

hosts=$folder/windows-hosts
rm -rf "$hosts"
mkdir -p "$hosts"
cd "$hosts"
python3 "$here/images.py" parts
# inspect HOST PROGRAM...: what the program says of the parts goes to HOST.txt, its model to HOST/inspect.npad.
inspect() {
  local host=$1
  shift
  mkdir "$host"
  (cd "$host" && "$@" ../parts/good ../parts/fine.pgm ../parts/bad.pgm size=64 threads=2 date=none) | verdicts >"$host.txt"
}
# cmake_programs PREFIX ARGUMENT...: builds the programs with the package in PREFIX.
cmake_programs() {
  cmake -S "$root/tests/install/cmake" -B cmake -DCMAKE_PREFIX_PATH="$1" -DNPAD_EXAMPLES="$root/examples" -DNPAD_OPENCV=OFF "${@:2}"
  cmake --build cmake
}
echo "C++ through CMake, with the shared and the static library"
cmake_programs "$folder/linux" >cmake.log
inspect linux "$PWD/cmake/shared"
rm -rf cmake
cmake_programs "$installed" -DCMAKE_TOOLCHAIN_FILE="$here/mingw.cmake" >cmake.log
WINEPATH=$(winepath -w "$installed/bin") inspect shared wine "$PWD/cmake/shared.exe"
inspect static wine "$PWD/cmake/alone/static.exe"

echo "C through pkg-config"
linked=$(PKG_CONFIG_PATH=$installed/lib/pkgconfig pkg-config --cflags --libs npad)
# shellcheck disable=SC2086
gcc -std=c99 -Wall -Wextra -Werror "$root/examples/c/inspect.c" $linked -o inspect-c.exe
WINEPATH=$(winepath -w "$installed/bin") inspect c wine "$PWD/inspect-c.exe"

echo "C# on .NET"
version=$(basename "$dotnet"/shared/Microsoft.NETCore.App/*)
mkdir net
csharp -unsafe -target:library -out:net/NpadNet.dll "$root"/bindings/csharp/Npad/*.cs
csharp -r:net/NpadNet.dll -out:net/Inspect.exe "$root/examples/csharp/Inspect.cs"
csharp -r:net/NpadNet.dll -out:net/Tests.exe "$root/bindings/csharp/Npad.Tests/"*.cs
for program in Tests Inspect; do application net "$program" "$version" win-x64 "$installed"/bin/*.dll; done
# It has hung in Wine 8 now and then.
timeout 300 wine "$dotnet/dotnet.exe" net/Tests.exe
inspect csharp wine "$dotnet/dotnet.exe" ../net/Inspect.exe

echo "programs of the documentation"
mkdir docs
documented c c >docs/c.c
documented cpp cpp >docs/cpp.cpp
documented halcon cpp >docs/halcon.cpp
# shellcheck disable=SC2086
gcc -std=c11 -Wall -Wextra -Werror docs/c.c $linked -o docs/c.exe
for program in cpp halcon; do
  gxx -std=c++17 -Wall -Wextra -Werror -static -I"$installed/include" -I"$root/tests/halcon" "docs/$program.cpp" \
    "$installed/lib/libnpad.dll.a" -o "docs/$program.exe"
done
for program in c cpp halcon; do WINEPATH=$(winepath -w "$installed/bin") finds_defects wine "docs/$program.exe"; done
documented csharp csharp >docs/program.cs
documented csharp csharp 1 >docs/line.cs
for program in program line; do
  csharp -r:net/NpadNet.dll -out:"net/$program.exe" "docs/$program.cs"
  application net "$program" "$version" win-x64 "$installed"/bin/*.dll
  finds_defects wine "$dotnet/dotnet.exe" "net/$program.exe"
done

for host in shared static c csharp; do
  cmp linux.txt "$host.txt"
  cmp linux/inspect.npad "$host/inspect.npad"
done
grep -q '^fine.pgm: good' linux.txt
grep -q '^bad.pgm: DEFECTIVE' linux.txt
echo "all say what they say on this machine, to the last bit, and write the same model"

echo "which ONNX Runtime is loaded"
alone=$folder/windows-alone
rm -rf "$alone"
mkdir "$alone"
cp "$installed/bin/npad.exe" "$alone"
cp "$runtime/onnxruntime.dll" "$system"
cd "$root"
refused=$(wine "$alone/npad.exe" info tests/fixtures/model-0.1.0.npad 2>&1) && { echo "that of Windows" >&2; exit 1; }
rm "$system/onnxruntime.dll"
grep -q 'system32.onnxruntime.dll: a part of Windows' <<<"$refused" || { echo "$refused" >&2; exit 1; }
WINEPATH=$(winepath -w "$runtime") wine "$alone/npad.exe" info tests/fixtures/model-0.1.0.npad | grep -q '"version": "1'
echo "that of Windows is refused, one in PATH is taken"
