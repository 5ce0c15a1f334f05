#!/usr/bin/env python3
"""Makes verify.safetensors: figures of verification from their definitions, for tests/golden/test_verify.c.

cosine [N], same [N], fold [N]: pairs drawn so that cosines tie and lie exactly on thresholds. fold_figures
[F, 3]: pairs, accuracy, threshold of each fold. figures: see NAMES. rates [3, 4]: asked far, accepted share of the same
pairs, of the different pairs, the highest different cosine that is refused. All by counting, with numpy.
"""
import json
import os
import struct

import numpy as np

N, F = 400, 7
NAMES = ["accuracy", "accuracy_std", "threshold", "auc", "eer", "same_mean", "same_std", "different_mean",
         "different_std"]
rng = np.random.default_rng(11)
same = rng.random(N) < 0.45
fold = rng.integers(0, F, N).astype(np.int32)
cosine = np.where(same, rng.normal(0.45, 0.25, N), rng.normal(0.05, 0.2, N)).clip(-1, 1)
cosine[::3] = np.round(cosine[::3], 2)    # ties, and values on the thresholds themselves
cosine[1::7] = np.round(cosine[1::7], 1)
grid = np.array([(i - 1000) / 1000 for i in range(2001)])


def right(t, chosen):
    return np.sum((cosine[chosen] >= t) == same[chosen])


def best(chosen):
    return grid[int(np.argmax([right(t, chosen) for t in grid]))]  # the first, so the lowest


folds = []
for f in range(F):
    t = best(fold != f)
    folds.append([np.sum(fold == f), right(t, fold == f) / np.sum(fold == f), t])
accuracy = np.array([f[1] for f in folds])
s, d = cosine[same], cosine[~same]
auc = np.mean([np.mean((a > d) + 0.5 * (a == d)) for a in s])
# EER on straight lines between the points of the curve.
points = [(0.0, 1.0)] + [(np.mean(d >= t), np.mean(s < t)) for t in sorted(set(cosine), reverse=True)]
for (fa, ra), (fb, rb) in zip(points, points[1:]):
    if rb <= fb:
        w = (ra - fa) / ((ra - fa) - (rb - fb))
        eer = fa + w * (fb - fa)
        break
rates = []
for far in (1e-1, 1e-2, 1e-3):
    refused = np.sort(d)[::-1][int(np.floor(far * len(d)))]
    rates.append([far, np.mean(s > refused), np.mean(d > refused), refused])
figures = [accuracy.mean(), accuracy.std(), best(np.ones(N, bool)), auc, eer, s.mean(), s.std(), d.mean(), d.std()]
assert len(figures) == len(NAMES)

tensors = {
    "cosine": cosine.astype(np.float64), "same": same.astype(np.uint8), "fold": fold,
    "fold_figures": np.array(folds, np.float64), "figures": np.array(figures, np.float64),
    "rates": np.array(rates, np.float64),
}
kinds = {"float64": "F64", "uint8": "U8", "int32": "I32"}
header, at, body = {}, 0, b""
for name in sorted(tensors, key=lambda n: -tensors[n].itemsize):
    t = tensors[name]
    header[name] = {"dtype": kinds[str(t.dtype)], "shape": list(t.shape), "data_offsets": [at, at + t.nbytes]}
    at += t.nbytes
    body += t.tobytes()
text = json.dumps(header).encode()
text += b" " * (-(len(text) + 8) % 64)
with open(os.path.join(os.path.dirname(__file__), "verify.safetensors"), "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + body)
