#!/usr/bin/env python3
"""Ten steps of SGD and of Adam across a StepLR drop, of a small residual network, in PyTorch: curve.safetensors.

Two batches of eight pictures in turn; StepLR(step_size=4, gamma=0.1) once a step. The weights to begin with are kept,
so that phiz starts from the same. float64 is the reference, float32 says how far PyTorch itself is from it."""
import json
import os
import struct

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = None
        if stride != 1 or inputs != filters:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(Block(8, 8, 1), Block(8, 16, 2))
        self.fc = nn.Linear(16, 5)

    def forward(self, x):
        x = self.layer1(F.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def curve(state, images, labels, kind, dtype):
    net = Net()
    net.load_state_dict(state)
    net = net.to(dtype).train()
    if kind == "sgd":
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    else:
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.1)
    losses = []
    for step in range(10):
        k = step % 2
        loss = F.cross_entropy(net(images[k].to(dtype)), labels[k])
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return np.array(losses), net.bn1.running_var.detach().double().numpy()


def write(path, tensors):
    names = {np.dtype("float32"): "F32", np.dtype("float64"): "F64", np.dtype("int32"): "I32"}
    header, data = {}, b""
    for name, value in tensors.items():
        raw = np.ascontiguousarray(value).tobytes()
        header[name] = {"dtype": names[value.dtype], "shape": list(value.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def main():
    torch.manual_seed(11)
    torch.set_num_threads(1)
    state = {k: v.clone() for k, v in Net().state_dict().items()}
    images, labels = torch.randn(2, 8, 3, 24, 24), torch.randint(0, 5, (2, 8))
    out = {"init." + k: v.numpy() for k, v in state.items() if v.dtype == torch.float32}
    out["images"], out["labels"] = images.numpy(), labels.numpy().astype(np.int32)
    for kind in ("sgd", "adam"):
        out[kind + ".loss"], out[kind + ".bn1.running_var"] = curve(state, images, labels, kind, torch.float64)
        single, _ = curve(state, images, labels, kind, torch.float32)
        print(kind, out[kind + ".loss"], "float32 is off by", np.abs(single / out[kind + ".loss"] - 1).max())
    write(os.path.join(os.path.dirname(os.path.abspath(__file__)), "curve.safetensors"), out)


main()
