#!/usr/bin/env bash
# The programs in C# that run.sh has built, on .NET: dotnet.sh PREFIX SCRATCH_FOLDER DOTNET... SCRATCH_FOLDER is that of run.sh,
# DOTNET the folder of a runtime. The native libraries lie as a NuGet package has them.
set -euo pipefail
prefix=$(realpath "$1")
scratch=$(realpath "$2")
shift 2
case $(uname -m) in x86_64) rid=linux-x64 ;; *) rid=linux-$(uname -m) ;; esac
unset LD_LIBRARY_PATH NPAD_ONNXRUNTIME

# application FOLDER PROGRAM VERSION: the program as `dotnet publish` lays it out.
application() {
  cat >"$1/$2.runtimeconfig.json" <<END
{"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "$3"},
  "configProperties": {"System.Globalization.Invariant": true}}}
END
  cat >"$1/$2.deps.json" <<END
{"runtimeTarget": {"name": ".NETCoreApp,Version=v${3%.*}"}, "targets": {".NETCoreApp,Version=v${3%.*}": {
  "$2/1.0.0": {"dependencies": {"Npad": "1.0.0"}, "runtime": {"$2.exe": {}}},
  "Npad/1.0.0": {"runtime": {"NpadNet.dll": {}}, "runtimeTargets": {
    "runtimes/$rid/native/libnpad.so": {"rid": "$rid", "assetType": "native"},
    "runtimes/$rid/native/$runtime": {"rid": "$rid", "assetType": "native"}}}}},
 "libraries": {"$2/1.0.0": {"type": "project", "serviceable": false, "sha512": ""},
  "Npad/1.0.0": {"type": "project", "serviceable": false, "sha512": ""}}}
END
}

runtime=$(basename "$prefix"/lib/libonnxruntime.so.*)
for dotnet in "$@"; do
  version=$(basename "$dotnet"/shared/Microsoft.NETCore.App/*)
  folder=$scratch/dotnet-$version
  echo "C# on .NET $version"
  rm -rf "$folder"
  mkdir -p "$folder/span"
  cp "$scratch"/{NpadNet.dll,Tests.exe,Inspect.exe} "$folder"
  cp "$scratch"/span/{NpadNet.dll,Tests.exe} "$folder/span"
  for place in "$folder" "$folder/span"; do
    mkdir -p "$place/runtimes/$rid/native"
    cp "$prefix/lib/libnpad.so" "$prefix/lib/$runtime" "$place/runtimes/$rid/native/"
    application "$place" Tests "$version"
  done
  application "$folder" Inspect "$version"
  "$dotnet/dotnet" "$folder/Tests.exe"
  # Mono's compiler takes Span from mscorlib, where .NET Core 3.1 does not have it.
  [ "${version%%.*}" -lt 5 ] || "$dotnet/dotnet" "$folder/span/Tests.exe"
  mkdir "$folder/run"
  (cd "$folder/run" && "$dotnet/dotnet" ../Inspect.exe "$scratch/parts/good" ../../parts/fine.pgm ../../parts/scratched.pgm \
    size=128 npad.channels=30 threads=2 date=none) >"$folder/all"
  grep -E 'score|region' "$folder/all" | sed -e 's/, calibrated.*//; s/, [0-9]* pixels.*//; s|^\(\.\./\)*parts/||' >"$folder/csharp.txt"
  cmp "$scratch/csharp.txt" "$folder/csharp.txt"
  cmp "$scratch/run-csharp/inspect.npad" "$folder/run/inspect.npad"
  for program in program line; do
    cp "$scratch/docs/$program.exe" "$folder"
    application "$folder" "$program" "$version"
    (cd "$folder/run" && "$dotnet/dotnet" "../$program.exe") | grep -q DEFECTIVE
  done
done
echo "the same programs as on Mono, with the same results and models to the last bit"
