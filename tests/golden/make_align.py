#!/usr/bin/env python3
"""Makes align.safetensors for tests/golden/test_align.c. Needs numpy, Pillow and facenet-pytorch (installed without its
dependencies: of its code only extract_face is run, over stand-ins for the modules that it imports).

similarity.from, .to [K, 5, 2] f32 and similarity.m [K, 6] f64: the least-squares similarity by Umeyama 1991 with SVD,
in double; rows 0..2 and 3..5 of m are x' and y'. The last sets are mirrored (the best reflection is refused) and in a
line. image [H, W, 3] u8: smooth colours with noise. facenet.box [N, 4] (x, y, w, h) f32, facenet.margin [N] f64,
facenet.crop [N, S, S, 3] u8: facenet-pytorch's extract_face; the boxes lie so that with their margins they begin and
end at whole pixels inside the image, and none is made smaller.
arcface.landmark [N, 5, 2] f32 and arcface.crop [N, A, A, 3] f32: bilinear interpolation in double at the places where
numpy's similarity puts the pixels' centres, black where that lies outside of the image.
"""
import importlib.util
import json
import os
import struct
import sys
import types

import numpy as np
from PIL import Image

TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
                     [70.7299, 92.2041]])
S, A, W, H = 48, 48, 100, 84
rng = np.random.default_rng(3)


def umeyama(a, b):
    ma, mb = a.mean(0), b.mean(0)
    u, d, vt = np.linalg.svd((b - mb).T @ (a - ma) / len(a))
    sign = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    r = u @ np.diag(sign) @ vt
    scale = (d * sign).sum() / ((a - ma) ** 2).sum(1).mean()
    t = mb - scale * r @ ma
    return np.array([scale * r[0, 0], scale * r[0, 1], t[0], scale * r[1, 0], scale * r[1, 1], t[1]])


def similarities():
    froms, tos = [], []
    for k in range(12):
        angle, scale = rng.uniform(-3.1, 3.1), 10 ** rng.uniform(-2, 2)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        a = rng.uniform(-500, 1500, (5, 2))
        b = a @ turn.T + rng.uniform(-200, 200, 2) + rng.normal(0, 0.1 * scale * 500, (5, 2)) * (k % 3)
        if k == 10:
            b[:, 0] = -b[:, 0]
        if k == 11:
            a[:, 1] = 2 * a[:, 0] + 3
        froms.append(a.astype(np.float32))
        tos.append(b.astype(np.float32))
    froms, tos = np.array(froms), np.array(tos)
    return froms, tos, np.array([umeyama(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(froms, tos)])


def make_image():
    y, x = np.mgrid[0:H, 0:W]
    smooth = np.stack([128 + 90 * np.sin(x / 9 + y / 17), 128 + 90 * np.cos(x / 13 - y / 7),
                       (x + y) * 255 / (W + H)], -1)
    return (smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)


def extract_face():
    for name in ("torch", "torch.nn", "torch.nn.functional", "torchvision", "torchvision.transforms",
                 "torchvision.transforms.functional", "torchvision.ops", "torchvision.ops.boxes"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torch"].Tensor = type("Tensor", (), {})
    sys.modules["torch.nn.functional"].interpolate = None
    sys.modules["torchvision.ops.boxes"].batched_nms = None
    functional = sys.modules["torchvision.transforms.functional"]
    functional.to_tensor = lambda a: a
    sys.modules["torchvision.transforms"].functional = functional
    root = importlib.util.find_spec("facenet_pytorch").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("detect_face", os.path.join(root, "models/utils/detect_face.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.extract_face


def facenet(image):
    run = extract_face()
    boxes = np.array([[20, 30, 36, 36], [24, 20, 36, 24], [40, 24, 24, 32], [20, 20, 48, 30]], np.float32)
    margins = np.array([12, 12, 16, 0], np.float64)
    crops = [run(Image.fromarray(image), np.array([x, y, x + w, y + h], np.float64), S, float(m))
             for (x, y, w, h), m in zip(boxes, margins)]
    return boxes, margins, np.array(crops).round().astype(np.uint8)


def sample(image, x, y):
    """Bilinear at (x, y), pixel (0, 0) covering 0..1; the outermost pixels reach to the edge."""
    if not (0 <= x < W and 0 <= y < H):
        return np.zeros(3)
    x, y = x - 0.5, y - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - x0, y - y0
    at = lambda i, j: image[min(max(j, 0), H - 1), min(max(i, 0), W - 1)].astype(np.float64)
    top = at(x0, y0) * (1 - fx) + at(x0 + 1, y0) * fx
    bottom = at(x0, y0 + 1) * (1 - fx) + at(x0 + 1, y0 + 1) * fx
    return top * (1 - fy) + bottom * fy


def arcface(image):
    template = TEMPLATE * A / 112
    landmarks, crops = [], []
    for angle, scale, dx, dy in ((0.2, 0.8, 22, 15), (-0.7, 1.3, 10, 45), (0.05, 0.3, 50, 40), (2.8, 1.0, 90, 60)):
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = (template @ turn.T + [dx, dy] + rng.normal(0, 1, (5, 2))).astype(np.float32)
        m = umeyama(template.astype(np.float32).astype(np.float64), points.astype(np.float64))
        crops.append([[sample(image, m[0] * (x + 0.5) + m[1] * (y + 0.5) + m[2],
                              m[3] * (x + 0.5) + m[4] * (y + 0.5) + m[5]) for x in range(A)] for y in range(A)])
        landmarks.append(points)
    return np.array(landmarks), np.array(crops, np.float32)


def write(path, tensors):
    kinds = {"float64": "F64", "float32": "F32", "uint8": "U8"}
    header, at, body = {}, 0, b""
    for name in sorted(tensors, key=lambda n: -tensors[n].itemsize):
        t = np.ascontiguousarray(tensors[name])
        header[name] = {"dtype": kinds[str(t.dtype)], "shape": list(t.shape), "data_offsets": [at, at + t.nbytes]}
        at += t.nbytes
        body += t.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)


image = make_image()
froms, tos, m = similarities()
boxes, margins, crops = facenet(image)
landmarks, aligned = arcface(image)
write(os.path.join(os.path.dirname(__file__), "align.safetensors"), {
    "similarity.from": froms, "similarity.to": tos, "similarity.m": m, "image": image, "facenet.box": boxes,
    "facenet.margin": margins, "facenet.crop": crops, "arcface.landmark": landmarks, "arcface.crop": aligned,
})
