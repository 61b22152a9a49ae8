"""A command-line tool built without the cargo feature flows: scores with trained networks, and refuses to train them."""

import json
import pathlib
import subprocess
import sys
import tempfile

from images import write_images

WHOLE, MINIMAL = sys.argv[1:]


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
    write_images(folder, good=10)
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
