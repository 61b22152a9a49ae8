"""Learns from a folder of good images, saves and reloads the model, and inspects other images.

    inspect_parts.py GOOD_FOLDER IMAGE... [key=value]...

Images are binary PGM files (P5, 8 bits), a format that needs no library. key=value sets an option, for example size=128.
"""

import re
import sys
from pathlib import Path

import numpy as np

import npad


def read(path):
    data = Path(path).read_bytes()
    header = re.match(rb"P5\s(?:#[^\n]*\n|\s)*(\d+)\s+(\d+)\s+255\s", data)
    if not header:
        sys.exit(f"{path} is not a binary PGM file of 8 bits")
    width, height = map(int, header.groups())
    return np.frombuffer(data, np.uint8, width * height, header.end()).reshape(height, width)


def main(folder, *arguments):
    options = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    npad.fit((read(path) for path in sorted(Path(folder).iterdir())), **options).save("inspect.npad")

    model = npad.Model.load("inspect.npad", **options)
    for path in (argument for argument in arguments if "=" not in argument):
        result = model.score(read(path))
        print(f"{path}: {'DEFECTIVE' if result.anomalous else 'good'}, score {result.score:.9g}")
        for region in result.regions:
            print(f"  region at ({region.x}, {region.y}), {region.width} x {region.height}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except npad.Error as error:
        sys.exit(str(error))
