#!/usr/bin/env python3
# label: full, needs: train
"""A run that is killed with SIGKILL at twenty random moments, and resumed each time, ends with the weights of the run
that was left alone: with one thread, with two, and with another number of threads after each kill. Its logs have every
line once, and nothing is left lying in its folder."""
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
KILLS = 20
SETTINGS = ["train.epochs=10", "train.batch=8", "train.ema=0.9", "augment.mixup=0.2", "data.size=32",
            "output.checkpoint_seconds=0.05", "schedule.warmup_epochs=1", "train.seed=7", "train.accumulate=2",
            "train.freeze=conv1, bn1", "freeze.unfreeze=conv1:3, bn1:3"]


def command(data, run, threads):
    words = [PHIZ, "train", "tiny", "--data", data, "--run", run, "--resume", "--quiet", "--json", "--threads",
             str(threads)]
    for setting in SETTINGS:
        words += ["--set", setting]
    return words


def finish(data, run, threads):
    out = subprocess.run(command(data, run, threads), capture_output=True, text=True, timeout=600)
    if out.returncode:
        sys.exit(f"{run}: {out.stderr}")
    return json.loads(out.stdout)


def killed(data, run, threads, after):
    """Starts or resumes the run and kills it after so many seconds; False: it was done before."""
    process = subprocess.Popen(command(data, run, threads), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    if process.returncode:
        sys.exit(f"{run}: {process.stderr.read()}")
    return False


def check_folder(run, epochs):
    left = [f for f in os.listdir(run) if f.endswith(".tmp")]
    assert not left, f"temporary files are left: {left}"
    lines = [json.loads(line) for line in open(os.path.join(run, "log.jsonl"))]
    seen = [line["epoch"] for line in lines if line["event"] == "epoch"]
    assert seen == list(range(1, epochs + 1)), f"epochs in log.jsonl: {seen}"
    rows = open(os.path.join(run, "metrics.csv")).read().splitlines()
    assert len(rows) == epochs + 1, f"{len(rows)} lines in metrics.csv"
    assert len(open(os.path.join(run, "curves.svg")).read()) > 1000


def check_events(run):
    """No step's loss stands twice in the event file: its records are counted by their tags and steps."""
    data = open(os.path.join(run, "events.out.tfevents.phiz"), "rb").read()
    at, steps = 0, collections.Counter()
    while at < len(data):
        size = int.from_bytes(data[at:at + 8], "little")
        record = data[at + 12:at + 12 + size]
        at += 16 + size
        if b"train/loss_step" in record:
            value, shift, i = 0, 0, 10  # behind wall_time (9 bytes) and the key of step
            while True:
                value |= (record[i] & 127) << shift
                shift += 7
                if record[i] < 128:
                    break
                i += 1
            steps[value] += 1
    assert at == len(data), "the event file ends in the middle of a record"
    assert steps and max(steps.values()) == 1, f"steps that are there twice: {[s for s in steps if steps[s] > 1]}"
    assert sorted(steps) == list(range(len(steps))), "steps are missing"


def main():
    rng = random.Random(int(os.environ.get("PHIZ_TEST_SEED", time.time())))
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "people")
        subprocess.run([PHIZ, "data", "synth", data, "--people", "4", "--photos", "14", "--size", "48", "--quiet"],
                       check=True)
        began = time.time()
        alone = finish(data, os.path.join(folder, "alone1"), 1)
        seconds = time.time() - began
        two = finish(data, os.path.join(folder, "alone2"), 2)
        assert alone["weights_sha256"] == two["weights_sha256"], "one thread and two give other weights"
        kills = runs = 0
        while kills < KILLS:
            run = os.path.join(folder, f"run{runs}")
            threads = (1, 2, None)[runs % 3]
            here = 0
            while killed(data, run, threads or rng.choice((1, 2)), rng.uniform(0.02, 0.5) * seconds):
                kills += 1
                here += 1
                if here == KILLS // 2:
                    break
            result = finish(data, run, threads or 1)
            assert result["weights_sha256"] == alone["weights_sha256"], \
                f"killed {here} times, threads {threads or 'changing'}: other weights than the run that was left alone"
            for name in ("train_loss", "val_top1", "best_val_top1", "epochs", "steps"):
                assert result[name] == alone[name], f"{name}: {result[name]} after kills, {alone[name]} alone"
            with open(os.path.join(run, "metrics.csv")) as got, \
                 open(os.path.join(folder, "alone1", "metrics.csv")) as want:
                # epoch, steps, losses and accuracies, rate; not the seconds
                assert [l.split(",")[:7] for l in got] == [l.split(",")[:7] for l in want], "metrics.csv differs"
            check_folder(run, result["epochs"])
            check_events(run)
            runs += 1
        print(f"{kills} kills in {runs} runs: the same weights each time ({alone['weights_sha256'][:12]}...)")


main()
