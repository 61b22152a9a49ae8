#!/bin/sh
# Makes a Rust toolchain in FOLDER/toolchain that can build the standard library for any target: toolchain.sh FOLDER. It is the
# present one, in links, with the library's sources, which Debian packages. Fails with status 3 where it lacks this version.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
version=$(rustc --version | cut -d' ' -f2)
sysroot=$(rustc --print sysroot)
made=$folder/toolchain
[ "$(cat "$made/made" 2>/dev/null)" != "$sysroot $version" ] || exit 0

"$here/debian.sh" "$folder" rust-src "$version"
rm -rf "$made"
# Links where the file system allows: a toolchain has a gigabyte.
cp -al "$sysroot" "$made" 2>/dev/null || { rm -rf "$made" && cp -a "$sysroot" "$made"; }
rm -rf "$made/lib/rustlib/src/rust"
mkdir -p "$made/lib/rustlib/src/rust"
library=$made/lib/rustlib/src/rust/library
cp -a "$folder/rust-src/usr/src/rustc-$version/library" "$library"
# What the linker for Windows puts around a program.
windows=x86_64-pc-windows-gnu
mkdir -p "$made/lib/rustlib/$windows/lib"
for object in rsbegin rsend; do
    # Not through a link into the present toolchain.
    rm -f "$made/lib/rustlib/$windows/lib/$object.o"
    RUSTC_BOOTSTRAP=1 "$made/bin/rustc" --edition 2021 --cap-lints allow --target "$windows" --crate-type lib --emit obj -O \
        -o "$made/lib/rustlib/$windows/lib/$object.o" "$library/rtstartup/$object.rs"
done
echo "$sysroot $version" >"$made/made"
