#!/usr/bin/env python3
"""The scripts that time: that they run, and that their figures hang together. No speed is tested.
label: full; needs: train"""
import csv
import json
import math
import os
import re
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

BUILD, SOURCE = os.environ["PHIZ_BUILD"], os.environ["PHIZ_SOURCE"]


def tool(name, *words, status=0, **environment):
    out = subprocess.run([os.path.join(SOURCE, "tools", name), *words], capture_output=True, text=True, timeout=300,
                         env={**os.environ, **environment})
    assert out.returncode == status, f"{name} {' '.join(words)}: exit {out.returncode}, want {status}\n{out.stderr}"
    return out


class Kernels(unittest.TestCase):
    CASE = "conv2d [N,8,9,9] [16,8,3,3] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1"

    def rows(self, *words):
        out = tool("bench_kernels", "--build", BUILD, *words, "--seconds", "0.001", "--threads", "1", "--json")
        return [json.loads(line) for line in out.stdout.splitlines()]

    def test_passes_and_their_work(self):
        passes = {row["pass"]: row for row in self.rows("--batch", "2", self.CASE)}
        self.assertEqual(list(passes), ["forward", "data gradient", "weight gradient", "backward"])
        flops = 2 * (2 * 16 * 9 * 9) * 8 * 9
        x, w, y = 2 * 8 * 81 * 4, 16 * 8 * 9 * 4, 2 * 16 * 81 * 4
        for name, want, moved in (("forward", flops, x + w + y), ("data gradient", flops, x + w + y),
                                  ("weight gradient", flops, x + w + y), ("backward", 2 * flops, 2 * x + 2 * w + y)):
            row = passes[name]
            self.assertAlmostEqual(row["gflops"] * row["ms"] * 1e6 / want, 1, delta=0.02, msg=name)
            self.assertAlmostEqual(row["gbps"] * row["ms"] * 1e6 / moved, 1, delta=0.02, msg=name)
            bound = row["gflops"] / row["peak_gflops"], row["gbps"] / row["peak_gbps"]
            self.assertAlmostEqual(row["peak_share"], max(bound), delta=0.02 * max(bound) + 1e-3)
            self.assertEqual(row["bound"], "memory" if bound[1] > bound[0] else "compute")

    def test_instruction_set_and_groups(self):
        self.assertEqual({row["kernel"] for row in self.rows("--cpu", "reference", self.CASE)}, {"reference"})
        every = {row["kernel"] for row in self.rows("--all", self.CASE)}
        self.assertIn("reference", every)
        self.assertGreater(len(every), 1)
        self.assertEqual({row["group"] for row in self.rows("pool")}, {"pool"})
        tool("bench_kernels", "--build", BUILD, "no_such_group", status=2)
        tool("bench_kernels", "--build", BUILD, "--batch", "0", status=2)


class Peers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def test_results_and_the_table_that_is_made_of_them(self):
        tool("bench_peers", "--quick", "--rows", "112 pixels, batch 16", "--peers", "torch",
             "--torch-python", "/no/python", "--phiz", os.path.join(BUILD, "tools", "phiz"),
             "--out", self.path("r.json"))
        with open(self.path("r.json")) as f:
            results = json.load(f)
        self.assertEqual([p["threads"] for p in results["peaks"]], [1, 2])
        self.assertTrue(results["machine"]["cores"] >= 1 and results["rows"])
        for row in results["rows"]:
            self.assertGreater(row["phiz"]["ms"], 0)
            self.assertEqual(row["peers"], {})
            self.assertNotIn("ratio", row)
        with open(self.path("README.md"), "w") as f:
            f.write("before\n<!-- speed table: r.json -->\nold\n<!-- end of speed table -->\nafter\n")
        self.assertIn("--quick", tool("speed_table", self.path("README.md"), status=1).stderr)

        results["quick"] = False
        results["versions"] = {"torch": "1.13.0a0", "ncnn": "1.0.2"}
        results["rows"][0].update(name="one", best_peer="torch", ratio=1.25, peers={
            "torch": {"ms": 12.5, "peak_rss_mib": 400.4}, "ncnn": {"ms": 250.4, "peak_rss_mib": 80}})
        results["rows"][0]["phiz"].update(ms=10, gflops=results["peaks"][1]["peak_gflops"] / 2, peak_rss_mib=90.2)
        with open(self.path("r.json"), "w") as f:
            json.dump(results, f)
        self.assertIn("not what", tool("speed_table", "--check", self.path("README.md"), status=1).stderr)
        tool("speed_table", self.path("README.md"))
        tool("speed_table", "--check", self.path("README.md"))
        with open(self.path("README.md")) as f:
            text = f.read()
        self.assertIn("| one | 10.0 | 12.5 | 250 | 1.25 | 50 % | 90 / 400 |\n", text)
        self.assertTrue(text.startswith("before\n") and text.endswith("after\n") and "old" not in text)
        self.assertIn("PyTorch 1.13 and ncnn 1.0.2", " ".join(text.split()))  # wherever the line ends

    def test_a_row_may_be_the_levels_of_a_pyramid(self):
        tool("bench_peers", "--quick", "--rows", "MTCNN", "--peers", "torch", "--torch-python", "/no/python", "--phiz",
             os.path.join(BUILD, "tools", "phiz"), "--out", self.path("r.json"))
        with open(self.path("r.json")) as f:
            row, = json.load(f)["rows"]
        self.assertEqual(row["size"], [[32, 32], [24, 40]])
        self.assertGreater(row["phiz"]["ms"], 0)
        # By hand: P-Net's multiply-adds for both, 2 FLOPs each; prelu, pooling and softmax add a few per cent.
        flops = 0
        for h, w in row["size"]:
            points = [(h - 2) * (w - 2), ((h - 1) // 2 - 2) * ((w - 1) // 2 - 2)]
            points.append(((h - 1) // 2 - 4) * ((w - 1) // 2 - 4))
            flops += 2 * (points[0] * 10 * 27 + points[1] * 16 * 90 + points[2] * (32 * 144 + 6 * 32))
        self.assertAlmostEqual(row["phiz"]["gflops"] * row["phiz"]["ms"] * 1e6 / flops, 1.04, delta=0.06)

    def test_wrong_words(self):
        tool("bench_peers", "--rows", "no such row", status=1)
        self.assertIn("no peer", tool("bench_peers", "--peers", "caffe", status=1).stderr)

    def test_the_readme_says_what_was_measured(self):
        with open(os.path.join(SOURCE, "README.md")) as f:
            if "<!-- speed table:" in f.read():
                tool("speed_table", "--check", os.path.join(SOURCE, "README.md"))


class Growth(unittest.TestCase):
    def test_points_plot_and_exponents(self):
        with tempfile.TemporaryDirectory() as folder:
            out = tool("bench_growth", "--quick", "--only", "batch,faces", "--net", "tiny", "--threads", "1", "--phiz",
                       os.path.join(BUILD, "tools", "phiz"), "--out", os.path.join(folder, "g"))
            with open(os.path.join(folder, "g.csv")) as f:
                rows = [dict(row) for row in csv.DictReader(f)]
            plot = xml.etree.ElementTree.parse(os.path.join(folder, "g.svg"))
        self.assertEqual([(row["sweep"], row["series"], row["x"]) for row in rows],
                         [("batch", "infer", "1"), ("batch", "infer", "2"), ("batch", "train", "1"),
                          ("batch", "train", "2"), ("faces", "query", "1000"), ("faces", "query", "2000")])
        self.assertTrue(all(float(row["ms"]) > 0 and float(row["peak_mib"]) > 1 for row in rows))
        texts = [e.text for e in plot.iter("{http://www.w3.org/2000/svg}text")]
        # Of two points the exponent is the binary logarithm of their ratio; CSV and text round.
        for first, second in ((rows[0], rows[1]), (rows[4], rows[5])):
            sweep, series = first["sweep"], first["series"]
            k = math.log2(float(second["ms"]) / float(first["ms"]))
            line = next(line for line in out.stdout.splitlines() if line.startswith(f"{sweep} {series}: time x^"))
            self.assertAlmostEqual(float(re.search(r"time x\^(-?[\d.]+)", line).group(1)), k, delta=0.011)
            self.assertTrue(any(t.startswith(f"{series}: x^") for t in texts))
        tool("bench_growth", "--only", "colour", status=1)


if __name__ == "__main__":
    unittest.main()
