#!/usr/bin/env python3
# label: full
"""The enrolment of 1,000 people, killed with SIGKILL at random moments and begun again until it ends: whoever was
printed is in the gallery, whole, to the last number; nobody is there in part; the log is sound; it ends with all."""
import json
import os
import random
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
PEOPLE, DIM, KILLS = 1000, 32, 25


def unit(vector):
    norm = sum(v * v for v in vector) ** 0.5
    return [v / norm for v in vector]


def phiz(*args):
    r = subprocess.run([PHIZ, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    if r.returncode:
        sys.exit(f"phiz {args}: exit {r.returncode}\n{r.stderr}")
    return r.stdout


def check(gallery, people, reported):
    """What stands in the file, read with Python's own SQLite: whole people only, and all that were reported."""
    db = sqlite3.connect(gallery)
    rows = db.execute("SELECT name, embedding FROM person JOIN photo ON person.id = person "
                      "ORDER BY photo.id").fetchall()
    lonely = db.execute("SELECT count(*) FROM person WHERE id NOT IN (SELECT person FROM photo)").fetchone()[0]
    sound = db.execute("PRAGMA integrity_check").fetchone()[0]
    db.close()
    assert sound == "ok", sound
    assert lonely == 0, f"{lonely} people without photos"
    there = {}
    for name, blob in rows:
        there.setdefault(name, []).append(struct.unpack(f"<{DIM}f", blob))
    for name, vectors in there.items():
        assert len(vectors) == len(people[name]), f"{name} is there in part: {len(vectors)} of {len(people[name])}"
        for got, want in zip(vectors, people[name]):
            assert max(abs(a - b) for a, b in zip(got, unit(want))) < 1e-6, name
    missing = reported - there.keys()
    assert not missing, f"reported done and not there: {sorted(missing)[:5]}"
    return len(there)


def main():
    rng = random.Random(20)
    people = {f"person {i:04d}": [[rng.gauss(0, 1) for _ in range(DIM)] for _ in range(1 + i % 3)]
              for i in range(PEOPLE)}
    with tempfile.TemporaryDirectory(prefix="phiz-test-") as folder:
        gallery, lines = os.path.join(folder, "g.db"), os.path.join(folder, "people.jsonl")
        with open(lines, "w", encoding="utf-8") as f:
            f.write(json.dumps({"phiz_gallery": 1, "model": "ab" * 32, "model_name": "net", "dim": DIM}) + "\n")
            for name, vectors in people.items():
                for k, v in enumerate(vectors):
                    f.write(json.dumps({"name": name, "embedding": v, "source": f"{k}.jpg"}) + "\n")
        # How long the whole import takes on this machine, so that each killed one does a small part of it.
        begun = time.monotonic()
        phiz("gallery", "import", lines, "--gallery", os.path.join(folder, "whole.db"))
        whole = time.monotonic() - begun
        os.remove(os.path.join(folder, "whole.db"))
        reported, kills, counts = set(), 0, []
        while True:
            # Standard output is a file: what a killed program had printed is in it.
            with open(os.path.join(folder, "out"), "w+", encoding="utf-8") as out:
                process = subprocess.Popen([PHIZ, "gallery", "import", lines, "--gallery", gallery], stdout=out,
                                           stderr=subprocess.PIPE)
                try:
                    process.wait(timeout=rng.uniform(0.0, whole * (0.15 + 0.02 * kills)) if kills < KILLS else 300)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    kills += 1
                out.seek(0)
                # The last line may have been cut.
                reported |= {line.rsplit(": ", 1)[0] for line in out if line.endswith(" added\n")}
                error = process.stderr.read().decode()
                process.stderr.close()
            if os.path.exists(gallery) and os.path.getsize(gallery):
                try:
                    counts.append(check(gallery, people, reported))
                except sqlite3.OperationalError:
                    assert not reported, "the tables are missing"  # killed before the first transaction
            if process.returncode == 0:
                break
            if process.returncode != -signal.SIGKILL:
                sys.exit(f"exit {process.returncode}: {error}")
        assert kills >= 5, f"only {kills} kills: too quick to test anything"
        assert check(gallery, people, reported) == PEOPLE
        assert len(reported) == PEOPLE, len(reported)
        phiz("gallery", "audit", "--verify", "--gallery", gallery)
        phiz("gallery", "export", "--gallery", gallery, "-o", os.path.join(folder, "export.jsonl"))
        left = sorted(os.listdir(folder))
        assert left == ["export.jsonl", "g.db", "out", "people.jsonl"], left
        print(f"{kills} kills, people there after each: {counts}")


if __name__ == "__main__":
    started = time.time()
    main()
    print(f"{time.time() - started:.1f} s")
