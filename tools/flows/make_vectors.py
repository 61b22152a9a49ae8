#!/usr/bin/env python3
"""Makes tests/vectors/flows.json: small FastFlow, CFLOW-AD and PEFM networks, and what PyTorch computes with them.

    make_vectors.py OUTPUT.json

Needs what requirements.txt names. Everything is computed in double precision from the formulas in the documentation of
src/method/flows/train/. Features and weights are multiples of 1/32, so that every implementation sees the same
numbers. For each network:

    method, parameters, seed    what the network is made with; the seed decides how the flows permute channels
    planes                      rows, columns and channels of each tap
    images                      two images: channels x rows x columns of each tap
    shapes, weights             the arrays that training changes, in the order in which the network creates them
    measured                    for each image, the maps that the score is normalised with: of each tap the negative
                                log-likelihoods, or of each pair of taps the squared errors of the second and the first
    loss, gradient              those of the first image
    trained                     the weights after STEPS steps of Adam on that loss
    scores                      those of the second image, with the first weights, normalised by both images; of the flows
                                half the square of the map, which is exact near 0
"""

import json
import math
import sys

import torch
from torch.nn.functional import conv2d, logsigmoid

STEPS, RATE = 3, 0.01
MASK = (1 << 64) - 1


class Random:
    """SplitMix64, and how src/math/random.rs chooses with it."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def permutation(self, count):
        order = list(range(count))
        for i in range(count):
            other = i + (self.next() * (count - i) >> 64)
            order[i], order[other] = order[other], order[i]
        return order

    def uniform(self, shape, bound):
        """Multiples of 1/32 between plus and minus `bound`."""
        values = [round(32 * bound * (2 * self.next() / MASK - 1)) / 32 for _ in range(math.prod(shape))]
        return torch.tensor(values, dtype=torch.float64).reshape(shape)


class Weights:
    """The arrays of a network. Its own generator, `network`, gives the permutations and weights that it starts with;
    `random` gives the weights that are used here, of which no layer is zero."""

    def __init__(self, seed):
        self.network, self.random, self.arrays = Random(seed), Random(seed + 1000), []

    def convolution(self, inputs, outputs, side, gain, drawn):
        fan_in = inputs * side * side
        """`drawn`: the network draws this layer's weights instead of starting it as zero."""
        if drawn:
            for _ in range(outputs * fan_in):
                self.network.next()
        shapes = ((outputs, inputs, side, side), gain / math.sqrt(fan_in)), ((outputs,), 0.5)
        layer = [self.random.uniform(shape, bound).requires_grad_() for shape, bound in shapes]
        self.arrays += layer
        return layer


def convolve(x, layer):
    weight, bias = layer
    return conv2d(x[None], weight, bias, padding=weight.shape[-1] // 2)[0]


def encoding(values, rows, cols):
    """Sines and cosines: the first half of the values of the column, the second of the row."""
    half = values // 2
    y, x = torch.meshgrid(torch.arange(rows).double(), torch.arange(cols).double(), indexing="ij")
    maps = []
    for place in (x, y):
        for i in range(half // 2):
            angle = place / 10000 ** (2 * i / half)
            maps += [angle.sin(), angle.cos()]
    return torch.stack(maps)


class Flow:
    """Affine coupling steps, x -> (z, log |det dz/dx| of each position)."""

    def __init__(self, weights, channels, condition, sides, hidden, clamp):
        self.first, self.clamp, self.condition, self.steps = channels - channels // 2, clamp, condition, []
        inputs = self.first + (0 if condition is None else len(condition))
        for side in sides:
            order = weights.network.permutation(channels)
            between = weights.convolution(inputs, hidden, side, 2, drawn=True)
            output = weights.convolution(hidden, 2 * (channels // 2), side, 3, drawn=False)
            self.steps.append((order, between, output))

    def __call__(self, x):
        determinant = 0
        for order, between, output in self.steps:
            x = x[order]
            x1, x2 = x[: self.first], x[self.first :]
            inputs = x1 if self.condition is None else torch.cat([x1, self.condition])
            a, t = convolve(convolve(inputs, between).clamp(min=0), output).chunk(2)
            s = self.clamp * torch.tanh(a / 10)
            x = torch.cat([x1, x2 * torch.exp(s) + t])
            determinant = determinant + s.sum(0)
        return x, determinant

    def check(self, x):
        """The determinant is that of the Jacobian."""
        jacobian = torch.autograd.functional.jacobian(lambda x: self(x)[0], x).reshape(x.numel(), x.numel())
        torch.testing.assert_close(self(x)[1].sum(), torch.linalg.slogdet(jacobian)[1])


class Density:
    """FastFlow and CFLOW-AD: a flow for each tap."""

    def measured(self, image):
        maps = []
        for flow, x in zip(self.flows, image):
            flow.check(x)
            z, determinant = flow(x)
            maps.append(((z * z).sum(0) / 2 - determinant) / len(x))
        return maps

    def scores(self, image, images):
        least = [min(map.min() for map in maps) for maps in zip(*(self.measured(image) for image in images))]
        return [(map - least).clamp(min=0) for map, least in zip(self.measured(image), least)]


class FastFlow(Density):
    method, seed = "fastflow", 5
    parameters = {"fastflow.steps": 3, "fastflow.hidden": 1.5, "fastflow.clamp": 1.5}
    planes = [(5, 6, 4), (3, 3, 5)]

    def __init__(self, weights):
        hidden = {4: 3, 5: 5}  # 2 and 3 inputs times 1.5, rounded up
        self.flows = [Flow(weights, channels, None, (3, 1, 3), hidden[channels], 1.5) for _, _, channels in self.planes]

    def loss(self, image):
        loss = 0
        for flow, x in zip(self.flows, image):
            z, determinant = flow(x)
            loss = loss + ((z * z).sum() / 2 - determinant.sum()) / x.numel()
        return loss


class Cflow(Density):
    method, seed = "cflow", 6
    parameters = {"cflow.steps": 2, "cflow.encoding": 8}
    planes = [(4, 5, 4), (2, 3, 3)]

    def __init__(self, weights):
        self.flows = []
        for rows, cols, channels in self.planes:
            hidden = 2 * ((channels + 1) // 2 + 8)
            self.flows.append(Flow(weights, channels, encoding(8, rows, cols), (1, 1), hidden, 1.9))

    def loss(self, image):
        loss = 0
        for flow, x in zip(self.flows, image):
            z, determinant = flow(x)
            density = -(z * z).sum(0) / 2 - len(x) * math.log(2 * math.pi) / 2 + determinant
            loss = loss - logsigmoid(density / len(x)).mean()
        return loss


class Pefm:
    method, seed = "pefm", 7
    parameters = {"pefm.latent": 4, "pefm.encoding": 8}
    planes = [(3, 4, 4), (3, 4, 5), (3, 4, 2)]

    def __init__(self, weights):
        self.encoding = encoding(8, 3, 4)
        latent, values = 4, 8

        def layer(inputs, outputs):
            return weights.convolution(inputs, outputs, 1, 2, drawn=True)

        def direction(source, target):
            encoder = [layer(source + values, source // 2 + latent), layer(source // 2 + latent, 2 * latent)]
            decoder = [layer(latent, 2 * latent), layer(2 * latent, target // 2 + latent)]
            return encoder, decoder, layer(target // 2 + latent, target)

        self.pairs = []
        for (_, _, s), (_, _, t) in zip(self.planes, self.planes[1:]):
            shared = layer(2 * latent, latent)
            self.pairs.append((shared, direction(s, t), direction(t, s)))

    def measured(self, image):
        errors = []
        for (shared, *directions), s, t in zip(self.pairs, image, image[1:]):
            for (encoder, decoder, last), source, target in zip(directions, (s, t), (t, s)):
                x = torch.cat([source, self.encoding])
                for layer in encoder:
                    x = torch.relu(convolve(x, layer))
                x = convolve(x, shared)
                for layer in decoder:
                    x = torch.relu(convolve(x, layer))
                errors.append((target - convolve(x, last)) ** 2)
        return errors

    def loss(self, image):
        return sum(error.mean() for error in self.measured(image))

    def scores(self, image, images):
        means = [torch.stack(maps).mean((0, 2, 3)) for maps in zip(*(self.measured(image) for image in images))]
        relative = [(error / mean[:, None, None]).mean(0) for error, mean in zip(self.measured(image), means)]
        return [(a + b) / 2 for a, b in zip(relative[::2], relative[1::2])]


def plain(values):
    """Seven significant digits; enough for all weights and features."""
    if isinstance(values, torch.Tensor):
        return [float(f"{value:.7g}") for value in values.detach().flatten().tolist()]
    return [plain(value) for value in values]


def vectors(network):
    weights = Weights(network.seed)
    net = network(weights)
    features = Random(network.seed + 2000)
    shapes = [(channels, rows, cols) for rows, cols, channels in network.planes]
    images = [[features.uniform(shape, 2) for shape in shapes] for _ in range(2)]
    arrays = weights.arrays
    out = {
        "method": network.method,
        "parameters": {name: str(value) for name, value in network.parameters.items()},
        "seed": network.seed,
        "planes": network.planes,
        "images": plain(images),
        "shapes": [list(array.shape) for array in arrays],
        "weights": plain(torch.cat([array.flatten() for array in arrays])),
        "measured": plain([net.measured(image) for image in images]),
        "scores": plain(net.scores(images[1], images)),
    }
    loss = net.loss(images[0])
    gradient = torch.autograd.grad(loss, arrays)
    out["loss"] = loss.item()
    out["gradient"] = plain(torch.cat([array.flatten() for array in gradient]))
    optimiser = torch.optim.Adam(arrays, lr=RATE)
    for _ in range(STEPS):
        optimiser.zero_grad()
        net.loss(images[0]).backward()
        optimiser.step()
    out["trained"] = plain(torch.cat([array.flatten() for array in arrays]))
    return out


def main():
    with open(sys.argv[1], "w") as file:
        json.dump([vectors(network) for network in (FastFlow, Cflow, Pefm)], file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
