#!/usr/bin/env bash
# The library on aarch64, emulated: arm64.sh NPAD ONNXRUNTIME FOLDER QEMU_VERSION. NPAD is this machine's tool, ONNXRUNTIME a folder with the
# library for aarch64; what is built stays in FOLDER.
set -euo pipefail
# shellcheck source=tests/platforms/cross.sh
. "$(dirname "$0")/cross.sh"
# qemu 7 crashes in ONNX Runtime's detection of the processor.
needs "$3" qemu-user "$4"
cross aarch64-unknown-linux-gnu aarch64-linux-gnu-gcc "$1" "$2" "$3"
emulated=("$folder/qemu-user/usr/bin/qemu-aarch64" -L /usr/aarch64-linux-gnu)

tests=$(unit_tests "${build[@]}")
# fcvtl converts halves: only the kernels in NEON have it in such numbers.
aarch64-linux-gnu-objdump --disassemble "$tests" | grep -c 'fcvtl2' >/dev/null || { echo "no kernels in NEON" >&2; exit 1; }
NPAD_ONNXRUNTIME=$runtime "${emulated[@]}" "$tests" --quiet --test-threads "$(nproc)"
python3 "$here/compare.py" 0.005 neon "$npad" env -u NPAD_ONNXRUNTIME "${emulated[@]}" "$installed/bin/npad"

echo "programs of the documentation"
programs=$folder/arm64-programs
rm -rf "$programs"
mkdir -p "$programs"
cd "$programs"
documented c c >program.c
documented cpp cpp >program.cpp
flags=$(PKG_CONFIG_PATH=$installed/lib/pkgconfig pkg-config --cflags --libs npad)
# shellcheck disable=SC2086
aarch64-linux-gnu-gcc -std=c11 -Wall -Wextra -Werror program.c $flags -o c
# shellcheck disable=SC2086
aarch64-linux-gnu-g++ -std=c++17 -Wall -Wextra -Werror program.cpp $flags -o cpp
unset NPAD_ONNXRUNTIME
for program in c cpp; do
  finds_defects "${emulated[@]}" -E "LD_LIBRARY_PATH=$installed/lib" "$program"
done
echo "they run and find their defects"
