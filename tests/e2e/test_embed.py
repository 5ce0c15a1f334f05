#!/usr/bin/env python3
# needs: train
"""phiz embed and phiz eval --pairs from outside, on an embedder with weights drawn here and pictures drawn here: the
embedding is computed once more in Python, figures from the cosines that the report lists. Nothing but Python; numpy
reads the array too, where it is installed."""
import ast
import csv
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
SOURCE = os.environ["PHIZ_SOURCE"]
SIZE, CHANNELS, DIM = 16, 4, 6
NET = f"""[net]
size = {SIZE}
task = embed
resize = stretch
mean = 0.5
std = 0.25
[conv]
name = conv
filters = {CHANNELS}
kernel = 1
bias = 1
[relu]
[global_avg_pool]
[flatten]
[linear]
name = fc
outputs = {DIM}
"""


def phiz(*args, want=0):
    r = subprocess.run([PHIZ, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    assert r.returncode == want, f"phiz {args}: exit {r.returncode}, want {want}\n{r.stdout}{r.stderr}"
    return r


def safetensors(path, tensors):
    header, body = {}, b""
    for name, (shape, values) in tensors.items():
        data = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)


def weights(seed):
    draw = random.Random(seed)
    numbers = lambda n: [struct.unpack("f", struct.pack("f", draw.uniform(-1, 1)))[0] for _ in range(n)]
    return {"conv.weight": ([CHANNELS, 3, 1, 1], numbers(3 * CHANNELS)), "conv.bias": ([CHANNELS], numbers(CHANNELS)),
            "fc.weight": ([DIM, CHANNELS], numbers(DIM * CHANNELS)), "fc.bias": ([DIM], numbers(DIM))}


def picture(path, width, height, seed):
    """Coloured noise around a colour of the person (seed // 100), returned as rows of pixels."""
    person, draw = random.Random(seed // 100), random.Random(seed)
    colour = [person.randrange(40, 216) for _ in range(3)]
    pixels = [[tuple(min(255, max(0, c + draw.randrange(-40, 41))) for c in colour) for _ in range(width)]
              for _ in range(height)]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(f"P6\n{width} {height}\n255\n".encode() + bytes(v for row in pixels for p in row for v in p))
    return pixels


def embedding(w, pixels):
    """Of SIZE x SIZE pixels, in double; of length 1."""
    conv, bias = w["conv.weight"][1], w["conv.bias"][1]
    mean = [0.0] * CHANNELS
    for row in pixels:
        for p in row:
            x = [(v / 255 - 0.5) / 0.25 for v in p]
            for k in range(CHANNELS):
                mean[k] += max(0, sum(conv[3 * k + c] * x[c] for c in range(3)) + bias[k]) / SIZE ** 2
    fc, b = w["fc.weight"][1], w["fc.bias"][1]
    e = [sum(fc[CHANNELS * d + k] * mean[k] for k in range(CHANNELS)) + b[d] for d in range(DIM)]
    norm = math.sqrt(sum(v * v for v in e))
    return [v / norm for v in e]


def near(a, b, within):
    assert len(a) == len(b) and all(abs(x - y) <= within for x, y in zip(a, b)), (a, b)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def read_npy(path):
    with open(path, "rb") as f:
        data = f.read()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    (n,) = struct.unpack("<H", data[8:10])
    assert (10 + n) % 64 == 0 and data[9 + n:10 + n] == b"\n"
    head = ast.literal_eval(data[10:10 + n].decode("latin1"))
    assert head["descr"] == "<f4" and head["fortran_order"] is False
    rows, columns = head["shape"]
    values = struct.unpack(f"<{rows * columns}f", data[10 + n:])
    return [list(values[i * columns:(i + 1) * columns]) for i in range(rows)]


def check_embed(model, dir, w):
    pixels = {name: picture(f"{dir}/p/{name}", SIZE, SIZE, seed) for name, seed in (("a.ppm", 100), ("b.ppm", 201))}
    wide = picture(f"{dir}/wide.ppm", SIZE + 9, SIZE + 5, 300)
    want = {f"{dir}/p/{name}": embedding(w, p) for name, p in pixels.items()}
    got = lines(phiz("embed", model, f"{dir}/p", "--json").stdout)
    assert [g["file"] for g in got] == sorted(want)
    for g in got:
        assert set(g) == {"file", "embedding"}
        near(g["embedding"], want[g["file"]], 1e-5)
        assert abs(sum(v * v for v in g["embedding"]) - 1) < 1e-6
    one = lines(phiz("embed", model, f"{dir}/p", "--json", "--threads", "1").stdout)
    assert one == got, "the number of threads changes embeddings"
    # A box, the mirror image, a list.
    box = [row[7:7 + SIZE] for row in wide[2:2 + SIZE]]
    (g,) = lines(phiz("embed", model, f"{dir}/wide.ppm", "--box", f"7,2,{SIZE},{SIZE}", "--json").stdout)
    near(g["embedding"], embedding(w, box), 1e-5)
    with open(f"{dir}/list.txt", "w") as f:
        f.write("# a list\np/b.ppm\np/a.ppm\n")
    flipped = lines(phiz("embed", model, f"{dir}/list.txt", "--flip", "--json").stdout)
    assert [g["file"] for g in flipped] == [f"{dir}/p/b.ppm", f"{dir}/p/a.ppm"]
    for g in flipped:  # this network does not see left and right
        near(g["embedding"], want[g["file"]], 1e-5)
    # The array, and what its rows are.
    said = phiz("embed", model, f"{dir}/p/b.ppm", f"{dir}/p/a.ppm", "--npy", f"{dir}/e.npy", "--names", f"{dir}/e.csv")
    assert "2 embeddings of 6 numbers" in said.stdout, said.stdout
    rows = read_npy(f"{dir}/e.npy")
    with open(f"{dir}/e.csv", newline="") as f:
        names = list(csv.DictReader(f))
    assert [r["file"] for r in names] == [f"{dir}/p/b.ppm", f"{dir}/p/a.ppm"]
    assert [float(names[0][k]) for k in ("x", "y", "width", "height")] == [0, 0, SIZE, SIZE]
    for row, name in zip(rows, names):
        near(row, want[name["file"]], 1e-5)
    try:
        import numpy
    except ImportError:
        print("numpy is not here: the array was read by hand alone")
    else:
        array = numpy.load(f"{dir}/e.npy")
        assert array.dtype == numpy.float32 and array.shape == (2, DIM) and array.flags["C_CONTIGUOUS"]
        assert array.tolist() == rows


def check_folders_and_lists(model, dir):
    """Which photos a word means: folders below, what is set aside, lists and where their lines are looked for."""
    for name in ("b/2.ppm", "b/c/d/3.PPM", "a.ppm", "_aside/no.ppm", "b/_sheets/no.ppm", ".hidden/no.ppm", "b/.no.ppm"):
        picture(f"{dir}/tree/{name}", 8, 8, 500)
    with open(f"{dir}/tree/b/notes.md", "w") as f:
        f.write("no photo")
    os.symlink("..", f"{dir}/tree/b/_loop")
    names = lambda *words: [g["file"] for g in lines(phiz("embed", model, *words, "--json").stdout)]
    assert names(f"{dir}/tree") == [f"{dir}/tree/{n}" for n in ("a.ppm", "b/2.ppm", "b/c/d/3.PPM")]
    os.makedirs(f"{dir}/tree/lists")
    here = f"{dir}/tree/lists/l.LST"
    with open(here, "w") as f:  # the folder above; a folder; beside the list; an absolute path
        f.write(f"# photos\r\na.ppm\r\nb\n\nx.ppm\n{dir}/tree/b/2.ppm")
    picture(f"{dir}/tree/lists/x.ppm", 8, 8, 501)
    want = ["lists/../a.ppm", "lists/../b/2.ppm", "lists/../b/c/d/3.PPM", "lists/x.ppm", "b/2.ppm"]
    assert names(here) == [f"{dir}/tree/{n}" for n in want], names(here)
    with open(here, "a") as f:
        f.write("\nnothing.ppm\n")
    r = phiz("embed", model, here, want=1)
    assert "l.LST:7:" in r.stderr and "nothing.ppm" in r.stderr and r.stdout == "", r.stderr
    os.makedirs(f"{dir}/tree/lists/empty/_aside")
    assert "no photos" in phiz("embed", model, f"{dir}/tree/lists/empty", want=1).stderr
    os.symlink("..", f"{dir}/tree/b/loop")
    assert "nested deeper" in phiz("embed", model, f"{dir}/tree", want=1).stderr


def check_mistakes(model, dir):
    with open(f"{dir}/bad.jpg", "wb") as f:
        f.write(b"\xff\xd8\xff\xe0 no picture")
    r = phiz("embed", model, f"{dir}/bad.jpg", f"{dir}/p/a.ppm", "--json", want=1)
    assert "bad.jpg" in r.stderr and len(lines(r.stdout)) == 1
    assert "1 of 2 pictures could not be used" in r.stderr
    r = phiz("embed", model, f"{dir}/p/a.ppm", "--box", "40,0,5,5", want=1)
    assert "outside" in r.stderr, r.stderr
    phiz("embed", model, f"{dir}/p/a.ppm", "--box", "1,2,0,4", want=2)
    phiz("embed", model, f"{dir}/p/a.ppm", "--aligned", "--detect", want=2)
    phiz("embed", model, f"{dir}/p/a.ppm", "--names", "x.csv", want=2)
    phiz("embed", f"{dir}/nothing.phiz", f"{dir}/p/a.ppm", want=1)
    phiz("embed", model, f"{dir}/p/a.ppm", "--npy", f"{dir}/no/folder.npy", want=1)
    r = phiz("predict", model, f"{dir}/p/a.ppm", want=1)
    assert "phiz embed" in r.stderr and r.stderr.count("\n") == 1, r.stderr
    r = phiz("embed", model, f"{dir}/p/a.ppm", "--detector", model, want=1)  # no detector


def check_pairs(model, dir, w):
    draw, people, each = random.Random(5), 12, 4
    for p in range(people):
        for i in range(each):
            picture(f"{dir}/lfw/P{p}/P{p}_{i + 1:04d}.ppm", SIZE, SIZE, 100 * p + 1000 + i)
    folds, half = 4, 12
    pairs_txt = f"{dir}/lfw/pairs.txt"
    with open(pairs_txt, "w") as f:
        f.write(f"{folds}\t{half}\n")
        for fold in range(folds):
            for _ in range(half):
                i, j = draw.sample(range(1, each + 1), 2)
                f.write(f"P{draw.randrange(people)}\t{i}\t{j}\n")
            for _ in range(half):
                a, b = draw.sample(range(people), 2)
                f.write(f"P{a}\t{draw.randint(1, each)}\tP{b}\t{draw.randint(1, each)}\n")
    figures = json.loads(phiz("eval", model, "--pairs", pairs_txt, "--report", f"{dir}/r", "--json").stdout)
    for key in ("accuracy", "accuracy_std", "tar_far_1e-2", "tar_far_1e-3", "eer", "auc", "pairs"):
        assert key in figures, key
    with open(f"{dir}/r/pairs.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == figures["pairs"] == 2 * folds * half
    pairs = [(float(r["cosine"]), r["same"] == "1", int(r["fold"])) for r in rows]
    embeddings = {}
    for name in {r[k] for r in rows for k in ("file_a", "file_b")}:
        with open(name, "rb") as f:
            data = f.read()[-3 * SIZE * SIZE:]
        pixels = [[tuple(data[3 * (y * SIZE + x):3 * (y * SIZE + x) + 3]) for x in range(SIZE)] for y in range(SIZE)]
        embeddings[name] = embedding(w, pixels)
    for r, (cosine, _, _) in zip(rows, pairs):
        want = sum(a * b for a, b in zip(embeddings[r["file_a"]], embeddings[r["file_b"]]))
        assert abs(cosine - want) < 1e-5, (r, want)
    accuracy = []
    for fold in range(1, folds + 1):
        right = lambda t, chosen: sum((c >= t) == s for c, s, _ in chosen)
        others, own = [p for p in pairs if p[2] != fold], [p for p in pairs if p[2] == fold]
        t = max(range(2001), key=lambda i: (right((i - 1000) / 1000, others), -i))
        accuracy.append(right((t - 1000) / 1000, own) / len(own))
    mean = sum(accuracy) / folds
    std = math.sqrt(sum((a - mean) ** 2 for a in accuracy) / folds)
    near([figures["accuracy"], figures["accuracy_std"]], [mean, std], 1e-8)
    same, different = [c for c, s, _ in pairs if s], sorted((c for c, s, _ in pairs if not s), reverse=True)
    auc = sum((a > b) + 0.5 * (a == b) for a in same for b in different) / len(same) / len(different)
    near([figures["auc"]], [auc], 2e-3)  # the report's six digits may make ties
    tar = sum(c > different[0] for c in same) / len(same)
    near([figures["tar_far_1e-2"]], [tar], 1.01 / len(same))
    for name in ("report.html", "report.json", "roc.svg"):
        assert os.path.getsize(f"{dir}/r/{name}") > 300, name
    # A missing picture is left out and counted; --strict makes an error of it.
    os.remove(f"{dir}/lfw/P3/P3_0002.ppm")
    r = phiz("eval", model, "--pairs", pairs_txt, "--json", "--write-threshold", "--far", "0.1")
    fewer = json.loads(r.stdout)
    assert fewer["left_out"] > 0 and fewer["pairs"] + fewer["left_out"] == len(rows) and "P3_0002" in r.stderr
    phiz("eval", model, "--pairs", pairs_txt, "--json", "--strict", want=1)
    assert json.loads(phiz("info", model, "--json").stdout)["threshold"] == fewer["threshold_far_1e-1"]
    text = phiz("eval", model, "--pairs", pairs_txt).stdout
    assert "accuracy" in text and "TAR at FAR 1e-2" in text and "left out" in text, text
    check_degraded(model, pairs_txt)
    r = phiz("eval", model, "--pairs", pairs_txt, "--root", f"{dir}/nowhere", "--json", "--quiet", want=1)
    assert "--root" in r.stderr
    phiz("eval", model, "--pairs", pairs_txt, "--data", dir, "--json", want=2)
    phiz("eval", model, "--data", dir, "--flip", "--json", want=2)
    phiz("eval", model, "--data", dir, "--degrade", "gray", "--json", want=2)


def check_degraded(model, pairs_txt):
    """What changes nothing gives the same figures, what changes pictures others; tools/robustness asks for each."""
    keys = ("accuracy", "eer", "auc", "threshold", "tar_far_1e-1")
    plain, same, gray = ([json.loads(phiz("eval", model, "--pairs", pairs_txt, "--json", *how).stdout)[k] for k in keys]
                         for how in ([], ["--degrade", "scale:1"], ["--degrade", "gray"]))
    assert plain == same != gray, (plain, same, gray)
    assert "after gray" in phiz("eval", model, "--pairs", pairs_txt, "--degrade", "gray").stdout
    r = phiz("eval", model, "--pairs", pairs_txt, "--degrade", "noise", want=1)
    assert "--degrade: want blur:SIGMA" in r.stderr and r.stderr.count("\n") == 1, r.stderr
    r = subprocess.run([os.path.join(SOURCE, "tools", "robustness"), model, "--pairs", pairs_txt, "--phiz", PHIZ,
                        "--json", "--", "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                       encoding="utf-8", check=True)
    rows = {row["degrade"]: [row["figures"][0][k] for k in keys] for row in json.loads(r.stdout)["rows"]}
    assert rows[None] == plain and rows["gray"] == gray and rows["blur:3"] != plain, rows


def main():
    with tempfile.TemporaryDirectory() as dir:
        with open(f"{dir}/net.cfg", "w") as f:
            f.write(NET)
        w = weights(7)
        safetensors(f"{dir}/w.safetensors", w)
        phiz("import", f"{dir}/w.safetensors", "--net", f"{dir}/net.cfg", "-o", f"{dir}/m.phiz")
        check_embed(f"{dir}/m.phiz", dir, w)
        check_folders_and_lists(f"{dir}/m.phiz", dir)
        check_mistakes(f"{dir}/m.phiz", dir)
        check_pairs(f"{dir}/m.phiz", dir, w)


if __name__ == "__main__":
    sys.exit(main())
