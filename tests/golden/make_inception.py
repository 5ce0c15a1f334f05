#!/usr/bin/env python3
"""Makes inception_names.csv, the names and shapes in the state dict of facenet-pytorch's InceptionResnetV1, and
inception.safetensors, what it and OpenFace's nn4.small2 (built here of PyTorch's layers, as its definition has it) make
of two pictures in double precision. Weights and pictures are a formula that test_inception.c has too. Run in this
folder; needs numpy, torch, safetensors and facenet-pytorch 2.6.0 (its file alone: torchvision is not used)."""
import csv
import importlib.util
import sys
import types

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional as F


def inception_resnet():
    package = importlib.util.find_spec("facenet_pytorch").submodule_search_locations[0]
    for name in ("facenet", "facenet.models", "facenet.models.utils", "facenet.models.utils.download"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = []
    sys.modules["facenet.models.utils.download"].download_url_to_file = None
    sys.modules.setdefault("requests", types.ModuleType("requests"))
    adapters = sys.modules.setdefault("requests.adapters", types.ModuleType("requests.adapters"))
    adapters.HTTPAdapter = None
    spec = importlib.util.spec_from_file_location("facenet.models.inception_resnet_v1",
                                                  package + "/models/inception_resnet_v1.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.InceptionResnetV1()


class Unit(nn.Module):
    def __init__(self, inputs, filters, kernel, stride=1, pad=0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, filters, kernel, stride, pad)
        self.bn = nn.BatchNorm2d(filters)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """dpnn's: convolutions behind 1x1 reductions, a pooled branch, a 1x1 branch; the smaller ones amid zeros."""

    def __init__(self, inputs, convs, stride, pool, pooled, one):
        super().__init__()
        self.branches = []
        for kernel, reduce, filters in convs:
            self.add_module(f"{kernel}x{kernel}_reduce", Unit(inputs, reduce, 1))
            self.add_module(f"{kernel}x{kernel}", Unit(reduce, filters, kernel, stride, kernel // 2))
            self.branches.append([f"{kernel}x{kernel}_reduce", f"{kernel}x{kernel}"])
        self.pool = pool
        self.branches.append(["pool"])
        if pooled:
            self.pool_proj = Unit(inputs, pooled, 1)
            self.branches[-1].append("pool_proj")
        if one:
            self.add_module("1x1", Unit(inputs, one, 1))
            self.branches.append(["1x1"])

    def forward(self, x):
        out = []
        for names in self.branches:
            y = x
            for name in names:
                y = self.get_submodule(name)(y)
            out.append(y)
        side = max(y.shape[2] for y in out)
        gaps = [(side - y.shape[2]) for y in out]
        return torch.cat([F.pad(y, (g // 2, g - g // 2, g // 2, g - g // 2)) for y, g in zip(out, gaps)], 1)


class OpenFace(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = Unit(3, 64, 7, 2, 3)
        self.inception_2 = nn.ModuleDict({"reduce": Unit(64, 64, 1), "3x3": Unit(64, 192, 3, 1, 1)})
        largest, norm = nn.MaxPool2d(3, 2), nn.LPPool2d(2, 3, 3)
        self.inception_3a = Inception(192, [(3, 96, 128), (5, 16, 32)], 1, largest, 32, 64)
        self.inception_3b = Inception(256, [(3, 96, 128), (5, 32, 64)], 1, norm, 64, 64)
        self.inception_3c = Inception(320, [(3, 128, 256), (5, 32, 64)], 2, largest, 0, 0)
        self.inception_4a = Inception(640, [(3, 96, 192), (5, 32, 64)], 1, norm, 128, 256)
        self.inception_4e = Inception(640, [(3, 160, 256), (5, 64, 128)], 2, largest, 0, 0)
        self.inception_5a = Inception(1024, [(3, 96, 384)], 1, norm, 96, 256)
        self.inception_5b = Inception(736, [(3, 96, 384)], 1, largest, 96, 256)
        self.fc = nn.Linear(736, 128)

    def forward(self, x):
        x = F.max_pool2d(self.conv1(x), 3, 2, 1)
        x = F.local_response_norm(x, 5, 1e-4, 0.75, 1)
        x = self.inception_2["3x3"](self.inception_2["reduce"](x))
        x = F.max_pool2d(F.local_response_norm(x, 5, 1e-4, 0.75, 1), 3, 2, 1)
        for name in ("3a", "3b", "3c", "4a", "4e", "5a", "5b"):
            x = self.get_submodule("inception_" + name)(x)
        x = self.fc(F.avg_pool2d(x, 3).flatten(1))
        return F.normalize(x)


def draw(name, n):
    """n numbers from -1 to 1."""
    h = 2166136261
    for c in name.encode():
        h = (h ^ c) * 16777619 & 0xFFFFFFFF
    x = np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B1) & np.uint64(0xFFFFFFFF)
    x ^= np.uint64(h)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x ^= x >> np.uint64(shift)
        x = x * np.uint64(factor) & np.uint64(0xFFFFFFFF)
    x ^= x >> np.uint64(16)
    return x.astype(np.float64) / 2147483648.0 - 1


def fill(model):
    for name, t in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        u = draw(name, t.numel())
        if t.dim() > 1:
            u = u * np.sqrt(6.0 / t[0].numel())
        elif name.endswith("running_var") or (name.endswith("weight") and t.dim() == 1):
            u = 1 + 0.5 * u
        else:
            u = 0.25 * u
        t.copy_(torch.from_numpy(u.astype(np.float32)).double().reshape(t.shape))


def run(model, size):
    model = model.double().eval()
    with torch.no_grad():
        fill(model)
        x = torch.from_numpy(draw("image", 2 * 3 * size * size).astype(np.float32)).double()
        x[x.numel() // 2:x.numel() * 3 // 4] = 0  # the upper half of the second picture
        out = model(x.reshape(2, 3, size, size)).numpy()
    print(sum(p.numel() for p in model.parameters()), "parameters, cosine of the two", float(out[0] @ out[1]))
    return out


facenet = inception_resnet()
with open("inception_names.csv", "w", newline="") as f:
    rows = csv.writer(f, lineterminator="\n")
    for name, t in facenet.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            rows.writerow([name, "x".join(map(str, t.shape))])
save_file({"inception_resnet_v1": run(facenet, 160), "openface_nn4_small2": run(OpenFace(), 96)},
          "inception.safetensors")
