#!/bin/sh
# Lays out a release build as an installation: install.sh PREFIX BUILT ONNXRUNTIME. BUILT is the folder in which cargo put it, for
# Linux, macOS or, by MinGW, Windows; ONNXRUNTIME holds the libraries for the same system.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
prefix=$1
built=$2
runtime=$3
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
# Under which version programs find the shared library.
interface=${version%.*}
# What a program with the static library is linked to as well.
system="-lpthread -ldl -lm"

install -d "$prefix/bin" "$prefix/include" "$prefix/lib/pkgconfig" "$prefix/lib/cmake/npad"
install -m 644 "$root"/include/*.h "$root"/include/*.hpp "$prefix/include/"
if [ -e "$built/npad.dll" ]; then
    system="-lws2_32 -luserenv -lntdll -lbcrypt"
    install -m 755 "$built/npad.exe" "$built/npad.dll" "$runtime"/*.dll "$prefix/bin/"
    install -m 644 "$built/libnpad.dll.a" "$built/libnpad.a" "$prefix/lib/"
elif [ -e "$built/libnpad.dylib" ]; then
    install -m 755 "$built/npad" "$prefix/bin/"
    install -m 755 "$built/libnpad.dylib" "$runtime"/libonnxruntime*.dylib "$prefix/lib/"
    install -m 644 "$built/libnpad.a" "$prefix/lib/"
else
    install -m 755 "$built/npad" "$prefix/bin/"
    install -m 755 "$built/libnpad.so" "$prefix/lib/libnpad.so.$version"
    ln -sf "libnpad.so.$version" "$prefix/lib/libnpad.so.$interface"
    ln -sf "libnpad.so.$interface" "$prefix/lib/libnpad.so"
    install -m 644 "$built/libnpad.a" "$prefix/lib/"
    install -m 755 "$runtime"/libonnxruntime.so.* "$prefix/lib/"
fi
fill_in() {
    sed -e "s/@VERSION@/$version/; s/@SONAME_VERSION@/$interface/; s/@LIBS_PRIVATE@/$system/" "$root/cmake/$1" >"$prefix/lib/$2"
}
fill_in npad.pc.in pkgconfig/npad.pc
fill_in npadConfig.cmake cmake/npad/npadConfig.cmake
fill_in npadConfigVersion.cmake cmake/npad/npadConfigVersion.cmake
