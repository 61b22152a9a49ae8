#!/usr/bin/env bash
# Makes what a release holds: dist.sh FOLDER CROSS TOOLS RUNTIME_LINUX RUNTIME_ARM64 RUNTIME_WINDOWS. Archives, packages and wheels
# are in FOLDER/artifacts afterwards. CROSS keeps the toolchain for other platforms, TOOLS the programs that requirements.txt and the
# Makefile name; RUNTIME_... are folders with ONNX Runtime.
set -euo pipefail
required=yes
# shellcheck source=tools/cross/cross.sh
. "$(dirname "$0")/../cross/cross.sh"
dist=$root/tools/dist
mkdir -p "$1" "$2"
folder=$(realpath "$1")
cross=$(realpath "$2")
tools=$(realpath "$3")
runtime_linux=$(realpath "$4")
runtime_arm64=$(realpath "$5")
runtime_windows=$(realpath "$6")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
artifacts=$folder/artifacts
cd "$root"

toolchain "$cross" x86_64-pc-windows-gnu x86_64-w64-mingw32-gcc-posix
rm -rf "$artifacts" "$folder/licences"
mkdir -p "$artifacts" "$folder/licences"

# The oldest glibc that Linux's binaries run with. ONNX Runtime's wheel has the same.
glibc=2.28
# Apart from what tests build, with other flags and this system's glibc.
export CARGO_TARGET_DIR=$folder/target PATH=$tools/python/bin:$PATH
# Neither this machine's folders nor the date get into what is made: that of archives.py, the earliest that zip files can have.
export SOURCE_DATE_EPOCH=315532800
RUSTFLAGS="--remap-path-prefix=$root=npad --remap-path-prefix=$folder=npad --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
RUSTFLAGS+=" --remap-path-prefix=$(rustc --print sysroot)/lib/rustlib/src/rust=rust"
export RUSTFLAGS
RUSTFLAGS="$RUSTFLAGS -C link-arg=-Wl,--no-insert-timestamp" cargo build "${build[@]}" --workspace
windows=$CARGO_TARGET_DIR/x86_64-pc-windows-gnu/release
cargo zigbuild --release --quiet --target "x86_64-unknown-linux-gnu.$glibc" --workspace
cargo zigbuild --release --quiet -Zbuild-std=std,panic_unwind --target "aarch64-unknown-linux-gnu.$glibc" --workspace
linux=$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release
arm64=$CARGO_TARGET_DIR/aarch64-unknown-linux-gnu/release

# Names begin with LICENSE, which is what packagers look for.
cp LICENSE-MIT LICENSE-APACHE "$folder/licences"
"$tools/bin/cargo-about" --color never generate --workspace --locked --fail --config "$dist/about.toml" "$dist/licences.hbs" >"$folder/licences/LICENSE-DEPENDENCIES.txt"
cp "$runtime_linux/LICENSE" "$folder/licences/LICENSE-ONNXRUNTIME"
cp "$runtime_linux/ThirdPartyNotices.txt" "$folder/licences/LICENSE-ONNXRUNTIME-DEPENDENCIES.txt"
# Its runtime is in npad.dll.
cp /usr/share/doc/mingw-w64-x86-64-dev/copyright "$folder/LICENSE-MINGW"

# lay_out PLATFORM BUILT RUNTIME: an installation in FOLDER/npad-VERSION-PLATFORM.
lay_out() {
  local prefix=$folder/npad-$version-$1
  rm -rf "$prefix"
  "$root/tools/install.sh" "$prefix" "$2" "$3"
  mkdir -p "$prefix/share/doc/npad"
  cp CHANGELOG.md "$folder"/licences/* "$prefix/share/doc/npad/"
}
lay_out linux-x86_64 "$linux" "$runtime_linux"
lay_out linux-aarch64 "$arm64" "$runtime_arm64"
lay_out windows-x86_64 "$windows" "$runtime_windows"
cp "$folder/LICENSE-MINGW" "$folder/npad-$version-windows-x86_64/share/doc/npad/"

# wheel PLATFORM_TAG FILE...
wheel() {
  local source=$folder/wheel tag=$1
  shift
  rm -rf "$source"
  cp -r bindings/python "$source"
  # What a developer has put there.
  rm -f "$source"/npad/*.so* "$source"/npad/*.dll "$source"/npad/*.dylib
  cp "$@" "$source/npad/"
  cp "$folder"/licences/* "$source"
  case $tag in win*) cp "$folder/LICENSE-MINGW" "$source" ;; esac
  chmod -R u=rwX,go=rX "$source"
  "$tools/python/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$artifacts" \
    --config-settings=--build-option=--plat-name="$tag" "$source"
}
wheel "manylinux_${glibc/./_}_x86_64" "$linux/libnpad.so" "$runtime_linux"/libonnxruntime.so.*
wheel "manylinux_${glibc/./_}_aarch64" "$arm64/libnpad.so" "$runtime_arm64"/libonnxruntime.so.*
wheel win_amd64 "$windows/npad.dll" "$runtime_windows"/*.dll

echo "[assembly: System.Reflection.AssemblyVersion(\"$version.0\")]" >"$folder/AssemblyVersion.cs"
mcs -langversion:7.2 -warn:4 -warnaserror -unsafe -target:library -out:"$folder/NpadNet.dll" bindings/csharp/Npad/*.cs "$folder/AssemblyVersion.cs"
python3 "$dist/archives.py" "$folder" "$version" "$artifacts"

# The package has the installation in a folder of its own, with ONNX Runtime, which other programs shall not find. The links to
# it are where Debian's tools look. cargo-deb takes target/release of Cargo.toml for this folder.
tree=$CARGO_TARGET_DIR/release/deb
rm -rf "$tree"
mkdir -p "$tree"
cp -a "$folder/npad-$version-linux-x86_64" "$tree/npad"
sed -i 's|^prefix=.*|prefix=/usr/lib/npad|' "$tree/npad/lib/pkgconfig/npad.pc"
# link FILE FOLDER: FILE of the installation in FOLDER below /usr.
link() {
  mkdir -p "$tree/usr/$2"
  ln -sr "$tree/usr/lib/npad/$1" "$tree/usr/$2/"
}
link bin/npad bin
for header in include/*; do link "$header" include; done
for file in "$tree"/npad/lib/libnpad.*; do link "lib/$(basename "$file")" lib/x86_64-linux-gnu; done
link lib/pkgconfig/npad.pc lib/x86_64-linux-gnu/pkgconfig
for file in npadConfig.cmake npadConfigVersion.cmake; do link "lib/cmake/npad/$file" lib/x86_64-linux-gnu/cmake/npad; done
"$tools/bin/cargo-deb" --no-build --no-strip --quiet --output "$artifacts/"
(cd "$artifacts" && sha256sum -- * >SHA256SUMS)
ls -l "$artifacts"
