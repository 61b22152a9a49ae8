"""Writes the parts that all hosts inspect, as PGM files: make_parts.py FOLDER"""

import sys
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1])
(folder / "good").mkdir(parents=True)


def part(seed):
    y, x = np.mgrid[:120, :160]
    noise = np.random.default_rng(seed).integers(-8, 9, x.shape)
    return (120 + 50 * np.cos(np.hypot(x - 80, y - 60) / 4) + x / 4 + noise).clip(0, 255).astype(np.uint8)


def write(name, image):
    height, width = image.shape
    (folder / name).write_bytes(b"P5\n# a part\n%d %d\n255\n" % (width, height) + image.tobytes())


for seed in range(20):
    write(f"good/{seed:02}.pgm", part(seed))
write("fine.pgm", part(100))
scratched = part(101)
for i in range(24):
    scratched[50 + i // 2 : 54 + i // 2, 60 + i] = 10
write("scratched.pgm", scratched)
