# What `make install` does, on Windows: install.ps1 -Prefix FOLDER -OnnxRuntime FOLDER
# The folder may be moved afterwards. Programs need PREFIX\bin on their PATH, or the DLLs beside them.
param([Parameter(Mandatory)] [string] $Prefix, [Parameter(Mandatory)] [string] $OnnxRuntime)
$ErrorActionPreference = "Stop"
$root = Split-Path $PSScriptRoot
$version = (Select-String -Path "$root/Cargo.toml" -Pattern '^version = "(.*)"').Matches[0].Groups[1].Value
$interface = $version -replace '\.\d+$', ''
$built = if ($env:CARGO_TARGET_DIR) { "$env:CARGO_TARGET_DIR/release" } else { "$root/target/release" }

cargo build --release --manifest-path "$root/Cargo.toml"
if ($LASTEXITCODE -ne 0) { exit 1 }
foreach ($folder in "bin", "include", "lib/cmake/npad") { New-Item -ItemType Directory -Force "$Prefix/$folder" | Out-Null }
Copy-Item "$built/npad.exe", "$built/npad.dll", "$OnnxRuntime/*.dll" "$Prefix/bin"
Copy-Item "$built/npad.dll.lib", "$built/npad.lib" "$Prefix/lib"
Copy-Item "$root/include/*" "$Prefix/include"
foreach ($file in "npadConfig.cmake", "npadConfigVersion.cmake") {
    (Get-Content "$root/cmake/$file") -replace '@VERSION@', $version -replace '@SONAME_VERSION@', $interface |
        Set-Content "$Prefix/lib/cmake/npad/$file"
}
