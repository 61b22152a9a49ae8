"""The selection of channels by their variance, which a fit on a cluster can make only of the images that its sample holds.

Beyond those, each state has statistics of the channels that its own first images have selected. Up to that number the last
merge has all images in its sample, and selects from them what one process does.
"""

from __future__ import annotations

import copy
import json

import numpy as np

from .._library import Error, Status
from .._model import Trainer
from .._options import Options


def _option(options: Options) -> str | None:
    """The option that selects channels by their variance, if that is set."""
    name = f"{options['method']}.selection"
    return name if name in ("npad.selection", "padim.selection") and options[name] == "variance" else None


def _header(state: bytes) -> tuple[dict[str, dict[str, list[int]]], int]:
    """What a state says of its arrays, by their names, and where they begin."""
    start = 8 + int.from_bytes(state[:8], "little")
    return json.loads(state[8:start]), start


def _capacity(options: Options) -> int:
    """How many images a sample holds with these options, which fix the size of the network's input."""
    options = copy.copy(options)
    options.set_mask(None)
    options.set_roi(None)
    trainer = Trainer(options)
    trainer.add(np.zeros((64, 64), np.uint8))
    state = trainer.to_bytes()
    arrays, start = _header(state)
    first, end = arrays["sample.capacity"]["data_offsets"]
    return int.from_bytes(state[start + first : start + end], "little")


def check_count(count: int, options: Options) -> None:
    """Refuses more images than a sample holds, before any is learnt."""
    name = _option(options)
    most = count if name is None else _capacity(options)
    if count > most:
        raise ValueError(
            f"there are {count} images, but a fit on a cluster with {name}=variance takes no more than its sample holds, here "
            f"{most}: set {name} to random, give fewer images, or fit them in one process"
        )


def check_state(trainer: Trainer, options: Options) -> None:
    """Refuses what a trainer has learnt if its sample does not hold all of it."""
    name = _option(options)
    if name is None:
        return
    arrays, _ = _header(trainer.to_bytes())
    if any(array.startswith("statistics.") for array in arrays):
        raise Error(
            Status.INVALID_ARGUMENT,
            f"there are more images than the sample of a fit holds, but a fit on a cluster with {name}=variance takes no more: "
            f"set {name} to random, give fewer images, or fit them in one process",
        )
