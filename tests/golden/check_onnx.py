#!/usr/bin/env python3
"""usage: check_onnx.py MODEL.onnx WANT.safetensors

Checks the file by the onnx package, runs it by onnxruntime on WANT's tensor "image" (and on a batch of one, which must
give the same), and compares every other tensor of WANT. Exit code 77: a package is missing."""
import json
import struct
import sys

try:
    import numpy as np
    import onnx
    import onnxruntime
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)


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


model = onnx.load(sys.argv[1])
onnx.checker.check_model(model, full_check=True)
assert [(i.domain, i.version) for i in model.opset_import] == [("", 13)], model.opset_import
props = {p.key: p.value for p in model.metadata_props}
labels, preprocessing = json.loads(props["labels"]), json.loads(props["preprocessing"])
assert isinstance(labels, list) and preprocessing["size"] > 0
if labels:
    assert labels == ["ann", "b\u00f6rge", '"c"'] and props["licence"] == "MIT", props
image = model.graph.input[0]
assert len(model.graph.input) == 1 and image.name == "image" and "normalised" in image.doc_string
assert image.type.tensor_type.shape.dim[0].dim_param == "batch"

want = read(sys.argv[2])
x = want.pop("image")
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
names = [o.name for o in session.get_outputs()]
assert sorted(names) == sorted(want), (names, sorted(want))
got = dict(zip(names, session.run(names, {"image": x})))
one = dict(zip(names, session.run(names, {"image": x[:1]})))
worst = ("", 0.0)
for name in names:
    g, w = got[name].astype(np.float32), want[name]
    assert g.shape == w.shape, (name, g.shape, w.shape)
    tolerance = 1e-3 if got[name].dtype == np.float16 else 2e-5
    used = float(np.max(np.abs(g - w) / (tolerance * (1 + np.abs(w))))) if g.size else 0.0
    assert w.ndim < 2 or not np.array_equal(w[0], w[1]), f"{name}: both pictures give the same: nothing is tested"
    worst = max(worst, (name, used), key=lambda p: p[1])
    assert used <= 1, f"{name}: {used:.2f} of the tolerance"
    alone = one[name].astype(np.float32).ravel()
    assert np.allclose(alone, g.ravel()[:alone.size], rtol=1e-4, atol=1e-5), name
print(f"           {len(names)} outputs, {len(model.graph.node)} nodes: at most {worst[1]:.3g} of the tolerance "
      f"({worst[0]})")
