"""A command-line tool built without the cargo feature flows: scores with trained networks, and refuses to train them."""

import json
import pathlib
import random
import subprocess
import sys
import tempfile

WHOLE, MINIMAL = sys.argv[1:]


def write_image(path, seed, mark=False):
    """A 96 x 64 picture of stripes with some noise, with or without a dark square."""
    noise = random.Random(seed)
    pixels = bytearray(100 + 60 * (x // 8 % 2) + noise.randrange(16) for _ in range(64) for x in range(96))
    if mark:
        for y in range(20, 36):
            pixels[y * 96 + 40:y * 96 + 56] = bytes(16)
    path.write_bytes(b"P5\n96 64\n255\n" + bytes(pixels))


def run(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)


def scored(program, model, image):
    lines = run(program, "score", model, image, "--json")
    assert lines.returncode == 0, lines.stderr
    result = json.loads(lines.stdout)
    del result["ms"]
    return result


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    good = folder / "good"
    good.mkdir()
    for seed in range(10):
        write_image(good / f"{seed}.pgm", seed)
    write_image(folder / "bad.pgm", 99, mark=True)
    for method in ["fastflow", "cflow", "pefm"]:
        model = folder / f"{method}.npad"
        settings = ["--method", method, "--size", "64", "--set", f"{method}.epochs=2"]
        fit = run(WHOLE, "fit", good, "-o", model, *settings)
        assert fit.returncode == 0, fit.stderr
        whole, minimal = (scored(program, model, folder / "bad.pgm") for program in (WHOLE, MINIMAL))
        assert whole == minimal and whole["anomalous"], (whole, minimal)
        refused = run(MINIMAL, "fit", good, "-o", folder / "other.npad", *settings)
        assert refused.returncode != 0 and "cargo feature flows" in refused.stderr, refused.stderr
        assert not (folder / "other.npad").exists()
print("a build without training scores with trained networks")
