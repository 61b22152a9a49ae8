#!/usr/bin/env python3
"""Measures all methods on all data sets at hand and writes the table: table.py NPAD ELPV_WHEEL SCRATCH_DIR OUTPUT.md DATA_DIR...

Every folder in a DATA_DIR in MVTec AD's layout is a data set. The solar cells of the elpv wheel make two more, without masks.
One set of defaults serves all of them.
"""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random

METHODS = ["npad", "padim", "patchcore", "spade"]
FEW = 0.08  # the share of the training images in the second table,
FEWEST = 10  # but at least so many images,
SEEDS = 3  # chosen at random so many times.
PIXEL = "npad.image_levels=pixel+patch"
ABLATIONS = [
    ("defaults", []),
    ("pixel level alone", ["npad.levels=pixel", "npad.image_levels=pixel"]),
    ("patch level alone", ["npad.levels=patch", "npad.image_levels=patch"]),
    ("both, without centroids", [PIXEL, "npad.levels=pixel+patch"]),
    ("patches alone in the map", ["npad.levels=patch"]),
    ("centroids of patch means", ["npad.centroid_patch=3"]),
    ("centroids alone", ["npad.levels=centroids", "npad.image_levels=centroids"]),
    ("100 random channels", ["npad.channels=100"]),
    ("100 channels by their variance", ["npad.channels=100", "npad.selection=variance"]),
    ("a covariance for each position", ["npad.block=1x1"]),
    ("a covariance for each block of 2 x 2 positions", ["npad.block=2x2"]),
    ("the sum of the levels as map", ["npad.fusion=standardised"]),
    ("the poster's configuration", ["npad.preset=poster"]),
    ("pixels in the image score", [PIXEL]),
    ("the same without neighbours", [PIXEL, "npad.neighbourhood=1"]),
    ("the same without weights of neighbours", [PIXEL, "npad.similarity_power=0"]),
    ("with five shifts", ["npad.shifts=5"]),
    ("without shrinkage", ["npad.shrinkage=0"]),
    ("with estimated shrinkage", ["npad.shrinkage=estimated"]),
]
ELPV_TRAIN, ELPV_TEST = 200, 200


def unpack_elpv(wheel, folder):
    """Cells of one kind that experts are sure of, in random order: good ones to learn from, then both to test."""
    random = Random(0)
    with zipfile.ZipFile(wheel) as archive:
        labels = archive.read("elpv_dataset/data/labels.csv").decode().split("\n")
        rows = [line.split() for line in labels if line.strip()]
        for kind in "mono", "poly":
            good = [path for path, probability, of in rows if of == kind and probability == "0.0"]
            defective = [path for path, probability, of in rows if of == kind and probability == "1.0"]
            # In the data set's order, test cells would come from other modules than those learnt from.
            random.shuffle(good)
            random.shuffle(defective)
            parts = {
                "train/good": good[:ELPV_TRAIN],
                "test/good": good[ELPV_TRAIN : ELPV_TRAIN + ELPV_TEST],
                "test/defective": defective[:ELPV_TEST],
            }
            for name, paths in parts.items():
                target = folder / f"elpv_{kind}" / name
                target.mkdir(parents=True, exist_ok=True)
                for path in paths:
                    (target / Path(path).name).write_bytes(archive.read(f"elpv_dataset/data/{path}"))
    return [folder / "elpv_mono", folder / "elpv_poly"]


def evaluate(npad, dataset, *options):
    print(dataset.name, *options, file=sys.stderr)
    output = subprocess.run([npad, "eval", dataset, *options], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output)


def number(value, digits=1):
    return "&ndash;" if value is None else f"{value:.{digits}f}"


def mean(results, key):
    values = [result[key] for result in results if result[key] is not None]
    return sum(values) / len(values) if values else None


def triple(result):
    return " / ".join(number(result[key]) for key in ("image_auroc", "pixel_auroc", "aupro"))


def average(results):
    return {key: mean(results, key) for key in results[0] if key != "kinds" and not isinstance(results[0][key], (str, list))}


def main_table(results):
    lines = [
        "| data set | method | image AUROC | average precision | F1 | balanced accuracy | false alarms | misses | pixel AUROC "
        "| AUPRO | fit s | score ms | model MB |",
        "| --- " * 2 + "| --: " * 11 + "|",
    ]
    keys = ["image_auroc", "average_precision", "f1", "balanced_accuracy", "false_alarms", "misses", "pixel_auroc", "aupro"]

    def line(name, result):
        cells = [number(result[key]) for key in keys]
        cells += [number(result[key]) for key in ("fit_seconds", "score_ms_p50", "model_mb")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")

    for result in results:
        line(f"{result['dataset']} | {result['method']}", result)
    for method in METHODS:
        own = [result for result in results if result["method"] == method]
        masked = [result for result in own if result["aupro"] is not None]
        if masked:
            line(f"**mean of sets with masks** | **{method}**", average(masked))
    for method in METHODS:
        line(f"**mean of all** | **{method}**", average([result for result in results if result["method"] == method]))
    return "\n".join(lines)


def few_table(datasets, full, few):
    lines = ["| data set | images | " + " | ".join(METHODS) + " |", "| --- | --: " + "| --: " * len(METHODS) + "|"]
    for dataset in datasets:
        cells = []
        for method in METHODS:
            pick = lambda results: mean(
                [r for r in results if (r["dataset"], r["method"]) == (dataset.name, method)], "image_auroc"
            )
            cells.append(f"{number(pick(few))} ({pick(few) - pick(full):+.1f})")
        images = next(r["train_images"] for r in few if r["dataset"] == dataset.name)
        lines.append(f"| {dataset.name} | {images} | " + " | ".join(cells) + " |")
    loss = [mean([r for r in few if r["method"] == m], "image_auroc") - mean([r for r in full if r["method"] == m], "image_auroc") for m in METHODS]
    lines.append("| **mean change** | | " + " | ".join(f"**{value:+.1f}**" for value in loss) + " |")
    return "\n".join(lines)


def ablation_table(datasets, results):
    lines = ["| N-pad | " + " | ".join(d.name for d in datasets) + " | mean |", "| --- " + "| --: " * (len(datasets) + 1) + "|"]
    for name, row in results:
        lines.append(f"| {name} | " + " | ".join(triple(result) for result in row) + f" | {triple(average(row))} |")
    return "\n".join(lines)


def main():
    npad, wheel, scratch, output = sys.argv[1], *map(Path, sys.argv[2:5])
    folders = [folder for root in map(Path, sys.argv[5:]) if root.is_dir() for folder in sorted(root.iterdir())]
    masked = [folder for folder in folders if (folder / "train/good").is_dir()]
    datasets = masked + unpack_elpv(wheel, scratch)
    methods = ["--method", ",".join(METHODS)]
    full, few = [], []
    for dataset in datasets:
        full += evaluate(npad, dataset, *methods)
        shots = max(FEWEST, round(FEW * full[-1]["train_images"]))
        for seed in range(SEEDS):
            few += evaluate(npad, dataset, *methods, "--shots", str(shots), "--seed", str(seed))
    ablations = []
    for name, settings in ABLATIONS:
        options = [option for setting in settings for option in ("--set", setting)]
        ablations.append((name, [evaluate(npad, dataset, *options)[0] for dataset in datasets]))
    output.write_text(
        "# Methods side by side\n\n"
        "Written by `make table`. One set of defaults for every method and data set; metrics in percent at the images' own\n"
        "resolution; thresholds from the good training images alone, for 1 % false alarms. Times on the machine at hand: compare\n"
        "them within the table only.\n\n"
        f"{main_table(full)}\n\n"
        f"## With {FEW:.0%} of the training images, at least {FEWEST}\n\n"
        f"Image AUROC, the mean of {SEEDS} random choices of images, and its change.\n\n"
        f"{few_table(datasets, full, few)}\n\n"
        "## What each part of N-pad contributes\n\n"
        "Image AUROC / pixel AUROC / AUPRO.\n\n"
        f"{ablation_table(datasets, ablations)}\n"
    )


if __name__ == "__main__":
    main()
