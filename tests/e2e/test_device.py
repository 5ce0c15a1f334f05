#!/usr/bin/env python3
# needs: train
"""--device from outside, with a module in place of CUDA's whose device is the host's memory and reference kernels: what
runs there answers as the CPU does, what cannot goes to the CPU by itself or is refused. Then the CUDA backend itself,
on the test double of CUDA, where that was built. Nothing but Python."""
import json
import os
import random
import subprocess
import sys
import tempfile

import test_embed

BUILD = os.environ["PHIZ_BUILD"]
PHIZ = os.path.join(BUILD, "tools", "phiz")
MODULE = os.path.join(BUILD, "tests", "libfake_cuda_device.so")
DOUBLE = os.path.join(BUILD, "tests", "libcuda_double_13000.so")
LEAN = os.path.join(BUILD, "tests", "libcuda_lean_double_13000.so")
ON_FAKE, ON_CPU = "device: cuda:0", "device: cpu"


def phiz(*args, want=0, module=MODULE, libraries=""):
    env = dict(os.environ, PHIZ_CUDA_MODULE=module, PHIZ_CUDA_LEAN_MODULE=LEAN, LD_LIBRARY_PATH=libraries)
    r = subprocess.run([PHIZ, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=env)
    assert r.returncode == want, f"phiz {args}: exit {r.returncode}, want {want}\n{r.stdout}{r.stderr}"
    return r


def photo(path, person, seed):
    draw, colour = random.Random(seed), random.Random(person)
    base = [colour.randrange(40, 216) for _ in range(3)]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(b"P6\n40 40\n255\n" + bytes(min(255, max(0, base[i % 3] + draw.randrange(-40, 41)))
                                            for i in range(40 * 40 * 3)))


def close(a, b):
    """The same answers but for rounding; a is not b to the bit, so that it was computed anew."""
    if isinstance(a, dict):
        return set(a) == set(b) and all(close(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-5 + 1e-4 * abs(b)
    return a == b


def lines(r):
    return [json.loads(line) for line in r.stdout.splitlines()]


def both(*words, drop=(), module=MODULE):
    """The verb by default, which is the fake GPU, and on the CPU."""
    there, here = phiz(*words, "--verbose", module=module), phiz(*words, "--verbose", "--device", "cpu")
    assert ON_FAKE in there.stderr and ON_FAKE not in here.stderr and ON_CPU in here.stderr, there.stderr + here.stderr
    a, b = ([{k: v for k, v in line.items() if k not in drop} for line in lines(r)] for r in (there, here))
    assert a and close(a, b), (a, b)
    assert there.stdout != here.stdout, "the fake GPU has other kernels: it cannot give the same bits"
    return there


def check_verbs(model, data, photos):
    both("predict", model, *photos, "--json", "--logits")
    both("embed", model, data, "--json")
    both("embed", model, data, "--json", "--flip", "--threads", "3")
    one, three = (phiz("embed", model, data, "--json", "--threads", n).stdout for n in ("1", "3"))
    assert one == three, "threads that share a device mix faces up"
    both("eval", model, "--data", data, "--json", drop=("ms_per_image", "ms_network"))
    half = phiz("predict", model, photos[0], "--json", "--verbose", "--precision", "fp16", "--device", "cuda:2")
    assert "device: cuda:2" in half.stderr


def check_data(model, data):
    """phiz data check tells people apart on the device; what it found may be a fault, exit status 1."""
    def cosines(*more):
        r = subprocess.run([PHIZ, "data", "check", data, "--model", model, "--detector", "none", "--crops", "yes",
                            "--cache", "none", "--json", "--verbose", *more], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, encoding="utf-8", env=dict(os.environ, PHIZ_CUDA_MODULE=MODULE))
        assert r.returncode in (0, 1), r.stderr
        return r.stderr, json.loads(r.stdout)

    (there, a), (here, b) = cosines(), cosines("--device", "cpu")
    assert ON_FAKE in there and ON_CPU in here and close(a, b), (a, b)
    refused = phiz("data", "check", data, "--model", model, "--detector", "none", "--crops", "yes", "--cache", "none",
                   "--device", "cuda", module="/nowhere/module.so", want=1)
    assert "/nowhere/module.so: cannot open" in refused.stderr, refused.stderr


def check_gallery(model, photos, dir):
    nets = ["--gallery", f"{dir}/g.db", "--model", model, "--aligned"]
    for name, photo in zip(("anna", "bert", "carl"), photos[::2]):
        phiz("enroll", name, photo, *nets, "--min-quality", "0", "--force", "--device", "cpu")
    both("identify", photos[1], *nets, "--threshold", "0", "--json")


def check_fallback(small, embedder, photos):
    cpu = phiz("predict", small, photos[0], "--json", "--logits", "--device", "cpu").stdout
    r = phiz("predict", small, photos[0], "--json", "--logits")
    assert r.stdout == cpu and "the cpu backend runs it instead" in r.stderr and r.stderr.count("\n") == 1, r.stderr
    there, here = (phiz("embed", embedder, *photos, "--json", *more) for more in ([], ["--device", "cpu"]))
    assert there.stdout == here.stdout and there.stderr.count("the cpu backend runs it instead") == 1, there.stderr
    for words in (["predict", small, photos[0]], ["embed", embedder, photos[0]]):
        r = phiz(*words, "--device", "cuda", want=1)
        assert "int8 models run on the CPU (--device cpu)" in r.stderr and r.stderr.count("\n") == 1, r.stderr


def make_embedder(dir):
    """On bytes, with weights that are drawn."""
    with open(f"{dir}/net.cfg", "w") as f:
        f.write(test_embed.NET)
    test_embed.safetensors(f"{dir}/w.safetensors", test_embed.weights(7))
    phiz("import", f"{dir}/w.safetensors", "--net", f"{dir}/net.cfg", "-o", f"{dir}/e.phiz")
    phiz("export", f"{dir}/e.phiz", "-o", f"{dir}/e8.phiz", "--precision", "int8", "--calibrate", f"{dir}/data")
    return f"{dir}/e8.phiz"


def check_double(model, bytes_model, photos):
    both("predict", model, *photos[:2], "--json", "--logits", module=DOUBLE)
    both("embed", model, *photos, "--json", "--flip", "--threads", "3", module=DOUBLE)
    r = phiz("predict", bytes_model, photos[0], "--json", module=DOUBLE)
    assert "int8 models run on the CPU" in r.stderr and "the cpu backend runs it instead" in r.stderr, r.stderr
    for precision in ("fp16", "bf16"):
        half = lines(phiz("predict", model, photos[0], "--json", "--precision", precision, module=DOUBLE))[0]
        full = lines(phiz("predict", model, photos[0], "--json", "--device", "cpu"))[0]
        assert 0 < abs(half["confidence"] - full["confidence"]) < 0.01, (half, full)


NET = """[net]
size = 32
[conv]
filters = 8
kernel = 3
stride = 2
pad = 1
%s
[relu]
[global_avg_pool]
[flatten]
[linear]
outputs = classes
"""


def check_training(dir):
    """By itself on the GPU, or all of it on the CPU where the GPU lacks a kernel."""
    def train(name, net, *more, want=0):
        with open(f"{dir}/{name}.cfg", "w") as f:
            f.write(net)
        return phiz("train", "tiny", "--data", f"{dir}/data", "--run", f"{dir}/{name}", "--set", "train.epochs=1",
                    "--set", f"model.net={dir}/{name}.cfg", "--json", "--verbose", *more, want=want, module=DOUBLE)

    def weights(r):
        return json.loads(r.stdout)["weights_sha256"]

    there, here = train("plain", NET % ""), train("plain_cpu", NET % "", "--device", "cpu")
    assert ON_FAKE in there.stderr and ON_CPU in here.stderr and weights(there) != weights(here)
    other = NET % "[local_response_norm]"
    there, here = train("other", other), train("other_cpu", other, "--device", "cpu")
    assert weights(there) == weights(here), (there.stdout, here.stdout)
    assert there.stderr.count("the cpu backend trains it instead") == 1, there.stderr
    r = train("refused", other, "--device", "cuda", want=1)
    assert "local_response_norm" in r.stderr, r.stderr


def check_lean(model, data, photos, dir):
    """By phiz's own kernels; the module with cuDNN is one that cannot be opened."""
    nowhere = "/nowhere/module.so"
    there = phiz("predict", model, *photos[:2], "--json", "--logits", "--no-cudnn", "--verbose", module=nowhere)
    assert ON_FAKE + ", without cuDNN" in there.stderr, there.stderr
    here = phiz("predict", model, *photos[:2], "--json", "--logits", "--device", "cpu")
    assert close(lines(there), lines(here)) and there.stdout != here.stdout
    nets = ["--gallery", f"{dir}/g.db", "--model", model, "--aligned"]
    for verb in (["embed", model, *photos], ["eval", model, "--data", data],
                 ["identify", photos[1], *nets, "--threshold", "0"]):
        r = phiz(*verb, "--json", "--no-cudnn", "--device", "cuda", "--verbose", module=nowhere)
        assert ON_FAKE + ", without cuDNN" in r.stderr, r.stderr
    half = lines(phiz("predict", model, photos[0], "--json", "--precision", "fp16", "--no-cudnn", module=nowhere))[0]
    assert 0 < abs(half["confidence"] - lines(here)[0]["confidence"]) < 0.01, half
    r = phiz("predict", model, photos[0], "--precision", "bf16", "--no-cudnn", want=1, module=nowhere)
    assert r.stderr == "phiz: --precision bf16: without cuDNN there are fp32 and fp16\n", r.stderr
    r = phiz("bench", "tiny", "--mode", "train", "--no-cudnn", want=2)
    assert "--no-cudnn is for --mode infer, in fp32 or fp16: it trains no model" in r.stderr, r.stderr
    phiz("train", "tiny", "--data", data, "--run", f"{dir}/none", "--no-cudnn", want=2)


def check_memory(model, photos):
    """A limit is held on the CPU and on the double, and is said in one line."""
    for more, advice in ((["--device", "cpu"], "use a smaller batch or picture size"),
                         (["--device", "cuda"], "--precision fp16, or --no-cudnn"),
                         (["--device", "cuda", "--no-cudnn"], "or --precision fp16")):
        r = phiz("predict", model, photos[0], *more, "--verbose", "--memory-limit", "256M", module=DOUBLE)
        assert "the plan takes " in r.stderr, r.stderr
        for verb in ("predict", "embed"):
            r = phiz(verb, model, photos[0], *more, "--memory-limit", "256K", want=1, module=DOUBLE)
            assert r.stderr.count("\n") == 1 and "limit" in r.stderr, r.stderr
        r = phiz("bench", "resnet18", "--size", "64", *more, "--memory-limit", "60M", want=1, module=DOUBLE)
        assert "the plan takes " in r.stderr and "left of a limit of 60.0 MiB" in r.stderr, r.stderr
        assert advice in r.stderr and r.stderr.count("\n") == 1, r.stderr
    for size in ("x", "0", "1T", "1e3M"):
        r = phiz("predict", model, photos[0], "--memory-limit", size, want=1)
        assert f"--memory-limit: want a size such as 512M or 1.5G (1 byte to 8192G), got '{size}'" in r.stderr, r.stderr
    told = json.loads(phiz("bench", "tiny", "--size", "32", "--runs", "1", "--json").stdout)
    assert 0.1 < told["plan_mib"] < 10, told
    assert "the plan takes " in phiz("info", model, "--plan").stdout


def check_refusals(model, photos):
    missing = phiz("predict", model, photos[0], "--device", "cuda", want=1, module="/nowhere/module.so")
    assert "/nowhere/module.so: cannot open" in missing.stderr and missing.stderr.count("\n") == 1, missing.stderr
    silent = phiz("predict", model, photos[0], module="/nowhere/module.so")
    assert silent.stderr == "", silent.stderr
    driver = {"module": "", "libraries": os.path.join(BUILD, "tests", "fake_driver")}  # without a GPU
    assert "no GPU that it can use (cuInit)" in phiz("devices", **driver).stdout
    assert "(cuInit)" in phiz("predict", model, photos[0], "--device", "cuda", want=1, **driver).stderr
    assert phiz("predict", model, photos[0], **driver).stderr == ""
    for device in ("", "gpu", "cuda0", "cuda:", "cuda:x", "cuda:-1"):
        assert phiz("predict", model, photos[0], "--device", device, want=1).stderr.count("\n") == 1
    for verb in ("predict", "embed"):
        r = phiz(verb, model, photos[0], "--precision", "fp16", "--device", "cpu", want=1)
        assert "the CPU has no kernels for it" in r.stderr and r.stderr.count("\n") == 1, r.stderr


def check_bench(model):
    words = ["bench", model, "--runs", "3", "--json"]
    there = json.loads(phiz(*words, "--device", "auto").stdout)
    assert there["device"] == "cuda:0" and "device" not in json.loads(phiz(*words).stdout)
    phiz(*words, "--device", "auto", "--precision", "int8", want=2)
    phiz(*words, "--device", "auto", "--tune", want=2)
    phiz(*words, "--device", "cpu", "--precision", "fp16", want=2)
    assert "device" not in json.loads(phiz(*words, "--device", "auto", module="/nowhere/module.so").stdout)


def main():
    with tempfile.TemporaryDirectory() as dir:
        photos = [f"{dir}/data/{p}/{i}.ppm" for p in ("anna", "bert", "carl") for i in range(8)]
        for i, path in enumerate(photos):
            photo(path, i // 8, i)
        phiz("train", "tiny", "--data", f"{dir}/data", "--run", f"{dir}/run", "--set", "train.epochs=1",
             "--device", "cpu")
        phiz("export", f"{dir}/run", "-o", f"{dir}/m.phiz")
        for form, devices in (("int8", ["cpu"]), ("fp16", ["cpu", "cuda"]), ("bf16", ["cpu", "cuda"])):
            words = ["export", f"{dir}/run", "-o", f"{dir}/{form}.phiz", "--calibrate", f"{dir}/data",
                     "--precision", form]
            assert json.loads(phiz(*words, "--json").stdout)["devices"] == devices
            assert ("for the CPU and for GPUs" in phiz(*words).stdout) == (len(devices) == 2)
        check_verbs(f"{dir}/m.phiz", f"{dir}/data", photos[::6])
        for form in ("fp16", "bf16"):  # of the weights in the file
            both("predict", f"{dir}/{form}.phiz", *photos[::6], "--json", "--logits")
        check_data(f"{dir}/m.phiz", f"{dir}/data")
        check_gallery(f"{dir}/m.phiz", photos[::4], dir)
        check_fallback(f"{dir}/int8.phiz", make_embedder(dir), photos[::6])
        check_refusals(f"{dir}/m.phiz", photos)
        check_bench(f"{dir}/m.phiz")
        if os.path.exists(DOUBLE):
            check_double(f"{dir}/m.phiz", f"{dir}/int8.phiz", photos[::6])
            check_training(dir)
            check_lean(f"{dir}/m.phiz", f"{dir}/data", photos[::6], dir)
            check_memory(f"{dir}/m.phiz", photos[::6])


if __name__ == "__main__":
    sys.exit(main())
