#!/usr/bin/env python3
"""Makes detect_yunet.csv: what OpenCV's FaceDetectorYN finds in the group photos of the private data (numbers only).

usage: tests/golden/make_detect_yunet.py DATA > tests/golden/detect_yunet.csv

Needs OpenCV (opencv-python-headless 5.0.0 made the file) and Pillow. OpenCV gets each photo at its own size and, as
phiz does, fills it up with black to multiples of 32, so both see the same pixels. Form as in make_detect_mtcnn.py; the
precision is always f32. The model is DATA/weights/yunet/yunet_n_dynamic.onnx; thresholds are phiz's (score 0.7, overlap
0.3).
"""
import glob
import os
import sys

import cv2
import numpy as np
from PIL import Image, ImageOps


def main():
    root = os.path.join(sys.argv[1], "faces/groups")
    model = os.path.join(sys.argv[1], "weights/yunet/yunet_n_dynamic.onnx")
    print("file,precision,x0,y0,x1,y1,score,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry")
    for path in sorted(glob.glob(root + "/*/*.jpg")):
        rgb = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
        if max(rgb.shape) > 900:  # enough of them, and a quick test
            continue
        detector = cv2.FaceDetectorYN.create(model, "", (rgb.shape[1], rgb.shape[0]), 0.7, 0.3, 5000)
        _, faces = detector.detect(np.ascontiguousarray(rgb[:, :, ::-1]))
        name = os.path.relpath(path, root)
        if faces is None:
            print(f"{name},f32" + "," * 15)
            continue
        for f in faces.astype(np.float64):
            box = [f[0], f[1], f[0] + f[2], f[1] + f[3]]
            print(",".join([name, "f32"] + [f"{v:.4f}" for v in box] + [f"{f[14]:.6f}"] +
                           [f"{v:.4f}" for v in f[4:14]]))


main()
