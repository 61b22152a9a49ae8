# shellcheck shell=bash disable=SC2154
# What the scripts that run installed programs share, to be sourced. "$root" is the repository.

# documented PAGE LANGUAGE [NUMBER]: a program of the documentation.
documented() { python3 "$root/tests/install/extract.py" "$root/docs/$1.md" "${@:2}"; }

# finds_defects COMMAND...: the program of the documentation finds its defect.
finds_defects() {
  "$@" >out.txt 2>err.txt || { echo "$* failed:" && cat out.txt err.txt && return 1; }
  grep -q DEFECTIVE out.txt || { echo "$* finds nothing:" && cat out.txt && return 1; }
}

# csharp ARGUMENT...: Mono's compiler.
csharp() { mcs -langversion:7.2 -warn:4 -warnaserror "$@"; }

# verdicts: of what a program prints, that which every host prints: a line for each image and region.
verdicts() { tr -d '\r' | grep -E 'score|region' | sed -e 's/, calibrated.*//; s/, [0-9]* pixels.*//; s|^\(\.\./\)*parts/||'; }

# application FOLDER PROGRAM VERSION RID LIBRARY...: PROGRAM.exe and NpadNet.dll in FOLDER become an application of .NET VERSION as
# `dotnet publish` lays it out. The native libraries lie as a NuGet package has them, for the system RID.
application() {
  local folder=$1 program=$2 version=$3 rid=$4 native='' library
  shift 4
  mkdir -p "$folder/runtimes/$rid/native"
  for library in "$@"; do
    cp -u "$library" "$folder/runtimes/$rid/native/"
    native+="${native:+, }\"runtimes/$rid/native/$(basename "$library")\": {\"rid\": \"$rid\", \"assetType\": \"native\"}"
  done
  cat >"$folder/$program.runtimeconfig.json" <<END
{"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "$version"},
  "configProperties": {"System.Globalization.Invariant": true}}}
END
  cat >"$folder/$program.deps.json" <<END
{"runtimeTarget": {"name": ".NETCoreApp,Version=v${version%.*}"}, "targets": {".NETCoreApp,Version=v${version%.*}": {
  "$program/1.0.0": {"dependencies": {"Npad": "1.0.0"}, "runtime": {"$program.exe": {}}},
  "Npad/1.0.0": {"runtime": {"NpadNet.dll": {}}, "runtimeTargets": {$native}}}},
 "libraries": {"$program/1.0.0": {"type": "project", "serviceable": false, "sha512": ""},
  "Npad/1.0.0": {"type": "project", "serviceable": false, "sha512": ""}}}
END
}
