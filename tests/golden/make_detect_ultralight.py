#!/usr/bin/env python3
"""Makes detect_ultralight.csv: Ultra-Light's network run by onnxruntime on the group photos of the private data and its
output decoded in numpy (numbers only).

usage: tests/golden/make_detect_ultralight.py DATA > tests/golden/detect_ultralight.csv

Needs onnxruntime and Pillow. Form as in make_detect_mtcnn.py; the precision is always f32. Photos are resized by Pillow
(bilinear) to the network's 320 x 240; its score threshold is 0.7 and suppression's overlap 0.3. The network gives no
points: they are those of ArcFace's template, whose square has the box's height, its middle, and begins 0.06 of the
height above it.
"""
import glob
import os
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
                     [70.7299, 92.2041]]) / 112


def overlaps(box, others):
    corner0, corner1 = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = np.prod(np.maximum(corner1 - corner0, 0), axis=1)
    return both / (np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - both)


def suppress(boxes, scores, threshold):
    order, kept = list(np.argsort(-scores, kind="stable")), []
    while order:
        best = order.pop(0)
        kept.append(best)
        if order:
            order = [i for i, o in zip(order, overlaps(boxes[best], boxes[order])) if o <= threshold]
    return kept


def main():
    root = os.path.join(sys.argv[1], "faces/groups")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    model = os.path.join(sys.argv[1], "weights/ultralight/version-RFB-320.onnx")
    session = onnxruntime.InferenceSession(model, options)
    print("file,precision,x0,y0,x1,y1,score,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry")
    for path in sorted(glob.glob(root + "/*/*.jpg")):
        photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        if max(photo.size) > 900:  # enough of them, and a quick test
            continue
        # Columns, then rows, as phiz and Pillow 9 have it; newer ones begin with what makes the picture smaller.
        small = photo.resize((320, photo.size[1]), Image.BILINEAR).resize((320, 240), Image.BILINEAR)
        x = (np.asarray(small, np.float32) - 127) / 128
        scores, boxes = session.run(["scores", "boxes"], {"input": x.transpose(2, 0, 1)[None]})
        scores, boxes = scores[0, :, 1].astype(np.float64), boxes[0].astype(np.float64) * (photo.size * 2)
        boxes, scores = boxes[scores >= 0.7], scores[scores >= 0.7]
        name = os.path.relpath(path, root)
        kept = suppress(boxes, scores, 0.3)
        if not kept:
            print(f"{name},f32" + "," * 15)
        for i in kept:
            x0, y0, x1, y1 = boxes[i]
            height = y1 - y0
            points = [(x0 + x1) / 2 - height / 2, y0 - 0.06 * height] + TEMPLATE * height
            print(",".join([name, "f32"] + [f"{v:.4f}" for v in boxes[i]] + [f"{scores[i]:.6f}"] +
                           [f"{v:.4f}" for v in points.ravel()]))


main()
