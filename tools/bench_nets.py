"""phiz's networks as text (configs/nets, see its README) as PyTorch modules with random weights, for bench_peer.py."""
import os

import torch
from torch import nn

NETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "configs", "nets")


def sections(path):
    """[(section, {key: value})] in the file's order."""
    found = []
    with open(path) as f:
        for line in f:
            line = line.split("#")[0].strip()
            if line.startswith("["):
                found.append((line.strip("[]"), {}))
            elif line:
                key, value = line.split("=")
                found[-1][1][key.strip()] = value.strip()
    return found


def module(kind, keys, shape):
    """The layer behind one whose output has this shape, but those that have none of their own (`add`)."""
    def number(key, default):
        return int(keys.get(key, default))

    if kind == "conv":
        return nn.Conv2d(shape[1], number("filters", 0), number("kernel", 0), number("stride", 1), number("pad", 0),
                         groups=number("groups", 1), bias=bool(number("bias", 0)))
    if kind == "batch_norm":
        eps = float(keys.get("eps", 1e-5))
        return nn.BatchNorm2d(shape[1], eps) if len(shape) == 4 else nn.BatchNorm1d(shape[1], eps)
    if kind == "max_pool":
        kernel = number("kernel", 0)
        return nn.MaxPool2d(kernel, number("stride", kernel), number("pad", 0), ceil_mode=bool(number("ceil", 0)))
    if kind == "linear":
        return nn.Linear(shape[1], number("outputs", 0), bool(number("bias", 1)))
    plain = {"prelu": lambda: nn.PReLU(shape[1]), "relu": nn.ReLU, "softmax": lambda: nn.Softmax(1),
             "flatten": nn.Flatten}
    if kind not in plain:
        raise SystemExit(f"bench_nets: a section [{kind}] is not among those that are known here")
    return plain[kind]()


class Net(nn.Module):
    """The network of configs/nets/NAME.cfg; made for `x`, and called with pictures of any other size that it takes."""

    def __init__(self, name, x):
        super().__init__()
        (_, about), *layers = sections(os.path.join(NETS, name + ".cfg"))
        self.steps, self.layers, values, last = [], nn.ModuleList(), {"": x}, ""
        self.eval()
        for i, (kind, keys) in enumerate(layers):
            sources = [s.strip() for s in keys.get("from", last).split(",")]
            last = keys.get("name", f"{kind}{i}")
            layer = None if kind == "add" else module(kind, keys, values[sources[0]].shape).eval()
            self.layers.append(nn.Identity() if layer is None else layer)
            self.steps.append((sources, last))
            with torch.no_grad():
                values[last] = self.step(i, values)
        self.outputs = [s.strip() for s in about.get("outputs", last).split(",")]

    def step(self, i, values):
        first, *rest = (values[s] for s in self.steps[i][0])
        for other in rest:
            first = first + other
        return self.layers[i](first)

    def forward(self, x):
        values = {"": x}
        for i, (_, name) in enumerate(self.steps):
            values[name] = self.step(i, values)
        outputs = tuple(values[name] for name in self.outputs)
        return outputs if len(outputs) > 1 else outputs[0]
