#!/usr/bin/env python3
# needs: train
"""phiz data bench, from outside: its figures fit together. Needs nothing but Python."""
import json
import os
import subprocess
import tempfile

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")


def phiz(*args, want=0):
    r = subprocess.run([PHIZ, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    assert r.returncode == want, f"phiz {args}: exit {r.returncode}, want {want}\n{r.stdout}{r.stderr}"
    return r


def main():
    with tempfile.TemporaryDirectory() as data:
        for person in ("anna", "bert"):
            os.makedirs(f"{data}/{person}")
            for i in range(8):
                with open(f"{data}/{person}/{i}.ppm", "wb") as f:
                    f.write(b"P6\n64 48\n255\n" + bytes((i * 31 + k * 7) % 256 for k in range(64 * 48 * 3)))
        bench = ["data", "bench", "faces", "--data", data, "--seconds", "0.3", "--photos", "10"]
        r = json.loads(phiz(*bench, "--set", "data.size=32", "--set", "data.workers=1", "--json").stdout)
        assert (r["photos"], r["size"], r["threads"], r["recipe"]) == (10, 32, 1, "faces"), r
        assert list(r["us"]) == ["read", "geometry", "pixels", "floats"] and min(r["us"].values()) > 0, r
        whole = sum(r["us"].values())
        assert abs(r["photos_per_core_s"] * whole / 1e6 - 1) < 0.01, r
        assert abs(r["kept_photos_per_core_s"] * (whole - r["us"]["read"]) / 1e6 - 1) < 0.01, r
        # One worker cannot do more than its core can, but for the batches that were ready when timing began.
        assert 0 < r["photos_per_s"] < 1.3 * r["photos_per_core_s"], r
        plain = phiz(*bench, "--set", "data.size=32").stdout
        assert "photos/s" in plain and "geometry" in plain, plain
        # Colour costs nothing where there is none.
        keys = ("brightness", "contrast", "saturation", "hue", "gray")
        off = [word for key in keys for word in ("--set", f"augment.{key}=0")]
        less = json.loads(phiz(*bench, "--set", "data.size=128", "--json", *off).stdout)
        full = json.loads(phiz(*bench, "--set", "data.size=128", "--json").stdout)
        assert less["us"]["pixels"] < 0.5 * full["us"]["pixels"], (less, full)
        assert "--data" in phiz("data", "bench", "faces", want=2).stderr
        assert "no_such" in phiz(*bench, "--set", "data.no_such=1", want=1).stderr


if __name__ == "__main__":
    main()
