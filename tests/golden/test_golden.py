#!/usr/bin/python3
"""label: full. The golden outputs that phiz export leaves in a file, against torchvision's resnet18 with the same
weights on the same pictures, which are drawn here anew: Philox, the grid, Pillow's resizing, PyTorch's sums."""
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import torchvision
    from PIL import Image
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
GRID, CELL, STREAM_TEST, MASK = 8, 24, 8, 0xFFFFFFFF


def philox(c, k):
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & MASK, (p0 >> 32) ^ c[3] ^ k[1], p0 & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


def draw(number):
    key = philox([0, STREAM_TEST, 0, 0], [1, 0])[:2]
    words = [w for n in range(100) for w in philox([n, 0, number, 0], key)]
    # Of 256 values none is drawn twice: the upper byte is the draw.
    grid = np.array([w >> 24 for w in words[:(GRID + 1) ** 2 * 3]], np.int64).reshape(GRID + 1, GRID + 1, 3)
    at = np.arange(GRID * CELL)
    g, f = at // CELL, (at % CELL)[:, None]
    rows = grid[:, g] * (CELL - f) + grid[:, g + 1] * f
    f = f[:, None]
    return ((rows[g] * (CELL - f) + rows[g + 1] * f) // CELL ** 2).astype(np.uint8)


def read_safetensors(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    return header.pop("__metadata__", {}), {
        name: torch.from_numpy(np.frombuffer(data[slice(*t["data_offsets"])],
                                             {"F32": np.float32, "I64": np.int64}[t["dtype"]])
                               .reshape(t["shape"]).copy()) for name, t in header.items()}


with tempfile.TemporaryDirectory() as root:
    subprocess.run([PHIZ, "export", "resnet18", "-o", f"{root}/m.phiz", "--safetensors", f"{root}/w"], check=True,
                   capture_output=True)
    golden = json.loads(json.loads(read_safetensors(f"{root}/m.phiz")[0]["meta"])["golden"])
    net = torchvision.models.resnet18()
    net.load_state_dict(read_safetensors(f"{root}/w")[1])

t = torchvision.transforms
prepare = t.Compose([t.Resize(256), t.CenterCrop(224), t.ToTensor(),
                     t.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
assert len(golden["outputs"]) == 2
for i, got in enumerate(golden["outputs"]):
    with torch.no_grad():
        want = net.eval()(prepare(Image.fromarray(draw(i)))[None])[0].numpy()
    error = np.linalg.norm(np.array(got) - want) / np.linalg.norm(want)
    print(f"picture {i}: {error:.2e} from PyTorch, {error / 1e-5:.0%} of the tolerance")
    assert error < 1e-5
