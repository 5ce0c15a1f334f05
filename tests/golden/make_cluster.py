#!/usr/bin/env python3
"""Makes cluster.safetensors: groupings by scikit-learn (1.9) of points drawn here, for test_cluster.c.
Needs numpy, scikit-learn and safetensors. usage: make_cluster.py OUT.safetensors"""
import sys

import numpy as np
from safetensors.numpy import save_file
from sklearn.cluster import DBSCAN, KMeans
from sklearn.metrics import normalized_mutual_info_score, silhouette_samples
from sklearn.metrics.cluster import pair_confusion_matrix

rng = np.random.default_rng(20)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def people(sizes, dim, spread):
    """Groups around random directions, shuffled, with who each point is."""
    centres = unit(rng.normal(size=(len(sizes), dim)))
    x = np.concatenate([c + spread * rng.normal(size=(n, dim)) / np.sqrt(dim) for c, n in zip(centres, sizes)])
    who = np.repeat(np.arange(len(sizes)), sizes)
    order = rng.permutation(len(x))
    return (x[order] * rng.uniform(0.5, 3, size=(len(x), 1))).astype(np.float32), who[order].astype(np.int32)


out = {}

# Well apart: what any good k-means finds. Spherical k-means on unit rows has the optimum of KMeans up to the centres'
# length, so where groups are this tight both give the same parts.
x, who = people([40, 33, 25, 25, 12, 7], 24, 0.8)
u = unit(x.astype(np.float64))
for k in (3, 5, 6, 8):
    km = KMeans(k, n_init=50, random_state=0).fit(u)
    centre = unit(np.stack([u[km.labels_ == c].mean(0) for c in range(k)]))
    out[f"tight.kmeans{k}.objective"] = np.array([(1 - (u * centre[km.labels_]).sum(1)).sum()])
    if k == 6:
        out["tight.kmeans6.label"] = km.labels_.astype(np.int32)
        out["tight.kmeans6.silhouette"] = silhouette_samples(u, km.labels_, metric="cosine")
out["tight.x"], out["tight.who"] = x, who

# DBSCAN: groups, noise between them, a chain. Nothing lies so near eps that float32 could decide otherwise.
x, _ = people([30, 20, 15], 12, 0.55)
a = np.linspace(0, 1.5, 40)
chain = np.zeros((40, 12), np.float32)
chain[:, 0], chain[:, 1] = np.cos(a), np.sin(a)
noise = rng.normal(size=(25, 12)).astype(np.float32)
x = np.concatenate([x, chain, noise])[rng.permutation(130)]
u = unit(x.astype(np.float64))
d = 1 - u @ u.T
for n, (eps, least) in enumerate(((0.05, 3), (0.15, 4), (0.3, 8))):
    assert abs(d - eps).min() > 1e-6
    out[f"scan.{n}.options"] = np.array([eps, least])
    out[f"scan.{n}.label"] = DBSCAN(eps=eps, min_samples=least, metric="cosine").fit(u).labels_.astype(np.int32)
    out[f"scan.{n}.kdist"] = np.sort(np.sort(d, axis=1)[:, least - 1])
out["scan.x"] = x

# Agreement with names, for groupings that were drawn: coarser, finer, random, one group, all alone.
truth = rng.integers(0, 6, 200).astype(np.int32)
for n, label in enumerate((truth // 2, truth * 2 + rng.integers(0, 2, 200), rng.integers(0, 5, 200), truth * 0,
                           np.arange(200), np.where(rng.uniform(size=200) < 0.2, rng.integers(0, 6, 200), truth))):
    (tn, fp), (fn, tp) = pair_confusion_matrix(truth, label)
    sure = np.mean([np.bincount(truth[label == g]).max() * 1.0 for g in np.unique(label)]) * len(np.unique(label)) / 200
    out[f"names.{n}.label"] = label.astype(np.int32)
    out[f"names.{n}.figures"] = np.array([sure, normalized_mutual_info_score(truth, label), tp / (tp + fp) if tp + fp
                                          else 1.0, tp / (tp + fn)])
out["names.truth"] = truth

save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, sys.argv[1])
