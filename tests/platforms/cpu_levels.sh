#!/usr/bin/env bash
# The library on other processors of this architecture, emulated: cpu_levels.sh NPAD FOLDER QEMU_VERSION. What is fetched stays in
# FOLDER.
set -euo pipefail
# shellcheck source=tests/platforms/cross.sh
. "$(dirname "$0")/cross.sh"
npad=$(realpath "$1")
needs "$2" qemu-user "$3"
qemu=$(realpath "$2")/qemu-user/usr/bin/qemu-x86_64
cd "$root"
tests=$(unit_tests --release)

# Nehalem has no AVX. Haswell has AVX2, as most processors have: there all bytes are those of this machine, unless ONNX Runtime uses
# AVX-512 here. Its unit tests are those that run here.
same=0
! grep -q avx512f /proc/cpuinfo || same=0.005
"$qemu" -cpu Nehalem "$tests" --quiet --test-threads "$(nproc)"
for cpu in Nehalem:portable:0.005 Haswell-noTSX:avx2:$same; do
  IFS=: read -r model kernels tolerance <<<"$cpu"
  echo "$model, kernels for $kernels"
  python3 "$here/compare.py" "$tolerance" "$kernels" "$npad" "$qemu" -cpu "$model" "$npad"
done
