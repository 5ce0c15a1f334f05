#!/usr/bin/env python3
"""Makes classify.safetensors: classifiers on embeddings, by scikit-learn's LinearSVC and by numpy in double from the
definitions in deploy/include/phiz/classify.h, for tests/golden/test_classify.c.

For each of the cases "five" and "two" (people): CASE.x [N, D] and CASE.label [N] to learn from, CASE.query [Q, D]; for
each classifier CASE.NAME.label [Q] and CASE.NAME.score [Q] (float64). CASE.svm.decision [Q, C]. Embeddings have length
one; people overlap, so that classifiers differ. Needs scikit-learn and safetensors.
"""
import os

import numpy as np
from safetensors.numpy import save_file
from sklearn.svm import LinearSVC

rng = np.random.default_rng(11)
out = {}


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def knn(x, label, query, k=5):
    names, scores = [], []
    for q in query:
        dots = x @ q
        near = np.argsort(-dots, kind="stable")[:k]
        sums = {c: dots[near[label[near] == c]].sum() for c in set(label[near])}
        best = max(sorted(sums), key=lambda c: sums[c])
        names.append(best)
        scores.append(dots[near[label[near] == best]].mean())
    return np.array(names), np.array(scores)


for case, people, dim in (("five", 5, 19), ("two", 2, 8)):
    centre = rng.normal(size=(people, dim))
    n = rng.integers(3, 12, people)
    label = np.repeat(np.arange(people), n).astype(np.int32)
    order = rng.permutation(len(label))
    label = label[order]
    x = unit(centre[label] + 1.1 * rng.normal(size=(len(label), dim))).astype(np.float32)
    who = rng.integers(0, people, 60)
    query = unit(centre[who] + 1.3 * rng.normal(size=(60, dim))).astype(np.float32)
    wide, asked = x.astype(np.float64), query.astype(np.float64)
    dots = asked @ wide.T
    mean = unit(np.stack([wide[label == c].sum(axis=0) for c in range(people)]))
    to_mean = asked @ mean.T
    svm = LinearSVC(C=1.0, loss="squared_hinge", penalty="l2", dual=False, tol=1e-3).fit(wide, label)
    decision = svm.decision_function(asked)
    if people == 2:
        decision = np.stack([-decision, decision], axis=1)
    chosen = decision.argmax(axis=1)
    result = {
        "nearest": (label[dots.argmax(axis=1)], dots.max(axis=1)),
        "knn": knn(wide, label, asked),
        "means": (to_mean.argmax(axis=1), to_mean.max(axis=1)),
        "svm": (chosen, to_mean[np.arange(60), chosen]),
    }
    out.update({f"{case}.x": x, f"{case}.label": label, f"{case}.query": query, f"{case}.svm.decision": decision})
    for name, (names, scores) in result.items():
        out[f"{case}.{name}.label"] = names.astype(np.int32)
        out[f"{case}.{name}.score"] = scores.astype(np.float64)
    print(case, {name: float((names == who).mean()) for name, (names, _) in result.items()})

save_file({k: np.ascontiguousarray(v) for k, v in out.items()},
          os.path.join(os.path.dirname(os.path.abspath(__file__)), "classify.safetensors"))
