#!/usr/bin/env bash
# The programs in C# that run.sh has built, on .NET: dotnet.sh PREFIX SCRATCH_FOLDER DOTNET... SCRATCH_FOLDER is that of run.sh,
# DOTNET the folder of a runtime.
set -euo pipefail
# shellcheck source=tests/install/hosts.sh
. "$(dirname "$0")/hosts.sh"
prefix=$(realpath "$1")
scratch=$(realpath "$2")
shift 2
case $(uname -m) in x86_64) rid=linux-x64 ;; aarch64) rid=linux-arm64 ;; *) rid=linux-$(uname -m) ;; esac
unset LD_LIBRARY_PATH NPAD_ONNXRUNTIME

libraries=("$prefix/lib/libnpad.so" "$prefix"/lib/libonnxruntime.so.*)
for dotnet in "$@"; do
  version=$(basename "$dotnet"/shared/Microsoft.NETCore.App/*)
  folder=$scratch/dotnet-$version
  echo "C# on .NET $version"
  rm -rf "$folder"
  mkdir -p "$folder/span"
  cp "$scratch"/{NpadNet.dll,Tests.exe,Inspect.exe} "$folder"
  cp "$scratch"/span/{NpadNet.dll,Tests.exe} "$folder/span"
  for place in "$folder" "$folder/span"; do
    application "$place" Tests "$version" "$rid" "${libraries[@]}"
  done
  application "$folder" Inspect "$version" "$rid" "${libraries[@]}"
  "$dotnet/dotnet" "$folder/Tests.exe"
  # Mono's compiler takes Span from mscorlib, where .NET Core 3.1 does not have it.
  [ "${version%%.*}" -lt 5 ] || "$dotnet/dotnet" "$folder/span/Tests.exe"
  mkdir "$folder/run"
  (cd "$folder/run" && "$dotnet/dotnet" ../Inspect.exe "$scratch/parts/good" ../../parts/fine.pgm ../../parts/scratched.pgm \
    size=128 npad.channels=30 threads=2 date=none) | verdicts >"$folder/csharp.txt"
  cmp "$scratch/csharp.txt" "$folder/csharp.txt"
  cmp "$scratch/run-csharp/inspect.npad" "$folder/run/inspect.npad"
  for program in program line; do
    cp "$scratch/docs/$program.exe" "$folder"
    application "$folder" "$program" "$version" "$rid" "${libraries[@]}"
    (cd "$folder/run" && "$dotnet/dotnet" "../$program.exe") | grep -q DEFECTIVE
  done
done
echo "the same programs as on Mono, with the same results and models to the last bit"
