#!/usr/bin/env python3
"""The program from outside: help, usage errors, exit statuses, the contract of its JSON, bad and missing files."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")


def phiz(*words, status=0):
    out = subprocess.run([PHIZ, *words], capture_output=True, text=True, timeout=300)
    assert out.returncode == status, f"phiz {' '.join(words)}: exit {out.returncode}, want {status}\n{out.stderr}"
    if status:
        assert out.stderr.strip(), f"phiz {' '.join(words)}: failed without a word"
    return out


class Program(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.people = cls.path("people")
        phiz("data", "synth", cls.people, "--people", "5", "--photos", "12", "--size", "64", "--seed", "3", "--quiet")
        cls.run_dir = cls.path("run")
        out = phiz("train", "tiny", "--data", cls.people, "--run", cls.run_dir, "--set", "train.epochs=2", "--set",
                   "data.size=32", "--json", "--quiet")
        cls.trained = json.loads(out.stdout)
        cls.model = cls.path("m.phiz")
        phiz("export", cls.run_dir, "-o", cls.model, "--calibrate", cls.people, "--quiet")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    def photo(self, n=0):
        folder = sorted(f for f in os.listdir(self.people) if os.path.isdir(os.path.join(self.people, f)))[n]
        return os.path.join(self.people, folder, "0001.jpg")

    def test_help_tells_about_every_verb(self):
        verbs = [re.split(r"  +", line.strip())[0] for line in phiz("help").stdout.splitlines()
                 if re.match(r"  [a-z]", line)]
        self.assertGreater(len(verbs), 8)
        manual = phiz("help", "--man").stdout
        for verb in verbs:
            text = phiz(*verb.split(), "--help").stdout
            self.assertEqual(text, phiz("help", *verb.split()).stdout)
            self.assertIn("usage: phiz " + verb, text)
            for option in re.findall(r"^  (--?[a-z-]+)", text, re.M):
                self.assertIn(option.replace("-", "\\-"), manual)

    def test_wrong_usage_is_2_and_guesses_what_was_meant(self):
        self.assertIn("did you mean 'train'", phiz("trian", status=2).stderr)
        self.assertIn("did you mean 'data split'", phiz("data", "splt", status=2).stderr)
        self.assertIn("did you mean '--json'", phiz("info", "tiny", "--jsn", status=2).stderr)
        self.assertIn("too few", phiz("predict", self.model, status=2).stderr)
        self.assertIn("'x'", phiz("bench", "tiny", "--batch", "x", status=2).stderr)
        self.assertIn("1 to", phiz("bench", "tiny", "--batch", "0", status=2).stderr)
        phiz(status=2)
        phiz("export", self.run_dir, status=2)
        phiz("export", self.run_dir, "-o", self.path("x.phiz"), "--precision", "int9", status=2)

    def test_recipe_mistakes_name_file_and_line(self):
        recipe = self.path("wrong.cfg")
        for text, words in (("[train]\nepochs = 3\nbatchh = 2\n", (":3:", "batchh", "did you mean", "batch")),
                            ("[train]\nepochs = 3x\n", (":2:", "3x")), ("epochs = 3\n", (":1:",)),
                            ("[train]\nepochs = 3\nepochs = 4\n", (":3:", "epochs"))):
            with open(recipe, "w") as f:
                f.write(text)
            err = phiz("train", recipe, "--data", self.people, "--run", self.path("none"), status=1).stderr
            for word in words:
                self.assertIn(word, err)
        self.assertFalse(os.path.exists(self.path("none")))
        err = phiz("train", "tiny", "--data", self.people, "--run", self.path("none"), "--set", "train.epoch=1",
                   status=1).stderr
        self.assertIn("did you mean", err)

    def test_train_json(self):
        for key in ("epochs", "train_loss", "val_top1", "best_val_top1", "seconds", "images_per_s", "weights_sha256",
                    "checkpoint"):
            self.assertIn(key, self.trained)
        self.assertEqual(self.trained["epochs"], 2)
        self.assertRegex(self.trained["weights_sha256"], "^[0-9a-f]{64}$")
        self.assertTrue(os.path.isfile(self.trained["checkpoint"]))
        for name in ("recipe.cfg", "log.jsonl", "metrics.csv", "curves.svg", "last.phiz", "best.phiz"):
            self.assertTrue(os.path.getsize(os.path.join(self.run_dir, name)) > 0, name)

    def test_a_finished_run_is_not_overwritten(self):
        err = phiz("train", "tiny", "--data", self.people, "--run", self.run_dir, status=1).stderr
        self.assertIn("--resume", err)

    def test_predict_json(self):
        out = phiz("predict", self.model, self.photo(), self.photo(1), "--json", "--topk", "3", "--logits")
        lines = [json.loads(line) for line in out.stdout.splitlines()]
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertEqual(set(line), {"file", "name", "confidence", "topk", "logits"})
            self.assertEqual(len(line["topk"]), 3)
            self.assertEqual(line["topk"][0]["name"], line["name"])
            self.assertEqual(len(line["logits"]), 5)
        self.assertNotIn("logits", json.loads(phiz("predict", self.model, self.photo(), "--json").stdout))

    def test_the_checkpoint_and_the_export_say_the_same(self):
        a = json.loads(phiz("predict", self.run_dir, self.photo(), "--json", "--logits").stdout)
        b = json.loads(phiz("predict", self.model, self.photo(), "--json", "--logits").stdout)
        for x, y in zip(a["logits"], b["logits"]):
            self.assertAlmostEqual(x, y, delta=1e-4 * max(map(abs, a["logits"])))

    def test_one_bad_picture_does_not_stop_the_others(self):
        bad = self.path("bad.jpg")
        with open(bad, "wb") as f:
            f.write(b"GIF89a not a jpeg")
        out = phiz("predict", self.model, bad, self.photo(), self.path("missing.png"), "--json", status=1)
        self.assertEqual(len(out.stdout.splitlines()), 1)
        self.assertIn("bad.jpg", out.stderr)
        self.assertIn("GIF", out.stderr)
        self.assertIn("missing.png", out.stderr)

    def test_a_damaged_model_is_refused(self):
        with open(self.model, "rb") as f:
            data = bytearray(f.read())
        damaged = self.path("damaged.phiz")
        data[len(data) // 2] ^= 1
        for content in (bytes(data), bytes(data[:1000]), b""):
            with open(damaged, "wb") as f:
                f.write(content)
            err = phiz("predict", damaged, self.photo(), status=1).stderr
            self.assertIn("damaged.phiz", err)
            self.assertEqual(len(err.strip().splitlines()), 1)

    def test_bench_json(self):
        for mode in ("infer", "train"):
            words = ["bench", "tiny", "--mode", mode, "--batch", "2", "--size", "32", "--classes", "7", "--seconds",
                     "0.05", "--json"]
            out = json.loads(phiz(*words).stdout)
            for key in ("ms_median", "images_per_s", "gflops", "peak_rss_mib", "peak_gflops", "peak_gbps",
                        "peak_share"):
                self.assertGreater(out[key], 0)
            self.assertNotIn("per_layer", out)

    def test_bench_tells_where_the_time_goes(self):
        words = ["bench", "tiny", "--mode", "train", "--freeze", "conv1, bn1, layer1, layer2", "--batch", "2", "--size",
                 "32", "--seconds", "0.1", "--per-layer"]
        out = json.loads(phiz(*words, "--json").stdout)
        rows = out["per_layer"]
        for row in rows:
            self.assertGreaterEqual(row["ms"], 0)
            self.assertGreater(row["bytes"], 0, row)
            self.assertEqual(row["output"][0] if row["op"] == "conv2d" else 2, 2)
        # The trunk's steps, the head's, the backward ones, the optimiser; none for what is frozen.
        passes = [row["pass"] for row in rows]
        self.assertEqual(passes, sorted(passes, key=["forward", "backward", "update"].index))
        nodes = {kind: [row["node"] for row in rows if row["pass"] == kind] for kind in passes}
        self.assertEqual(nodes["forward"][0], "conv1")
        self.assertIn("layer3.0.conv1", nodes["backward"])
        self.assertFalse([name for name in nodes["backward"] if name.startswith(("conv1", "layer1", "layer2"))])
        self.assertEqual(nodes["update"], ["(all parameters)"])
        # By hand: conv1 makes 16x16 points of 16 filters of 3x3x3, for two pictures.
        self.assertEqual(rows[0]["flops"], 2 * 2 * 16 * 16 * 16 * 27)
        self.assertAlmostEqual(sum(row["flops"] for row in rows if row["pass"] != "update"),
                               out["gflops"] * out["ms_median"] * 1e6, delta=0.01 * sum(row["flops"] for row in rows))
        self.assertLess(sum(row["share"] for row in rows), 1.5)
        table = phiz(*words).stdout.splitlines()
        self.assertEqual([line.split()[1] for line in table if line.startswith(("forward", "backward"))],
                         nodes["forward"] + nodes["backward"])
        self.assertIn("whole run", table[-1])

    def test_bench_takes_pictures_that_are_not_square(self):
        words = ["bench", "mtcnn_pnet", "--size", "20", "--width", "30"]
        first = json.loads(phiz(*words, "--runs", "3", "--per-layer", "--json").stdout)["per_layer"][0]
        self.assertEqual(first["output"], [1, 10, 18, 28])
        phiz("bench", "mtcnn_pnet", "--width", "30", status=2)
        phiz(*words, "--mode", "train", status=2)
        phiz(*words, "--tune", status=2)

    def test_bench_measures_the_machine(self):
        lines = [json.loads(line) for line in phiz("bench", "--peak", "--threads", "2", "--json").stdout.splitlines()]
        self.assertEqual([line["threads"] for line in lines], [1, 2])
        for line in lines:
            self.assertGreater(line["peak_gflops"], 0.1)
            self.assertGreater(line["peak_gbps"], 0.1)
        phiz("bench", status=2)
        phiz("bench", "tiny", "--peak", status=2)

    def test_devices(self):
        cpu, gpu = [json.loads(line) for line in phiz("devices", "--json", "--threads", "1").stdout.splitlines()][:2]
        self.assertEqual((cpu["device"], cpu["threads"], cpu["precisions"]), ("cpu", 1, ["fp32", "bf16", "int8"]))
        self.assertGreater(cpu["memory"], 1 << 28)
        self.assertTrue(gpu["device"] == "cuda:0" and gpu["memory"] > 0 or gpu["device"] is None and gpu["reason"])
        text = phiz("devices").stdout
        self.assertIn(cpu["name"], text)
        for word in cpu["instructions"]:
            self.assertIn(word, text)
        phiz("devices", "cpu", status=2)

    def test_no_gpu_library_is_loaded_unasked(self):
        loaded = subprocess.run([PHIZ, "info", "tiny"], env=dict(os.environ, LD_DEBUG="files"), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, universal_newlines=True, check=True).stderr
        self.assertIn("libc.so", loaded)
        for name in ("libcuda", "libcudnn", "libcublas", "libphiz_cuda"):
            self.assertNotIn(name, loaded)

    def test_bench_tunes(self):
        model, tune = self.path("tuned.phiz"), self.path("tuned.phiz.tune")
        shutil.copy(self.model, model)
        plain = phiz("info", model, "--plan").stdout
        self.assertFalse(json.loads(phiz("info", model, "--json").stdout)["tuned"])
        out = phiz("bench", model, "--tune", "--runs", "3", "--threads", "1", "--json")
        self.assertIn("tuned:", out.stderr)
        told = json.loads(out.stdout)["tune"]
        self.assertLessEqual(told["ms_after"], told["ms_before"])
        with open(tune) as f:
            lines = f.read().splitlines()
        self.assertEqual(lines[0], "phiz tuning 1")
        self.assertGreater(len(lines), 2)
        self.assertTrue(json.loads(phiz("info", model, "--json").stdout)["tuned"])
        self.assertIn(f"{len(lines) - 2} kernels chosen on this machine", phiz("info", model).stdout)
        # Other verbs do as the file says: that the last layer is left to OpenBLAS, for instance.
        lines = [re.sub("^(linear .*) = .*", r"\1 = openblas", line) for line in lines]
        with open(tune, "w") as f:
            f.write("\n".join(lines) + "\n")
        self.assertIn(" openblas ", phiz("info", model, "--plan").stdout)
        self.assertNotIn(" openblas ", plain)
        with open(tune, "w") as f:
            f.write("phiz tuning 1\nmachine: elsewhere\n" + "\n".join(lines[2:]) + "\n")
        told = "  tuned         not for this machine, but for elsewhere\n"
        self.assertEqual(phiz("info", model, "--plan").stdout.replace(told, ""), plain)
        self.assertIn(told, phiz("info", model).stdout)
        with open(tune, "w") as f:
            f.write("rubbish")
        spoilt = phiz("info", model, "--plan")
        self.assertEqual(spoilt.stdout, plain)
        self.assertEqual(spoilt.stderr.count("tuned.phiz.tune"), 1)
        # Where it cannot be written the run goes on.
        os.remove(tune)
        os.mkdir(tune)
        kept = phiz("bench", model, "--tune", "--runs", "3", "--json")
        self.assertIn("the choice is not kept", kept.stderr)
        self.assertGreater(json.loads(kept.stdout)["ms_median"], 0)
        os.rmdir(tune)
        phiz("bench", "tiny", "--tune", "--runs", "3")  # no file, nothing beside it
        phiz("bench", "tiny", "--tune", "--mode", "train", status=2)

    def test_info_prints_the_plan(self):
        text = phiz("info", "resnet18", "--plan").stdout
        self.assertIn("forward 3.6", text)
        self.assertEqual(json.loads(phiz("info", self.model, "--json").stdout)["classes"], 5)

    def test_a_full_disk_is_said_and_nothing_is_lost(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with open("/dev/full", "w") as full:
            out = subprocess.run([PHIZ, "info", "tiny"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(out.returncode, 1)
        self.assertIn("standard output", out.stderr)

    def test_an_export_that_cannot_be_proved_writes_nothing(self):
        empty, target = self.path("empty"), self.path("unproved.phiz")
        os.makedirs(empty, exist_ok=True)
        phiz("export", self.run_dir, "-o", target, "--calibrate", empty, status=1)
        self.assertFalse(os.path.exists(target))
        self.assertFalse(os.path.exists(target + ".part"))

    def test_precisions(self):
        for precision, share in (("fp16", 0.62), ("bf16", 0.62), ("int8", 0.45)):
            target = self.path(precision + ".phiz")
            phiz("export", self.run_dir, "-o", target, "--precision", precision, "--calibrate", self.people,
                 "--quiet")
            self.assertLess(os.path.getsize(target), share * os.path.getsize(self.model))
            a = json.loads(phiz("predict", self.model, self.photo(), "--json").stdout)
            b = json.loads(phiz("predict", target, self.photo(), "--json").stdout)
            self.assertEqual(a["name"], b["name"])
            self.assertAlmostEqual(a["confidence"], b["confidence"], delta=0.05)

    def test_int8_keeps_layers_and_says_how(self):
        target = self.path("kept.phiz")
        words = ["export", self.run_dir, "-o", target, "--precision", "int8", "--calibrate", self.people]
        phiz(*words, "--keep", "conv1", "--clip", "percentile", "--quiet")
        steps = json.loads(phiz("bench", target, "--per-layer", "--runs", "3", "--json").stdout)["per_layer"]
        ops = {step["node"]: step["op"] for step in steps}
        self.assertEqual(ops["conv1"], "conv2d")
        self.assertIn("quantized_conv2d", ops.values())
        self.assertIn("no layer", phiz(*words, "--keep", "conv77", status=1).stderr)
        self.assertIn("--clip", phiz(*words, "--clip", "most", status=2).stderr)
        phiz("export", self.run_dir, "-o", target, "--keep", "conv1", status=2)

    def test_synth_is_the_same_for_any_threads(self):
        for threads in ("1", "2"):
            phiz("data", "synth", self.path("s" + threads), "--people", "2", "--photos", "3", "--size", "64",
                 "--threads", threads, "--quiet")
        for folder, _, files in os.walk(self.path("s1")):
            for name in files:
                a = os.path.join(folder, name)
                with open(a, "rb") as x, open(a.replace(self.path("s1"), self.path("s2"), 1), "rb") as y:
                    self.assertEqual(x.read(), y.read(), a)


unittest.main(verbosity=1)
