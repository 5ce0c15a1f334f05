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
YUNET = os.path.join(DATA, "weights", "yunet", "yunet_n_dynamic.onnx")


def phiz(*words, status=0):
    out = subprocess.run([PHIZ, *words], capture_output=True, text=True, timeout=300)
    assert out.returncode == status, f"phiz {' '.join(words)}: exit {out.returncode}, want {status}\n{out.stderr}"
    return out


def lines(*words):
    return [json.loads(line) for line in phiz(*words).stdout.splitlines()]


class Photos(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        os.environ["PHIZ_MODELS"] = cls.path("models")
        os.mkdir(cls.path("models"))
        phiz("import", YUNET, "-o", cls.path("models", "yunet.phiz"), "--quiet")
        # PNG, so that the crops are to the last bit what the network sees of the photos.
        phiz("data", "extract", PHOTOS, "--out", cls.path("crops"), "--align", "box", "--margin", "0.3", "--size", "80",
             "--format", "png", "--model", "none", "--quiet")
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
        self.assertEqual((info["task"], info["classes"], info["embedding"]), ("classify", 10, 0))
        self.assertEqual(info["align"], {"kind": "box", "margin": 0.3, "size": 80})
        text = phiz("info", self.path("run")).stdout
        self.assertIn("box, margin 0.3 of the side, 80 pixels", text)
        info = json.loads(phiz("info", "yunet", "--json").stdout)
        self.assertEqual((info["task"], info["classes"], info["align"], info["licence"]), ("detect", 0, None, None))
        self.assertIn("finds faces", phiz("info", "yunet").stdout)

    def test_predict_names_the_faces_of_photos(self):
        self.assertGreater(len(self.kept), 90)
        some = self.kept[::5]
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

    def test_a_photo_without_a_face(self):
        grey = self.path("grey.pgm")
        with open(grey, "wb") as f:
            f.write(b"P5\n64 64\n255\n" + bytes([128]) * 4096)
        self.assertEqual(lines("predict", self.path("run"), grey, "--detect", "--json"),
                         [{"file": grey, "faces": []}])
        self.assertEqual(phiz("predict", self.path("run"), grey, "--detect").stdout, f"{grey}: no face\n")

    def test_what_names_nobody_says_what_to_use(self):
        photo = glob.glob(os.path.join(PHOTOS, "*", "*"))[0]
        self.assertIn("phiz data detect", phiz("predict", "yunet", photo, status=1).stderr)
        self.assertIn("models fetch", phiz("predict", self.path("run"), photo, "--detector", "mtcnn", status=1).stderr)


if __name__ == "__main__":
    if not (os.path.isdir(PHOTOS) and os.path.isfile(YUNET)):
        print(f"skipped: no {PHOTOS}")
        sys.exit(77)
    unittest.main()
