#!/usr/bin/env python3
"""phiz models, with a pip that is a script and an https server on this machine: what is fetched is checked and
imported whole, and whatever goes wrong leaves nothing behind. Files of others come from the private data."""
import hashlib
import json
import os
import signal
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
DATA = os.environ.get("PHIZ_DATA", "")
MTCNN = os.path.join(DATA, "weights", "mtcnn")
PARTS = ("pnet.pt", "rnet.pt", "onet.pt")
HAVE_DATA = os.path.isdir(MTCNN)

# Stands for pip: writes down how it was called, then does what FAKE_PIP says with the wheel FAKE_WHEEL.
FAKE_PIP = f"""#!{sys.executable}
import json, os, shutil, sys, time
with open(os.environ["FAKE_LOG"], "w") as f:
    json.dump(sys.argv[1:], f)
folder = sys.argv[sys.argv.index("-d") + 1]
mode = os.environ["FAKE_PIP"]
if mode == "fail":
    sys.exit("WARNING: retrying\\nERROR: Could not find a version that satisfies the requirement\\n")
if mode == "nothing":
    sys.exit(0)
target = os.path.join(folder, "facenet_pytorch-2.6.0-py3-none-any.whl")
if mode == "hang":
    with open(target + ".part", "wb") as f:
        f.write(b"x" * 1000)
    time.sleep(60)
shutil.copy(os.environ["FAKE_WHEEL"], target)
"""


def read(path):
    with open(path, "rb") as f:
        return f.read()


def wheel(path, change=None, extra=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in extra:
            z.writestr(name, data)
        z.writestr("facenet_pytorch/__init__.py", "raise SystemExit('this must never run')\n")
        for part in PARTS:
            data = read(os.path.join(MTCNN, part)) if HAVE_DATA else b"no weights: " + part.encode()
            z.writestr("facenet_pytorch/data/" + part, change(part, data) if change else data)


class Models(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.TemporaryDirectory()
        self.addCleanup(self.top.cleanup)
        self.models = self.path("models")
        self.bin = self.path("bin")
        os.mkdir(self.bin)
        with open(os.path.join(self.bin, "pip"), "w") as f:
            f.write(FAKE_PIP)
        os.chmod(os.path.join(self.bin, "pip"), 0o755)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PHIZ_MODELS", "XDG_", "CURL_"))}
        self.env.update(PHIZ_MODELS=self.models, PHIZ_TRUNKS=self.path("trunks"))
        self.env.update(PATH=self.bin + ":" + os.environ["PATH"], FAKE_PIP="wheel",
                        FAKE_LOG=self.path("pip.json"), FAKE_WHEEL=self.path("w.whl"))

    def path(self, name):
        return os.path.join(self.top.name, name)

    def phiz(self, *words, status=0, **env):
        out = subprocess.run([PHIZ, *words], capture_output=True, text=True, timeout=120, env={**self.env, **env})
        self.assertEqual(out.returncode, status, f"phiz {words}\n{out.stdout}{out.stderr}")
        return out

    def left(self):
        return sorted(os.listdir(self.models)) if os.path.isdir(self.models) else []

    def test_list_and_names(self):
        rows = [json.loads(line) for line in self.phiz("models", "--json").stdout.splitlines()]
        names = {r["name"]: r for r in rows}
        self.assertLessEqual({"yunet", "mtcnn", "sface"}, set(names))
        for r in rows:
            self.assertTrue(r["licence"] and r["source"] and r["from"] and r["bytes"] > 1000)
            self.assertFalse(r["here"])
            self.assertEqual(r["path"], f"{self.models}/{r['name']}.phiz")
        self.assertIn("yunet", self.phiz("models", "list").stdout)
        self.assertEqual(self.phiz("models", "path").stdout.strip(), self.models)
        self.assertIn("phiz models fetch yunet", self.phiz("info", "yunet", status=1).stderr)
        self.assertIn("did you mean 'yunet'?", self.phiz("models", "fetch", "yunnet", status=1).stderr)
        self.phiz("models", "fetsh", status=2)
        self.phiz("models", "remove", "../x", status=1)
        self.phiz("models", "remove", "yunet", status=1)
        self.env.pop("PHIZ_MODELS")
        out = self.phiz("models", "path", XDG_DATA_HOME="/nowhere", HOME="/h").stdout
        self.assertEqual(out, "/nowhere/phiz/models\n")
        out = self.phiz("models", "path", XDG_DATA_HOME="relative", HOME="/h").stdout
        self.assertEqual(out, "/h/.local/share/phiz/models\n")

    @unittest.skipUnless(HAVE_DATA, "no private data")
    def test_fetch_by_pip(self):
        wheel(self.path("w.whl"))
        out = self.phiz("models", "fetch", "mtcnn")
        self.assertIn("MIT", out.stdout)
        self.assertEqual(self.left(), ["mtcnn.phiz"])
        args = json.loads(read(self.path("pip.json")))
        self.assertEqual(args[0], "download")
        self.assertEqual(args[-1], "facenet-pytorch==2.6.0")
        self.assertIn("--no-deps", args)
        self.assertEqual(args[args.index("--only-binary") + 1], ":all:")
        info = json.loads(self.phiz("info", "mtcnn", "--json").stdout)
        self.assertEqual((info["licence"], info["package"], info["version"]), ("MIT", "facenet-pytorch", "2.6.0"))
        for part in PARTS:
            sha = hashlib.sha256(read(os.path.join(MTCNN, part))).hexdigest()
            self.assertIn(f"{sha} {part}", info["source_sha256"])
        # The same network as phiz import makes of the same files.
        self.phiz("import", *(os.path.join(MTCNN, p) for p in PARTS), "-o", self.path("m.phiz"))
        other = json.loads(self.phiz("info", self.path("m.phiz"), "--json").stdout)
        self.assertEqual(info["weights_sha256"], other["weights_sha256"])
        os.unlink(self.path("pip.json"))
        self.assertIn("already", self.phiz("models", "fetch", "mtcnn").stdout)
        self.assertFalse(os.path.exists(self.path("pip.json")))
        self.assertTrue(json.loads(self.phiz("models", "fetch", "mtcnn", "--force", "--json").stdout)["fetched"])
        self.assertEqual(self.phiz("models", "path", "mtcnn").stdout.strip(), f"{self.models}/mtcnn.phiz")
        self.phiz("models", "remove", "mtcnn")
        self.assertEqual(self.left(), [])

    def test_real_fetch(self):
        """The package itself, through the pip that is there; skipped without a network."""
        r = subprocess.run([PHIZ, "models", "fetch", "mtcnn"], capture_output=True, text=True, timeout=300,
                           env={**self.env, "PATH": os.environ["PATH"]})
        if r.returncode and ("pip could not download" in r.stderr or "there is no pip" in r.stderr):
            self.assertIn("phiz models fetch mtcnn --from", r.stderr)
            self.assertEqual(self.left(), [])
            self.skipTest("no network")
        self.assertEqual((r.returncode, self.left()), (0, ["mtcnn.phiz"]), r.stderr)
        self.assertIn("finds faces", self.phiz("info", "mtcnn").stdout)

    @unittest.skipUnless(HAVE_DATA, "no private data")
    def test_from_files(self):
        wheel(self.path("w.whl"))
        for from_ in ([MTCNN], [self.path("w.whl")], [os.path.join(MTCNN, p) for p in reversed(PARTS)]):
            self.phiz("models", "fetch", "mtcnn", "--force", *(w for f in from_ for w in ("--from", f)), PATH="/none")
            self.assertEqual(self.left(), ["mtcnn.phiz"])
        self.phiz("models", "remove", "mtcnn")
        r = self.phiz("models", "fetch", "mtcnn", "--from", os.path.join(MTCNN, "pnet.pt"), status=1)
        self.assertIn("rnet.pt", r.stderr)
        r = self.phiz("models", "fetch", "yunet", "--from", os.path.join(MTCNN, "pnet.pt"), status=1)
        self.assertIn("not the file that was checked", r.stderr)
        self.phiz("models", "fetch", "mtcnn", "--from", self.path("none"), status=1)
        self.assertEqual(self.left(), [])

    def test_what_goes_wrong_leaves_nothing(self):
        def fails(text, **env):
            r = self.phiz("models", "fetch", "mtcnn", status=1, **env)
            self.assertIn(text, r.stderr)
            self.assertEqual(self.left(), [], r.stderr)
            return r.stderr

        wheel(self.path("w.whl"), lambda part, data: data[:-1] + bytes([data[-1] ^ 1]) if part == "rnet.pt" else data)
        fails("not the file that was checked")
        wheel(self.path("w.whl"), lambda part, data: data + b"x" * 2000000)
        fails("want at most")
        wheel(self.path("w.whl"), extra=[("../../evil.txt", "evil")])
        fails("leads out")
        wheel(self.path("w.whl"), extra=[("/tmp/evil.txt", "evil")])
        fails("leads out")
        with zipfile.ZipFile(self.path("w.whl"), "w") as z:
            z.writestr("facenet_pytorch/__init__.py", "")
        fails("has no 'facenet_pytorch/data/pnet.pt'")
        with open(self.path("w.whl"), "wb") as f:
            f.write(b"PK\3\4 cut")
        fails("phiz:")
        text = fails("ERROR: Could not find a version", FAKE_PIP="fail")
        self.assertIn("phiz models fetch mtcnn --from", text)
        fails("no wheel", FAKE_PIP="nothing")
        fails("no pip", PATH="/none")

    def test_broken_off(self):
        def start():
            p = subprocess.Popen([PHIZ, "models", "fetch", "mtcnn"], env={**self.env, "FAKE_PIP": "hang"},
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            end = time.time() + 30
            while not os.path.exists(self.path("pip.json")) and time.time() < end:
                time.sleep(0.02)
            return p

        p = start()
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=30)
        self.assertEqual(p.returncode, 1, err)
        self.assertIn("broken off", err)
        self.assertEqual(self.left(), [])
        # Killed: what it leaves is removed by the next one.
        os.unlink(self.path("pip.json"))
        p = start()
        p.kill()
        p.communicate()
        self.assertEqual(len(self.left()), 1)
        self.phiz("models", "fetch", "mtcnn", status=1, FAKE_PIP="nothing")
        self.assertEqual(self.left(), [])

    def tiny(self, name, task, folder=None, licence="none"):
        """A network of random weights in the models folder: what it says of faces does not matter here."""
        folder = folder or self.models
        os.makedirs(folder, exist_ok=True)
        cfg, weights = self.path("tiny.cfg"), self.path("tiny.safetensors")
        with open(cfg, "w") as f:
            f.write(f"[net]\nsize = 16\ntask = {task}\n\n[flatten]\n\n"
                    "[linear]\nname = fc\noutputs = 4\nbias = 0\n")
        head = json.dumps({"fc.weight": {"dtype": "F32", "shape": [4, 768], "data_offsets": [0, 4 * 768 * 4]}}).encode()
        values = [((i * 7919) % 1009) / 1009 - 0.5 for i in range(4 * 768)]
        with open(weights, "wb") as f:
            f.write(struct.pack("<Q", len(head)) + head + struct.pack(f"<{len(values)}f", *values))
        self.phiz("import", weights, "--net", cfg, "--licence", licence, "-o", os.path.join(folder, f"{name}.phiz"))

    def test_no_default(self):
        """Where no model is there, what can be done about it is said, in the words that do it."""
        photo = self.path("grey.pgm")
        with open(photo, "wb") as f:
            f.write(b"P5\n64 64\n255\n" + bytes([128]) * 4096)
        text = self.phiz("data", "detect", photo, status=1).stderr
        for word in ("no detector", self.models, "phiz models fetch NAME", "yunet (", "mtcnn (through pip)",
                     "phiz import", "--detector"):
            self.assertIn(word, text)
        text = self.phiz("cluster", self.top.name, "--dbscan", status=1).stderr
        for word in ("no embedder", self.models, "phiz models fetch NAME brings sface (", "phiz import", "--model"):
            self.assertIn(word, text)
        self.assertNotIn("mobilefacenet", text)  # which cannot be fetched
        os.makedirs(self.models)
        for bad in ("a.phiz", "b.txt"):
            with open(os.path.join(self.models, bad), "w") as f:
                f.write("no model")
        self.tiny("c", "classify")
        self.assertIn("no embedder", self.phiz("cluster", self.top.name, "--dbscan", status=1).stderr)
        self.assertIn("PHIZ_MODELS", self.phiz("data", "detect", photo, status=1, PHIZ_MODELS="", HOME="").stderr)

    @unittest.skipUnless(HAVE_DATA, "no private data")
    def test_default(self):
        """The first of the order that is there, then the first by name of that kind; a note says which."""
        photo = self.path("grey.pgm")
        with open(photo, "wb") as f:
            f.write(b"P5\n64 64\n255\n" + bytes([128]) * 4096)

        def chosen(kind, *words):
            lines = self.phiz(*words).stderr.splitlines()
            notes = [line for line in lines if line.startswith(kind + ": ")]
            self.assertEqual(len(notes), 1, lines)
            self.assertEqual([], [line for line in self.phiz(*words, "--quiet").stderr.splitlines() if kind in line])
            return notes[0].split()[1].rstrip(",")

        detect = ("data", "detect", photo)
        self.phiz("models", "fetch", "mtcnn", "--from", MTCNN)
        os.rename(os.path.join(self.models, "mtcnn.phiz"), os.path.join(self.models, "zz.phiz"))
        self.tiny("bb", "embed")
        self.assertEqual(chosen("detector", *detect), "zz")
        for file, name in (("ultralight/version-RFB-320.onnx", "ultralight"), (None, "mtcnn"),
                           ("yunet/yunet_n_dynamic.onnx", "yunet")):
            if file:
                self.phiz("models", "fetch", name, "--from", os.path.join(DATA, "weights", file))
            else:
                self.phiz("models", "fetch", name, "--from", MTCNN)
            self.assertEqual(chosen("detector", *detect), name)
        self.assertNotIn("detector: ", self.phiz(*detect, "--detector", "mtcnn").stderr)

        crops = os.path.join(DATA, "faces", "lfw10", sorted(os.listdir(os.path.join(DATA, "faces", "lfw10")))[0])
        cluster = ("cluster", crops, "--dbscan", "--aligned")
        self.assertEqual(chosen("embedder", *cluster), "bb")
        self.tiny("sface", "embed")
        self.assertEqual(chosen("embedder", *cluster), "sface")
        self.tiny("mobilefacenet", "embed")
        self.tiny("aa", "embed")
        self.assertEqual(chosen("embedder", *cluster), "mobilefacenet")

    def test_trunks(self):
        """A trunk that comes with phiz has a name, and is taken where nobody brought another embedder."""
        trunks = self.path("trunks")
        self.tiny("faces_r18", "embed", trunks, "for tests")
        self.tiny("other", "embed", trunks)
        rows = {r["name"]: r for r in map(json.loads, self.phiz("models", "--json").stdout.splitlines())}
        self.assertNotIn("other", rows)
        path = os.path.join(trunks, "faces_r18.phiz")
        self.assertEqual(rows["faces_r18"], {"name": "faces_r18", "task": "embedder", "bytes": os.path.getsize(path),
                                             "licence": "for tests", "here": True, "path": path})
        self.assertIn("comes with phiz", self.phiz("models").stdout)
        self.assertEqual(self.phiz("models", "path", "faces_r18").stdout.strip(), path)
        self.assertIn("did you mean 'faces_r18'?", self.phiz("info", "face_r18", status=1).stderr)

        os.mkdir(self.path("greys"))
        for grey in (64, 128, 192):
            with open(self.path(f"greys/{grey}.pgm"), "wb") as f:
                f.write(b"P5\n64 64\n255\n" + bytes([grey]) * 4096)
        cluster = ("cluster", self.path("greys"), "--k", "2", "--aligned")
        self.assertIn("embedder: faces_r18, which comes with phiz (--model names another)", self.phiz(*cluster).stderr)
        nowhere = self.phiz("info", "faces_r18", status=1, PHIZ_TRUNKS=self.path("nowhere")).stderr
        self.assertIn(f"is not in {self.path('nowhere')} (PHIZ_TRUNKS", nowhere)
        self.tiny("mine", "embed")
        self.assertIn("embedder: mine, of the models folder", self.phiz(*cluster).stderr)
        self.tiny("faces_r18", "embed")
        own = os.path.join(self.models, "faces_r18.phiz")
        self.assertEqual(self.phiz("models", "path", "faces_r18").stdout.strip(), own)

    def test_disk_full(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        wheel(self.path("w.whl"))
        # A limit on the size of files stands for a full disk: the write fails, not the process.
        r = subprocess.run(["bash", "-c", 'trap "" XFSZ; ulimit -f 100; exec "$@"', "x", PHIZ, "models", "fetch",
                            "mtcnn", "--from", self.path("w.whl")], capture_output=True, text=True, env=self.env,
                           timeout=60)
        self.assertEqual(r.returncode, 1, r.stderr)
        self.assertIn("phiz: ", r.stderr)
        self.assertEqual(self.left(), [])
        blocked = self.path("blocked")
        open(blocked, "w").close()
        r = self.phiz("models", "fetch", "mtcnn", "--from", self.path("w.whl"), status=1, PHIZ_MODELS=blocked)
        self.assertIn(blocked, r.stderr)


if __name__ == "__main__":
    unittest.main()
