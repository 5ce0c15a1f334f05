#!/usr/bin/env python3
"""usage: check_onnx_read.py MODEL.onnx GOT.safetensors

Runs the file by onnxruntime on GOT's tensor "image" and compares every other tensor of GOT, which is what phiz made of
the same file and picture. Exit code 77: a package is missing."""
import sys

try:
    import numpy as np
    import onnxruntime
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)
import json
import struct


def read(path):
    data = open(path, "rb").read()
    n, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    out = {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        assert t["dtype"] == "F32", name
        out[name] = np.frombuffer(data[8 + n + begin:8 + n + end], np.float32).reshape(t["shape"])
    return out


got = read(sys.argv[2])
x = got.pop("image")
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
names = [o.name for o in session.get_outputs()]
assert sorted(names) == sorted(got), (names, sorted(got))
want = dict(zip(names, session.run(names, {session.get_inputs()[0].name: x})))
worst = ("", 0.0)
for name in names:
    w, g = want[name].astype(np.float32), got[name]
    assert w.shape == g.shape, (name, w.shape, g.shape)
    assert np.ptp(w) > 0, f"{name} is one number: nothing is tested"
    used = float(np.max(np.abs(g - w) / (1e-4 * np.maximum(1, np.abs(w)))))
    worst = max(worst, (name, used), key=lambda p: p[1])
    assert used <= 1, f"{name}: {used:.2f} of the tolerance of 1e-4"
print(f"           {x.shape}: {len(names)} outputs, at most {worst[1]:.3g} of the tolerance of 1e-4 ({worst[0]})")
