"""Parts that the tests learn and score."""

import numpy as np

QUICK = {"size": 96, "npad.channels": 40, "threads": 2, "date": "none"}


def part(seed, scratched=False):
    """A grey part with rings and noise, perhaps with a scratch around (60, 45)."""
    y, x = np.mgrid[:90, :120]
    noise = np.random.default_rng(seed).integers(-8, 9, x.shape)
    values = 120 + 50 * np.cos(np.hypot(x - 60, y - 45) / 3) + x / 4 + noise
    image = values.clip(0, 255).astype(np.uint8)
    if scratched:
        for i in range(16):
            image[40 + i // 2 : 44 + i // 2, 52 + i] = 10
    return image


def squares(planes):
    """Brightness and its square, averaged over squares of 4 and of 8 pixels."""

    def reduced(values, step):
        height, width = values.shape
        padded = np.pad(values, ((0, -height % step), (0, -width % step)), "edge")
        return padded.reshape(padded.shape[0] // step, step, -1, step).mean((1, 3))

    return [np.stack([reduced(planes[0], step), reduced(planes[0] ** 2, step)]) for step in (4, 8)]
