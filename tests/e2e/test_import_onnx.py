#!/usr/bin/env python3
"""phiz import of ONNX files: what the file does not say comes from options and is kept in the model, files of phiz's
own bring theirs along, and networks that are known need nothing said."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
FUZZ = os.path.join(os.environ["PHIZ_SOURCE"], "tests", "fuzz")
DATA = os.environ.get("PHIZ_DATA", "")
sys.dont_write_bytecode = True
sys.path.insert(0, FUZZ)
import make_onnx as onnx  # noqa: E402


NONE = {"kind": "none", "margin": 0, "size": 0}


def corpus(name):
    return os.path.join(FUZZ, "corpus", "onnx", name + ".onnx")


class Import(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.TemporaryDirectory()
        self.addCleanup(self.top.cleanup)
        self.out = self.path("m.phiz")

    def path(self, name):
        return os.path.join(self.top.name, name)

    def phiz(self, *words, status=0):
        out = subprocess.run([PHIZ, *words], capture_output=True, text=True, timeout=120)
        self.assertEqual(out.returncode, status, f"phiz {words}\n{out.stdout}{out.stderr}")
        return out.stderr if status else out.stdout

    def read(self, name, *options):
        self.phiz("import", corpus(name), "-o", self.out, *options)
        return json.loads(self.phiz("info", self.out, "--json"))

    def line(self, key, model=None):
        """What phiz info says in the line that begins with this key."""
        for line in self.phiz("info", model or self.out).splitlines():
            words = line.split(None, 1)
            if words and words[0] == key:
                return words[1]
        return None

    def refused(self, *words, status=1):
        message = self.phiz("import", *words, "-o", self.out, status=status)
        self.assertFalse(os.path.exists(self.out))
        return message

    def test_options(self):
        with open(self.path("names"), "w") as f:
            f.write("ann\nbob\ncarl\ndora\neve\n")
        got = self.read("classifier", "--labels", self.path("names"), "--licence", "CC0-1.0", "--preprocess",
                        "mean=51/102/153,std=255/51/25.5", "--align", "facenet:8")
        self.assertEqual((got["task"], got["classes"], got["licence"]), ("classify", 5, "CC0-1.0"))
        self.assertEqual(got["labels"], ["ann", "bob", "carl", "dora", "eve"])
        self.assertEqual(got["align"], {"kind": "facenet", "margin": 8, "size": 16})
        self.assertEqual(self.line("preprocessing"), "crop 1, stretch to 16, mean 0.2 0.4 0.6, std 1 0.2 0.1")
        self.assertEqual(self.line("source"), "classifier.onnx")
        got = self.read("classifier", "--task", "embed", "--preprocess", "resize=20,mean=127.5,std=127.5")
        self.assertEqual((got["task"], got["embedding"], got["align"]), ("embed", 5, NONE))
        self.assertIn("mean 0.5 0.5 0.5, std 0.5 0.5 0.5", self.line("preprocessing"))
        self.assertIn("20", self.line("preprocessing"))

    def test_named_preprocessing(self):
        for name, mean, std in (("mobilefacenet", 127.5, 128), ("arcface", 127.5, 127.5), ("facenet", 127.5, 128),
                                ("ultralight", 127, 128), ("raw", 0, 1)):
            self.read("classifier", "--preprocess", name)
            words = self.line("preprocessing").replace(",", "").split()
            for key, want in (("mean", mean), ("std", std)):
                for text in words[words.index(key) + 1:words.index(key) + 4]:
                    self.assertAlmostEqual(float(text) * 255, want, places=3, msg=name)
        self.read("classifier", "--preprocess", "torchvision")
        self.assertIn("mean 0.485 0.456 0.406, std 0.229 0.224 0.225", self.line("preprocessing"))

    def test_wrong_words(self):
        for option, value, want in (("--task", "verify", "want classify, embed or detect"),
                                    ("--align", "centre", "want none, arcface, facenet:MARGIN or box:MARGIN"),
                                    ("--align", "box:x", "--align box:x"),
                                    ("--preprocess", "imagenet", "want one of torchvision"),
                                    ("--preprocess", "mean=1/2", "one number or three"),
                                    ("--preprocess", "std=0", "std")):
            self.assertIn(want, self.refused(corpus("classifier"), option, value))
        with open(self.path("names"), "w") as f:
            f.write("ann\nbob\n")
        self.assertIn("2 names for 5 classes", self.refused(corpus("classifier"), "--labels", self.path("names")))
        self.assertIn("--net", self.refused(corpus("classifier"), "--net", "resnet18", status=2))

    def test_blue_green_red(self):
        """A network that reads B, G, R gives of a picture what the plain one gives of it with the two swapped."""
        pixels = bytes((37 * i * i + 11 * i) % 256 for i in range(16 * 16 * 3))
        swapped = b"".join(pixels[i:i + 3][::-1] for i in range(0, len(pixels), 3))
        for name, data in (("a.ppm", pixels), ("b.ppm", swapped)):
            with open(self.path(name), "wb") as f:
                f.write(b"P6 16 16 255\n" + data)
        got = []
        for preprocess, picture in (("mean=10,std=60", "a.ppm"), ("bgr,mean=10,std=60", "b.ppm"),
                                    ("bgr,mean=10,std=60", "a.ppm")):
            self.read("classifier", "--task", "embed", "--preprocess", preprocess)
            line = self.phiz("embed", self.out, self.path(picture), "--aligned", "--json")
            got.append(json.loads(line)["embedding"])
        for a, b in zip(got[0], got[1]):
            self.assertAlmostEqual(a, b, places=5)
        self.assertGreater(max(abs(a - b) for a, b in zip(got[0], got[2])), 1e-4)
        os.remove(self.out)
        self.assertIn("cannot be swapped", self.refused(corpus("embedder"), "--preprocess", "bgr"))

    def test_several_outputs(self):
        self.assertIn("--task detect", self.refused(corpus("detector")))
        text = self.phiz("import", corpus("detector"), "-o", self.out, "--task", "detect", "--size", "64")
        self.assertIn("task detect, input 64 x 64", text)
        out = json.loads(self.phiz("import", corpus("fixed"), "-o", self.out, "--task", "detect", "--json"))
        self.assertEqual((out["width"], out["height"]), (12, 8))

    def test_there_and_back(self):
        """What phiz writes as ONNX it reads again with labels, preprocessing, alignment, threshold and texts."""
        self.read("written", "--licence", "CC-BY-4.0", "--align", "arcface")
        onnx_file, again = self.path("again.onnx"), self.path("again.phiz")
        self.phiz("export", self.out, "-o", self.path("fast.phiz"), "--onnx", onnx_file)
        self.phiz("import", onnx_file, "-o", again)
        a, b = (json.loads(self.phiz("info", m, "--json")) for m in (self.out, again))
        self.assertEqual(a["labels"], ["ann", "bob"])
        self.assertEqual(a["threshold"], 0.5)
        for key in ("task", "classes", "labels", "size", "align", "threshold", "licence", "parameters"):
            self.assertEqual(a[key], b[key], key)
        self.assertEqual(self.line("preprocessing"), self.line("preprocessing", again))
        self.assertIn("mean 0.5 0.4 0.3, std 0.2 0.2 0.2", self.line("preprocessing", again))

    def insightface(self, outputs, first):
        """A file as InsightFace's networks come from MXNet: mean and scale in the graph, output fc1."""
        os.makedirs(self.path("corpus/onnx"))
        here = os.getcwd()
        os.chdir(self.top.name)
        try:
            onnx.model("face", 11, [1, 3, 112, 112],
                       first + [onnx.node("Conv", "b w", "c", kernel_shape=[3, 3], strides=[8, 8]),
                                onnx.node("PRelu", "c slope", "p"), onnx.node("GlobalAveragePool", "p", "g"),
                                onnx.node("Flatten", "g", "f"), onnx.node("Gemm", "f fc", "fc1", transB=1)],
                       [onnx.tensor("mean", [1], [127.5]), onnx.tensor("scale", [1], [0.0078125]),
                        onnx.tensor("w", [4, 3, 3, 3]), onnx.tensor("slope", [4, 1, 1]),
                        onnx.tensor("fc", [outputs, 4])], {"fc1": 2})
        finally:
            os.chdir(here)
        self.phiz("import", self.path("corpus/onnx/face.onnx"), "-o", self.out)
        return json.loads(self.phiz("info", self.out, "--json"))

    def test_sface(self):
        got = self.insightface(128, [onnx.node("Sub", "x mean", "a"), onnx.node("Mul", "a scale", "b")])
        self.assertEqual((got["task"], got["embedding"]), ("embed", 128))
        self.assertEqual(got["align"], {"kind": "arcface", "margin": 0, "size": 112})
        self.assertIn("mean 0 0 0", self.line("preprocessing"))

    def test_not_sface(self):
        got = self.insightface(128, [onnx.node("Identity", "x", "b")])
        self.assertEqual((got["task"], got["align"]), ("classify", NONE))

    @unittest.skipUnless(os.path.isdir(os.path.join(DATA, "weights", "mobilefacenet")), "needs the private test data")
    def test_known(self):
        self.phiz("import", os.path.join(DATA, "weights", "mobilefacenet", "mobilefacenet.onnx"), "-o", self.out)
        got = json.loads(self.phiz("info", self.out, "--json"))
        self.assertEqual((got["task"], got["embedding"]), ("embed", 128))
        self.assertEqual(got["align"], {"kind": "arcface", "margin": 0, "size": 112})
        self.assertIn("mean 0.5 0.5 0.5, std 0.501961", self.line("preprocessing"))
        weights = os.path.join(DATA, "weights", "mobilefacenet", "mobilefacenet.safetensors")
        out = json.loads(self.phiz("import", weights, "-o", self.out, "--json"))
        self.assertEqual((out["embedding"], out["missing"], out["unexpected"]), (128, 0, 0))
        text = self.phiz("import", os.path.join(DATA, "weights", "ultralight", "version-RFB-320.onnx"), "-o", self.out)
        self.assertIn("task detect, input 320 x 240 (width x height)", text)


if __name__ == "__main__":
    unittest.main()
