#!/usr/bin/env python3
"""phiz doctor: on this machine, on the files of a Jetson Nano that is short of everything, and with a model."""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")


# GStreamer's elements that matter, the plugin that each is in (libgst*.so), the Debian package; on a Jetson those too.
ELEMENTS = {"decodebin": "playback", "videoconvert": "videoconvert*", "videoflip": "videofilter", "qtdemux": "isomp4",
            "avdec_h264": "libav", "avdec_h265": "libav", "jpegdec": "jpeg", "v4l2src": "video4linux2",
            "rtspsrc": "rtsp"}
ON_JETSON = {"h264parse", "nvv4l2decoder", "nvvidconv", "nvarguscamerasrc"}


def doctor(*args, want=0, env=None):
    done = subprocess.run([PHIZ, "doctor", *args], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **(env or {})})
    assert done.returncode == want, (args, done.returncode, done.stdout, done.stderr)
    return done.stdout


def findings(*args, want=0, env=None):
    return [json.loads(line) for line in doctor("--json", *args, want=want, env=env).splitlines()]


def write(root, path, text):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def by_check(found):
    return {f["check"]: f for f in found}


def elements(found):
    return {f["check"] for f in found if "package" in f}


def test_plugins(here):
    """What dpkg says brings each element is what doctor says; with one plugin alone there is nothing but that one."""
    folders = glob.glob("/usr/lib/*/gstreamer-1.0")
    assert elements(here.values()) == set(ELEMENTS), elements(here.values())
    for element, plugin in ELEMENTS.items():
        files = [f for folder in folders for f in glob.glob(f"{folder}/libgst{plugin}.so")]
        f = here[element]
        assert (f["state"] == "ok") == bool(files), f
        if files and shutil.which("dpkg"):
            owner = subprocess.run(["dpkg", "-S", files[0]], capture_output=True, text=True, check=True).stdout
            assert owner.split(":")[0] == f["package"], (owner, f)
    rtsp = [f for folder in folders for f in glob.glob(f"{folder}/libgstrtsp.so")]
    for files in (rtsp, []):
        with tempfile.TemporaryDirectory() as alone:
            for file in files:
                shutil.copy(file, alone)
            env = {"GST_PLUGIN_SYSTEM_PATH_1_0": alone, "GST_PLUGIN_PATH_1_0": "", "GST_REGISTRY_1_0": f"{alone}/r"}
            found = [f for f in findings(env=env) if "package" in f]
            assert {f["check"] for f in found if f["state"] == "ok"} == ({"rtspsrc"} if files else set()), found
            missing = next(f for f in found if f["check"] == "avdec_h264")
            assert missing["cure"] == "sudo apt-get install gstreamer1.0-libav" and "missing" in missing["value"]
            assert "gstreamer1.0-libav" in doctor(env=env)


def main():
    here = by_check(findings())
    for check in ("board", "processor", "memory", "disk", "camera", "video", "GPU"):
        assert check in here, check
    total = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    assert here["memory"]["value"].startswith(f"{total / 1048576:.1f} GiB"), here["memory"]
    assert doctor().splitlines()[-1].endswith("0 failed")
    video = here["video"]["value"] == "with GStreamer"
    if video:
        test_plugins(here)

    with tempfile.TemporaryDirectory() as root:
        cpu = "cpu/cpu0/cpufreq/"
        write(root, "proc/device-tree/model", "NVIDIA Jetson Nano Developer Kit\0")
        write(root, "proc/cpuinfo", "".join(f"processor\t: {i}\nCPU part\t: 0xd07\n\n" for i in range(4)))
        write(root, "proc/meminfo", "MemTotal:      4059292 kB\nMemAvailable:   400000 kB\nSwapTotal:           0 kB\n")
        write(root, "etc/nv_tegra_release", "# R32 (release), REVISION: 4.4, GCID: 1, BOARD: t210ref\n")
        write(root, "var/lib/nvpmodel/status", "pmode:0001")
        write(root, "sys/devices/system/" + cpu + "scaling_governor", "schedutil\n")
        write(root, "sys/devices/system/" + cpu + "scaling_cur_freq", "102000\n")
        write(root, "sys/devices/system/" + cpu + "cpuinfo_max_freq", "1479000\n")
        write(root, "sys/class/thermal/thermal_zone1/temp", "84500\n")
        write(root, "sys/class/video4linux/video0/name", "vi-output, imx219 7-0010\n")
        write(root, "dev/video0", "")
        write(root, "dev/video10", "")
        os.symlink(os.path.join(root, "nowhere"), os.path.join(root, "dev/video2"))
        found = findings("--root", root)
        nano = by_check(found)
        cameras = [f for f in found if f["check"] == "camera"]
        nodes = [f["value"].split()[0].rstrip(":") for f in cameras]
        assert nodes == ["/dev/video0", "/dev/video2", "/dev/video10"], cameras
        assert cameras[0]["value"] == "/dev/video0: vi-output, imx219 7-0010" and cameras[0]["state"] == "ok"
        assert cameras[1]["state"] == "warning" and "cannot be opened" in cameras[1]["value"], cameras[1]
        assert elements(found) == (set(ELEMENTS) | ON_JETSON if video else set()), elements(found)
        assert video == (nano.get("nvarguscamerasrc", {}).get("package") == "nvidia-l4t-gstreamer")
        assert nano["board"]["value"] == "NVIDIA Jetson Nano Developer Kit"
        assert nano["processor"]["value"] == "ARM, part 0xd07, 4 cores"
        assert nano["clocks"]["value"] == "governor schedutil, 102 of 1479 MHz"
        for check in ("JetPack", "clocks", "power mode", "temperature", "memory", "swap"):
            assert nano[check]["state"] == "warning" and nano[check]["cure"], nano[check]
        assert "32.4" in nano["JetPack"]["value"] and "4.6" in nano["JetPack"]["cure"]
        assert "jetson_clocks" in nano["clocks"]["cure"]
        write(root, "proc/meminfo", "MemTotal:      2000000 kB\nMemAvailable:    50000 kB\nSwapTotal:        1000 kB\n")
        assert by_check(findings("--root", root, want=1))["memory"]["state"] == "failed"
        write(root, "etc/nv_tegra_release", "nonsense")
        assert by_check(findings("--root", root, want=1))["JetPack"]["state"] == "warning"
        empty = by_check(findings("--root", os.path.join(root, "nothing")))
        assert empty["memory"]["state"] == "warning" and empty["processor"]["state"] == "warning"

    tests = [f for f in findings("tiny") if f["check"] == "self-test"]
    assert [f["value"].split(":")[0] for f in tests[:2]] == ["cpu, f32", "cpu, bf16"], tests
    assert all(f["state"] == "ok" for f in tests), tests
    doctor("no-such-model.phiz", want=1)
    with tempfile.TemporaryDirectory() as root:
        test_exported(root)


def test_exported(root):
    """What phiz export has left in the file is what doctor goes by."""
    def phiz(*args):
        subprocess.run([PHIZ, *args], check=True, capture_output=True, timeout=300)

    phiz("data", "synth", f"{root}/people", "--people", "2", "--photos", "4")
    phiz("train", "tiny", "--data", f"{root}/people", "--run", f"{root}/run", "--device", "cpu", "--set",
         "train.epochs=1")
    for precision in ("fp32", "int8"):
        phiz("export", f"{root}/run", "-o", f"{root}/{precision}.phiz", "--precision", precision)
        tests = [f for f in findings(f"{root}/{precision}.phiz") if f["check"] == "self-test"]
        assert len(tests) == 2 and all(f["state"] == "ok" for f in tests), tests
        assert all("from the file's golden outputs" in f["value"] for f in tests), tests


if __name__ == "__main__":
    main()
    sys.exit(0)
