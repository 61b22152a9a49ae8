"""The detectors of real data in every runtime: the same maps and the same verdicts.

    parity.py RUNTIME_OPENVINO FOLDER METHOD... -- DATA_SET...

RUNTIME_OPENVINO is a folder with ONNX Runtime and its OpenVINO provider. Of each data set, in MVTec AD's layout, and method, a model is
fitted, saved and exported to FOLDER, for the network's own size and for the images'. What npad's own kernels say of all test images is compared with its graph in ONNX Runtime and in the
OpenVINO provider, and with the exported network in ONNX Runtime, OpenVINO's own runtime and OpenCV.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

# Largest difference of two maps, as a share of the highest value.
TOLERANCE = 1e-3
# What npad adds before it rounds down.
HALF = 0.5013
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}


def pictures(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def triangle(inputs, outputs):
    """A matrix that resizes by a triangle filter, widened where there are fewer outputs."""
    scale = inputs / outputs
    distances = np.arange(inputs) + 0.5 - (np.arange(outputs)[:, None] + 0.5) * scale
    weights = np.maximum(1 - np.abs(distances) / max(scale, 1), 0)
    return weights / weights.sum(axis=1, keepdims=True)


def shrunk(image, height, width):
    """Resizes as the description of an export says. Pillow resizes some images along the columns first."""
    if image.shape[1] != width:
        image = np.floor(np.einsum("ow,hwc->hoc", triangle(image.shape[1], width), image, optimize=True) + HALF)
    if image.shape[0] != height:
        image = np.floor(np.einsum("oh,hwc->owc", triangle(image.shape[0], height), image, optimize=True) + HALF)
    return image.astype(np.uint8)


def score(model, options, images, out):
    """Writes maps at the network's size, and verdicts on the images themselves, of a saved model to `out`."""
    import npad

    model = npad.Model.load(model, threads=2, **options)
    height, width = model.input_size
    maps, verdicts = [], []
    for path in images:
        image = pixels(path)
        maps.append(model.score(shrunk(image, height, width)).map)
        verdicts.append(int(model.score(image).verdict))
    np.savez(out, maps=np.stack(maps), verdicts=np.array(verdicts), used=json.dumps(model.info["machine"]))


def scored(model, options, images, out, runtime=None):
    """The same, in a process of its own: one process has one ONNX Runtime."""
    environment = dict(os.environ)
    if runtime:
        environment["NPAD_ONNXRUNTIME"] = runtime
    arguments = json.dumps({"model": str(model), "options": options, "images": [str(path) for path in images], "out": str(out)})
    subprocess.run([sys.executable, __file__, "score"], input=arguments, text=True, check=True, env=environment)
    found = np.load(out)
    return found["maps"], found["verdicts"], json.loads(str(found["used"]))


def networks(path):
    """Functions from an image (3 x height x width, 0 to 255) to the map of an exported network, by runtime."""
    import cv2
    import onnxruntime
    import openvino

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2})
    net = cv2.dnn.readNetFromONNX(str(path))

    def opencv(image):
        net.setInput(image)
        return net.forward("map")

    return {
        "export in ONNX Runtime": lambda image: session.run(["map"], {"image": image})[0],
        "export in OpenVINO": lambda image: compiled([image])["map"],
        "export in OpenCV": opencv,
    }


def verdict(decision, anomaly_map, size):
    """The decision as the description of an export says it."""
    import cv2

    resized = cv2.resize(anomaly_map, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    for level, above in [(decision["threshold"], 2), (decision["review"], 1)]:
        if level is not None:
            _, _, regions, _ = cv2.connectedComponentsWithStats((resized > level).astype(np.uint8), connectivity=8)
            if (regions[1:, cv2.CC_STAT_AREA] >= decision["min_region_area"]).any():
                return above
    return 0


def compare(name, maps, verdicts, native):
    """Prints how far maps and verdicts are from npad's, and returns whether that is close enough."""
    native_maps, native_verdicts = native
    peaks = native_maps.reshape(len(native_maps), -1).max(axis=1)
    differences = np.abs(maps - native_maps).reshape(len(maps), -1).max(axis=1) / peaks
    changed = int((verdicts != native_verdicts).sum())
    print(f"  {name:28} maps within {differences.max():.1e}, {changed} of {len(verdicts)} verdicts differ", flush=True)
    return differences.max() <= TOLERANCE and changed == 0


def most_common_size(paths):
    """Height and width of most of the pictures."""
    counts = Counter()
    for path in paths:
        with Image.open(path) as picture:
            counts[picture.height, picture.width] += 1
    return counts.most_common(1)[0][0]


def check(runtime, folder, data, method):
    import npad

    name = f"{data.name}-{method}"
    print(name, flush=True)
    trainer = npad.Trainer(method=method, threads=2)
    for path in pictures(data / "train" / "good"):
        trainer.add(pixels(path))
    with trainer.finish() as model:
        model.save(folder / f"{name}.npad")
        model.export_onnx(folder / f"{name}.onnx")
        height, width = model.input_size
        images = pictures(data / "test")
        size = most_common_size(images)
        model.export_onnx(folder / f"{name}-whole.onnx", export_size=f"{size[0]}x{size[1]}")
    model, out = folder / f"{name}.npad", folder / "scores.npz"
    maps, verdicts, used = scored(model, {"scoring": "kernels"}, images, out)
    native = (maps, verdicts)
    assert used["scoring"] == "kernels"
    right = True
    for title, options, library in [
        ("graph in ONNX Runtime", {"scoring": "graph"}, None),
        ("kernels, backbone in OpenVINO", {"device": "openvino", "scoring": "kernels"}, runtime),
        ("graph in OpenVINO's provider", {"device": "openvino", "scoring": "graph"}, runtime),
    ]:
        maps, verdicts, used = scored(model, options, images, out, library)
        assert used["scoring"] == options["scoring"] and used["device"].startswith(options.get("device", "cpu"))
        right &= compare(title, maps, verdicts, native)
    decision = json.loads((folder / f"{name}.json").read_text())["decision"]
    runs, whole = (networks(folder / f"{name}{ending}.onnx") for ending in ("", "-whole"))
    found = {title: ([], []) for title in runs}
    for path in images:
        image = pixels(path)
        planes = shrunk(image, height, width).transpose(2, 0, 1)[None].astype(np.float32)
        for title, run in runs.items():
            anomaly_map = run(planes).reshape(height, width)
            found[title][0].append(anomaly_map)
            # Where the network resizes, the pixels are those that npad sees.
            if image.shape[:2] == size:
                planes_of_all = image.transpose(2, 0, 1)[None].astype(np.float32)
                anomaly_map = whole[title](planes_of_all).reshape(size)
            found[title][1].append(verdict(decision, anomaly_map, image.shape))
    for title, (maps, verdicts) in found.items():
        right &= compare(title, np.stack(maps), np.array(verdicts), native)
    return right


def highest(network, paths):
    """The image of the network's size with the highest score."""
    import onnxruntime

    session = onnxruntime.InferenceSession(network)
    height, width = session.get_inputs()[0].shape[2:]

    def peak(path):
        image = pixels(path)
        if image.shape[:2] != (height, width):
            return 0
        return session.run(["score"], {"image": image.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]

    return max(paths, key=peak)


def programs(folder, name, image):
    """Runs the programs of docs/export.md on an exported model and a defective image."""
    import openvino

    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    python, cpp = (page.split(f"```{language}\n")[1].split("```")[0] for language in ("python", "cpp"))
    work = folder / "programs"
    work.mkdir(exist_ok=True)
    for ending in "onnx", "json":
        (work / f"detector.{ending}").write_bytes((folder / f"{name}.{ending}").read_bytes())
    Image.fromarray(pixels(image)).save(work / "image.png")
    (work / "program.py").write_text(python)
    (work / "program.cpp").write_text(cpp)
    threshold = json.loads((work / "detector.json").read_text())["decision"]["threshold"]
    wheel = Path(openvino.__file__).parent
    library = next((wheel / "libs").glob("libopenvino.so.*"))
    flags = subprocess.run(["pkg-config", "--cflags", "opencv4"], capture_output=True, text=True, check=True).stdout.split()
    compiler = ["c++", "-std=c++17", f"-I{wheel}/include", *flags, "program.cpp", "-o", "program", str(library)]
    compiler += [f"-Wl,-rpath,{wheel}/libs", "-lopencv_dnn", "-lopencv_imgcodecs", "-lopencv_core"]
    subprocess.run(compiler, cwd=work, check=True)
    for command in [sys.executable, "program.py"], ["./program", str(threshold), "image.png"]:
        said = subprocess.run(command, cwd=work, capture_output=True, text=True, check=True).stdout
        if not said.startswith("DEFECTIVE"):
            sys.exit(f"parity: {command} says {said!r} of {image}")
    print("the programs of docs/export.md find a defect")


def main():
    if sys.argv[1] == "score":
        return score(**json.load(sys.stdin))
    runtime, folder, rest = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    methods, sets = rest[: rest.index("--")], rest[rest.index("--") + 1 :]
    sets = [path for path in map(Path, sets) if (path / "train" / "good").is_dir()]
    if not sets:
        print("parity: skipped, there are no data sets")
        return
    folder.mkdir(parents=True, exist_ok=True)
    wrong = [f"{data.name} {method}" for data in sets for method in methods if not check(runtime, folder, data, method)]
    name = f"{sets[0].name}-{methods[0]}-whole"
    programs(folder, name, highest(folder / f"{name}.onnx", pictures(sets[0] / "test")))
    if wrong:
        sys.exit("parity: FAILED for " + ", ".join(wrong))
    print(f"parity: {len(sets) * len(methods)} models agree in 7 runtimes")


if __name__ == "__main__":
    main()
