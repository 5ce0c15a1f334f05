#!/usr/bin/env python3
"""label: full
phiz data detect from outside, on the group photos of the private data: the form of --json, photos that EXIF turns,
files that are no photos, --draw, --truth, thresholds of one stage and of three."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
DATA = os.environ.get("PHIZ_DATA", "")
GROUPS = os.path.join(DATA, "faces", "groups")
DLIB = os.path.join(GROUPS, "dlib")
PHOTO = os.path.join(DLIB, "2007_007763.jpg")  # 500 x 375, seven faces


def phiz(*words, status=0):
    out = subprocess.run([PHIZ, *words], capture_output=True, text=True, timeout=300)
    assert out.returncode == status, f"phiz {' '.join(words)}: exit {out.returncode}, want {status}\n{out.stderr}"
    return out


def turned(path, orientation, to):
    """A copy of a JPEG that says in its EXIF how it is to be turned."""
    exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + b"\0\0\0\0\0\0"
    with open(path, "rb") as f:
        jpeg = f.read()
    with open(to, "wb") as f:
        f.write(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    return to


class Detect(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        weights = os.path.join(DATA, "weights")
        cls.yunet, cls.mtcnn = cls.path("yunet.phiz"), cls.path("mtcnn.phiz")
        phiz("import", weights + "/yunet/yunet_n_dynamic.onnx", "-o", cls.yunet)
        phiz("import", *(f"{weights}/mtcnn/{n}net.pt" for n in "pro"), "-o", cls.mtcnn)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.folder.name, *names)

    def detect(self, *words, detector=None, status=0):
        out = phiz("data", "detect", "--detector", detector or self.yunet, "--json", *words, status=status)
        return [json.loads(line) for line in out.stdout.splitlines()]

    def test_json(self):
        found, = self.detect(PHOTO)
        self.assertEqual(list(found), ["file", "width", "height", "faces"])
        self.assertEqual((found["file"], found["width"], found["height"]), (PHOTO, 500, 375))
        self.assertEqual(len(found["faces"]), 7)
        for face in found["faces"]:
            self.assertEqual(list(face), ["box", "score", "landmarks"])
            x, y, w, h = face["box"]
            self.assertEqual(len(face["landmarks"]), 5)
            for px, py in face["landmarks"]:
                self.assertTrue(x < px < x + w and y < py < y + h)
            (lx, ly), (rx, ry), (_, ny), (mx, my), _ = face["landmarks"]
            self.assertTrue(lx < rx and ly < ny < my)  # the left eye is the one on the picture's left
            self.assertTrue(0.7 <= face["score"] <= 1)
        scores = [f["score"] for f in found["faces"]]
        self.assertEqual(scores, sorted(scores, reverse=True))

    def test_folders_and_lists(self):
        photos = sorted(f for f in os.listdir(os.path.join(GROUPS, "bbt")) if f.endswith(".jpg"))
        found = self.detect(os.path.join(GROUPS, "bbt"))
        self.assertEqual([os.path.basename(f["file"]) for f in found], photos)
        with open(self.path("list.txt"), "w") as f:
            f.write(f"# two\n{PHOTO}\n\n{GROUPS}/bbt/bbt1.jpg\n")
        self.assertEqual(len(self.detect(self.path("list.txt"))), 2)
        os.mkdir(self.path("nothing"))
        self.assertIn("no photos in it", phiz("data", "detect", "--detector", self.yunet, self.path("nothing"),
                                              status=1).stderr)

    def test_exif(self):
        plain, = self.detect(PHOTO)
        mirrored, = self.detect(turned(PHOTO, 2, self.path("mirror.jpg")))
        self.assertEqual((mirrored["width"], mirrored["height"]), (500, 375))
        for face in plain["faces"]:
            x, y, w, h = face["box"]
            near = [m for m in mirrored["faces"] if max(abs(m["box"][0] - (500 - x - w)), abs(m["box"][1] - y)) < 4]
            self.assertEqual(len(near), 1)
            self.assertTrue(abs(500 - near[0]["landmarks"][0][0] - face["landmarks"][1][0]) < 4)
        lying, = self.detect(turned(PHOTO, 6, self.path("lying.jpg")))
        self.assertEqual((lying["width"], lying["height"]), (375, 500))
        self.assertLess(len(lying["faces"]), 7)

    def test_bad_files(self):
        bad = [os.path.join(DATA, "bad", "images", f) for f in ("truncated.jpg", "text_named.png", "zero_byte.jpg",
                                                                 "bomb_claimed.png")]
        bad.append(self.path("is not there.jpg"))
        words = ("data", "detect", "--detector", self.yunet, "--json", bad[0], PHOTO, *bad[1:])
        out = phiz(*words, status=1)
        self.assertEqual([json.loads(line)["file"] for line in out.stdout.splitlines()], [PHOTO])
        for path in bad:
            self.assertEqual(sum(path in line for line in out.stderr.splitlines()), 1, path)
        self.assertIn("5 of 6 photos could not be used", out.stderr)
        odd = [os.path.join(DATA, "bad", "images", f) for f in ("one_pixel.jpg", "gray.jpg", "rgba.png", "gray16.png",
                                                                 "tall_1x20000.png", "wide_20000x1.png")]
        for detector in (self.yunet, self.mtcnn):
            self.assertEqual([f["faces"] for f in self.detect(*odd, detector=detector)], [[]] * len(odd))

    def test_draw(self):
        drawn = self.path("drawn")
        found = self.detect(PHOTO, PHOTO, os.path.join(GROUPS, "bbt", "bbt3.jpg"), "--draw", drawn)
        self.assertEqual(sorted(os.listdir(drawn)), ["2007_007763-2.jpg", "2007_007763.jpg", "bbt3.jpg"])
        again = self.detect(os.path.join(drawn, "bbt3.jpg"))[0]
        self.assertEqual((again["width"], again["height"]), (found[2]["width"], found[2]["height"]))
        with open(self.path("file"), "w"):
            pass
        phiz("data", "detect", "--detector", self.yunet, PHOTO, "--draw", self.path("file"), status=1)

    def test_truth(self):
        truth = [w for f in ("testing.xml", "training.xml") for w in ("--truth", os.path.join(DLIB, f))]
        out = json.loads(phiz("data", "detect", "--detector", self.yunet, "--json", *truth).stdout)
        self.assertEqual((out["detector"], out["photos"], out["truth"], out["detections"]), ("yunet", 9, 43, 44))
        self.assertEqual([(i["iou"], i["matched"]) for i in out["iou"]], [(0.4, 43), (0.5, 43)])
        out = json.loads(phiz("data", "detect", "--detector", self.mtcnn, "--json", *truth).stdout)
        self.assertEqual((out["truth"], out["detections"], out["iou"][0]["matched"]), (43, 42, 42))
        # The boxes that were found, as CSV: all of them are found.
        with open(self.path("own.csv"), "w") as f:
            f.write("file,x,y,w,h\n")
            for face in self.detect(PHOTO)[0]["faces"]:
                f.write(f"{os.path.abspath(PHOTO)},{','.join(map(str, face['box']))}\n")
        out = json.loads(phiz("data", "detect", "--detector", self.yunet, "--json", "--truth",
                              self.path("own.csv")).stdout)
        self.assertEqual([(i["matched"], i["recall"], i["precision"]) for i in out["iou"]], [(7, 1, 1)] * 2)
        with open(self.path("bad.csv"), "w") as f:
            f.write("file,x,y,w,h\na.jpg,1,2,3\n")
        out = phiz("data", "detect", "--detector", self.yunet, "--truth", self.path("bad.csv"), status=1)
        self.assertIn("bad.csv:2: want five fields", out.stderr)
        phiz("data", "detect", "--detector", self.yunet, PHOTO, *truth, status=2)

    def test_thresholds(self):
        scores = [f["score"] for f in self.detect(PHOTO)[0]["faces"]]
        for least in (0.91, 0.99, 0.3):
            got = [f["score"] for f in self.detect(PHOTO, "--threshold", str(least))[0]["faces"]]
            if least > 0.7:
                self.assertEqual(got, [s for s in scores if s >= least])
            else:
                self.assertEqual(got[:len(scores)], scores)
        cascade = self.detect(PHOTO, detector=self.mtcnn)
        self.assertEqual(self.detect(PHOTO, "--threshold", "0.6,0.7,0.7", detector=self.mtcnn), cascade)
        for texts in (("0.999", "0.6,0.7,0.999"), ("0.6,0.9999,0.7",), ("0.99999,0.7,0.7",)):
            runs = [self.detect(PHOTO, "--threshold", t, detector=self.mtcnn)[0]["faces"] for t in texts]
            self.assertTrue(all(r == runs[0] for r in runs))  # one number is the last network's
            self.assertLess(len(runs[0]), len(cascade[0]["faces"]))
        for text in ("0.5,0.6", "x", "1.5", "0.1,0.2,0.3,0.4", "", "-1", "nan"):
            out = phiz("data", "detect", "--detector", self.yunet, PHOTO, "--threshold", text, status=2)
            self.assertIn("--threshold", out.stderr)


if __name__ == "__main__":
    if not os.path.isdir(GROUPS):
        print("skipped: no private data in", DATA)
        sys.exit(77)
    unittest.main()
