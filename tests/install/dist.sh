#!/usr/bin/env bash
# Unpacks each artifact of a release as its users do, and uses what it holds: dist.sh ARTIFACTS SCRATCH_FOLDER CROSS DOTNET DOTNET_WINDOWS
# PYTHON QEMU_VERSION. CROSS has Wine's folder and what Debian's packages were unpacked to, DOTNET_... are folders of runtimes, PYTHON has
# auditwheel.
set -euo pipefail
artifacts=$(realpath "$1")
required=yes
# shellcheck source=tools/cross/cross.sh
. "$(dirname "$0")/../../tools/cross/cross.sh"
# shellcheck source=tests/install/hosts.sh
. "$root/tests/install/hosts.sh"
rm -rf "$2"
mkdir -p "$2" "$3"
scratch=$(realpath "$2")
cross=$(realpath "$3")
dotnet=$(realpath "$4")
dotnet_windows=$(realpath "$5")
tools_python=$6
qemu_version=$7
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
unset NPAD_ONNXRUNTIME LD_LIBRARY_PATH
cd "$scratch"
python3 "$root/tests/platforms/images.py" parts
settings=(size=64 threads=2 date=none)

# inspect NAME COMMAND...: the example learns, and tells the bad part from the fine one.
inspect() {
  local name=$1
  shift
  (cd parts && "$@" good fine.pgm bad.pgm "${settings[@]}") >"$name.all" 2>&1 || { cat "$name.all" && return 1; }
  verdicts <"$name.all" >"$name.txt"
  grep -q '^fine.pgm: good' "$name.txt"
  grep -q '^bad.pgm: DEFECTIVE' "$name.txt"
}

# Licences of everything inside are there.
licences() {
  for file in MIT APACHE DEPENDENCIES.txt ONNXRUNTIME ONNXRUNTIME-DEPENDENCIES.txt; do test -s "$1/LICENSE-$file"; done
}

# What was built does not tell where.
anonymous() {
  ! grep -rlF -e "$root/" -e "${CARGO_HOME:-$HOME/.cargo}/" "$1/bin" "$1/lib"
}

echo "checksums"
(cd "$artifacts" && sha256sum --check --quiet SHA256SUMS && [ "$(wc -l <SHA256SUMS)" = "$(find . -type f ! -name SHA256SUMS | wc -l)" ])

echo "the archive for Linux on x86-64"
tar -xzf "$artifacts/npad-$version-linux-x86_64.tar.gz"
linux=$scratch/npad-$version-linux-x86_64
licences "$linux/share/doc/npad"
anonymous "$linux"
# shellcheck disable=SC2046
cc -std=c99 "$root/examples/c/inspect.c" $(PKG_CONFIG_PATH="$linux/lib/pkgconfig" pkg-config --cflags --libs npad) -o inspect-linux
inspect linux env "LD_LIBRARY_PATH=$linux/lib" "$scratch/inspect-linux"
cmake -S "$root/tests/install/cmake" -B cmake -DCMAKE_PREFIX_PATH="$linux" -DNPAD_EXAMPLES="$root/examples" -DNPAD_OPENCV=OFF >cmake.log
cmake --build cmake >>cmake.log
inspect linux-static "$scratch/cmake/alone/static"
cmp linux.txt linux-static.txt
# Debian 11 has glibc 2.31.
for package in libc6:2.31 libstdc++6:10 libgcc-s1:10; do needs "$cross/debian-11" "${package%:*}" "${package#*:}"; done
old=$cross/debian-11
libraries=$old/libc6/lib/x86_64-linux-gnu:$old/libstdc++6/usr/lib/x86_64-linux-gnu:$old/libgcc-s1/lib/x86_64-linux-gnu:$linux/lib
tool() { "$old/libc6/lib/x86_64-linux-gnu/ld-2.31.so" --library-path "$libraries" "$linux/bin/npad" "$@"; }
(cd parts && tool fit good -o ../debian-11.npad --size 64 --threads 2 --set date=none && tool score ../debian-11.npad bad.pgm) | grep -q DEFECTIVE
cmp parts/inspect.npad debian-11.npad

echo "the archive for Linux on aarch64, emulated"
tar -xzf "$artifacts/npad-$version-linux-aarch64.tar.gz"
arm64=$scratch/npad-$version-linux-aarch64
licences "$arm64/share/doc/npad"
anonymous "$arm64"
needs "$cross" qemu-user "$qemu_version"
# shellcheck disable=SC2046
aarch64-linux-gnu-gcc -std=c99 "$root/examples/c/inspect.c" $(PKG_CONFIG_PATH="$arm64/lib/pkgconfig" pkg-config --cflags --libs npad) -o inspect-arm64
emulated=("$cross/qemu-user/usr/bin/qemu-aarch64" -L /usr/aarch64-linux-gnu -E "LD_LIBRARY_PATH=$arm64/lib")
inspect arm64 "${emulated[@]}" "$scratch/inspect-arm64"
(cd parts && "${emulated[@]}" "$arm64/bin/npad" info inspect.npad) | grep -q '"kernels": "neon"'

echo "the archive for Windows, by Wine"
python3 -m zipfile -e "$artifacts/npad-$version-windows-x86_64.zip" .
windows=$scratch/npad-$version-windows-x86_64
licences "$windows/share/doc/npad"
test -s "$windows/share/doc/npad/LICENSE-MINGW"
anonymous "$windows"
wine_in "$cross"
x86_64-w64-mingw32-gcc-posix -std=c99 -I "$windows/include" "$root/examples/c/inspect.c" -o "$windows/bin/inspect.exe" -L "$windows/lib" -lnpad
inspect windows wine "$windows/bin/inspect.exe"
cmp linux.txt windows.txt
wine "$windows/bin/npad.exe" --version | grep -q "$version"

echo "the NuGet package, on .NET and on Windows' .NET by Wine"
python3 -m zipfile -e "$artifacts/Npad.$version.nupkg" package
licences package/licences
test -s package/licences/LICENSE-MINGW
mkdir app
cp package/lib/netstandard2.0/NpadNet.dll app
csharp -r:app/NpadNet.dll -out:app/Inspect.exe "$root/examples/csharp/Inspect.cs"
echo 'class V { static void Main() { System.Console.WriteLine(typeof(Npad.Model).Assembly.GetName().Version); } }' >version.cs
csharp -r:app/NpadNet.dll -out:app/version.exe version.cs
[ "$(mono app/version.exe)" = "$version.0" ]
cp -r app app-windows
application app Inspect "$(basename "$dotnet"/shared/Microsoft.NETCore.App/*)" linux-x64 package/runtimes/linux-x64/native/*
inspect dotnet "$dotnet/dotnet" "$scratch/app/Inspect.exe"
application app-windows Inspect "$(basename "$dotnet_windows"/shared/Microsoft.NETCore.App/*)" win-x64 package/runtimes/win-x64/native/*
inspect dotnet-windows wine "$dotnet_windows/dotnet.exe" "$scratch/app-windows/Inspect.exe"
cmp linux.txt dotnet.txt
cmp linux.txt dotnet-windows.txt

echo "the wheels"
python3 -m venv python
for wheel in "$artifacts"/*.whl; do
  platform=${wheel##*-none-}
  platform=${platform%.whl}
  # As pip on that platform would take it.
  python/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --platform "$platform" --python-version 3.12 \
    --target "wheel-$platform" "$wheel"
  licences "wheel-$platform"/npad-*.dist-info/licenses
  case $platform in
    manylinux*) "$tools_python" -m auditwheel show "$wheel" | tr '\n' ' ' | grep -q "consistent with the following platform tag: \"$platform\"" ;;
  esac
done
test -s wheel-win_amd64/npad-*.dist-info/licenses/LICENSE-MINGW
cmp wheel-win_amd64/npad/npad.dll "$windows/bin/npad.dll"
cmp wheel-win_amd64/npad/onnxruntime.dll "$windows/bin/onnxruntime.dll"
cmp wheel-manylinux_2_28_aarch64/npad/libnpad.so "$arm64/lib/libnpad.so"
python/bin/pip install --quiet --disable-pip-version-check numpy==2.2.6 pillow==12.0.0 "$artifacts"/npad-*-manylinux_2_28_x86_64.whl
inspect python "$scratch/python/bin/python" "$root/examples/python/inspect_parts.py"

echo "Debian's package"
mkdir -p debian/var/lib/dpkg
touch debian/var/lib/dpkg/status
# Users other than root lack the folders of what dpkg calls.
PATH=$PATH:/usr/sbin:/sbin dpkg --root="$PWD/debian" --log=/dev/null --force-depends --force-not-root -i "$artifacts"/npad_*_amd64.deb \
  >dpkg.log 2>&1 || { cat dpkg.log && exit 1; }
licences debian/usr/share/doc/npad
# shellcheck disable=SC2046
cc -std=c99 "$root/examples/c/inspect.c" -o inspect-debian \
  $(PKG_CONFIG_SYSROOT_DIR="$PWD/debian" PKG_CONFIG_LIBDIR="$PWD/debian/usr/lib/x86_64-linux-gnu/pkgconfig" pkg-config --cflags --libs npad)
inspect debian env "LD_LIBRARY_PATH=$PWD/debian/usr/lib/x86_64-linux-gnu" "$scratch/inspect-debian"
cmp linux.txt debian.txt
(cd parts && ../debian/usr/bin/npad score inspect.npad bad.pgm) | grep -q DEFECTIVE
cmake -S "$root/tests/install/cmake" -B cmake-debian -DCMAKE_PREFIX_PATH="$PWD/debian/usr" -DNPAD_EXAMPLES="$root/examples" -DNPAD_OPENCV=OFF >cmake.log
cmake --build cmake-debian >>cmake.log
inspect debian-cmake "$scratch/cmake-debian/shared"
echo "every artifact does what it says"
