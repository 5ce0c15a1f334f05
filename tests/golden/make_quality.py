#!/usr/bin/env python3
"""Writes quality.csv: what numpy makes of pictures that a formula gives (test_quality.c has the same one). Needs numpy
and Pillow."""
import os

import numpy as np
from PIL import Image

# width, height, then the numbers of the formula
CASES = [
    (112, 112, 3, 5, 2, 4, 256, 0),
    (112, 112, 1, 1, 1, 6, 60, 10),
    (150, 150, 7, 3, 11, 5, 256, 0),
    (64, 80, 2, 9, 4, 4, 200, 120),
    (223, 179, 1, 2, 3, 7, 300, -30),
    (112, 112, 1, 2, 1, 8, 256, -150),
    (20, 20, 0, 0, 0, 0, 0, 128),
]


def picture(w, h, a, b, c, shift, gain, offset):
    y, x, k = np.mgrid[0:h, 0:w, 0:3]
    v = ((a * x * x + b * y * y + c * x * y) >> shift) + 37 * k & 255
    return np.clip((v * gain >> 8) + offset, 0, 255).astype(np.uint8)


def measure(rgb):
    grey = np.asarray(Image.fromarray(rgb).resize((112, 112), Image.BILINEAR).convert("L"), dtype=np.float64)
    y, x = np.mgrid[0:112, 0:112]
    inside = ((x - 55.5) / 47.04) ** 2 + ((y - 55.5) / 56) ** 2 <= 1
    lap = np.zeros_like(grey)
    lap[1:-1, 1:-1] = (grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1])
    inner = inside.copy()
    inner[[0, -1], :] = inner[:, [0, -1]] = False
    v = grey[inside]
    return lap[inner].var(), v.mean() / 255, (v <= 8).mean(), (v >= 247).mean(), v.std() / 255


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "quality.csv"), "w") as f:
    f.write("width,height,a,b,c,shift,gain,offset,sharpness,mean,dark,bright,contrast\n")
    for case in CASES:
        f.write(",".join(map(str, case)) + "," + ",".join(f"{v:.12g}" for v in measure(picture(*case))) + "\n")
