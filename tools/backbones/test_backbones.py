#!/usr/bin/env python3
"""Tests export.py: test_backbones.py NPAD FOLDER [NETWORK...]. Needs no weights and no network.

Networks with random weights are exported, their taps are compared with those that timm and torchvision cut out themselves, and npad
learns, saves, loads and scores images with them. Prints what each costs beside the embedded backbone.
"""

import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

# Nothing is downloaded, also where there is a network.
os.environ["HF_HUB_OFFLINE"], os.environ["HF_HOME"] = "1", os.devnull

import numpy as np
import onnx
import onnxruntime
import timm
import torch
import torchvision
from torchvision.models.feature_extraction import create_feature_extractor

import export
import networks

SIDE, GOOD = 224, 20
MARK = slice(96, 128)  # rows and columns of the defect
EXPORT = Path(__file__).with_name("export.py")
STAGES = ["layer1", "layer2", "layer3"]
BLOCKS = [3, 7, 11]


def of_timm(name, indices, **arguments):
    """A network, and its maps as timm gives them."""
    network = timm.create_model(name, **arguments).eval()
    maps = lambda image: network.forward_intermediates(image, indices=indices, norm=False, intermediates_only=True)
    return network, maps


def of_torchvision(name, taps):
    network = torchvision.models.get_model(name).eval()
    return network, lambda image: list(create_feature_extractor(network, taps)(image).values())


CASES = {
    "timm:resnet18": (STAGES, lambda: of_timm("resnet18", [1, 2, 3])),
    "timm:wide_resnet50_2": (STAGES, lambda: of_timm("wide_resnet50_2", [1, 2, 3])),
    "torchvision:wide_resnet50_2": (STAGES, lambda: of_torchvision("wide_resnet50_2", STAGES)),
    "timm:vit_small_patch14_dinov2": (
        [f"blocks.{block}" for block in BLOCKS],
        lambda: of_timm("vit_small_patch14_dinov2", BLOCKS, img_size=SIDE),
    ),
}


def exported(*arguments):
    """What export.py prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        export.run(export.arguments_of([str(argument) for argument in arguments]))
    return printed.getvalue()


def disturb(network):
    """Statistics and gains of the batch norms as no initialisation leaves them, so that folding them matters."""
    torch.manual_seed(1)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
            part.weight.data.uniform_(0.5, 1)
            part.bias.data.uniform_(-0.2, 0.2)


def check_taps(name, taps, maps, path):
    model = onnx.load(path)
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    assert not model.graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value")
    session = onnxruntime.InferenceSession(path)
    assert [output.name for output in session.get_outputs()] == taps
    fixed = name.endswith("dinov2")
    for count, height, width in [(1, SIDE, SIDE), (2, SIDE, SIDE)] + ([] if fixed else [(1, 256, 320)]):
        image = torch.randn(count, 3, height, width)
        with torch.no_grad():
            expected = maps(image)
        for ours, theirs in zip(session.run(None, {"image": image.numpy()}), expected, strict=True):
            assert ours.shape == tuple(theirs.shape), (ours.shape, theirs.shape)
            assert np.abs(ours - theirs.numpy()).max() <= 1e-4 * np.abs(theirs.numpy()).max()


def write_image(path, seed, mark=False):
    """A striped picture with noise as a PPM file, with or without a dark square."""
    noise = np.random.default_rng(seed).integers(0, 24, (SIDE, SIDE, 3))
    pixels = 90 + 60 * (np.arange(SIDE)[None, :, None] // 16 % 2) + noise
    if mark:
        pixels[MARK, MARK] = 10
    path.write_bytes(b"P6\n%d %d\n255\n" % (SIDE, SIDE) + pixels.astype(np.uint8).tobytes())


def npad(program, *arguments):
    outcome = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def check_model(program, folder, words):
    """Fits with the command that export.py has printed, and uses the model's file."""
    model = folder / "model.npad"
    replaced = {"GOOD_IMAGES": folder / "good", "MODEL.npad": model}
    assert words[:2] == ["npad", "fit"]
    npad(program, "fit", *[replaced.get(word, word) for word in words[2:]])
    lines = npad(program, "score", model, folder / "fine.ppm", folder / "bad.ppm", "--json").splitlines()
    fine, bad = map(json.loads, lines)
    assert bad["anomalous"] and bad["score"] > 2 * fine["score"], (fine, bad)
    found = max(bad["regions"], key=lambda region: region["area"])
    centre = (MARK.start + MARK.stop) // 2
    assert 0 <= centre - found["x"] < found["width"] and 0 <= centre - found["y"] < found["height"], found
    return json.loads(npad(program, "bench", model, "--runs", "30", "--json"))


def check_errors(folder):
    path = folder / "refused.onnx"
    path.unlink(missing_ok=True)
    other = folder / "resnet34.pth"
    torch.save(timm.create_model("resnet34").state_dict(), other)
    junk = folder / "junk.pth"
    junk.write_bytes(b"no weights")
    tapped = ["--taps", "layer1"]
    for arguments, message in [
        (["timm:wide_resnet50_3", *tapped, "--random", 0], "similar names: wide_resnet50_2"),
        (["wide_resnet50_2", *tapped, "--random", 0], "expected timm:NAME or torchvision:NAME"),
        (["timm:resnet18", "--taps", "layer5", "--random", 0], "its taps are: conv1, bn1"),
        (["timm:resnet18", "--taps", "layer1,layer1", "--random", 0], "different ones"),
        (["torchvision:resnet18", "--taps", "layer1.0.relu", "--random", 0], "runs several times"),
        (["timm:resnet50", *tapped, "--weights", other], "do not fit timm:resnet50"),
        (["timm:resnet18", *tapped, "--weights", junk], "no weights that can be read"),
        (["timm:resnet18", *tapped, "--weights", folder / "none.pth"], "cannot read the weights"),
        (["timm:resnet18", *tapped, "--pretrained"], "--weights FILE"),
        (["timm:vit_small_patch14_dinov2", "--taps", "blocks.3", "--random", 0, "--size", 230], "multiples"),
    ]:
        try:
            exported(*arguments, "-o", path)
            raise AssertionError(f"{arguments} was exported")
        except networks.ExportError as error:
            assert message in str(error), (arguments, error)
        assert not path.exists()
    program = subprocess.run([sys.executable, EXPORT, "timm:none", "--list"], capture_output=True, text=True)
    assert program.returncode == 1 and "has no network 'none'" in program.stderr, program.stderr
    assert "Traceback" not in program.stderr and not program.stdout
    assert not list(folder.glob(".export-*"))


def main():
    program, folder = sys.argv[1], Path(sys.argv[2])
    (folder / "good").mkdir(parents=True, exist_ok=True)
    for seed in range(GOOD):
        write_image(folder / f"good/{seed}.ppm", seed)
    write_image(folder / "fine.ppm", 98)
    write_image(folder / "bad.ppm", 99, mark=True)
    check_errors(folder)

    costs = {"embedded": check_model(program, folder, ["npad", "fit", "GOOD_IMAGES", "-o", "MODEL.npad", "--size", "224"])}
    for name in sys.argv[3:] or CASES:
        print(name, flush=True)
        taps, create = CASES[name]
        network, maps = create()
        disturb(network)
        weights, path = folder / "weights.pth", folder / f"{name.partition(':')[2]}.onnx"
        torch.save(network.state_dict(), weights)
        output = exported(name, "--taps", ",".join(taps), "--weights", weights, "-o", path)
        check_taps(name, taps, maps, path)
        words = shlex.split(output.splitlines()[-1])
        costs[name] = check_model(program, folder, words + ["--size", "224x224"] * ("--size" not in words))
        costs[name]["onnx_mb"] = path.stat().st_size / 1e6
    # Other kinds of transformers; export.py itself compares their taps with PyTorch's.
    for name, tap in [("torchvision:vit_b_16", "encoder.layers.encoder_layer_1"), ("torchvision:swin_t", "features.1")]:
        path = folder / f"{name.partition(':')[2]}.onnx"
        assert "largest difference" in exported(name, "--taps", tap, "--random", 0, "-o", path)
    # The same seed gives the same file, and no weights are needed.
    first, second = folder / "first.onnx", folder / "second.onnx"
    for path in first, second:
        exported("timm:resnet18", "--taps", "layer1", "--random", 3, "-o", path)
    assert first.read_bytes() == second.read_bytes()

    print("\n| backbone | backbone ms | score ms | ONNX file, MB | model, MB | peak memory, MB |")
    print("| --- | --: | --: | --: | --: | --: |")
    for name, cost in costs.items():
        of_bench = [cost[key] for key in ("backbone_ms_p50", "score_ms_p50")]
        sizes = [cost.get("onnx_mb", 2.8), cost["model_mb"], cost["peak_mb"]]
        print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in of_bench + sizes) + " |")


if __name__ == "__main__":
    main()
