#!/usr/bin/env python3
"""Times and errors of a network in several precisions: speed.py THREADS SIDE IMAGE_DIR BASE.onnx OTHER.onnx...

Each network runs in ONNX Runtime's CPU provider and in OpenVINO, BASE in OpenVINO also with the hints for bf16 and f16.
The runners take turns in rounds, so that all see the machine in the same state. Printed are medians, also of the processor
time, which other programs on the machine hardly change, with the median of the ratios to BASE in ONNX Runtime in the same
round, and for each tap the root of the mean squared error on the images of IMAGE_DIR as a share of that of its values around
their channels' means.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
from PIL import Image

WARM_UP, ROUNDS, ROUND, IMAGES = 10, 15, 10, 10
MEAN, STD = 0.498, 0.502


def with_onnxruntime(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # As npad sets it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})


def with_openvino(path, threads, precision, shape):
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape(list(shape))
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    compiled = core.compile_model(model, "CPU", settings)
    used = {node.get_rt_info()["runtimePrecision"].astype(str) for node in compiled.get_runtime_model().get_ops()}
    request = compiled.create_infer_request()

    def run(image):
        request.infer({0: image}, share_inputs=True)
        return [request.get_output_tensor(number).data for number in range(len(compiled.outputs))]

    return run, sorted(used)


def errors(run, base, images):
    """For each tap, over all images."""
    squared, spread = 0, 0
    for image in images:
        pairs = [(np.array(ours), np.array(theirs)) for ours, theirs in zip(run(image), base(image))]
        squared = squared + np.array([np.square(ours - theirs).sum() for ours, theirs in pairs])
        around = [theirs - theirs.mean((0, 2, 3), keepdims=True) for _, theirs in pairs]
        spread = spread + np.array([np.square(values).sum() for values in around])
    return np.sqrt(squared / spread)


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    threads, side, folder, paths = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]
    files = sorted(file for file in folder.iterdir() if file.is_file())[:IMAGES]
    images = []
    for file in files:
        image = np.asarray(Image.open(file).convert("RGB").resize((side, side), Image.BILINEAR), np.float32)
        images.append(((image / 255 - MEAN) / STD).transpose(2, 0, 1)[None].copy())
    print(f"OpenVINO on this processor: {openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')}")
    runners, times = {}, {}
    for number, path in enumerate(paths):
        name = Path(path).stem
        runners[f"{name}, ONNX Runtime"] = with_onnxruntime(path, threads)
        for precision in ("f32", "bf16", "f16") if number == 0 else ("f32",):
            label = f"{name}, OpenVINO" + (f" ({precision})" if number == 0 else "")
            runners[label], used = with_openvino(path, threads, precision, images[0].shape)
            print(f"{label}: runs in {', '.join(used)}")
    base = next(iter(runners))
    times = {name: [] for name in runners}
    for round in range(-1, ROUNDS):
        for name, run in runners.items():
            taken = []
            for turn in range(WARM_UP if round < 0 else ROUND):
                start = time.perf_counter(), time.process_time()
                run(images[turn % len(images)])
                taken.append((time.perf_counter() - start[0], time.process_time() - start[1]))
            if round >= 0:
                times[name].append([statistics.median(kind) for kind in zip(*taken)])
    print(f"\n{'':28} median ms   ratio    CPU ms   ratio   error of each tap, %")
    for name, values in times.items():
        cells = ""
        for kind in range(2):
            median = statistics.median(value[kind] for value in values) * 1e3
            ratio = statistics.median(own[kind] / theirs[kind] for own, theirs in zip(values, times[base]))
            cells += f" {median:9.2f} {ratio:7.2f}"
        shares = " / ".join(f"{100 * share:.1f}" for share in errors(runners[name], runners[base], images))
        print(f"{name:28}{cells}   {shares}")


if __name__ == "__main__":
    main()
