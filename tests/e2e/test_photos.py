#!/usr/bin/env python3
"""label: full
A classifier on whole photos, from outside: what phiz predict and phiz eval say of the faces that they find is what they
say of the crops that phiz data extract cuts of the same faces. needs: train"""
import csv
import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
DATA = os.environ.get("PHIZ_DATA", "")
PHOTOS = os.path.join(DATA, "faces", "lfw10")
PEOPLE = 4  # with 10 photos each
YUNET = os.path.join(DATA, "weights", "yunet", "yunet_n_dynamic.onnx")


def phiz(*words, status=0):
    out = subprocess.run([PHIZ, *words], capture_output=True, text=True, timeout=300)
    assert out.returncode == status, f"phiz {' '.join(words)}: exit {out.returncode}, want {status}\n{out.stderr}"
    return out


def link(folder):
    """Some of the people, in a folder of our own."""
    os.mkdir(folder)
    for name in sorted(os.listdir(PHOTOS))[:PEOPLE]:
        os.symlink(os.path.realpath(os.path.join(PHOTOS, name)), os.path.join(folder, name))


def lines(*words):
    return [json.loads(line) for line in phiz(*words).stdout.splitlines()]


class Photos(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        os.environ["PHIZ_MODELS"] = cls.path("models")
        os.mkdir(cls.path("models"))
        phiz("import", YUNET, "-o", cls.path("models", "yunet.phiz"), "--quiet")
        cls.photos = cls.path("all")
        link(cls.photos)
        # PNG, so that the crops are to the last bit what the network sees of the photos.
        phiz("data", "extract", cls.photos, "--out", cls.path("crops"), "--align", "box", "--margin", "0.3", "--size",
             "80", "--format", "png", "--model", "none", "--quiet")
        phiz("train", "tiny", "--data", cls.path("crops"), "--run", cls.path("run"), "--set", "train.epochs=2",
             "--quiet")
        with open(cls.path("crops", "manifest.csv"), newline="") as f:
            cls.kept = [row for row in csv.DictReader(f) if row["file"] and not row["file"].startswith("_")]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.folder.name, *names)

    def test_info(self):
        info = json.loads(phiz("info", self.path("run"), "--json").stdout)
        self.assertEqual((info["task"], info["classes"], info["embedding"]), ("classify", PEOPLE, 0))
        self.assertEqual(info["align"], {"kind": "box", "margin": 0.3, "size": 80})
        text = phiz("info", self.path("run")).stdout
        self.assertIn("box, margin 0.3 of the side, 80 pixels", text)
        info = json.loads(phiz("info", "yunet", "--json").stdout)
        self.assertEqual((info["task"], info["classes"], info["align"], info["licence"]), ("detect", 0, None, None))
        self.assertIn("finds faces", phiz("info", "yunet").stdout)

    def test_predict_names_the_faces_of_photos(self):
        self.assertGreater(len(self.kept), 9 * PEOPLE)
        some = self.kept[::4]
        photos = [row["source"] for row in some]
        crops = lines("predict", self.path("run"), *[self.path("crops", row["file"]) for row in some], "--json",
                      "--logits")
        for how in (["--detect"], ["--detector", self.path("models", "yunet.phiz")]):
            found = lines("predict", self.path("run"), *photos, *how, "--json", "--logits", "--topk", "3")
            self.assertEqual([line["file"] for line in found], photos)
            for row, crop, line in zip(some, crops, found):
                box = [float(row[k]) for k in ("x", "y", "w", "h")]
                face = min(line["faces"], key=lambda f: sum(abs(a - b) for a, b in zip(f["box"], box)))
                for a, b in zip(face["box"], box):
                    self.assertAlmostEqual(a, b, delta=0.01)
                self.assertEqual(set(face), {"box", "score", "name", "confidence", "topk", "logits"})
                self.assertEqual(len(face["topk"]), 3)
                self.assertEqual(face["name"], crop["name"])
                for a, b in zip(face["logits"], crop["logits"]):
                    self.assertAlmostEqual(a, b, delta=1e-5 * max(map(abs, crop["logits"])))
        text = phiz("predict", self.path("run"), photos[0], "--detect").stdout
        self.assertIn(": face at ", text)

    def test_eval_cuts_the_faces_out(self):
        detect = json.loads(phiz("eval", self.path("run"), "--data", self.photos, "--detect", "--report",
                                 self.path("a"), "--json", "--quiet").stdout)
        crops = json.loads(phiz("eval", self.path("run"), "--data", self.path("crops"), "--report", self.path("b"),
                                "--json", "--quiet").stdout)
        self.assertEqual((detect["faces"], detect["cut_out"], detect["images"]),
                         ("yunet.phiz", 10 * PEOPLE, 10 * PEOPLE))
        self.assertEqual((crops["faces"], crops["cut_out"]), (None, 0))
        answers = []
        for report in "a", "b":
            with open(self.path(report, "predictions.csv"), newline="") as f:
                rows = list(csv.DictReader(f))
            answers.append({os.path.splitext(os.path.basename(row["file"]))[0]:
                            [v for k, v in row.items() if k != "file"] for row in rows})
        alone = [os.path.splitext(os.path.basename(row["file"]))[0] for row in self.kept]
        same = sum(answers[0][name] == answers[1][name] for name in alone)
        self.assertGreaterEqual(same, 0.95 * len(alone))  # the two may differ on which of several faces is the photo's
        # Photos that are not cut out are said to be taken as crops.
        out = phiz("eval", self.path("run"), "--data", self.photos, "--json")
        self.assertIn("--detect", out.stderr)
        self.assertEqual(json.loads(out.stdout)["cut_out"], 0)

    def test_eval_cuts_as_training_did(self):
        """Photos with a landmarks.csv, a recipe that has the faces cut out of them: eval judges the same crops, which
        are those that extract makes, and leaves out the photo that the file does not have."""
        photos = self.path("photos")
        link(photos)
        points = ["lx", "ly", "rx", "ry", "nx", "ny", "mlx", "mly", "mrx", "mry"]
        with open(os.path.join(photos, "landmarks.csv"), "w", newline="") as f:
            out = csv.DictWriter(f, ["file"] + points + ["score"], extrasaction="ignore")
            out.writeheader()
            for row in self.kept[1:]:
                out.writerow({**row, "file": os.path.relpath(row["source"], self.photos)})
        phiz("data", "extract", self.photos, "--out", self.path("aligned"), "--align", "arcface", "--size", "64",
             "--format", "png", "--model", "none", "--quiet")
        phiz("train", "tiny", "--data", photos, "--run", self.path("cut"), "--set", "train.epochs=1", "--set",
             "data.align=arcface", "--set", "data.size=64", "--set", "augment.crop=no", "--quiet")
        left = self.kept[0]["file"]
        os.remove(self.path("aligned", left))
        a = json.loads(phiz("eval", self.path("cut"), "--data", photos, "--json", "--quiet").stdout)
        b = json.loads(phiz("eval", self.path("cut"), "--data", self.path("aligned"), "--json", "--quiet").stdout)
        self.assertEqual((a["faces"], a["cut_out"], a["images"]), ("landmarks.csv", len(self.kept) - 1, b["images"]))
        self.assertEqual(b["cut_out"], 0)
        self.assertAlmostEqual(a["log_loss"], b["log_loss"], delta=0.005)
        c = json.loads(phiz("eval", self.path("cut"), "--data", photos, "--detect", "--json", "--quiet").stdout)
        self.assertEqual((c["faces"], c["images"]), ("yunet.phiz", 10 * PEOPLE))
        self.assertAlmostEqual(a["log_loss"], c["log_loss"], delta=0.05)

    def test_eval_of_what_names_nobody(self):
        self.assertIn("phiz data detect", phiz("eval", "yunet", "--data", self.photos, "--json", status=1).stderr)

    def test_a_photo_without_a_face(self):
        grey = self.path("grey.pgm")
        with open(grey, "wb") as f:
            f.write(b"P5\n64 64\n255\n" + bytes([128]) * 4096)
        self.assertEqual(lines("predict", self.path("run"), grey, "--detect", "--json"),
                         [{"file": grey, "faces": []}])
        self.assertEqual(phiz("predict", self.path("run"), grey, "--detect").stdout, f"{grey}: no face\n")

    def test_what_names_nobody_says_what_to_use(self):
        photo = glob.glob(os.path.join(self.photos, "*", "*"))[0]
        self.assertIn("phiz data detect", phiz("predict", "yunet", photo, status=1).stderr)
        self.assertIn("models fetch", phiz("predict", self.path("run"), photo, "--detector", "mtcnn", status=1).stderr)


if __name__ == "__main__":
    if not (os.path.isdir(PHOTOS) and os.path.isfile(YUNET)):
        print(f"skipped: no {PHOTOS}")
        sys.exit(77)
    unittest.main()
