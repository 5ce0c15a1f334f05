#!/usr/bin/env python3
"""label: full
MobileFaceNet on a part of LFW's pairs, from outside: each cosine against the one that another implementation computed
from the same pixels (pairs_cosine_mobilefacenet.csv), the figures against what the protocol makes of those. All 6,000
pairs take minutes: phiz eval mobilefacenet --pairs lfw/pairs.txt --root lfw --box 11,4,127,127. needs: train"""
import csv
import json
import math
import os
import subprocess
import sys
import tempfile

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
DATA = os.environ.get("PHIZ_DATA", "")
LFW = os.path.join(DATA, "lfw")
WEIGHTS = os.path.join(DATA, "weights", "mobilefacenet", "mobilefacenet.safetensors")
COSINES = os.path.join(LFW, "pairs_cosine_mobilefacenet.csv")
HALF = 300  # pairs of one person, and of two, in each of the protocol's folds
FOLDS, STEP = (1, 4, 7, 10), 12


def phiz(*words):
    out = subprocess.run([PHIZ, *words], capture_output=True, text=True, timeout=600)
    assert out.returncode == 0, f"phiz {' '.join(words)}: exit {out.returncode}\n{out.stderr}"
    return out.stdout


def choose(path):
    """Every STEP-th pair of some folds as a list of its own; gives their numbers in the whole list."""
    with open(os.path.join(LFW, "pairs.txt")) as f:
        lines = f.read().splitlines()[1:]
    numbers = [2 * HALF * (fold - 1) + i for fold in FOLDS for i in range(0, 2 * HALF, STEP)]
    with open(path, "w") as f:
        f.write("%d\t%d\n" % (len(FOLDS), HALF // STEP))
        f.writelines(lines[n] + "\n" for n in numbers)
    return numbers


def accuracies(pairs):
    """Of each fold at the threshold that suits the others best; pairs are (cosine, same, fold)."""
    out = []
    for fold in sorted({p[2] for p in pairs}):
        right = lambda t, part: sum((c >= t) == s for c, s, _ in part)
        others, own = [p for p in pairs if p[2] != fold], [p for p in pairs if p[2] == fold]
        t = max(range(2001), key=lambda i: (right((i - 1000) / 1000, others), -i))
        out.append((right((t - 1000) / 1000, own) / len(own), (t - 1000) / 1000))
    return out


def check(folder):
    model, report = os.path.join(folder, "m.phiz"), os.path.join(folder, "r")
    numbers = choose(os.path.join(folder, "pairs.txt"))
    with open(COSINES, newline="") as f:
        reference = list(csv.DictReader(f))
    reference = [reference[n] for n in numbers]
    phiz("import", WEIGHTS, "-o", model, "--quiet")
    figures = json.loads(phiz("eval", model, "--pairs", os.path.join(folder, "pairs.txt"), "--root", LFW, "--box",
                              "11,4,127,127", "--report", report, "--strict", "--json", "--quiet"))
    with open(os.path.join(report, "pairs.csv"), newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == len(reference) == figures["pairs"] == len(FOLDS) * 2 * HALF // STEP
    worst = max(abs(float(a["cosine"]) - float(b["cosine"])) for a, b in zip(rows, reference))
    print(f"{len(rows)} cosines: largest difference {worst:.1e} of 1e-05")
    assert worst < 1e-5
    assert [a["same"] for a in rows] == [b["same"] for b in reference]
    pairs = [(float(r["cosine"]), r["same"] == "1", int(r["fold"])) for r in reference]
    want = accuracies(pairs)
    got = [(f["accuracy"], f["threshold"]) for f in figures["folds"]]
    assert len(got) == len(want)
    for (a, t), (b, u) in zip(got, want):
        assert abs(a - b) < 1e-8 and abs(t - u) < 1e-8, (got, want)
    mean = sum(a for a, _ in want) / len(want)
    std = math.sqrt(sum((a - mean) ** 2 for a, _ in want) / len(want))
    same, different = [c for c, s, _ in pairs if s], sorted((c for c, s, _ in pairs if not s), reverse=True)
    auc = sum((a > b) + 0.5 * (a == b) for a in same for b in different) / len(same) / len(different)
    tar = lambda far: sum(c > different[int(far * len(different) + 1e-9)] for c in same) / len(same)
    expected = {"accuracy": mean, "accuracy_std": std, "auc": auc, "tar_far_1e-1": tar(0.1), "tar_far_1e-2": tar(0.01),
                "tar_far_1e-3": tar(0.001), "same_mean": sum(same) / len(same),
                "different_mean": sum(different) / len(different)}
    for key, value in expected.items():
        print(f"{key} {figures[key]:.6f}, want {value:.6f}")
        assert abs(figures[key] - value) < 2e-6, key
    # What the README of the data says of all pairs holds for a part of them roughly.
    assert figures["accuracy"] > 0.95


if __name__ == "__main__":
    if not all(os.path.isfile(path) for path in (WEIGHTS, COSINES)):
        print(f"skipped: no {WEIGHTS} or {COSINES}")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        check(name)
