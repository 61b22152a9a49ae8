#!/usr/bin/env python3
"""Takes the shared libraries of ONNX Runtime, those that it needs, and their licences out of its wheel: unpack_libraries.py WHEEL FOLDER"""

import re
import shutil
import sys
import zipfile
from pathlib import Path

wheel, folder = Path(sys.argv[1]), Path(sys.argv[2])
unfinished = folder.with_name(folder.name + ".unfinished")
# Python's own module has neither of these names.
LIBRARY = re.compile(r"lib.*\.so(\.[0-9.]+)?|lib.*\.dylib|.*\.dll")
shutil.rmtree(unfinished, ignore_errors=True)
unfinished.mkdir(parents=True)
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        file = Path(name).name
        if LIBRARY.fullmatch(file) or file in ("LICENSE", "ThirdPartyNotices.txt"):
            (unfinished / file).write_bytes(archive.read(name))
unfinished.rename(folder)
