#!/usr/bin/env bash
# The NuGet package in a program of its own, with the SDK of .NET: nuget.sh FOLDER_WITH_PACKAGE IMAGES SCRATCH_FOLDER
# IMAGES is a folder that tests/platforms/images.py has made.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
mkdir -p "$3"
cp -r "$1"/Npad.*.nupkg "$root/examples/csharp/Inspect.cs" "$2" "$3"
cd "$3"
cat >app.csproj <<END
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net8.0</TargetFramework>
    <RestoreAdditionalProjectSources>.</RestoreAdditionalProjectSources>
    <RestorePackagesPath>restored</RestorePackagesPath>
  </PropertyGroup>
  <ItemGroup>
    <PackageReference Include="Npad" Version="$version" />
  </ItemGroup>
</Project>
END
dotnet build -c Release -o built
cd "$(basename "$2")"
dotnet ../built/app.dll good fine.pgm bad.pgm size=64 date=none | tee out.txt
grep -q '^fine.pgm: good' out.txt
grep -q '^bad.pgm: DEFECTIVE' out.txt
