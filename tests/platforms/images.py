"""Writes a few images as PGM files: images.py FOLDER. Good ones to learn from are in good/; fine.pgm is another one, bad.pgm has a
defect."""

import pathlib
import random
import sys


def write_image(path, seed, mark=False):
    """A 96 x 64 picture of stripes with some noise, with or without a dark square."""
    noise = random.Random(seed)
    pixels = bytearray(100 + 60 * (x // 8 % 2) + noise.randrange(16) for _ in range(64) for x in range(96))
    if mark:
        for y in range(20, 36):
            pixels[y * 96 + 40:y * 96 + 56] = bytes(16)
    path.write_bytes(b"P5\n96 64\n255\n" + bytes(pixels))


def write_images(folder, good=4):
    folder = pathlib.Path(folder)
    (folder / "good").mkdir(parents=True)
    for seed in range(good):
        write_image(folder / f"good/{seed}.pgm", seed)
    write_image(folder / "fine.pgm", 98)
    write_image(folder / "bad.pgm", 99, mark=True)


if __name__ == "__main__":
    write_images(sys.argv[1])
