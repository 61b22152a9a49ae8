#!/usr/bin/env python3
"""What npad's accuracy loses with other backbones: accuracy.py NPAD SCRATCH_DIR DATA_DIR BASE.onnx OTHER.onnx...

Runs `npad eval` with three seeds on each data set in DATA_DIR and prints the metrics with BASE and the differences with each of
the others, in points; those of pixels on maps of 256 x 256. Results are kept in SCRATCH_DIR, so that a run that was interrupted continues.
"""

import json
import subprocess
import sys
from pathlib import Path

SEEDS, SIDE = "3", "256x256"
METRICS = ("image_auroc", "pixel_auroc", "aupro")


def evaluate(npad, scratch, dataset, backbone):
    kept = scratch / f"{dataset.name}-{backbone.stem}.json"
    if not kept.exists():
        written = kept.with_suffix(".part")
        options = [f"backbone={backbone}", "backbone_mean=0.498,0.498,0.498", "backbone_std=0.502,0.502,0.502"]
        command = [npad, "eval", dataset, "--seeds", SEEDS, "--eval-size", SIDE, "--json", written]
        for option in options:
            command += ["--set", option]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        written.rename(kept)
    return json.loads(kept.read_text())[0]


def main():
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    npad, scratch, data, base, *others = sys.argv[1], *map(Path, sys.argv[2:])
    scratch.mkdir(parents=True, exist_ok=True)
    datasets = [folder for folder in sorted(data.iterdir()) if (folder / "train/good").is_dir()]
    print("| data set | " + " | ".join(path.stem for path in [base, *others]) + " |")
    print("| --- " + "| --: " * (1 + len(others)) + "|", flush=True)
    for dataset in datasets:
        of_base = evaluate(npad, scratch, dataset, base)
        cells = [" / ".join(f"{of_base[metric]:.2f}" for metric in METRICS)]
        for other in others:
            of_other = evaluate(npad, scratch, dataset, other)
            cells.append(" / ".join(f"{of_other[metric] - of_base[metric]:+.2f}" for metric in METRICS))
        print(f"| {dataset.name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
