#!/usr/bin/env python3
"""Makes metrics.safetensors: figures of merit from their definitions, for tests/golden/test_metrics.c.

logits [N, C] and labels [N] (-1: a stranger) are drawn so that confidences tie, within people and across the border of
known people and strangers. Everything else is computed here from the definitions, by counting, not by the recurrences
of train/metrics.c. figures: see NAMES. people [C, 6]: photos, predicted, right, precision, recall, f1 (NaN undefined).
bins [15, 3]: photos, mean confidence, accuracy. confusion [C, C]. roc [T, 4]: threshold, far, accepted, tar.
thresholds [F, 4]: asked far, threshold, measured far, tar. mcnemar [M, 3]: two counts, p. wilson [W, 4].
"""
import itertools
import json
import math
import os
import struct
from fractions import Fraction

import numpy as np

N, C, Z = 160, 7, 1.959963984540054
NAMES = ["top1", "top5", "macro_f1", "macro_precision", "macro_recall", "log_loss", "ece", "mce", "auc", "eer"]
rng = np.random.default_rng(5)
labels = rng.integers(0, C - 1, N).astype(np.int32)  # the last person has no photo, but is named now and then
labels[rng.random(N) < 0.35] = -1
logits = rng.normal(size=(N, C)) * 2
logits[::5] = np.round(logits[::5])  # equal classes within a photo
for i in range(N):
    if labels[i] >= 0:
        logits[i, labels[i]] += rng.choice([0.5, 1.5, 2.5])
for i in range(0, N, 9):  # copies under other labels: equal confidences on both sides
    logits[(i + 31) % N] = logits[i]
logits = logits.astype(np.float32)

wide = logits.astype(np.float64)
soft = np.exp(wide - wide.max(axis=1, keepdims=True))
soft /= soft.sum(axis=1, keepdims=True)
top = soft.argmax(axis=1)  # the first of equal ones
confidence = soft.max(axis=1)
known = labels >= 0
right = known & (top == labels)
n = int(known.sum())


def rank(i):
    order = sorted(range(C), key=lambda c: (-wide[i, c], c))
    return order.index(labels[i])


confusion = np.zeros((C, C))
for i in np.flatnonzero(known):
    confusion[labels[i], top[i]] += 1
people = []
for c in range(C):
    photos, predicted, tp = confusion[c].sum(), confusion[:, c].sum(), confusion[c, c]
    p, r = (tp / predicted if predicted else math.nan), (tp / photos if photos else math.nan)
    f1 = 0.0 if not tp else 2 * p * r / (p + r)
    people.append([photos, predicted, tp, p, r, f1 if photos + predicted else math.nan])
people = np.array(people)
there = people[:, 0] + people[:, 1] > 0
bins = []
for b in range(15):
    inside = known & (confidence > b / 15) & (confidence <= (b + 1) / 15)
    k = inside.sum()
    bins.append([k, confidence[inside].mean() if k else math.nan, right[inside].mean() if k else math.nan])
bins = np.array(bins)
gaps = np.nan_to_num(np.abs(bins[:, 1] - bins[:, 2]))
pos, neg = confidence[known], confidence[~known]
auc = np.mean([(a > b) + 0.5 * (a == b) for a, b in itertools.product(pos, neg)])


def rates(t):
    return np.mean(neg >= t), np.mean(pos >= t), np.sum(right & (confidence >= t)) / n


levels = [math.inf] + sorted(set(confidence.tolist()), reverse=True)
roc = np.array([[t, *rates(t)] for t in levels])
eer = math.nan
for (_, f0, a0, _), (_, f1, a1, _) in zip(roc, roc[1:]):
    d0, d1 = (1 - a0) - f0, (1 - a1) - f1
    if d0 > 0 >= d1:
        eer = f0 + (f1 - f0) * d0 / (d0 - d1)
        break
figures = [right.sum() / n, sum(rank(i) < 5 for i in np.flatnonzero(known)) / n,
           np.nansum(people[there, 5]) / there.sum(),
           np.nansum(people[there, 3]) / there.sum(), np.nansum(people[there, 4]) / there.sum(),
           np.mean([-math.log(soft[i, labels[i]]) for i in np.flatnonzero(known)]),
           np.sum(bins[:, 0] / n * gaps), gaps.max(), auc, eer]

thresholds = []
for far in [0, 0.001, 0.01, 1 / len(neg), 0.02, 0.05, 0.1, 0.25, 0.29, 0.5, 0.9, 0.999, 1]:
    # every threshold at which something changes: 0 and just above each stranger
    fits = [t for t in [0.0] + [np.nextafter(s, np.inf) for s in neg] if np.mean(neg >= t) <= far]
    t = min(fits)
    thresholds.append([far, t, rates(t)[0], rates(t)[2]])
mcnemar = []
for a, b in [(0, 0), (1, 0), (0, 5), (3, 3), (10, 2), (2, 10), (40, 20), (300, 251)]:
    tail = sum(math.comb(a + b, i) for i in range(min(a, b) + 1))
    mcnemar.append([a, b, float(min(Fraction(1), Fraction(2 * tail, 2 ** (a + b))))])
wilson = []
for k, m in [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (57, 100), (2, 200), (999, 1000)]:
    # the roots of (p - k/m)^2 = z^2 p (1 - p) / m
    a, b, c = 1 + Z * Z / m, -(2 * k / m + Z * Z / m), (k / m) ** 2
    s = math.sqrt(max(0.0, b * b - 4 * a * c))
    wilson.append([k, m, (-b - s) / (2 * a), (-b + s) / (2 * a)])

out = {"logits": logits, "labels": labels, "figures": np.array(figures), "people": people, "bins": bins,
       "confusion": confusion, "roc": roc, "thresholds": np.array(thresholds), "mcnemar": np.array(mcnemar),
       "wilson": np.array(wilson)}
names = {"float32": "F32", "float64": "F64", "int32": "I32"}
header, data = {"__metadata__": {"figures": " ".join(NAMES)}}, b""
for name, array in sorted(out.items(), key=lambda kv: -kv[1].itemsize):
    raw = np.ascontiguousarray(array).tobytes()
    header[name] = {"dtype": names[str(array.dtype)], "shape": list(array.shape),
                    "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
text = json.dumps(header).encode()
text += b" " * (-(len(text) + 8) % 64)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "metrics.safetensors"), "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + data)
print(dict(zip(NAMES, figures)), "known", n, "strangers", len(neg), "levels", len(levels))
