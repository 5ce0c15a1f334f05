#!/usr/bin/env python3
# needs: train
"""phiz eval from outside: figures recomputed from predictions.csv, the page, the threshold. Nothing but Python."""
import csv
import html.parser
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
HOSTILE = '<script>alert("1")&lt;, \'Zoë\''
PEOPLE = ["anna", "bert", "carl_of_the_long_name_that_does_not_fit", "dora", "Łukasz", "山田", HOSTILE]


def phiz(*args, want=0):
    r = subprocess.run([PHIZ, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    assert r.returncode == want, f"phiz {args}: exit {r.returncode}, want {want}\n{r.stdout}{r.stderr}"
    return r


def photo(path, hue, seed):
    """A 32x32 PPM: a person is a colour and the place of a disc; the rest is drawn by the seed."""
    draw = random.Random(seed)
    cx, cy, r = 8 + 16 * (hue % 2) + draw.uniform(-4, 4), 8 + 4 * (hue % 5) + draw.uniform(-4, 4), draw.uniform(5, 9)
    ink = [int(128 + 90 * math.sin(hue + k * 2.1) + draw.uniform(-40, 40)) for k in range(3)]
    ground = [int(draw.uniform(40, 200)) for _ in range(3)]
    rows = bytearray()
    for y in range(32):
        for x in range(32):
            rows += bytes(max(0, min(255, v + draw.randrange(-12, 12)))
                          for v in (ink if (x - cx) ** 2 + (y - cy) ** 2 < r * r else ground))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(b"P6\n32 32\n255\n" + rows)


class Page(html.parser.HTMLParser):
    """Counts what it sees, refuses what comes from outside and what is not closed."""
    VOID = {"meta", "img", "br", "wbr", "link", "input"}

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], {}, []

    def handle_starttag(self, tag, attrs):
        self.seen[tag] = self.seen.get(tag, 0) + 1
        for name, value in attrs:
            assert name not in ("href", "action", "srcset", "data") and not name.startswith("on"), (tag, name)
            if name == "src":
                assert re.match(r"data:image/(jpeg|png);base64,[A-Za-z0-9+/=]+$", value), value[:60]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        while self.open[-1] in ("td", "th", "p", "tr") and self.open[-1] != tag:
            self.open.pop()
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text.append(data)


def check_page(path):
    text = open(path, encoding="utf-8").read()
    assert "http:" not in text and "https:" not in text and "@import" not in text and "url(" not in text
    assert 'name="viewport"' in text and "prefers-color-scheme: dark" in text
    page = Page()
    page.feed(text)
    page.close()
    assert not page.open, page.open
    assert "script" not in page.seen and page.seen["svg"] >= 2 and page.seen["img"] >= 1, page.seen
    assert HOSTILE in "".join(page.text)
    return page


def near(a, b):
    assert (a is None and b is None) or abs(a - b) < 1e-9, (a, b)


def recompute(folder, report, far):
    """Everything in report.json that predictions.csv determines."""
    with open(os.path.join(folder, "predictions.csv"), newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    known = [r for r in rows if r["known"] == "1"]
    strangers = sorted((float(r["confidence"]) for r in rows if r["known"] == "0"), reverse=True)
    right = [r for r in known if r["person"] == r["predicted"]]
    assert report["images"] == len(known) and report["strangers"] == len(strangers)
    assert [r["right"] for r in known] == [str(int(r["person"] == r["predicted"])) for r in known]
    near(report["top1"], len(right) / len(known))
    tops = [[r["predicted"]] + [r[f"top{k}"] for k in range(2, 6)] for r in known]
    near(report["top5"], sum(r["person"] in t for r, t in zip(known, tops)) / len(known))
    assert all((r["person"] in t) == (int(r["rank"]) <= 5) for r, t in zip(known, tops))
    f1 = []
    for name in PEOPLE:
        mine = sum(r["person"] == name for r in known)
        given = sum(r["predicted"] == name for r in known)
        hits = sum(r["person"] == name for r in right)
        person = next(p for p in report["people"] if p["name"] == name)
        assert (person["photos"], person["predicted"], person["right"]) == (mine, given, hits)
        if mine + given:
            f1.append(2 * hits / (mine + given))
            near(person["f1"], f1[-1])
    near(report["macro_f1"], sum(f1) / len(f1))
    bins = [[r for r in known if i / 15 < float(r["confidence"]) <= (i + 1) / 15] for i in range(15)]
    near(report["ece"], sum(abs(sum(float(r["confidence"]) - int(r["right"]) for r in b)) for b in bins) / len(known))
    assert [b["photos"] for b in report["calibration"]] == [len(b) for b in bins]
    for cell in report["confusion"]:
        pair = (cell["person"], cell["predicted"])
        assert cell["photos"] == sum((r["person"], r["predicted"]) == pair for r in known)
    assert sum(c["photos"] for c in report["confusion"]) == len(known)
    if not strangers:
        assert all(report[k] is None for k in ("threshold", "far", "tar", "auc", "eer"))
        return
    t = report["threshold"]
    near(report["far"], sum(c >= t for c in strangers) / len(strangers))
    assert report["far"] <= far and (t == 0 or sum(c >= math.nextafter(t, 0) for c in strangers) / len(strangers) > far
                                     if hasattr(math, "nextafter") else True)
    near(report["tar"], sum(float(r["confidence"]) >= t for r in right) / len(known))
    assert all((float(r["confidence"]) >= t) == (r["accepted"] == "1") for r in rows)
    pairs = [(float(r["confidence"]) > s) + 0.5 * (float(r["confidence"]) == s) for r in known for s in strangers]
    near(report["auc"], sum(pairs) / len(pairs))


def check_threshold(model, data, strangers, folder):
    done = json.loads(phiz("eval", model, "--data", data, "--strangers", strangers, "--far", "0.2", "--json",
                           "--write-threshold", "--report", folder).stdout)
    again = json.loads(phiz("eval", model, "--data", data, "--strangers", strangers, "--far", "0.2", "--json").stdout)
    assert again["weights_sha256"] == done["weights_sha256"] and done["stored"] is None
    assert again["stored"]["threshold"] == done["threshold"], "the stored threshold is not the one that was chosen"
    near(again["stored"]["far"], done["far"])
    near(again["stored"]["tar"], done["tar"])
    with open(os.path.join(folder, "predictions.csv"), newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    for row in rows[::5]:  # predict says the same, one photo at a time
        path = os.path.join(data if row["known"] == "1" else strangers, row["file"])
        said = json.loads(phiz("predict", model, path, "--json").stdout)
        assert abs(said["confidence"] - float(row["confidence"])) < 1e-5, (said, row)
        if abs(float(row["confidence"]) - done["threshold"]) > 1e-5:
            assert said["name"] == (row["predicted"] if row["accepted"] == "1" else "unknown"), (said, row)
    narrow = json.loads(phiz("predict", model, path, "--json", "--precision", "bf16").stdout)
    assert 0 < abs(narrow["confidence"] - said["confidence"]) < 0.05, (narrow, said)
    narrow = json.loads(phiz("eval", model, "--data", data, "--json", "--precision", "bf16").stdout)
    assert abs(narrow["top1"] - done["top1"]) < 0.1, (narrow["top1"], done["top1"])


def check_refusals(model, data, strangers, top):
    assert "--report" in phiz("eval", model, "--data", data, want=2).stderr
    assert "--data" in phiz("eval", model, "--json", want=2).stderr
    phiz("eval", model, "--data", data, "--json", "--far", "1.5", want=2)
    wrong = phiz("eval", model, "--data", data, "--json", "--precision", "fp8", want=1).stderr
    assert "want fp32, fp16 or bf16" in wrong
    phiz("eval", model, "--data", data, "--json", "--part", "val", want=2)
    assert "stranger" in phiz("eval", model, "--data", data, "--json", "--write-threshold", want=1).stderr
    os.makedirs(f"{top}/other/annna")
    photo(f"{top}/other/annna/0.ppm", 1, 1)
    assert "did you mean 'anna'" in phiz("eval", model, "--data", f"{top}/other", "--json", want=1).stderr
    assert "anna" in phiz("eval", model, "--data", data, "--strangers", f"{data}/anna", "--json", want=1).stderr
    with open(f"{top}/cut.phiz", "wb") as f:
        f.write(open(os.path.join(model, "best.phiz"), "rb").read()[:5000])
    phiz("eval", f"{top}/cut.phiz", "--data", data, "--json", want=1)
    with open(f"{top}/file", "w") as f:
        f.write("in the way")
    phiz("eval", model, "--data", data, "--report", f"{top}/file", want=1)


def main():
    with tempfile.TemporaryDirectory() as top:
        data, strangers, run, folder = (os.path.join(top, n) for n in ("photos", "others", "run", "report"))
        for p, name in enumerate(PEOPLE):
            for i in range(6 if p else 9):
                photo(f"{data}/{name}/{i:02d}.ppm", p, 1000 * p + i)
        for i in range(20):
            photo(f"{strangers}/{i:02d}.ppm", 50 + i, 90000 + i)
        split = f"{top}/split.csv"
        phiz("data", "split", data, "-o", split, "--val", "0.4", "--seed", "1")
        for epochs, to in ((4, run), (1, run + "1")):
            phiz("train", "tiny", "--data", data, "--split", split, "--run", to, "--set", f"train.epochs={epochs}",
                 "--set", "data.size=32", "--quiet")
        with open(f"{data}/anna/broken.jpg", "w") as f:
            f.write("no photo")

        args = ("eval", run, "--data", data, "--strangers", strangers, "--far", "0.1")
        r = phiz(*args, "--report", folder, "--json", "--against", run + "1")
        summary, report = json.loads(r.stdout), json.load(open(f"{folder}/report.json", encoding="utf-8"))
        assert r.stdout.count("\n") == 1 and "broken.jpg" in r.stderr
        for key, value in summary.items():
            assert report[key] == value, key
        assert summary["errors"] == 1 and len(report["unreadable"]) == 1 and summary["images"] == 45
        recompute(folder, report, 0.1)
        other = summary["against"]
        near(other["difference"], other["top1"] - summary["top1"])
        assert len(report["changes"]) == other["only_model"] + other["only_against"]
        assert 0 < other["mcnemar_p"] <= 1
        check_page(f"{folder}/report.html")
        for name in ("roc.svg", "reliability.svg"):
            xml.etree.ElementTree.parse(os.path.join(folder, name))
        assert open(f"{folder}/confusion.png", "rb").read(8) == b"\x89PNG\r\n\x1a\n"

        phiz("eval", run, "--data", data, "--split", split, "--report", folder)
        report = json.load(open(f"{folder}/report.json", encoding="utf-8"))
        assert report["part"] == "val" and report["errors"] == 0 and 0 < report["images"] < 45
        recompute(folder, report, 0.01)
        check_page(f"{folder}/report.html")
        trained = [json.loads(l) for l in open(f"{run}/log.jsonl", encoding="utf-8")]
        tops = [l["val_top1"] for l in trained if l.get("val_top1") is not None]
        assert tops and any(abs(t - report["top1"]) < 1e-9 for t in tops), (tops, report["top1"])

        one = json.loads(phiz(*args, "--json", "--threads", "1").stdout)
        two = json.loads(phiz(*args, "--json", "--threads", "2").stdout)
        assert one["threshold"] == two["threshold"] and one["ece"] == two["ece"]
        check_refusals(run, data, strangers, top)
        check_threshold(run, data, strangers, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
