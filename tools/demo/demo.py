#!/usr/bin/env python3
"""Learns from 200 good solar cells, scores 150 unseen good and 150 defective ones, and says how well that went.

    demo.py NPAD ELPV_WHEEL OUTPUT_DIR

The images are the monocrystalline cells of the ELPV data set (Buerhop-Lutz et al. 2018, CC BY-NC-SA 4.0): electro-
luminescence images, labelled by experts with a probability of being defective. 0 counts as good, 1 as defective.
"""

import json
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

TRAIN, TEST = 200, 150
HEATMAPS = 12


def unpack(wheel, folder):
    """Writes the chosen images to folder/{train,good,defective}."""
    with zipfile.ZipFile(wheel) as archive:
        labels = archive.read("elpv_dataset/data/labels.csv").decode().split("\n")
        rows = [line.split() for line in labels if line.strip()]
        cells = {"0.0": [], "1.0": []}
        for path, probability, kind in rows:
            if kind == "mono" and probability in cells:
                cells[probability].append(path)
        good, defective = cells["0.0"], cells["1.0"]
        # In the data set's order, so that test cells come from the kinds of modules that were learnt from.
        sets = {"train": good[:TRAIN], "good": good[TRAIN : TRAIN + TEST], "defective": defective[:TEST]}
        for name, paths in sets.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            for path in paths:
                (folder / name / Path(path).name).write_bytes(archive.read(f"elpv_dataset/data/{path}"))


def score(npad, model, images, *options):
    command = [npad, "score", model, "--json", *options, *images]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def auroc(good, defective):
    wins = sum((d > g) + 0.5 * (d == g) for d in defective for g in good)
    return wins / (len(good) * len(defective))


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    npad, wheel, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    images, model = out / "images", out / "solar-cells.npad"
    unpack(wheel, images)
    subprocess.run([npad, "fit", images / "train", "-o", model], check=True)
    results = {}
    for name in ("good", "defective"):
        files = sorted((images / name).iterdir())
        results[name] = score(npad, model, files[:HEATMAPS], "--heatmap", out / "heatmaps" / name)
        results[name] += score(npad, model, files[HEATMAPS:])
    good, defective = results["good"], results["defective"]
    summary = {
        "image_auroc": 100 * auroc([r["score"] for r in good], [r["score"] for r in defective]),
        "false_alarms": 100 * sum(r["anomalous"] for r in good) / len(good),
        "misses": 100 * sum(not r["anomalous"] for r in defective) / len(defective),
        "score_ms_p50": statistics.median(r["ms"] for r in good + defective),
    }
    summary = {key: round(value, 2) for key, value in summary.items()}
    (out / "summary.json").write_text(json.dumps(summary) + "\n")
    print(f"learnt from {TRAIN} good cells; scored {len(good)} unseen good and {len(defective)} defective ones:")
    print(f"  image AUROC   {summary['image_auroc']} %")
    print(f"  false alarms  {summary['false_alarms']} % of the good cells")
    print(f"  misses        {summary['misses']} % of the defective cells")
    print(f"  time          {summary['score_ms_p50']} ms an image (median)")
    print(f"heat maps: {out}/heatmaps/, summary: {out}/summary.json")


if __name__ == "__main__":
    main()
