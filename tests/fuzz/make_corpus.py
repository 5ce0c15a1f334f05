#!/usr/bin/env python3
"""Makes corpus/model, corpus/graph and corpus/onnx: small model files, written from what core/io/model_file.c and
onnx.proto (make_onnx.py) say and not by phiz.
Run in this folder; needs Python alone."""
import hashlib
import json
import os
import struct
import zlib

import make_onnx


def floats(n, kind):
    values = [((7 * i) % 13 - 6) / 8 for i in range(n)]
    return struct.pack(f"<{n}{kind}", *values)


def phiz(path, graph, tensors, meta, labels, threshold=None):
    """tensors: name -> (dtype in the file, dtype in sums, shape, bytes)"""
    names = sorted(tensors, key=str.encode)
    data = b"".join(hashlib.blake2b(tensors[n][3], digest_size=32).digest() for n in names)
    with open(path.replace("corpus/model", "corpus/graph").replace(".phiz", ".json"), "w") as f:
        json.dump(graph, f)
    texts = {"phiz": "1", "graph": json.dumps(graph, separators=(",", ":")), "labels": json.dumps(labels),
             "preprocessing": json.dumps({"crop": 1, "mode": "short", "resize": 9, "size": 8, "mean": [0.5, 0.4, 0.3],
                                          "std": [0.2, 0.2, 0.2]}),
             "meta": json.dumps(meta), "crc32": "".join(f"{zlib.crc32(tensors[n][3]):08x}" for n in names),
             "blake2b": hashlib.blake2b(data, digest_size=32).hexdigest()}
    if threshold:
        texts["threshold"] = json.dumps(threshold)
    root = hashlib.sha256()
    for key in sorted(texts):
        root.update(key.encode() + b"\0" + texts[key].encode() + b"\0")
    for n in names:
        root.update(f"{n}\0{tensors[n][1]}\0[{', '.join(map(str, tensors[n][2]))}]\0".encode())
    texts["sha256"] = root.hexdigest()
    header, at = {"__metadata__": texts}, 0
    for n in tensors:
        header[n] = {"dtype": tensors[n][0], "shape": tensors[n][2], "data_offsets": [at, at + len(tensors[n][3])]}
        at += len(tensors[n][3])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(t[3] for t in tensors.values()))


def f32(*shape):
    n = 1
    for d in shape:
        n *= d
    return ("F32", "f32", list(shape), floats(n, "f"))


def f16(*shape):
    n = 1
    for d in shape:
        n *= d
    return ("F16", "f16", list(shape), floats(n, "e"))


def node(name, op, inputs, **attributes):
    return {"name": name, "op": op, "inputs": inputs, "attributes": attributes, "outputs": [name]}


def graph(nodes, tensors, out):
    return {"inputs": [{"name": "image", "dtype": "f32", "shape": [1, 3, 8, 8]}],
            "tensors": [{"name": n, "kind": "buffer" if "running" in n else "parameter"} for n in tensors],
            "nodes": nodes, "outputs": [out]}


os.makedirs("corpus/model", exist_ok=True)
os.makedirs("corpus/graph", exist_ok=True)
BN = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]

tensors = {"conv.weight": f32(4, 3, 3, 3), **{n: f32(4) for n in BN}, "fc.weight": f32(2, 4), "fc.bias": f32(2)}
tensors["bn.running_var"] = ("F32", "f32", [4], struct.pack("<4f", 1, 2, 0.5, 1))
nodes = [node("conv", "conv2d", ["image", "conv.weight"], stride_h=2, stride_w=2, pad_top=1, pad_left=1, pad_bottom=1,
              pad_right=1), node("bn", "batch_norm", ["conv"] + BN), node("relu", "relu", ["bn"]),
         node("pool", "max_pool2d", ["relu"], kernel_h=2, kernel_w=2, stride_h=2, stride_w=2, ceil_mode=1),
         node("gap", "global_avg_pool", ["pool"]), node("flat", "flatten", ["gap"]),
         node("drop", "dropout", ["flat"], p=0.5), node("fc", "linear", ["drop", "fc.weight", "fc.bias"])]
phiz("corpus/model/trained.phiz", graph(nodes, tensors, "fc"), tensors, {"licence": "MIT"}, ["ann", "bob"],
     {"value": 0.5, "far": 0.01, "measured_far": 0.009, "tar": 0.9, "strangers": 200})
extra = dict(tensors, **{"optimizer/fc.bias/m": f32(2), "step": ("I64", "i64", [], struct.pack("<q", 5))})
phiz("corpus/model/checkpoint.phiz", graph(nodes, tensors, "fc"), extra, {"train_state": "{}"}, ["ann", "bob"])

tensors = {"a.weight": f16(4, 3, 1, 1), "b.weight": f16(4, 4, 3, 3), "fc.weight": f16(2, 4), "b.bias": f32(4)}
nodes = [node("a", "conv2d", ["image", "a.weight"], act=1),
         node("b", "conv2d", ["a", "b.weight", "b.bias", "a"], pad_top=1, pad_left=1, pad_bottom=1, pad_right=1, act=2,
              act_slope=0.1),
         node("avg", "avg_pool2d", ["b"], kernel_h=8, kernel_w=8, stride_h=1, stride_w=1),
         node("flat", "reshape", ["avg"], ndim=2, d0=0, d1=-1), node("fc", "linear", ["flat", "fc.weight"]),
         node("unit", "l2_normalize", ["fc"])]
phiz("corpus/model/optimized_fp16.phiz", graph(nodes, tensors, "unit"), tensors, {"precision": "fp16"}, [])

tensors = {"p.weight": f32(3)}
nodes = [node("p", "prelu", ["image", "p.weight"]), node("l", "leaky_relu", ["p"], slope=0.2),
         node("s", "sigmoid", ["l"]), node("m", "mul", ["s", "p"]), node("c", "concat", ["m", "image", "s"]),
         node("half", "cast", ["c"], dtype=2), node("full", "cast", ["half"], dtype=0),
         node("sum", "add", ["full", "c"]),
         node("flat", "flatten", ["sum"]), node("soft", "softmax", ["flat"], axis=1)]
phiz("corpus/model/operators.phiz", graph(nodes, tensors, "soft"), tensors, {}, [])

make_onnx.main()
