#!/usr/bin/env python3
"""usage: check_state_dict.py STATE.safetensors WANT.safetensors

Loads phiz's export strictly into torchvision's resnet18 and compares what it makes of WANT's tensor "image" with WANT's
"fc". Exit code 77: PyTorch is missing."""
import json
import struct
import sys

try:
    import numpy as np
    import torch
    import torchvision
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

DTYPES = {"F32": np.float32, "I64": np.int64}


def read(path):
    data = open(path, "rb").read()
    n, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + n])
    metadata = header.pop("__metadata__", {})
    out = {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        array = np.frombuffer(data[8 + n + begin:8 + n + end], DTYPES[t["dtype"]]).reshape(t["shape"])
        out[name] = torch.from_numpy(array.copy())
    return out, metadata


state, metadata = read(sys.argv[1])
assert metadata == {"format": "pt"}
net = torchvision.models.resnet18(num_classes=state["fc.bias"].numel())
print("          ", net.load_state_dict(state, strict=True))
want, _ = read(sys.argv[2])
with torch.no_grad():
    got = net.eval()(want["image"])
used = float(((got - want["fc"]).abs() / (1e-4 * (1 + want["fc"].abs()))).max())
print(f"           logits: {used:.3g} of the tolerance")
assert used <= 1 and not torch.equal(got[0], got[1])
