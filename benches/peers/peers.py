#!/usr/bin/env python3
"""npad beside anomalib's PaDiM and PatchCore with the same backbone, on the same images, in one process.

    NPAD_LIBRARY=libnpad.so NPAD_ONNXRUNTIME=... PYTHONPATH=bindings/python ./peers.py IMAGE_DIR

anomalib's models are fitted on the images, exported to ONNX as its own exporter does, and run by ONNX Runtime and by
OpenVINO with two threads, as npad is, and as is what npad exports. The runners take turns in rounds, so that all see
the machine in the same state; the medians and their ratios are printed. What an image costs before it is a tensor of
224 x 224 counts for npad alone.

The backbone is EfficientNet-Lite0 with the taps that npad has. Its weights come from a seed: they make the scores
meaningless, but not the times.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import npad
import numpy as np
import onnxruntime
import openvino
import torch
from anomalib.models.image.padim.torch_model import PadimModel
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from PIL import Image

THREADS = 2
SIDE = 224
BACKBONE = {"backbone": "tf_efficientnet_lite0", "layers": ["blocks.1", "blocks.2", "blocks.4"], "pre_trained": False}
BANK = 15_680  # patches in PatchCore's bank: anomalib's tenth of those of 50 images
WARM_UP, ROUNDS, ROUND = 10, 15, 10


def tensor(image):
    """The input of a network with npad's own backbone."""
    return ((image.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None]


def fitted(model, images, finish):
    model.train()
    model.feature_extractor.eval()
    for image in images:
        model(torch.from_numpy(tensor(image)))
    finish(model)
    return model.eval()


def fill_bank(model):
    """Chosen at random: anomalib's greedy choice takes a quarter of an hour here, and scores no faster."""
    patches = torch.vstack(model.embedding_store)
    model.memory_bank = patches[torch.randperm(len(patches))[:BANK]]


def export(model, path):
    black = torch.from_numpy(tensor(np.zeros((SIDE, SIDE, 3), np.uint8)))
    torch.onnx.export(model, (black,), path, input_names=["input"], dynamo=False)


def pixels(image):
    """The input of a network that npad exports."""
    return image.astype(np.float32).transpose(2, 0, 1)[None]


def with_onnxruntime(path, tensor):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: tensor(image)})


def with_openvino(path, tensor):
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    return lambda image: request.infer({0: tensor(image)})


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    paths = sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_file())
    images = [np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.BILINEAR)) for path in paths]
    runners, fits = {}, {}

    def timed(name, work):
        start = time.perf_counter()
        result = work()
        fits[name] = time.perf_counter() - start
        return result

    model = timed("npad", lambda: npad.fit(images, threads=THREADS, size=f"{SIDE}x{SIDE}"))
    runners["npad"] = model.score
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/npad.onnx"
        model.export_onnx(path, export_batch=1)
        runners["npad's export, ONNX Runtime"] = with_onnxruntime(path, pixels)
        runners["npad's export, OpenVINO"] = with_openvino(path, pixels)
        print(f"npad's export: {Path(path).stat().st_size / 1e6:.0f} MB", flush=True)
        peers = {
            "PaDiM": (PadimModel(n_features=100, **BACKBONE), lambda model: model.fit()),
            "PatchCore": (PatchcoreModel(**BACKBONE), fill_bank),
        }
        for name, (peer, finish) in peers.items():
            peer = timed(name, lambda peer=peer, finish=finish: fitted(peer, images, finish))
            path = f"{folder}/{name}.onnx"
            export(peer, path)
            runners[f"{name}, ONNX Runtime"] = with_onnxruntime(path, tensor)
            runners[f"{name}, OpenVINO"] = with_openvino(path, tensor)
            print(f"{name}: {Path(path).stat().st_size / 1e6:.0f} MB, fitted in {fits[name]:.1f} s", flush=True)
        times = {name: [] for name in runners}
        for round in range(-1, ROUNDS):
            for name, run in runners.items():
                for image in (images * ROUND)[: WARM_UP if round < 0 else ROUND]:
                    start = time.perf_counter()
                    run(image)
                    if round >= 0:
                        times[name].append(time.perf_counter() - start)
    print(f"npad: {len(model.to_bytes()) / 1e6:.0f} MB, fitted in {fits['npad']:.1f} s; {len(images)} images\n")
    own = statistics.median(times["npad"])
    print(f"{'':28} median ms   times npad")
    for name, values in times.items():
        print(f"{name:28} {statistics.median(values) * 1e3:9.2f}   {statistics.median(values) / own:10.2f}")


if __name__ == "__main__":
    main()
