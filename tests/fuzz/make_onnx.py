#!/usr/bin/env python3
"""Makes corpus/onnx: small ONNX models that together use every operator, attribute form and tensor form that phiz
reads, written from onnx.proto and not by phiz or the onnx package. Run in this folder; needs Python alone.
golden.onnx_read holds each of them against onnxruntime."""
import os
import struct

FLOAT, UINT8, INT8, INT32, INT64, BOOL, FLOAT16, DOUBLE, BFLOAT16 = 1, 2, 3, 6, 7, 9, 10, 11, 16


# ---- protobuf ----

def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def message(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


# ---- onnx.proto ----

def values(n, low=-0.75, high=0.75):
    return [low + (high - low) * ((7 * i) % 13) / 12 for i in range(n)]


def count(shape):
    n = 1
    for d in shape:
        n *= d
    return n


def tensor(name, shape, data=None, kind=FLOAT, form="raw"):
    """form: raw, list (packed) or unpacked."""
    data = values(count(shape)) if data is None else data
    head = b"".join(number(1, d) for d in shape) + number(2, kind) + message(8, name)
    if form == "raw":
        letter = {FLOAT: "f", DOUBLE: "d", FLOAT16: "e", INT64: "q", INT32: "i", INT8: "b", UINT8: "B", BOOL: "B"}
        if kind == BFLOAT16:
            return head + message(9, b"".join(struct.pack("<f", v)[2:] for v in data))
        return head + message(9, struct.pack(f"<{len(data)}{letter[kind]}", *data))
    if kind == FLOAT:
        if form == "list":
            return head + message(4, struct.pack(f"<{len(data)}f", *data))
        return head + b"".join(varint(4 << 3 | 5) + struct.pack("<f", v) for v in data)
    if kind == DOUBLE:
        return head + message(10, struct.pack(f"<{len(data)}d", *data))
    if kind == FLOAT16:
        data = [struct.unpack("<H", struct.pack("<e", v))[0] for v in data]
    field = 7 if kind == INT64 else 5
    if form == "list":
        return head + message(field, b"".join(map(varint, data)))
    return head + b"".join(number(field, v) for v in data)


def attribute(name, v):
    head = message(1, name)
    if isinstance(v, bytes):
        return head + message(5, v) + number(20, 4)
    if isinstance(v, str):
        return head + message(4, v) + number(20, 3)
    if isinstance(v, int):
        return head + number(3, v) + number(20, 2)
    if isinstance(v, float):
        return head + varint(2 << 3 | 5) + struct.pack("<f", v) + number(20, 1)
    if all(isinstance(x, int) for x in v):
        return head + b"".join(number(8, x) for x in v) + number(20, 7)
    return head + b"".join(varint(7 << 3 | 5) + struct.pack("<f", x) for x in v) + number(20, 6)


def node(op, inputs, out, **attributes):
    """inputs: names with blanks between, '-' for an optional one that is absent."""
    return (b"".join(message(1, "" if i == "-" else i) for i in inputs.split()) +
            b"".join(message(2, o) for o in out.split()) + message(3, "n_" + out.split()[0]) + message(4, op) +
            b"".join(message(5, attribute(k, v)) for k, v in attributes.items()))


def info(name, shape, kind=FLOAT):
    dims = b"".join(message(1, message(2, d) if isinstance(d, str) else number(1, d)) for d in shape)
    return message(1, name) + message(2, message(1, number(1, kind) + message(2, dims)))


def model(name, opset, shape, nodes, tensors, outputs, metadata=(), producer="corpus"):
    graph = (b"".join(message(1, n) for n in nodes) + message(2, "g") + b"".join(message(5, t) for t in tensors) +
             message(11, info("x", shape)) + b"".join(message(12, info(o, ["?"] * n)) for o, n in outputs.items()))
    with open(f"corpus/onnx/{name}.onnx", "wb") as f:
        f.write(number(1, 7) + message(2, producer) + message(7, graph) + message(8, number(2, opset)) +
                b"".join(message(14, message(1, k) + message(2, v)) for k, v in metadata))


def ints(name, *v, kind=INT64, form="raw"):
    return tensor(name, [len(v)], list(v), kind, form)


# ---- the models ----

def classifier():
    positive = [0.5, 1.0, 1.5, 2.0]
    model("classifier", 13, ["n", 3, 16, 16], [
        node("Conv", "x w b", "c", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], dilations=[1, 1], group=1),
        node("BatchNormalization", "c s t m v", "bn", epsilon=1e-3, momentum=0.9),
        node("Relu", "bn", "r"), node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p dw", "d", pads=[1, 1, 1, 1], group=4), node("PRelu", "d slope", "pr"),
        node("Add", "pr p", "sum"), node("GlobalAveragePool", "sum", "gap"), node("Flatten", "gap", "f"),
        node("Dropout", "f", "drop"), node("Gemm", "drop fc fb", "y", transB=1, alpha=0.5, beta=2.0),
        node("Softmax", "y", "z")],
        [tensor("w", [4, 3, 3, 3]), tensor("b", [4], form="list"), tensor("s", [4]), tensor("t", [4]), tensor("m", [4]),
         tensor("v", [4], positive), tensor("dw", [4, 1, 3, 3], form="list"),
         tensor("slope", [4, 1, 1], form="unpacked"), tensor("fc", [5, 4]), tensor("fb", [5])], {"z": 2})


def detector():
    """What a network computes from the picture's size: two scales joined, boxes decoded."""
    model("detector", 11, ["n", 3, "h", "w"], [
        node("Conv", "x w", "a", auto_pad="SAME_UPPER", kernel_shape=[1, 1]), node("Clip", "a lo hi", "a6"),
        node("AveragePool", "a6", "half", kernel_shape=[2, 2], strides=[2, 2]),
        node("Resize", "half roi two", "up", mode="nearest", coordinate_transformation_mode="asymmetric",
             nearest_mode="floor"),
        node("Mul", "up a6", "m"), node("Concat", "m a", "cat", axis=1),
        node("Transpose", "cat", "hwc", perm=[0, 2, 3, 1]), node("Shape", "x", "shape"),
        node("Gather", "shape zero", "n", axis=0), node("Constant", "", "ax", value=ints("", 0)),
        node("Unsqueeze", "n", "n1", axes=[0]), node("Concat", "n1 minus four", "to", axis=0),
        node("Reshape", "hwc to", "flat"), node("Slice", "flat start end last", "xy"),
        node("Exp", "xy", "e"), node("Sigmoid", "flat", "s"), node("Softmax", "s", "z", axis=2)],
        [tensor("w", [4, 3, 1, 1]), tensor("lo", [], [0.0]), tensor("hi", [], [6.0]),
         tensor("roi", [0]), tensor("two", [4], [1.0, 1.0, 2.0, 2.0]), tensor("zero", [], [0], INT64),
         ints("minus", -1),
         ints("four", 8, form="list"), ints("start", 0), ints("end", 2, form="unpacked"), ints("last", 2)],
        {"z": 3, "e": 3})


def shapes():
    model("shapes", 13, ["n", 3, 8, 8], [
        node("Shape", "x", "s"), node("Slice", "s i2 i4 i0", "hw"), node("Cast", "hw", "f", to=FLOAT),
        node("Mul", "f half", "g"), node("Floor", "g", "h"), node("Ceil", "h", "h2"), node("Cast", "h2", "k", to=INT64),
        node("Div", "k k", "one"), node("Sub", "k one", "less"), node("Add", "less one", "hh"),
        node("Mul", "hh two", "ww"), node("Slice", "s i0 i2 i0", "nc"), node("Concat", "nc ww", "size", axis=0),
        node("MaxPool", "x", "p", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]),
        node("Resize", "p - - size", "big", mode="nearest"),
        node("Pad", "big pads", "pad"), node("ConstantOfShape", "i1", "fill", value=tensor("", [1], [0.25])),
        node("Squeeze", "fill i0", "scalar"), node("Add", "pad scalar", "sum"), node("Unsqueeze", "sum i4", "u"),
        node("Squeeze", "u i4", "sq"), node("Slice", "sq starts ends", "cut"), node("Identity", "cut", "id"),
        node("Reshape", "id rows", "y"), node("Identity", "matrix", "same"),
        node("Transpose", "same", "mat", perm=[1, 0]), node("MatMul", "y mat", "z")],
        [tensor("half", [], [0.5]), ints("i0", 0), ints("i1", 1), ints("i2", 2), ints("i4", 4),
         ints("two", 2, 2), ints("pads", 0, 0, 1, 2, 0, 0, 2, 1), ints("starts", 0, 0, 1, 1),
         ints("ends", 9223372036854775807, 3, 9, -1), ints("rows", 0, -1), tensor("matrix", [4, 216])],
        {"z": 2})


def embedder():
    """The norm step by step, as exporters write torch.nn.functional.normalize; and the other ways to write it."""
    model("embedder", 9, [1, 3, 8, 8], [
        node("Sub", "x mean", "c"), node("Mul", "c scale", "sc"), node("Div", "sc std", "d"), node("Sub", "one d", "i"),
        node("LRN", "i", "lrn", size=3, alpha=0.001, beta=0.75, bias=1.0),
        node("LpPool", "lrn", "lp", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], p=2),
        node("LeakyRelu", "lp", "lr", alpha=0.2), node("Clip", "lr", "cl", min=-1.0, max=2.0),
        node("ReduceMean", "cl", "mean_hw", axes=[2, 3], keepdims=0),
        node("Gemm", "mean_hw w b", "e"), node("ReduceL2", "e", "norm", axes=[1], keepdims=1), node("Shape", "e", "es"),
        node("Expand", "norm es", "ne"), node("Div", "e ne", "unit"),
        node("LpNormalization", "e", "unit2", axis=1, p=2), node("Add", "unit unit2", "y")],
        [tensor("mean", [1, 3, 1, 1], [0.1, 0.2, 0.3]), tensor("scale", [3, 1, 1]), tensor("std", [1], [0.5]),
         tensor("one", [], [1.0]), tensor("w", [3, 6]), tensor("b", [6])], {"y": 2})


def normalize():
    model("normalize", 14, [1, 3, 8, 8], [
        node("Flatten", "x", "f", axis=1), node("Gemm", "f w", "e"), node("ReduceL2", "e", "n", axes=[-1], keepdims=1),
        node("Max", "n eps", "m"), node("Div", "e m", "u"), node("ReduceL2", "u", "n2", axes=[1], keepdims=1),
        node("Clip", "n2 eps", "m2"), node("Shape", "u", "s"), node("Expand", "m2 s", "m3"), node("Div", "u m3", "y")],
        [tensor("w", [192, 5]), tensor("eps", [], [1e-12])], {"y": 2})


def fixed():
    """Sizes of one picture written into the shapes; pooling that hangs over; old Upsample, old Slice and Pad."""
    model("fixed", 9, [1, 3, 8, 12], [
        node("Pad", "x", "p", mode="constant", pads=[0, 0, 1, 1, 0, 0, 0, 0], value=0.5),
        node("AveragePool", "p", "a", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1),
        node("Upsample", "a scales", "u", mode="nearest"), node("Slice", "u", "s", axes=[2, 3], starts=[0, 0],
                                                                 ends=[8, 12]),
        node("Add", "s x", "sum"), node("Constant", "", "to", value=ints("", 1, 3, 96)), node("Reshape", "sum to", "r"),
        node("Transpose", "r", "t", perm=[0, 2, 1]), node("Softmax", "t", "y", axis=2),
        node("Flatten", "t", "z", axis=2)],
        [tensor("scales", [4], [1.0, 1.0, 2.0, 2.0])], {"y": 3, "z": 2})
    model("pools", 12, ["n", 2, 9, 9], [
        node("MaxPool", "x", "a", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        node("MaxPool", "a", "b", kernel_shape=[2, 2], pads=[1, 0, 0, 1]),
        node("AveragePool", "b", "c", auto_pad="SAME_LOWER", kernel_shape=[3, 3]),
        node("LpPool", "c", "d", kernel_shape=[2, 2], pads=[0, 0, 1, 1]), node("Dropout", "d", "e"),
        node("Cast", "e", "f", to=FLOAT16), node("Cast", "f", "g", to=FLOAT)], [], {"d": 4})


def constants():
    casts = [("raw", DOUBLE, "raw"), ("half", FLOAT16, "raw"), ("half_list", FLOAT16, "list"), ("wide", DOUBLE, "list"),
             ("brain", BFLOAT16, "raw")]
    model("constants", 13, ["n", 3, 4, 4], [
        node("Constant", "", "a", value_float=0.5), node("Constant", "", "b", value_floats=[1.0, 2.0, 3.0, 4.0]),
        node("Constant", "", "c", value_int=3), node("Constant", "", "d", value_ints=[0, -1]),
        node("Mul", "x a", "xa"), node("Add", "xa b", "xb"), node("Reshape", "xb d", "y"),
        node("Unsqueeze", "c zero", "c1"), node("Cast", "c1", "c2", to=FLOAT), node("Mul", "x c2", "s0")] +
        [n for i, (name, _, _) in enumerate(casts) for n in (
            node("Cast", name, f"w{i}", to=FLOAT), node("Unsqueeze", f"w{i} axes", f"v{i}"),
            node("Conv", f"s{i} v{i}", f"s{i + 1}"))] +
        [node("GlobalAveragePool", "s5", "gap"), node("Squeeze", "gap axes", "z")],
        [tensor(name, [3, 3], kind=kind, form=form) for name, kind, form in casts] +
        [ints("axes", 2, 3), ints("zero", 0)], {"y": 2, "z": 2})


def written():
    """As phiz writes: labels, preprocessing and threshold beside the graph."""
    model("written", 13, ["batch", 3, 16, 16], [
        node("Conv", "x w", "c"), node("GlobalAveragePool", "c", "g"), node("Flatten", "g", "y", axis=1)],
        [tensor("w", [2, 3, 3, 3])], {"y": 2},
        [("labels", '["ann","bob"]'), ("preprocessing", '{"crop":1,"mode":"short","resize":18,"size":16,'
                                       '"mean":[0.5,0.4,0.3],"std":[0.2,0.2,0.2]}'),
         ("threshold", '{"value":0.5,"far":0.01,"measured_far":0.009,"tar":0.9,"strangers":200}'),
         ("licence", "MIT"), ("task", "classify")], "phiz")


def main():
    os.makedirs("corpus/onnx", exist_ok=True)
    for make in (classifier, detector, shapes, embedder, normalize, fixed, constants, written):
        make()


if __name__ == "__main__":
    main()
