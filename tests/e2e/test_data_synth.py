#!/usr/bin/env python3
# needs: train
"""Sample people from outside: broken off and taken up again, bursts against the split, what is refused."""
import csv
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")


def phiz(*words, status=0):
    out = subprocess.run([PHIZ, *words], capture_output=True, text=True, timeout=300)
    assert out.returncode == status, f"phiz {' '.join(words)}: exit {out.returncode}, want {status}\n{out.stderr}"
    return out


def contents(folder):
    found = {}
    for place, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(place, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, folder)] = f.read()
    return found


class Synth(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def test_what_was_broken_off_is_taken_up(self):
        words = ["--people", "6", "--photos", "10", "--size", "96", "--seed", "5"]
        phiz("data", "synth", self.path("whole"), *words, "--quiet")
        whole = contents(self.path("whole"))
        for stop, status in ((signal.SIGINT, 1), (signal.SIGKILL, -signal.SIGKILL)):
            broken = self.path("broken%d" % stop)
            process = subprocess.Popen([PHIZ, "data", "synth", broken, *words, "--quiet"], stderr=subprocess.DEVNULL)
            deadline = time.time() + 60
            while len(contents(broken)) < 5 and time.time() < deadline and process.poll() is None:
                time.sleep(0.005)
            process.send_signal(stop)
            ended = process.wait()
            if ended != 0:  # it may have been done before the signal came
                self.assertEqual(ended, status)
                left = contents(broken)
                for name, data in left.items():
                    if name.endswith(".jpg"):
                        self.assertEqual(data, whole[name], name)
            out = json.loads(phiz("data", "synth", broken, *words, "--json", "--quiet").stdout)
            self.assertEqual(contents(broken).keys(), whole.keys())
            self.assertEqual(contents(broken), whole)
            self.assertEqual(out["people"] * out["photos"], 60)

    def test_truth_lies_in_the_photos(self):
        phiz("data", "synth", self.path("people"), "--people", "3", "--photos", "4", "--size", "128", "--quiet")
        with open(self.path("people/truth.csv"), newline="", encoding="utf-8") as f:
            rows = list(csv.DictReader(f))
        self.assertEqual(len(rows), 12)
        for row in rows:
            self.assertTrue(os.path.isfile(os.path.join(self.path("people"), row["file"])))
            numbers = {key: float(value) for key, value in row.items() if key not in ("file", "person", "group")
                       and value.replace(".", "", 1).lstrip("-").isdigit()}
            self.assertGreaterEqual(len(numbers), 14, row)

    def test_bursts_stay_on_one_side_of_a_split(self):
        phiz("data", "synth", self.path("people"), "--people", "4", "--photos", "20", "--size", "96", "--burst", "0.5",
             "--quiet")
        split = self.path("split.csv")
        phiz("data", "split", self.path("people"), "-o", split, "--quiet")
        with open(split, newline="", encoding="utf-8") as f:
            rows = list(csv.DictReader(f))
        self.assertEqual(len(rows), 80)
        sides = {}
        for row in rows:
            if row["group"]:
                sides.setdefault((row["person"], row["group"]), set()).add(row["part"])
        self.assertGreater(len(sides), 4, "bursts at 0.5, and hardly a group was found")
        for group, parts in sides.items():
            self.assertEqual(len(parts), 1, group)
        self.assertEqual(phiz("data", "split", self.path("people"), split, "--check", "--quiet").returncode, 0)

    def test_refusals(self):
        with open(self.path("file"), "w") as f:
            f.write("in the way")
        err = phiz("data", "synth", self.path("file"), "--quiet", status=1).stderr
        self.assertIn("file", err)
        self.assertEqual(len(err.strip().splitlines()), 1)
        self.assertIn("32 to 1024", phiz("data", "synth", self.path("x"), "--size", "9", status=2).stderr)


unittest.main(verbosity=1)
