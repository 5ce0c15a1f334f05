#!/usr/bin/env python3
"""Makes detect_mtcnn.csv: what facenet-pytorch's MTCNN finds in the group photos of the private data (numbers only).

usage: tests/golden/make_detect_mtcnn.py DATA > tests/golden/detect_mtcnn.csv

Needs torch, torchvision, Pillow and facenet-pytorch (2.6.0; its own weights are those of DATA/weights/mtcnn). A line a
face: file, f32 or f64 (what it was computed in), x0,y0,x1,y1,score, then x and y of the five points; a photo without
faces has no numbers. Both, because rounding decides between nearly equal boxes here and there: where float and double
disagree, either is right.
"""
import glob
import os
import sys

import numpy as np
import torch
from facenet_pytorch import MTCNN
from PIL import Image, ImageOps


def detect(mtcnn, image, name, precision):
    boxes, scores, points = mtcnn.detect(image, landmarks=True)
    if boxes is None:
        print(f"{name},{precision}" + "," * 15)
        return
    for box, score, point in zip(boxes, scores, points):
        print(",".join([name, precision] + [f"{v:.4f}" for v in box] + [f"{score:.6f}"] +
                       [f"{v:.4f}" for v in np.asarray(point).ravel()]))


def main():
    root = os.path.join(sys.argv[1], "faces/groups")
    single = MTCNN(keep_all=True, select_largest=False)
    double = MTCNN(keep_all=True, select_largest=False).double()
    print("file,precision,x0,y0,x1,y1,score,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry")
    for path in sorted(glob.glob(root + "/*/*.jpg")):
        image = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
        name = os.path.relpath(path, root)
        detect(single, image, name, "f32")
        detect(double, image, name, "f64")


main()
