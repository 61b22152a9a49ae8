"""A command-line tool on another processor or system: compare.py TOLERANCE KERNELS TOOL COMMAND...

Fits to a few images and scores others, with TOOL on this machine and with COMMAND, which runs the kernels for KERNELS. Scores may differ by the share TOLERANCE;
with 0, models and scores are the same to the last bit. Each side also scores with the other's model. Of the command's own
folders, paths are taken as they are, so they are relative.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from images import write_images

TOLERANCE, KERNELS = float(sys.argv[1]), sys.argv[2]
TOOL, COMMAND = [os.path.abspath(sys.argv[3])], sys.argv[4:]
METHODS = ["npad", "patchcore"]


def run(command, *arguments):
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, (command, arguments, done.stdout, done.stderr)
    return done.stdout


def scores(command, model):
    lines = run(command, "score", model, "fine.pgm", "bad.pgm", "--json", "--threads", "2").splitlines()
    return [json.loads(line) for line in lines]


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    write_images(".")
    for method in METHODS:
        settings = ["--method", method, "--size", "64", "--threads", "2", "--set", "date=none"]
        for command, model in [(TOOL, "here.npad"), (COMMAND, "there.npad")]:
            run(command, "fit", "good", "-o", model, *settings)
        machine = json.loads(run(COMMAND, "info", "there.npad"))["machine"]
        assert machine["kernels"] == KERNELS and machine["onnxruntime"]["version"], machine
        models = [pathlib.Path(model).read_bytes() for model in ("here.npad", "there.npad")]
        assert models[0] == models[1] or TOLERANCE > 0, f"{method}: the models differ"
        expected = scores(TOOL, "here.npad")
        assert [image["anomalous"] for image in expected] == [False, True], expected
        for command, model in [(COMMAND, "there.npad"), (COMMAND, "here.npad"), (TOOL, "there.npad")]:
            for here, there in zip(expected, scores(command, model), strict=True):
                assert here["anomalous"] == there["anomalous"], (here, there)
                difference = abs(here["score"] / there["score"] - 1)
                assert difference <= TOLERANCE, f"{method}, {model}: {there['score']} instead of {here['score']}"
        equal = "the same bytes" if models[0] == models[1] else f"scores within {TOLERANCE:.1%}"
        print(f"{method}: {equal}")
