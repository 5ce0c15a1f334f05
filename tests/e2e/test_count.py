#!/usr/bin/env python3
"""Instructions of small fixed jobs (tests/bench/bench_count.c), counted by valgrind, against those in counts.json.
label: full; needs: train

Time differs from run to run and from machine to machine; instructions do not, so that a change that makes phiz do more
work is seen in CI. More than the tolerance above the file fails; where it is meant, or fewer are needed now:

    PHIZ_BUILD=build/release tests/e2e/test_count.py --renew

Skipped where there is no valgrind, where the compiler is not the file's (another one makes other code), in debug
builds, and on processors without AVX2, whose kernels are what is counted."""
import json
import os
import re
import subprocess
import sys
import tempfile

BUILD = os.environ.get("PHIZ_BUILD", "build/release")
PROGRAM = os.path.join(BUILD, "tests", "bench_count")
FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench", "counts.json")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def jobs():
    """The functions count_NAME of the program, in the order in which they run."""
    with open(os.path.join(os.path.dirname(FILE), "bench_count.c")) as f:
        return re.findall(r"^void count_(\w+)\(", f.read(), re.M)


def count():
    names = jobs()
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--toggle-collect=count_*", *(f"--dump-after=count_{n}" for n in names),
             f"--callgrind-out-file={out}", PROGRAM], capture_output=True, text=True,
            env={**os.environ, "PHIZ_CPU": "avx2", "OPENBLAS_NUM_THREADS": "1"})
        if done.returncode:
            sys.exit(f"test_count: valgrind or the program failed:\n{done.stdout}{done.stderr}")
        found = {}
        for i in range(len(names)):
            with open(f"{out}.{i + 1}") as f:
                text = f.read()
            found[re.search(r"^desc: Trigger: --dump-after=count_(\w+)", text, re.M).group(1)] = \
                int(re.search(r"^totals: (\d+)", text, re.M).group(1))
    return {name: found[name] for name in names}


def renew(compiler, valgrind):
    counts = {"compiler": compiler, "valgrind": valgrind, "tolerance": 0.03, "instructions": count()}
    with open(FILE, "w") as f:
        json.dump(counts, f, indent=1)
        f.write("\n")
    print(json.dumps(counts["instructions"]))


def compare(kept):
    found, failed = count(), False
    for name, n in found.items():
        before = kept["instructions"].get(name)
        if before is None:
            print(f"{name}: {n} instructions, and counts.json has none: renew it")
            failed = True
            continue
        change = n / before - 1
        word = "as before" if abs(change) <= kept["tolerance"] else "MORE than allowed" if change > 0 else \
            "fewer: renew counts.json, so that it stays so"
        print(f"{name}: {n} instructions, {before} in counts.json, {100 * change:+.2f} % ({word})")
        failed |= change > kept["tolerance"]
    if failed:
        sys.exit(f"test_count: more than {100 * kept['tolerance']:.0f} % above tests/bench/counts.json. Where that is "
                 "meant: PHIZ_BUILD=build/release tests/e2e/test_count.py --renew, and say in the commit why")


def main():
    try:
        valgrind = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        skip("no valgrind (Debian: valgrind)")
    compiler, build, features = subprocess.run([PROGRAM, "--build"], capture_output=True, text=True,
                                               check=True).stdout.splitlines()
    if build != "release":
        skip("this build is not a release build without sanitizers")
    if "avx2" not in features.split():
        skip("this processor has no AVX2")
    if sys.argv[1:] == ["--renew"]:
        renew(compiler, valgrind)
        return
    with open(FILE) as f:
        kept = json.load(f)
    if compiler != kept["compiler"]:
        skip(f"counts.json was made with {kept['compiler']}, this is {compiler}")
    compare(kept)


if __name__ == "__main__":
    main()
