#!/usr/bin/env bash
# The library on aarch64, emulated: arm64.sh NPAD ONNXRUNTIME FOLDER QEMU_VERSION. NPAD is this machine's tool, ONNXRUNTIME a folder with the
# library for aarch64; what is built stays in FOLDER.
set -euo pipefail
# shellcheck source=tests/platforms/cross.sh
. "$(dirname "$0")/cross.sh"
# qemu 7 crashes in ONNX Runtime's detection of the processor.
needs "$3" qemu-user "$4"
cross aarch64-unknown-linux-gnu aarch64-linux-gnu-gcc "$1" "$2" "$3"
emulated=(env "NPAD_ONNXRUNTIME=$runtime" "$folder/qemu-user/usr/bin/qemu-aarch64" -L /usr/aarch64-linux-gnu)

tests=$(unit_tests "${build[@]}")
# fcvtl converts halves: only the kernels in NEON have it in such numbers.
aarch64-linux-gnu-objdump --disassemble "$tests" | grep -c 'fcvtl2' >/dev/null || { echo "no kernels in NEON" >&2; exit 1; }
"${emulated[@]}" "$tests" --quiet --test-threads "$(nproc)"
python3 "$here/compare.py" 0.005 neon "$npad" "${emulated[@]}" "$built/npad"
