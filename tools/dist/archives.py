"""Packs installations and the NuGet package: archives.py FOLDER VERSION ARTIFACTS

FOLDER has npad-VERSION-PLATFORM for each platform, NpadNet.dll, licences/ and LICENSE-MINGW. Files are packed in the order of their names, with one date
owner and mode: the same files give the same archives.
"""

import gzip
import re
import sys
import tarfile
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

FOLDER, VERSION, ARTIFACTS = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "bindings/csharp/Npad/Npad.csproj"
# The earliest that zip files can have.
DATE = (1980, 1, 1, 0, 0, 0)
SECONDS = 315_532_800


def installation(platform):
    return FOLDER / f"npad-{VERSION}-{platform}"


def pack_tar(folder, path):
    def plain(info):
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        info.mtime = SECONDS
        info.mode = 0o755 if not info.isfile() or info.mode & 0o100 else 0o644
        return info

    with path.open("wb") as file, gzip.GzipFile("", "wb", mtime=0, fileobj=file) as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for entry in [folder, *sorted(folder.rglob("*"))]:
                archive.add(entry, entry.relative_to(folder.parent), recursive=False, filter=plain)


def pack_zip(files, path):
    """`files` are pairs of a name in the archive and its contents."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in files:
            info = zipfile.ZipInfo(str(name), DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, contents)


def files_below(folder, root):
    return [(f.relative_to(root).as_posix(), f.read_bytes()) for f in sorted(folder.rglob("*")) if f.is_file()]


def without_relative_links(page):
    return re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]+\)", r"\1", page)


def property_of_project(name):
    return ET.parse(PROJECT).findtext(f"PropertyGroup/{name}")


def nuget_files():
    """The package that `dotnet pack` makes of the project, but for documentation and the variant for netstandard2.1."""
    name = property_of_project("PackageId")
    assert property_of_project("Version") == VERSION, f"{PROJECT} has another version than {VERSION}"
    nuspec = f"""<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd">
  <metadata>
    <id>{name}</id>
    <version>{VERSION}</version>
    <authors>The npad developers</authors>
    <license type="expression">{property_of_project("PackageLicenseExpression")}</license>
    <readme>README.md</readme>
    <description>{property_of_project("Description")}</description>
    <dependencies>
      <group targetFramework=".NETStandard2.0" />
    </dependencies>
  </metadata>
</package>
"""
    relationships = f"""<?xml version="1.0" encoding="utf-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
  <Relationship Type="http://schemas.microsoft.com/packaging/2010/07/manifest" Target="/{name}.nuspec" Id="R0" />
</Relationships>
"""
    contents = [
        ("README.md", without_relative_links((ROOT / "docs/csharp.md").read_text("utf-8"))),
        ("lib/netstandard2.0/NpadNet.dll", (FOLDER / "NpadNet.dll").read_bytes()),
        *files_below(FOLDER / "licences", FOLDER),
        ("licences/LICENSE-MINGW", (FOLDER / "LICENSE-MINGW").read_bytes()),
    ]
    for platform, runtime in [("linux-x86_64", "linux-x64"), ("linux-aarch64", "linux-arm64"), ("windows-x86_64", "win-x64")]:
        prefix = installation(platform)
        libraries = [prefix / "bin/npad.dll", prefix / "lib/libnpad.so", *prefix.glob("bin/onnx*.dll"), *prefix.glob("lib/libonnx*")]
        contents += [(f"runtimes/{runtime}/native/{f.name}", f.read_bytes()) for f in sorted(libraries) if f.exists()]
    # Every extension has to be declared, and a name without one or with a number for it by itself.
    plain = sorted({Path(file).suffix[1:] for file, _ in contents if not Path(file).suffix[1:].isdigit()} - {""} | {"nuspec"})
    others = [file for file, _ in contents if Path(file).suffix[1:].isdigit() or not Path(file).suffix]
    types = '<?xml version="1.0" encoding="utf-8"?>\n<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">\n'
    types += '  <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml" />\n'
    types += "".join(f'  <Default Extension="{extension}" ContentType="application/octet" />\n' for extension in plain)
    types += "".join(f'  <Override PartName="/{file}" ContentType="application/octet" />\n' for file in others)
    types += "</Types>\n"
    return [("[Content_Types].xml", types), ("_rels/.rels", relationships), (f"{name}.nuspec", nuspec), *contents]


for platform in "linux-x86_64", "linux-aarch64":
    pack_tar(installation(platform), ARTIFACTS / f"npad-{VERSION}-{platform}.tar.gz")
windows = installation("windows-x86_64")
pack_zip(files_below(windows, windows.parent), ARTIFACTS / f"{windows.name}.zip")
pack_zip(nuget_files(), ARTIFACTS / f"{property_of_project('PackageId')}.{VERSION}.nupkg")
