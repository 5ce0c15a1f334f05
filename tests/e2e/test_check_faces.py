#!/usr/bin/env python3
# label: full
# needs: train
"""phiz data check on real faces (aligned crops, private data, linked to and never copied): a file swapped between two
people, one person under two names, two people in one folder. Each is found; the clean folders give no finding."""
import json
import os
import subprocess
import sys
import tempfile

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
DATA = os.environ.get("PHIZ_DATA", "")
FACES = os.path.join(DATA, "train_faces", "celeba")
ONNX = os.path.join(DATA, "weights", "mobilefacenet", "mobilefacenet.onnx")
PEOPLE, PHOTOS = 14, 8


def phiz(*args, want=(0,)):
    r = subprocess.run([PHIZ, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    assert r.returncode in want, f"phiz {args}: exit {r.returncode}, want {want}\n{r.stdout}{r.stderr}"
    return r


def check(folder, model):
    r = phiz("data", "check", folder, "--crops", "yes", "--model", model, "--json", want=(0, 1))
    return json.loads(r.stdout)


def kinds(report):
    return {k: n for k, n in report["counts"].items() if n}


def main():
    if not os.path.isdir(FACES) or not os.path.isfile(ONNX):
        print("skipped: no private data in", DATA)
        return 77
    with tempfile.TemporaryDirectory() as top:
        os.environ["XDG_CACHE_HOME"] = top
        model, photos = os.path.join(top, "mfn.phiz"), os.path.join(top, "photos")
        phiz("import", ONNX, "-o", model)
        ids = [i for i in sorted(os.listdir(FACES)) if len(os.listdir(os.path.join(FACES, i))) >= PHOTOS][:PEOPLE + 1]
        files = {i: sorted(os.listdir(os.path.join(FACES, i)))[:PHOTOS] for i in ids}
        stranger = ids.pop()

        def link(source, file, person, name=None):
            os.makedirs(os.path.join(photos, person), exist_ok=True)
            os.symlink(os.path.abspath(os.path.join(FACES, source, file)), os.path.join(photos, person, name or file))

        for i in ids:
            for f in files[i]:
                link(i, f, i)
        report = check(photos, model)
        assert report["photos"] == PEOPLE * PHOTOS and report["embeddings"], report
        assert not kinds(report), kinds(report)

        # Two files change places.
        a, b = ids[2], ids[9]
        x, y = files[a][3], files[b][5]
        os.rename(f"{photos}/{a}/{x}", f"{photos}/{b}/{x}")
        os.rename(f"{photos}/{b}/{y}", f"{photos}/{a}/{y}")
        # One person gets a second name for half of the photos.
        for f in files[ids[4]][:PHOTOS // 2]:
            os.makedirs(f"{photos}/second name", exist_ok=True)
            os.rename(f"{photos}/{ids[4]}/{f}", f"{photos}/second name/{f}")
        # Somebody else, who has no folder, in one's folder.
        for f in files[stranger][:4]:
            link(stranger, f, ids[6])
        report = check(photos, model)
        found = {(f["kind"], f["file"], f["other_person"]) for f in report["findings"]}
        assert ("wrong-person", f"{b}/{x}", a) in found, found
        assert ("wrong-person", f"{a}/{y}", b) in found, found
        same = [f for f in report["findings"] if f["kind"] == "same-person"]
        assert [{f["person"], f["other_person"]} for f in same] == [{ids[4], "second name"}], same
        mixed = [f for f in report["findings"] if f["kind"] == "mixed-folder"]
        assert [f["person"] for f in mixed] == [ids[6]], mixed
        assert (mixed[0]["file"].split("/")[1] in files[stranger]) != (mixed[0]["other_file"].split("/")[1] in
                                                                      files[stranger]), mixed
        counts = kinds(report)
        assert counts.pop("few") == 2, counts  # both halves of the one with two names
        assert counts == {"wrong-person": 2, "same-person": 1, "mixed-folder": 1}, counts
        assert report["cached"] >= PEOPLE * PHOTOS - 6, report["cached"]
    return 0


if __name__ == "__main__":
    sys.exit(main())
