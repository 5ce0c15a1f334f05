#!/usr/bin/env python3
"""label: full
Embedders from outside: several folders of people, photos without names, a teacher, what is exported, refusals."""
import csv
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
SMALL = [w for key in ("model.net=tiny", "data.size=32", "data.align=none", "loss.embedding=16", "train.epochs=2",
                       "train.batch=8", "output.tensorboard=no") for w in ("--set", key)]


def phiz(*words, status=0, **env):
    out = subprocess.run([PHIZ, *words], capture_output=True, text=True, timeout=300, env={**os.environ, **env})
    assert out.returncode == status, f"phiz {' '.join(words)}: exit {out.returncode}, want {status}\n{out.stderr}"
    return out


def header(path):
    """Tensors' names and the metadata of a .phiz."""
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    return head, head.pop("__metadata__")


def tensor(path, name):
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        begin, end = json.loads(f.read(size))[name]["data_offsets"]
        f.seek(8 + size + begin)
        return f.read(end - begin)


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

    def landmarks_of_more(self):
        """Where the rendered people of "more" have eyes, nose and mouth, as phiz data extract would write it."""
        with open(self.path("more", "truth.csv")) as f:
            truth = list(csv.DictReader(f))
        people = sorted({row["person"] for row in truth})
        with open(self.path("more", "landmarks.csv"), "w") as f:
            f.write("file,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\n")
            for row in truth:
                points = [row[f"l{axis}{i}"] for i in range(1, 6) for axis in "xy"]
                name = f"more{people.index(row['person'])}/{os.path.basename(row['file'])}"
                f.write(",".join([name, *points]) + "\n")
        self.addCleanup(os.unlink, self.path("more", "landmarks.csv"))

    def test_blends_are_distilled(self):
        blend = ("data", "blend", self.path("more"), "--out", self.path("blends"), "--count", "12", "--size", "48")
        self.assertIn("want two or more", phiz(*blend, status=1).stderr)
        self.landmarks_of_more()
        made = json.loads(phiz(*blend, "--json").stdout)
        self.assertEqual((made["written"], made["kept"], made["failed"]), (12, 0, 0))
        self.assertIn("12 were there", phiz(*blend).stderr)
        self.assertIn("another seed", phiz(*blend, "--seed", "2", status=1).stderr)
        words = [w if w != "data.align=none" else "data.align=arcface" for w in SMALL]
        out = phiz("train", "distill_r18", "--unlabelled", self.path("blends"), "--teacher", self.path("arc"), "--run",
                   self.path("of_blends"), *words, "--set", "data.val_people=0", "--json", "--quiet").stdout
        self.assertLess(json.loads(out)["train_loss"], 2)

    def rows_are_means(self, classifier, trunk):
        """The head's row of each person is 4 times the direction of the mean embedding of the photos."""
        people = sorted(p for p in os.listdir(self.path("one")) if os.path.isdir(self.path("one", p)))
        head = struct.unpack(f"<{16 * len(people)}f", tensor(classifier, "head.weight"))
        for i, person in enumerate(people):
            out = phiz("embed", trunk, self.path("one", person), "--flip", "--json", "--quiet").stdout
            photos = [json.loads(line)["embedding"] for line in out.splitlines()]
            mean = [sum(p[d] for p in photos) for d in range(16)]
            row = head[16 * i:16 * i + 16]
            norm = sum(x * x for x in row) ** 0.5
            self.assertAlmostEqual(norm, 4, places=4)
            cosine = sum(a * b for a, b in zip(row, mean)) / norm / sum(x * x for x in mean) ** 0.5
            self.assertGreater(cosine, 0.999)

    def test_a_trunk_begins_a_classifier(self):
        """model.weights names the trunk, and what is frozen stays the trunk's; --weights none is a new network."""
        trunk = self.path("trunks", "faces_r18.phiz")
        os.mkdir(self.path("trunks"))
        phiz("export", self.path("arc"), "-o", trunk, "--trunk", "--licence", "for tests", "--calibrate",
             self.path("one"), "--quiet")
        phiz("export", self.path("arc"), "-o", trunk, "--trunk", "--precision", "int8", status=2)
        tensors, meta = header(trunk)
        self.assertTrue([name for name in tensors if name.endswith("running_mean")])
        self.assertIn("for tests", json.dumps(meta))
        with open(self.path("trunk.cfg"), "w") as f:
            f.write("[model]\nnet = tiny\nweights = faces_r18\n[data]\nsize = 32\nval = 0\nmean = 0.5 0.5 0.5\n"
                    "std = 0.5 0.5 0.5\n[train]\nepochs = 1\n"
                    "freeze = all\n[freeze]\nbn = frozen\n[optimizer]\nlr = 1e-9\n[output]\ntensorboard = no\n")

        def first_filter(words, status=0):
            run = self.path("classifier")
            err = phiz("train", self.path("trunk.cfg"), "--data", self.path("one"), "--run", run, *words, "--quiet",
                       status=status, PHIZ_TRUNKS=self.path("trunks")).stderr
            if status:
                return err
            found = tensor(os.path.join(run, "last.phiz"), first)
            if not words:
                self.rows_are_means(os.path.join(run, "last.phiz"), trunk)
            shutil.rmtree(run)
            return found

        first = sorted(name for name in tensors if name.endswith("weight") and len(tensors[name]["shape"]) == 4)[0]
        self.assertEqual(first_filter([]), tensor(trunk, first))
        self.assertNotEqual(first_filter(["--weights", "none"]), tensor(trunk, first))
        os.unlink(trunk)
        self.assertIn("comes with phiz is not in", first_filter([], status=1))

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
