#!/usr/bin/env python3
# label: full
# needs: train
"""phiz data check with a detector and an embedder on photos of five celebrities (private data, linked to and never
copied): the one leak that is known is found and no other, and planted photos without a face and with several."""
import json
import os
import subprocess
import sys
import tempfile

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
DATA = os.environ.get("PHIZ_DATA", "")
FACES = os.path.join(DATA, "faces")
PEOPLE = os.path.join(FACES, "five_celebrity")
WEIGHTS = os.path.join(DATA, "weights")
LEAK = {"train/ben_afflek/httpssmediacacheakpinimgcomxeebdfdbaaajpg.jpg",
        "val/ben_afflek/httpbpblogspotcomedLMjVpRGkSWexgsXjkNIAAAAAAAADWgFFtAUqBlhAsjpg.jpg"}


def phiz(*words, want=(0,)):
    out = subprocess.run([PHIZ, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    assert out.returncode in want, f"phiz {words}: exit {out.returncode}, want {want}\n{out.stdout}{out.stderr}"
    return out


def main():
    if not os.path.isdir(PEOPLE):
        print("skipped: no private data in", DATA)
        return 77
    with tempfile.TemporaryDirectory() as top:
        os.environ["XDG_CACHE_HOME"] = top
        detector, model, photos = (os.path.join(top, n) for n in ("yunet.phiz", "mfn.phiz", "photos"))
        phiz("import", WEIGHTS + "/yunet/yunet_n_dynamic.onnx", "-o", detector)
        phiz("import", WEIGHTS + "/mobilefacenet/mobilefacenet.onnx", "-o", model)
        for split in ("train", "val"):
            for person in sorted(os.listdir(os.path.join(PEOPLE, split))):
                os.makedirs(os.path.join(photos, split, person))
                for file in os.listdir(os.path.join(PEOPLE, split, person)):
                    os.symlink(os.path.abspath(os.path.join(PEOPLE, split, person, file)),
                               os.path.join(photos, split, person, file))

        def check():
            out = phiz("data", "check", photos, "--detector", detector, "--model", model, "--json", "--quiet",
                       want=(0, 1))
            report = json.loads(out.stdout)
            found = {}
            for f in report["findings"]:
                found.setdefault(f["kind"], []).append(f)
            return report, found

        report, found = check()
        assert (report["photos"], report["people"]) == (118, 5), report
        assert report["faces"] and report["embeddings"] and not report["left_out"], report
        assert [{f["file"], f["other_file"]} for f in found["leak"]] == [LEAK], found["leak"]
        for kind in ("no-face", "copy", "two-names", "wrong-person", "mixed-folder", "same-person", "unreadable"):
            assert kind not in found, found[kind]
        several = {f["file"] for f in found.get("several-faces", [])}
        assert len(several) == 2, several

        # A photo without a face and photos with several go into two folders.
        planted = {"train/madonna/nobody.jpg": os.path.join(DATA, "imagenet125", "n04532670_viaduct.JPEG"),
                   "train/mindy_kaling/crowd.jpg": os.path.join(FACES, "groups", "bbt", "bbt1.jpg"),
                   "val/elton_john/two.jpg": os.path.join(FACES, "groups", "portraits", "two_people.jpg")}
        for name, source in planted.items():
            os.symlink(os.path.abspath(source), os.path.join(photos, name))
        report, found = check()
        assert report["cached"] == 118, report["cached"]
        assert [f["file"] for f in found["no-face"]] == ["train/madonna/nobody.jpg"], found["no-face"]
        assert {f["file"] for f in found["several-faces"]} - several == {"train/mindy_kaling/crowd.jpg",
                                                                        "val/elton_john/two.jpg"}, found
        assert [{f["file"], f["other_file"]} for f in found["leak"]] == [LEAK], found["leak"]
    return 0


if __name__ == "__main__":
    sys.exit(main())
