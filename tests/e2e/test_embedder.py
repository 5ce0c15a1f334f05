#!/usr/bin/env python3
"""label: full
Embedders from outside: several folders of people, photos without names, a teacher, what is exported, refusals."""
import json
import os
import struct
import subprocess
import tempfile
import unittest

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
SMALL = [w for key in ("model.net=tiny", "data.size=32", "data.align=none", "loss.embedding=16", "train.epochs=2",
                       "train.batch=8", "output.tensorboard=no") for w in ("--set", key)]


def phiz(*words, status=0):
    out = subprocess.run([PHIZ, *words], capture_output=True, text=True, timeout=300)
    assert out.returncode == status, f"phiz {' '.join(words)}: exit {out.returncode}, want {status}\n{out.stderr}"
    return out


def header(path):
    """Tensors' names and the metadata of a .phiz."""
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    return head, head.pop("__metadata__")


class Embedder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        for name, seed in (("one", "3"), ("two", "4"), ("more", "5")):
            phiz("data", "synth", cls.path(name), "--people", "4", "--photos", "4", "--size", "64", "--seed", seed,
                 "--quiet")
            for i, person in enumerate(sorted(os.listdir(cls.path(name)))):
                if os.path.isdir(cls.path(name, person)):
                    os.rename(cls.path(name, person), cls.path(name, "%s%d" % (name, i)))
        out = phiz("train", "arcface_r18", "--data", cls.path("one"), "--data", cls.path("two"), "--run",
                   cls.path("arc"), *SMALL, "--set", "data.val_people=0.3", "--json", "--quiet")
        cls.trained = json.loads(out.stdout)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.folder.name, *names)

    def test_classes_stay_in_the_checkpoint(self):
        self.assertGreater(self.trained["val_top1"], 0.4)
        self.assertIsNotNone(self.trained["val_loss"])
        tensors, meta = header(self.trained["checkpoint"])
        self.assertEqual(tensors["loss.weight"]["shape"], [6, 16])  # 2 of 8 people are held out
        model = self.path("e.phiz")
        phiz("export", self.path("arc"), "-o", model, "--calibrate", self.path("one"), "--quiet")
        tensors, meta = header(model)
        self.assertFalse([name for name in tensors if name.startswith(("loss", "optimizer"))])
        self.assertIn("embed", json.dumps(meta))
        photo = self.path("more", "more0", "0001.jpg")
        embedding = json.loads(phiz("embed", model, photo, "--json").stdout)["embedding"]
        self.assertEqual(len(embedding), 16)
        self.assertAlmostEqual(sum(x * x for x in embedding), 1, places=5)

    def embeddings(self, model):
        photos = [self.path("more", "more%d" % i, "000%d.jpg" % k) for i in range(4) for k in (1, 2)]
        return [json.loads(line)["embedding"] for line in
                phiz("embed", model, *photos, "--json", "--quiet").stdout.splitlines()]

    def test_exports_embed_as_the_run_does(self):
        """The cosine is computed here, from what phiz embed says of the checkpoint and of the export."""
        phiz("train", "distill_r18", "--data", self.path("one"), "--teacher", self.path("arc"), "--run",
             self.path("pupil"), *SMALL, "--set", "data.val_people=0", "--set", "train.epochs=1", "--quiet")
        for run in "arc", "pupil":
            trained = self.embeddings(self.path(run))
            sizes = []
            for precision, apart in (("fp32", 1e-8), ("fp16", 1e-4), ("bf16", 2e-3)):
                model = self.path(f"{run}_{precision}.phiz")
                proof = json.loads(phiz("export", self.path(run), "-o", model, "--precision", precision, "--calibrate",
                                        self.path("two"), "--json", "--quiet").stdout)
                self.assertEqual(proof["pictures"], 16)
                self.assertLessEqual(proof["cosine_distance"], apart)
                self.assertEqual(proof["cosine_distance_bound"], apart)
                self.assertNotIn("other_best", proof)
                for a, b in zip(trained, self.embeddings(model)):
                    # The lengths as they are printed are 1 to some 1e-8 only.
                    norm = (sum(x * x for x in a) * sum(x * x for x in b)) ** 0.5
                    self.assertLessEqual(1 - sum(x * y for x, y in zip(a, b)) / norm, 2 * apart)
                tensors, meta = header(model)
                self.assertFalse([name for name in tensors if name.startswith(("loss", "optimizer", "ema"))])
                self.assertNotIn("train_state", json.dumps(meta))
                self.assertIn("cosine_distance", phiz("info", model).stdout)
                sizes.append(os.path.getsize(model))
            self.assertLess(max(sizes[1:]), 0.6 * sizes[0])

    def test_distil_with_nameless_photos(self):
        words = ["train", "distill_r18", "--data", self.path("one"), "--unlabelled", self.path("more"), "--teacher",
                 self.path("arc"), "--run", self.path("distilled"), *SMALL, "--set", "data.val_people=0.5", "--json"]
        out = json.loads(phiz(*words, "--quiet").stdout)
        self.assertEqual(out["epochs"], 2)
        self.assertLess(out["train_loss"], 2)
        # Only the held-out people are validated; the nameless ones are trained on.
        log = [json.loads(line) for line in open(self.path("distilled", "log.jsonl"))]
        start = [line for line in log if line["event"] == "start"][0]
        self.assertEqual((start["people"], start["train"], start["val"]), (2, 2 * 4 + 4 * 4, 2 * 4))
        verify = [line for line in log if line["event"] == "verify"]
        self.assertEqual(len(verify), 2)
        self.assertEqual((verify[0]["same"], verify[0]["different"]), (2 * 6, 16))
        # Taken up again, the teacher is not asked anew.
        self.assertTrue(os.path.isfile(self.path("distilled", "teacher.safetensors")))
        err = phiz(*words, "--set", "train.epochs=3", "--resume").stderr
        self.assertNotIn("the teacher looks", err)

    def test_triplets(self):
        out = phiz("train", "facenet_triplet", "--data", self.path("one"), "--data", self.path("two"), "--val",
                   self.path("more"), "--run", self.path("triplets"), *SMALL, "--set", "data.people_per_batch=4",
                   "--set", "data.photos_per_person=2", "--set", "data.val_people=0", "--json", "--quiet")
        self.assertGreater(json.loads(out.stdout)["val_top1"], 0.4)

    def test_refusals(self):
        def refused(*words):
            return phiz("train", *words, "--run", self.path("none"), "--quiet", status=1).stderr
        self.assertIn("landmarks", refused("arcface_r18", "--data", self.path("one")))
        self.assertIn("--unlabelled", refused("arcface_r18", "--data", self.path("one"), "--unlabelled",
                                              self.path("more"), *SMALL))
        self.assertIn("teacher", refused("distill_r18", "--data", self.path("one"), *SMALL))
        self.assertIn("--split", refused("arcface_r18", "--data", self.path("one"), "--data", self.path("two"),
                                         "--split", "x.csv", *SMALL))
        self.assertFalse(os.path.exists(self.path("none", "last.phiz")))


if __name__ == "__main__":
    unittest.main()
