"""npad: industrial visual anomaly detection that learns from good images only.

    model = npad.fit(good_images)
    result = model.score(image)
    if result.anomalous: ...

Images are NumPy arrays: uint8 [height, width] (grey), uint8 [height, width, 3] (RGB, or BGR with order="bgr"), uint8
[height, width, 4] (the fourth channel is ignored), uint16 [height, width] (65535 is white, or the largest value of
`significant_bits`) and float32 [height, width] (1 is white). Arrays with contiguous rows, including parts of a larger array,
are read where they lie; others are copied first.
"""

from __future__ import annotations

import os

from ._arrays import Image, Roi
from ._library import Error, Status, call, library, text
from ._logging import disable_logging, enable_logging
from ._model import Cancellation, Model, Trainer, fit
from ._options import Extractor, MethodInfo, OptionInfo, Options, OptionType, Progress, check_device, devices, methods, options
from ._results import Decision, Drift, KnownDefects, Region, Result, ThresholdEffect, Verdict

__all__ = [
    "Cancellation",
    "Decision",
    "Drift",
    "Error",
    "Extractor",
    "Image",
    "KnownDefects",
    "MethodInfo",
    "Model",
    "OptionInfo",
    "OptionType",
    "Options",
    "Progress",
    "Region",
    "Result",
    "Roi",
    "Status",
    "ThresholdEffect",
    "Trainer",
    "Verdict",
    "check_device",
    "devices",
    "disable_logging",
    "enable_logging",
    "fit",
    "load_plugin",
    "methods",
    "open_runtime",
    "options",
    "version",
]


def version() -> str:
    """The library's version."""
    return library.npad_version_string().decode()


def open_runtime(path: str | os.PathLike[str]) -> None:
    """Loads ONNX Runtime from a file or its folder. Needed only if the default search does not find it."""
    call("npad_runtime_open", text(path))


def load_plugin(path: str | os.PathLike[str]) -> None:
    """Loads a plug-in with a detection method. It stays loaded until the process ends."""
    call("npad_plugin_load", text(path))
