#!/usr/bin/env python3
"""Exports a network of timm or torchvision as an ONNX file that npad takes as its backbone.

    pip install -r requirements.txt
    ./export.py timm:wide_resnet50_2 --list
    ./export.py timm:wide_resnet50_2 --taps layer1,layer2,layer3 --pretrained -o wide_resnet50_2.onnx

The taps are modules of the network by name. What comes after the last of them is cut off, batch norms are folded into the convolutions
before them, and the tokens of transformers become maps. The file is written only if ONNX Runtime computes from it what PyTorch does.
docs/backbones.md has more.
"""

import argparse
import contextlib
import io
import logging
import os
import shlex
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

import networks
from networks import ExportError

OPSET = 17
MAX_TAPS = 16
# Largest difference between ONNX Runtime and PyTorch, as a share of a tap's largest value.
TOLERANCE = 1e-3
# npad's Gaussians of more channels than these need gigabytes; the command that is printed chooses some.
MANY_CHANNELS, CHOSEN_CHANNELS = 512, 256


def arguments_of(command_line):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="timm:NAME or torchvision:NAME")
    parser.add_argument("--taps", help="modules whose outputs are the features, joined by commas")
    parser.add_argument("--list", action="store_true", help="list the network's taps and exit")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--weights", type=Path, metavar="FILE", help="a state dict: .safetensors, or from torch.save")
    weights.add_argument("--pretrained", action="store_true", help="download the library's weights")
    weights.add_argument("--random", type=int, metavar="SEED", help="random weights, for trials of speed")
    parser.add_argument("--size", default="224", metavar="N|HxW", help="input in pixels [default: 224]")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the ONNX file to write")
    arguments = parser.parse_args(command_line)
    if not arguments.list:
        if not (arguments.taps and arguments.output):
            parser.error("--taps and --output are required; --list shows the taps")
        if arguments.weights is None and arguments.random is None and not arguments.pretrained:
            parser.error("one of --weights, --pretrained and --random is required")
    try:
        sides = [int(side) for side in arguments.size.lower().split("x")]
        arguments.size = tuple(sides * 2 if len(sides) == 1 else sides)
    except ValueError:
        arguments.size = ()
    if len(arguments.size) != 2 or not all(32 <= side <= 8192 for side in arguments.size):
        parser.error("--size is N or HxW (height x width) with sides from 32 to 8192")
    return arguments


def check_taps(network, names, size):
    """The channels, rows and columns of the taps' maps."""
    taps = networks.list_taps(network, size)
    if len(set(names)) != len(names) or not 1 <= len(names) <= MAX_TAPS:
        raise ExportError(f"--taps has {len(names)} names; expected 1 to {MAX_TAPS} different ones")
    for name in names:
        if name not in taps:
            listed = ", ".join(short(network, taps))
            raise ExportError(f"{network.name} has no tap '{name}'; its taps are: {listed}")
        if taps[name] is None:
            raise ExportError(f"the module '{name}' runs several times in a pass; choose the block around it")
    return [taps[name] for name in names]


def short(network, taps):
    """The taps worth listing: blocks and stages rather than their layers."""
    modules = dict(network.module.named_modules())
    inner = lambda name: any(True for _ in modules[name].children())
    return [name for name in taps if taps[name] and name.count(".") <= 2 and (inner(name) or "." not in name)]


def export(taps, size, path, free):
    """Writes the ONNX file; height and width are free where `free` says so."""
    axes = {"image": {0: "images"}}
    if free:
        axes["image"] |= {2: "height", 3: "width"}
    for number, name in enumerate(taps.names, 1):
        axes[name] = {0: "images"}
        if free:
            axes[name] |= {2: f"rows{number}", 3: f"columns{number}"}
    # The exporter has no operator for PyTorch's fused attention.
    torch.backends.mha.set_fastpath_enabled(False)
    # It prints the whole graph when it fails.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # The exporter that traces: hooks cut the network, and batch norms are folded.
        torch.onnx.export(
            taps,
            (torch.randn(2, 3, *size),),
            path,
            input_names=["image"],
            output_names=taps.names,
            dynamic_axes=axes,
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )


def complete(path, network, arguments, shapes, free):
    """States the outputs' channels and where the network comes from, and checks the file."""
    model = onnx.load(path)
    for output, shape in zip(model.graph.output, shapes):
        dimensions = output.type.tensor_type.shape.dim
        for at in (1,) if free else (1, 2, 3):
            dimensions[at].dim_value = shape[at - 1]
    if arguments.weights is not None:
        weights = arguments.weights.name
    else:
        weights = "pretrained" if arguments.pretrained else f"random {arguments.random}"
    onnx.helper.set_model_props(model, {
        "network": network.name,
        "version": networks.VERSIONS[network.name.partition(":")[0]],
        "weights": weights,
        "backbone_mean": numbers(network.mean),
        "backbone_std": numbers(network.std),
    })
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return model


def largest_error(taps, path, size, free):
    """The largest difference from PyTorch, as a share of a tap's largest value, for one and several images and sizes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    sizes = [size] + ([(size[0] + 32, size[1] + 96), (256, 256)] if free else [])
    worst = 0.0
    for count, (height, width) in zip((1, 3, 2), sizes * (1 if free else 2)):
        image = torch.randn(count, 3, height, width)
        with torch.no_grad():
            expected = taps(image)
        for name, ours, theirs in zip(taps.names, session.run(None, {"image": image.numpy()}), expected):
            theirs = theirs.numpy()
            if ours.shape != theirs.shape or not np.isfinite(theirs).all():
                raise ExportError(f"the tap '{name}' has the shape {ours.shape} or values that are not finite")
            worst = max(worst, float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-12)))
    return worst


def write(network, taps, arguments, shapes):
    """Exports to a temporary folder beside the output and renames the file once it has been checked. Returns the largest
    error, the model, and why height and width are not free, or None if they are."""
    output = arguments.output
    if not output.parent.is_dir():
        raise ExportError(f"the folder '{output.parent}' does not exist")
    reason = "its position embeddings are for one size" if network.fixed else None
    with tempfile.TemporaryDirectory(prefix=".export-", dir=output.parent) as folder:
        path = os.path.join(folder, "network.onnx")
        for free in [False] if network.fixed else [True, False]:
            try:
                export(taps, arguments.size, path, free)
                model = complete(path, network, arguments, shapes, free)
                error = largest_error(taps, path, arguments.size, free)
            except Exception as problem:
                reason = networks.first_line(problem)
                continue
            if error <= TOLERANCE:
                os.replace(path, output)
                return error, model, None if free else reason
            reason = f"ONNX Runtime's values differ from PyTorch's by {error:.1e}, more than {TOLERANCE:.0e}"
    raise ExportError(f"{network.name} cannot be exported: {reason}")


def numbers(values):
    return ",".join(f"{value:g}" for value in values)


def command(network, output, shapes, size, free):
    """The `npad fit` that uses the file."""
    settings = [f"backbone={output}", f"backbone_mean={numbers(network.mean)}", f"backbone_std={numbers(network.std)}"]
    # One position for each 8 x 8 pixels of the input or more, as with the embedded backbone.
    if size[0] / max(rows for _, rows, _ in shapes) >= 8:
        settings.append("grid_step=1")
    if sum(channels for channels, _, _ in shapes) > MANY_CHANNELS:
        settings.append(f"npad.channels={CHOSEN_CHANNELS}")
    words = ["npad", "fit", "GOOD_IMAGES", "-o", "MODEL.npad"] + ([] if free else ["--size", f"{size[0]}x{size[1]}"])
    for setting in settings:
        words += ["--set", setting]
    return shlex.join(words)


def run(arguments):
    network = networks.create(arguments.network, arguments.size, arguments.pretrained)
    if arguments.list:
        taps = networks.list_taps(network, arguments.size)
        for name in short(network, taps):
            channels, rows, columns = taps[name]
            print(f"{name:32} {channels:5} x {rows} x {columns}, stride {arguments.size[0] / rows:.3g}")
        return
    names = arguments.taps.split(",")
    shapes = check_taps(network, names, arguments.size)
    if arguments.random is not None:
        networks.randomise(network.module, arguments.network, arguments.size, arguments.random)
    taps = networks.Taps(network, names, arguments.size).eval()
    if arguments.weights is not None:
        networks.load_weights(network, arguments.weights, networks.needed_by(taps, arguments.size))
    error, model, fixed = write(network, taps, arguments, shapes)

    operators = [node.op_type for node in model.graph.node]
    norms = operators.count("BatchNormalization")
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.1f} MB, {len(operators)} nodes, opset {OPSET}")
    for name, (channels, rows, columns) in zip(names, shapes):
        print(f"  {name}: {channels} x {rows} x {columns}")
    height, width = arguments.size
    print(f"for inputs of {height} x {width} (height x width) alone: {fixed}" if fixed else "height and width are free")
    if norms:
        print(f"{norms} batch norms do not follow a convolution and stay")
    print(f"largest difference from PyTorch in ONNX Runtime: {error:.1e} of a tap's largest value")
    print(f"\n{command(network, arguments.output, shapes, arguments.size, not fixed)}")


def main():
    arguments = arguments_of(sys.argv[1:])
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    try:
        run(arguments)
    except ExportError as error:
        sys.exit(f"export.py: {error}")


if __name__ == "__main__":
    main()
