#!/usr/bin/env python3
"""Measures all methods on all data sets at hand and writes the table.

    table.py NPAD ELPV_WHEEL SCRATCH_DIR OUTPUT.md DATA_DIR...

Every folder in a DATA_DIR in MVTec AD's layout is a data set. The solar cells of the elpv wheel make two more, without
masks. One set of defaults serves all of them. Each evaluation is kept in SCRATCH_DIR, so a run that was interrupted
continues where it ended; those of another build of npad or of changed data are made anew.
"""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random
from statistics import fmean, stdev

METHODS = ["npad", "padim", "patchcore", "spade"]
FLOWS = ["fastflow", "cflow", "pefm"]  # train for minutes: one seed,
FLOW_SIZES = [240, 384]  # at these input sizes, the larger ones on the sets with masks: solar cells have 300 pixels.
SEEDS = 2
FEW = 0.08  # the share of the training images in the second table,
FEWEST = 10  # but at least so many images,
FEW_METHODS = ["npad"]
CHOICES = 2  # chosen at random so many times.
ABLATIONS = [
    ("defaults", []),
    ("pixel level alone", ["npad.levels=pixel", "npad.image_levels=pixel"]),
    ("patch level alone", ["npad.levels=patch", "npad.image_levels=patch"]),
    ("centroids alone", ["npad.levels=centroids", "npad.image_levels=centroids"]),
    ("100 random channels", ["npad.channels=100"]),
    ("a covariance for each position", ["npad.block=1x1"]),
    ("a covariance for each block of 2 x 2 positions", ["npad.block=2x2"]),
    ("the sum of the levels as map", ["npad.fusion=standardised"]),
    ("the poster's configuration", ["npad.preset=poster"]),
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


class Evaluator:
    """Runs `npad eval`, or takes the result of an earlier run of the same build with the same data and arguments."""

    def __init__(self, npad, folder):
        self.npad, self.folder = npad, folder
        self.build = hashlib.sha256(Path(npad).read_bytes()).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, dataset, *arguments):
        files = [file for file in dataset.rglob("*") if file.is_file()]
        files = sorted((str(file.relative_to(dataset)), file.stat().st_size) for file in files)
        key = hashlib.sha256(json.dumps([self.build, files, arguments]).encode()).hexdigest()[:16]
        kept = self.folder / f"{dataset.name}-{key}.json"
        print(dataset.name, *arguments, "(kept)" if kept.exists() else "", file=sys.stderr)
        if not kept.exists():
            # Written beside it and renamed: a result is whole or not there.
            written = kept.with_suffix(".part")
            command = [self.npad, "eval", dataset, *arguments, "--json", written]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            written.rename(kept)
        return json.loads(kept.read_text())[0]


def number(value, digits=1):
    return "&ndash;" if value is None else f"{value:.{digits}f}"


def by_seed(results, key):
    """For each seed the mean over the results that have this metric."""
    rows = [[run[key] for run in result.get("runs", [result])] for result in results]
    return [fmean(column) for column in zip(*(row for row in rows if None not in row))]


def mean(results, key):
    values = by_seed(results, key)
    return fmean(values) if values else None


def deviating(results, key):
    """The mean over seeds of the mean over results, and its standard deviation over seeds."""
    values = by_seed(results, key)
    return number(mean(results, key)) + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def of_method(results, method):
    return [result for result in results if result["method"] == method]


def main_table(results):
    columns = {
        "image AUROC": "image_auroc",
        "average precision": "average_precision",
        "F1": "f1",
        "balanced accuracy": "balanced_accuracy",
        "false alarms": "false_alarms",
        "misses": "misses",
        "misses at 1 %": "misses_at_1",
        "misses at 5 %": "misses_at_5",
        "pixel AUROC": "pixel_auroc",
        "AUPRO": "aupro",
    }
    lines = [
        "| data set | method | " + " | ".join(columns) + " |",
        "| --- " * 2 + "| --: " * len(columns) + "|",
    ]

    def line(name, method, results):
        cells = [deviating(results, key) for key in columns.values()]
        lines.append(f"| {name} | {method} | " + " | ".join(cells) + " |")

    for result in results:
        line(result["dataset"], result["method"], [result])
    for method in METHODS:
        masked = [result for result in of_method(results, method) if result["aupro"] is not None]
        if masked:
            line("**mean of sets with masks**", f"**{method}**", masked)
    for method in METHODS:
        line("**mean of all**", f"**{method}**", of_method(results, method))
    return "\n".join(lines)


def cost_table(results):
    lines = ["| method | fit s | score ms | model MB |", "| --- | --: | --: | --: |"]
    for result in results:
        costs = [number(result[key]) for key in ("fit_seconds", "score_ms_p50", "model_mb")]
        lines.append(f"| {result['method']} | " + " | ".join(costs) + " |")
    return "\n".join(lines)


def few_table(datasets, full, few):
    lines = ["| data set | images | " + " | ".join(FEW_METHODS) + " |", "| --- | --: " + "| --: " * len(FEW_METHODS) + "|"]

    def change(method, dataset=None):
        of = lambda results: [r for r in of_method(results, method) if dataset in (None, r["dataset"])]
        return deviating(of(few), "image_auroc"), mean(of(few), "image_auroc") - mean(of(full), "image_auroc")

    for dataset in datasets:
        cells = ["{} ({:+.1f})".format(*change(method, dataset.name)) for method in FEW_METHODS]
        images = next(r["train_images"] for r in few if r["dataset"] == dataset.name)
        lines.append(f"| {dataset.name} | {images} | " + " | ".join(cells) + " |")
    changes = [f"**{change(method)[1]:+.1f}**" for method in FEW_METHODS]
    lines.append("| **mean change** | | " + " | ".join(changes) + " |")
    return "\n".join(lines)


def ablation_table(datasets, rows):
    triple = ("image_auroc", "pixel_auroc", "aupro")
    names = [dataset.name for dataset in datasets]
    lines = ["| N-pad | " + " | ".join(names) + " | mean |", "| --- " + "| --: " * (len(names) + 1) + "|"]
    for name, results in rows:
        cells = [" / ".join(number(result[key]) for key in triple) for result in results]
        cells.append(" / ".join(deviating(results, key) for key in triple))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def flow_table(datasets, rows):
    triple = ("image_auroc", "pixel_auroc", "aupro")
    names = [dataset.name for dataset in datasets]
    lines = [
        "| method | size | " + " | ".join(names) + " | mean | false alarms | misses | fit s | score ms |",
        "| --- | --: " + "| --: " * (len(names) + 5) + "|",
    ]
    for method, size, results in rows:
        of = {result["dataset"]: " / ".join(number(result[key]) for key in triple) for result in results}
        cells = [of.get(name, "") for name in names]
        masked = [result for result in results if result["aupro"] is not None]
        cells.append(" / ".join(number(mean(masked, key)) for key in triple))
        means = ("false_alarms", "misses", "fit_seconds", "score_ms_p50")
        cells += [number(fmean(result[key] for result in masked)) for key in means]
        lines.append(f"| {method} | {size} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    npad, wheel, scratch, output = sys.argv[1], *map(Path, sys.argv[2:5])
    folders = [folder for root in map(Path, sys.argv[5:]) if root.is_dir() for folder in sorted(root.iterdir())]
    masked = [folder for folder in folders if (folder / "train/good").is_dir()]
    datasets = masked + unpack_elpv(wheel, scratch)
    evaluate = Evaluator(npad, scratch / "results")
    seeds, choices = ["--seeds", str(SEEDS)], ["--seeds", str(CHOICES)]
    full, few = [], []
    for dataset in datasets:
        for method in METHODS:
            full.append(evaluate(dataset, "--method", method, *seeds))
            if method not in FEW_METHODS:
                continue
            shots = max(FEWEST, round(FEW * full[-1]["train_images"]))
            few.append(evaluate(dataset, "--method", method, *choices, "--shots", str(shots)))
    ablations = []
    for name, settings in ABLATIONS:
        options = [option for setting in settings for option in ("--set", setting)]
        ablations.append((name, [evaluate(dataset, "--method", "npad", *seeds, *options) for dataset in datasets]))
    flows = [
        (method, size, [evaluate(dataset, "--method", method, "--size", str(size)) for dataset in sets])
        for method in FLOWS
        for size in FLOW_SIZES
        for sets in [datasets if size == FLOW_SIZES[0] else masked]
    ]
    # Last and one after the other, so that nothing else runs beside them.
    costs = [evaluate(datasets[0], "--method", method) for method in METHODS]
    output.write_text(
        "# Methods side by side\n\n"
        "Written by `make table`. One set of defaults for every method and data set; metrics in percent at the images' own\n"
        "resolution, with images of different sizes weighing the same; thresholds from the good training images alone, for\n"
        "1 % false alarms. Misses at 1 % and 5 % are those at the lowest threshold that at most so many of the good *test*\n"
        "images exceed: what the ranking would allow. Values are mean ± standard deviation over "
        f"{SEEDS} seeds; in a mean over data\nsets, over the means of each seed.\n\n"
        f"{main_table(full)}\n\n"
        f"Costs on {datasets[0].name} ({costs[0]['train_images']} images) on the machine at hand; compare them within the "
        "table only.\n\n"
        f"{cost_table(costs)}\n\n"
        f"## With {FEW:.0%} of the training images, at least {FEWEST}\n\n"
        f"Image AUROC, mean and standard deviation of {CHOICES} random choices of images, and the change of the mean.\n\n"
        f"{few_table(datasets, full, few)}\n\n"
        "## What each part of N-pad contributes\n\n"
        f"Image AUROC / pixel AUROC / AUPRO, means of {SEEDS} seeds.\n\n"
        f"{ablation_table(datasets, ablations)}\n\n"
        "## Methods that train a network\n\n"
        "Image AUROC / pixel AUROC / AUPRO with one seed; the last columns are means of the sets with masks, times beside "
        "whatever else the machine did.\n\n"
        f"{flow_table(datasets, flows)}\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
