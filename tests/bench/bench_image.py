#!/usr/bin/env python3
"""Images a second of phiz beside Pillow and torchvision, on one thread and the same files.

usage: bench_image.py BUILD_FOLDER FILE... [--size 224]     (needs Pillow, torch, torchvision)
"""
import argparse, json, subprocess, time
import torch
from PIL import Image
from torchvision import transforms as T

ap = argparse.ArgumentParser()
ap.add_argument("build"); ap.add_argument("files", nargs="+"); ap.add_argument("--size", type=int, default=224)
a = ap.parse_args()
torch.set_num_threads(1)

norm = [T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
plain = T.Compose([T.Resize((a.size, a.size))] + norm)
augment = T.Compose([T.RandomResizedCrop(a.size), T.RandomHorizontalFlip(), T.RandomRotation(30),
                     T.ColorJitter(0.2, 0.2, 0.2, 0.2), T.RandomGrayscale(0.1)] + norm)


def load(f):
    with Image.open(f) as im:
        return im.convert("RGB")


def rate(step, items):
    best = 0
    for _ in range(5):
        start = time.perf_counter()
        for x in items:
            step(x)
        best = max(best, len(items) / (time.perf_counter() - start))
    return best


pictures = [load(f) for f in a.files]
peer = {"decode": rate(load, a.files), "preprocess": rate(plain, pictures), "augment": rate(augment, pictures),
        "decode_augment": rate(lambda f: augment(load(f)), a.files)}
out = subprocess.run([a.build + "/tests/bench_image", str(a.size)] + a.files, check=True, stdout=subprocess.PIPE)
phiz = json.loads(out.stdout)
print(f"{len(a.files)} files, size {a.size}, images/s on one thread")
for k in peer:
    print(f"{k:15s} phiz {phiz[k]:8.1f}   torchvision {peer[k]:8.1f}   ratio {phiz[k] / peer[k]:.2f}")
