#!/usr/bin/env python3
"""Makes tests/vectors/npad.json: small inputs and what the NumPy reference of the method computes from them.

    make_vectors.py FOLDER_OF_npad_reference.py OUTPUT.json

Needs numpy, scipy and pillow, which the reference imports. Features are rounded to f16, so that every implementation
sees the same numbers.
"""

import json
import sys

import numpy as np

sys.path.insert(0, sys.argv[1])
import npad_reference as reference  # noqa: E402

IMAGES, TESTS, ROWS, COLS, CHANNELS, KEPT = 14, 2, 5, 6, 12, 8
POWER, RIDGE = 1.0, 0.01


class InOrder:
    """Stands for a random generator that permutes nothing."""

    @staticmethod
    def permutation(count):
        return np.arange(count)


def main():
    rng = np.random.default_rng(7)
    layout = rng.normal(0, 2, (ROWS, COLS, CHANNELS)) + 1.5
    scale = rng.uniform(0.3, 1.5, CHANNELS)
    mix = rng.normal(0, 0.4, (CHANNELS, CHANNELS)) + np.eye(CHANNELS)
    noise = rng.normal(0, 1, (IMAGES + TESTS, ROWS, COLS, CHANNELS)) * scale
    features = (layout + noise @ mix).astype(np.float16).astype(np.float32)
    train, test = features[:IMAGES], features[IMAGES:]

    channels = np.sort(reference.channel_order(train)[:KEPT])
    kept_train, kept_test = train[..., channels], test[..., channels]
    mean_train, mean_test = (reference.average(x, 3) for x in (kept_train, kept_test))

    def pixel(images):
        return reference.fit_gaussians(images, 1, POWER, RIDGE)

    def patch(images):
        return reference.fit_gaussians(images, 0, 1, RIDGE)

    def held_out(fit, images):
        """Each image's distances from the Gaussians of all others."""
        rest = [np.delete(images, n, axis=0) for n in range(IMAGES)]
        return [reference.mahalanobis(images[n : n + 1], fit(rest[n]))[0] for n in range(IMAGES)]

    all_patches = IMAGES * ROWS * COLS
    centroids = reference.fit_centroids(reference.average(train, 3), all_patches, InOrder, samples=all_patches, rounds=1)
    vectors = {
        "shape": [ROWS, COLS, CHANNELS],
        "train": train,
        "test": test,
        "kept_channels": KEPT,
        "channels": channels,
        "pixel": reference.mahalanobis(kept_test, pixel(kept_train)),
        "patch": reference.mahalanobis(mean_test, patch(mean_train)),
        "centroids": reference.centroid_distance(reference.average(test, 3), centroids),
        "pixel_held_out": np.array(held_out(pixel, kept_train)),
        "patch_held_out": np.array(held_out(patch, mean_train)),
    }

    def plain(value):
        if isinstance(value, np.ndarray):
            flat = value.reshape(len(value), -1) if value.ndim > 1 else value
            return np.round(flat.astype(np.float64), 7).tolist()
        return value

    with open(sys.argv[2], "w") as file:
        json.dump({name: plain(value) for name, value in vectors.items()}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
