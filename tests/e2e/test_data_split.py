#!/usr/bin/env python3
# needs: train
"""phiz data list and phiz data split, from outside: what they print, write and answer. Needs nothing but Python."""
import csv
import json
import os
import random
import subprocess
import sys
import tempfile

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
ODD = 'Zoë, the "2nd"\nof her name'


def phiz(*args, want=0):
    r = subprocess.run([PHIZ, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    assert r.returncode == want, f"phiz {args}: exit {r.returncode}, want {want}\n{r.stdout}{r.stderr}"
    return r


def photo(path, scene, shift=0):
    """A 48x48 PPM of a smooth random picture that is moved by shift pixels."""
    draw = random.Random(scene)
    grid = [[draw.uniform(10, 240) for _ in range(12)] for _ in range(9)]
    rows = bytearray()
    for y in range(48):
        for x in range(48):
            u, v = (x + shift) / 6, y / 6
            i, k, fu, fv = int(u), int(v), u % 1, v % 1
            top = grid[k][i] * (1 - fu) + grid[k][i + 1] * fu
            low = grid[k + 1][i] * (1 - fu) + grid[k + 1][i + 1] * fu
            rows += bytes([int(top * (1 - fv) + low * fv)] * 3)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(b"P6\n48 48\n255\n" + rows)


def read(path):
    with open(path, newline="", encoding="utf-8") as f:
        rows = list(csv.reader(f))
    assert rows[0] == ["file", "person", "part", "group"], rows[0]
    return rows[1:]


def main():
    with tempfile.TemporaryDirectory() as top:
        data, out = os.path.join(top, "photos"), os.path.join(top, "split.csv")
        people = ["anna", "bert", "carl", "dora", ODD]
        for p, name in enumerate(people):
            for i in range(10):
                photo(f"{data}/{name}/{i:02d}.ppm", 100 * p + i)
        for i in range(4):
            photo(f"{data}/anna/burst_{i}.ppm", 7777, i)
        os.makedirs(f"{data}/bert/nested")
        for name in ("broken.jpg", "notes.txt"):
            with open(f"{data}/bert/{name}", "w") as f:
                f.write("no photo")

        listed = json.loads(phiz("data", "list", data, "--json").stdout)
        assert [p["name"] for p in listed["people"]] == sorted(people, key=lambda s: s.encode()), listed
        assert listed["photos"] == 55 and listed["unreadable"] == 1, listed
        assert listed["short_side"] == {"min": 48, "median": 48, "max": 48}, listed

        r = phiz("data", "split", data, "-o", out, "--seed", "5", "--json")
        report = json.loads(r.stdout)
        assert report["photos"] == {"train": 43, "val": 11, "test": 0, "stranger": 0, "skip": 1}, report
        assert "broken.jpg" in r.stderr and "notes.txt" in r.stderr and "nested" in r.stderr, r.stderr
        rows = read(out)
        assert len(rows) == 54
        for file, person, part, group in rows:
            assert os.path.isfile(os.path.join(data, file)) and file.startswith(person + "/"), file
        for name in people:
            mine = [r for r in rows if r[1] == name]
            assert sum(r[2] == "val" for r in mine) == max(1, round(0.2 * len(mine))), mine
        burst = [r for r in rows if "burst_" in r[0]]
        assert len({r[3] for r in burst}) == 1 and len({r[2] for r in burst}) == 1, burst
        assert phiz("data", "split", data, "--check", out).stdout == ""

        first = open(out, "rb").read()
        phiz("data", "split", data, "-o", out, "--seed", "5", "--threads", "3", "--quiet")
        assert open(out, "rb").read() == first
        phiz("data", "split", data, "-o", out, "--seed", "6", "--quiet")
        assert open(out, "rb").read() != first

        phiz("data", "split", data, "-o", out, "--strict", want=1)
        for i in range(20):
            phiz("data", "split", data, "-o", out, "--seed", str(i), "--keep-bursts-together", "no", "--val", "0.5",
                 "--quiet")
            if len({r[2] for r in read(out) if "burst_" in r[0]}) > 1:
                break
        r = phiz("data", "split", data, "--check", out, "--json", want=1)
        leaks = json.loads(r.stdout)["leaks"]
        assert leaks, r.stdout
        assert all("burst_" in x["a"] and "burst_" in x["b"] and x["part_a"] != x["part_b"] for x in leaks), leaks

        names = os.path.join(top, "names.txt")
        with open(names, "w") as f:
            f.write("# out\nbert\r\ndora\n")
        photo(f"{top}/others/xaver/1.ppm", 5001)
        photo(f"{top}/others/yves/1.ppm", 5002)
        paths = os.path.join(top, "paths.txt")
        with open(paths, "w") as f:
            f.write("others/xaver/1.ppm\nothers/yves\n")
        for who, strangers in ((["bert,dora"], {"bert", "dora"}), ([names], {"bert", "dora"}),
                               ([top + "/others"], {"xaver", "yves"}), ([paths], {"xaver", "yves"}), (["2"], None)):
            phiz("data", "split", data, "-o", out, "--strangers", *who, "--quiet")
            rows = read(out)
            got = {r[1] for r in rows if r[2] == "stranger"}
            assert len(got) == 2 and (strangers is None or got == strangers), (who, got)
            assert not got & {r[1] for r in rows if r[2] != "stranger"}
            assert all(os.path.isfile(os.path.join(data, r[0])) for r in rows)
            phiz("data", "split", data, "--check", out)

        r = phiz("data", "split", data, "-o", out, "--strangers", "bret", want=1)
        assert "did you mean 'bert'?" in r.stderr, r.stderr
        for args in (["split", data], ["split", data, "-o", out, "--val", "1.5"],
                     ["split", data, "-o", out, "--vla", "0.1"],
                     ["split", data, "-o", out, "--val", "0.6", "--test", "0.5"], ["split", "--check", data], ["list"],
                     ["split", data, "-o", out, "--keep-bursts-together", "maybe"], ["spilt", data]):
            phiz("data", *args, want=2)
        phiz("data", "split", top + "/none", "-o", out, want=1)
        phiz("data", "split", data, "-o", top + "/no folder/split.csv", want=1)
        with open(out, "a") as f:
            f.write("a,b\n")
        r = phiz("data", "split", data, "--check", out, want=1)
        assert f"{out}:" in r.stderr and "2 fields, want 4" in r.stderr, r.stderr


sys.exit(main())
