#!/usr/bin/env python3
"""usage: check_phiz_file.py MODEL.phiz AGAIN.phiz

Opens a model file with the safetensors package, works out its sums as core/io/model_file.c describes them, and stores
the same tensors and metadata once more through the package, in its order. Exit code 77: the package is missing."""
import hashlib
import json
import sys
import zlib

try:
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import save_file
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

DTYPES = {"float32": "f32", "float16": "f16", "float64": "f64", "int64": "i64", "uint8": "u8"}

with safe_open(sys.argv[1], "np") as f:
    metadata = f.metadata()
    tensors = {name: f.get_tensor(name) for name in f.keys()}

assert metadata["phiz"] == "1"
graph = json.loads(metadata["graph"])
assert [n["name"] for n in graph["nodes"]][0] == "conv1" and graph["outputs"] == ["fc"]
assert json.loads(metadata["labels"])[1] == "b\u00f6rge"
assert json.loads(metadata["preprocessing"])["mean"] == [0.485, 0.456, 0.406]
assert json.loads(metadata["meta"])["licence"] == "MIT"
assert tensors["conv1.weight"].dtype == np.float16 and tensors["bn1.weight"].dtype == np.float32
assert tensors["step"] == 1 << 60

names = sorted(tensors, key=lambda n: n.encode())
raw = {n: tensors[n].tobytes() for n in names}
assert metadata["crc32"] == "".join(f"{zlib.crc32(raw[n]):08x}" for n in names)
digests = b"".join(hashlib.blake2b(raw[n], digest_size=32).digest() for n in names)
assert metadata["blake2b"] == hashlib.blake2b(digests, digest_size=32).hexdigest()
root = hashlib.sha256()
for key in sorted(metadata, key=lambda k: k.encode()):
    if key != "sha256":
        root.update(key.encode() + b"\0" + metadata[key].encode() + b"\0")
for n in names:
    shape = "[" + ", ".join(map(str, tensors[n].shape)) + "]"
    root.update(n.encode() + b"\0" + DTYPES[str(tensors[n].dtype)].encode() + b"\0" + shape.encode() + b"\0")
assert metadata["sha256"] == root.hexdigest()

save_file(tensors, sys.argv[2], metadata=metadata)
