#!/usr/bin/env python3
"""Quantises npad's backbone to int8: quantise.py BACKBONE.onnx OUTPUT_DIR DATA_DIR...

Writes u8s8.onnx, with signed weights of seven bits, u8u8.onnx, with unsigned weights of eight bits, and nncf.onnx, as NNCF makes it.
Calibrated on up to 16 good images of each data set in MVTec AD's layout in the folders DATA_DIR, that is, on images like
those that accuracy is measured on: the best case for a network that is calibrated once.
"""

import sys
from pathlib import Path

import nncf
import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

IMAGES, SIDE, MEAN, STD = 16, 240, 0.498, 0.502


def tensor(path):
    """The network's input, as npad prepares it."""
    image = np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.BILINEAR), np.float32)
    return ((image / 255 - MEAN) / STD).transpose(2, 0, 1)[None].copy()


def good_images(folders):
    """Evenly spread over the good images of each data set."""
    sets = [folder for root in folders for folder in sorted(Path(root).iterdir()) if (folder / "train/good").is_dir()]
    for folder in sets:
        paths = sorted((folder / "train/good").iterdir())
        for path in paths[:: max(1, len(paths) // IMAGES)][:IMAGES]:
            yield path


class Reader(CalibrationDataReader):
    def __init__(self, tensors):
        self.remaining = iter(tensors)

    def get_next(self):
        image = next(self.remaining, None)
        return None if image is None else {"image": image}


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    source, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    tensors = [tensor(path) for path in good_images(sys.argv[3:])]
    print(f"calibrating on {len(tensors)} images")
    prepared = folder / "prepared.onnx"
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    # Without VNNI, products of eight signed bits saturate in the sums of ONNX Runtime and OpenVINO.
    for name, weights in {"u8s8": QuantType.QInt8, "u8u8": QuantType.QUInt8}.items():
        quantize_static(
            prepared,
            folder / f"{name}.onnx",
            Reader(tensors),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=weights == QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            weight_type=weights,
            calibrate_method=CalibrationMethod.MinMax,
        )
    prepared.unlink()
    data = nncf.Dataset(tensors, lambda image: {"image": image})
    onnx.save(nncf.quantize(onnx.load(source), data, subset_size=len(tensors)), folder / "nncf.onnx")


if __name__ == "__main__":
    main()
