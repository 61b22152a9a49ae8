# shellcheck shell=bash disable=SC2034
# Building for another system, to be sourced: the variables that cargo takes, and "skipped" where Debian no longer has what it needs.
# A script that must not be skipped sets required=yes.
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")

# needs FOLDER PACKAGE VERSION: a package of Debian in FOLDER/PACKAGE.
needs() {
  "$root/tools/cross/debian.sh" "$@" || skipped $? "$2 $3"
}

# toolchain FOLDER TARGET LINKER: cargo builds for TARGET from now on, with the standard library; "${build[@]}" are its arguments.
toolchain() {
  "$root/tools/cross/toolchain.sh" "$1" || skipped $? "the sources of Rust's standard library for $(rustc --version)"
  local name=${2//-/_}
  # Not rustup's: it would lead to the libraries of the toolchain that this one is a copy of.
  PATH=$(realpath "$1")/toolchain/bin:$PATH
  export PATH RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$1/target"
  export "CARGO_TARGET_${name^^}_LINKER=$3" "CC_$name=$3"
  build=(--release --quiet "-Zbuild-std=std,panic_unwind,test" --target "$2")
}

# wine_in FOLDER: `wine` runs programs from now on, on a Windows of its own that FOLDER/wine keeps.
wine_in() {
  export WINEPREFIX=$1/wine WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
  [ -e "$WINEPREFIX/made" ] || { wineboot --init && wine winecfg -v win10 && touch "$WINEPREFIX/made"; }
  # Wine 8 lacks it.
  x86_64-w64-mingw32-gcc-posix -shared -O1 -o "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" \
    "$root/tests/platforms/process_prng.c" -ladvapi32
}

# skipped STATUS WHAT: ends the script, well where Debian has no such thing and the script may be skipped.
skipped() {
  [ "$1" = 3 ] || exit "$1"
  [ -z "${required-}" ] || { echo "Debian lacks $2" >&2 && exit 1; }
  echo "SKIPPED: Debian lacks $2" >&2
  exit 0
}
