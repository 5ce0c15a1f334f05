#!/usr/bin/env python3
"""phiz deploy to a board that is this machine, over an sshd of our own: all steps, a second run, a copy that was cut or
damaged, a build that fails, one whose connection is lost, names that are no names. The bundle is configured in earnest;
the board's make is a stand-in that puts the phiz that is tested where a build would."""
import fcntl
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

PHIZ = os.path.join(os.environ["PHIZ_BUILD"], "tools", "phiz")
SOURCE = os.environ["PHIZ_SOURCE"]


def write(path, text, mode=0o600):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_sshd(root):
    """An sshd of this user's on the loopback; the config that ssh reaches it with as "board"."""
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    if not os.path.exists(sshd) or not shutil.which("ssh"):
        print("skipped: sshd or ssh is missing (tools/install_deps check)")
        sys.exit(77)
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)  # where a root's sshd wants to lock itself in
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{root}/{key}"], check=True)
    shutil.copy(f"{root}/user.pub", f"{root}/authorized")
    port = free_port()
    write(f"{root}/sshd_config", f"Port {port}\nListenAddress 127.0.0.1\nHostKey {root}/host\nPidFile none\nUsePAM no\n"
          f"AuthorizedKeysFile {root}/authorized\nStrictModes no\nPermitRootLogin yes\n"
          f"SetEnv PATH={root}/bin:/usr/bin:/bin HOME={root}/home\n")
    write(f"{root}/ssh_config", f"Host board\n HostName 127.0.0.1\n Port {port}\n IdentityFile {root}/user\n"
          f" IdentitiesOnly yes\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n")
    server = subprocess.Popen([sshd, "-D", "-e", "-f", f"{root}/sshd_config"], stderr=subprocess.PIPE, text=True)
    for _ in range(100):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return server
        assert server.poll() is None, server.stderr.read()
        time.sleep(0.05)
    raise AssertionError("sshd does not answer")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return f.read().split()


def connections(pid):
    """The processes of sshd itself behind this one, as many as one connection takes."""
    of_sshd = [p for p in children(pid) if open(f"/proc/{p}/comm").read().startswith("sshd")]
    return of_sshd + [p for parent in of_sshd for p in connections(parent)]


def systemd_words(text):
    """The words of a unit's command, by the rules of systemd.syntax(7) and systemd.service(5): quotes keep together,
    C's escapes, %% is a percent sign and $$ a dollar. Any other % or $ would be something else's value."""
    words, word, quote, i = [], None, "", 0
    while i < len(text):
        c = text[i]
        if not quote and c in " \t":
            words, word = words + ([word] if word is not None else []), None
        elif not quote and word is None and c in "'\"":
            word, quote = "", c
        elif quote and c == quote:
            assert text[i + 1:i + 2] in ("", " "), text[i:]
            quote = ""
        elif c in "%$":
            assert text[i + 1] == c, text[i:]
            word, i = (word or "") + c, i + 1
        elif c == "\\":
            assert text[i + 1] in "\\\"'", text[i:]
            word, i = (word or "") + text[i + 1], i + 1
        else:
            word = (word or "") + c
        i += 1
    assert not quote, text
    return words + ([word] if word is not None else [])


def check_service(root, board, model, deploy, states):
    """The unit that is written, read as systemd reads it; systemctl is a stand-in that keeps what it was told."""
    for name in ("systemctl", "loginctl"):
        write(f"{root}/bin/{name}", f"#!/bin/sh\necho {name} \"$@\" >>'{root}/told'\n"
              "[ -n \"$XDG_RUNTIME_DIR\" ] || exit 3\n"
              f"case \"$*\" in *is-active*) exec cat '{root}/active' ;; esac\n", 0o755)
    write(f"{root}/active", "active\n")
    odd = f"{root}/o'ne \"50%\" of $HOME ${{x}} \\n; é.phiz"
    shutil.copy(model, odd)
    command = f"info --json {shlex.quote(odd)}"
    assert shlex.split(command)[2] == odd
    done = deploy("--service", command)
    assert states(done)["service"] == "ok" and states(done)["bench"] == "done", done.stdout
    with open(f"{root}/told") as f:
        told = f.read().splitlines()
    assert told[:3] == ["systemctl --user daemon-reload", "systemctl --user enable phiz.service",
                        "systemctl --user restart phiz.service"], told
    assert "loginctl enable-linger" in told, told

    path = f"{root}/home/.config/systemd/user/phiz.service"
    assert os.listdir(os.path.dirname(path)) == ["phiz.service"]
    with open(path) as f:
        lines = f.read().splitlines()
    unit = dict(line.split("=", 1) for line in lines if "=" in line)
    assert [line for line in lines if "=" not in line] == ["[Unit]", "[Service]", "[Install]"], lines
    assert unit["Restart"] == "on-failure" and unit["RestartSec"] == "5" and unit["WantedBy"] == "default.target", unit
    assert "User" not in unit  # it is a unit of the user's own manager, which has no other
    folder = unit["WorkingDirectory"].replace("%%", "%")
    assert folder == f"{board}/current", folder
    said = subprocess.run(systemd_words(unit["ExecStart"]), cwd=folder, check=True, capture_output=True).stdout
    assert said == subprocess.run([PHIZ, "info", "--json", odd], check=True, capture_output=True).stdout and said
    if shutil.which("systemd-analyze"):
        os.makedirs(f"{root}/runtime")
        subprocess.run(["systemd-analyze", "--user", "verify", path], check=True,
                       env={**os.environ, "XDG_RUNTIME_DIR": f"{root}/runtime"})

    # Other arguments are another unit, also where nothing else is new; one that does not stay up is a failure.
    assert states(deploy("--service", "info 'a  b' \"c\\\"d\" e\\ f ''"))["service"] == "ok"
    with open(path) as f:
        words = systemd_words(next(line for line in f.read().splitlines() if line.startswith("ExecStart="))[10:])
    assert words[-5:] == ["info", "a  b", 'c"d', "e f", ""], words
    os.remove(f"{root}/active")
    done = deploy("--service", "info tiny", want=1)
    assert "the service does not stay up" in done.stderr and states(done)["service"] == "failed", done.stderr
    for wrong, why in (("info 'x", "a quote is not closed"), ("", "no arguments"), ("info \n[Service]", "control")):
        done = deploy("--service", wrong, want=2)
        assert "--service" in done.stderr and why in done.stderr, done.stderr


def main():
    root = tempfile.mkdtemp(prefix="phiz-deploy-test-")
    server = start_sshd(root)
    try:
        run_all(root, server)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(root)


def run_all(root, server):
    board = f"{root}/it's 100% a $board"
    run = f"{root}/run"
    write(f"{root}/here/ssh", f"#!/bin/sh\n(IFS='\t'; echo \"$*\") | tr -d '\\n' >>'{root}/ssh.log'; "
          f"echo >>'{root}/ssh.log'\nexec {shutil.which('ssh')} \"$@\"\n", 0o755)
    os.environ["PATH"] = f"{root}/here:{os.environ['PATH']}"
    cmake = f"#!/bin/sh\n/usr/bin/cmake \"$@\" -DPHIZ_CUDA=OFF >configured 2>&1 || {{ cat configured >&2; exit 1; }}\n"
    write(f"{root}/bin/cmake", cmake, 0o755)
    make = f"#!/bin/sh\nmkdir -p tools && cp '{PHIZ}' tools/phiz\n"
    write(f"{root}/bin/make", make, 0o755)
    subprocess.run([PHIZ, "data", "synth", f"{root}/people", "--people", "2", "--photos", "4"], check=True,
                   capture_output=True)
    subprocess.run([PHIZ, "train", "tiny", "--data", f"{root}/people", "--run", run, "--device", "cpu", "--set",
                    "train.epochs=1"], check=True, capture_output=True)
    model = f"{root}/team.phiz"
    subprocess.run([PHIZ, "export", run, "-o", model], check=True, capture_output=True)

    def deploy(*args, want=0, target="board"):
        done = subprocess.run([PHIZ, "deploy", target, model, "--ssh-config", f"{root}/ssh_config", "--dir", board,
                               "--source", SOURCE, *args], capture_output=True, text=True, timeout=300)
        assert done.returncode == want, (args, done.returncode, done.stdout, done.stderr)
        return done

    def check_ssh_ended():
        """Each connection was called in the same way, and what that leaves behind is gone: sockets, folders, sshd's
        end of it."""
        with open(f"{root}/ssh.log") as f:
            calls = [line.rstrip("\n").split("\t") for line in f]
        os.remove(f"{root}/ssh.log")
        sockets = {word[12:] for call in calls for word in call if word.startswith("ControlPath=")}
        assert len(sockets) == 1 and all(call[:2] == ["-F", f"{root}/ssh_config"] for call in calls), calls
        assert calls[-1][-4:] == ["-O", "exit", "--", calls[0][-2]] and "-q" in calls[-1], calls[-1]
        assert not os.path.exists(os.path.dirname(sockets.pop())), calls
        for _ in range(100):  # sshd sees it a little later
            if not children(server.pid):
                return
            time.sleep(0.05)
        raise AssertionError(f"connections that did not end: {children(server.pid)}")

    def start_build_and_lose_it():
        """A deploy whose connection goes while the board's make is at work, which make outlives."""
        write(f"{root}/bin/make", f"#!/bin/sh\n: >'{root}/at work'; while [ ! -e '{root}/go' ]; do sleep 0.05; done\n"
              f"mkdir -p tools && cp '{PHIZ}' tools/phiz\n", 0o755)
        args = [PHIZ, "deploy", "board", model, "--ssh-config", f"{root}/ssh_config", "--dir", board, "--source",
                SOURCE]
        with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as phiz:
            for _ in range(2400):
                if os.path.exists(f"{root}/at work"):
                    break
                assert phiz.poll() is None, phiz.communicate()
                time.sleep(0.05)
            for pid in connections(server.pid):
                os.kill(int(pid), signal.SIGKILL)
            said = phiz.communicate(timeout=60)
        assert phiz.returncode == 1 and "the same command goes on where this one ended" in said[1], said
        write(f"{root}/bin/make", make, 0o755)

    def states(done):
        return {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()
                if line.split()[-1:] == ["s"] and len(line.split()) == 4}

    # A build that fails says why, and the next run goes on there.
    write(f"{root}/bin/make", "#!/bin/sh\necho 'no rule for this' >&2; exit 2\n", 0o755)
    done = deploy(want=1)
    assert states(done) == {"check": "ok", "copy": "ok", "unpack": "ok", "build": "failed"}, done.stdout
    assert "no rule for this" in done.stderr and "build: failed on board" in done.stderr, done.stderr
    assert "Exit request" not in done.stderr, done.stderr
    check_ssh_ended()
    write(f"{root}/bin/make", make, 0o755)

    # The make of a connection that was lost goes on: no second one beside it, nor sources that change below it. What
    # the message says to do ends it.
    start_build_and_lose_it()
    for args in ((), ("--step", "unpack")):
        done = deploy(*args, want=1)
        assert "a build whose connection was lost is still at work" in done.stderr, done.stderr
        assert states(done)[args[-1] if args else "build"] == "failed", done.stdout
    command = re.search(r"end it there: (kill -- -\d+)$", done.stderr, re.M).group(1)
    subprocess.run(command, shell=True, check=True)
    os.remove(f"{root}/at work")

    # One that came to its end leaves nothing in the way.
    start_build_and_lose_it()
    write(f"{root}/go", "")
    for _ in range(200):
        with open(f"{board}/lock") as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.05)
    os.remove(f"{root}/ssh.log")
    done = deploy()
    assert states(done) == {"check": "done", "copy": "done", "unpack": "done", "build": "ok", "test": "ok",
                            "bench": "ok", "install": "ok"}, done.stdout
    assert os.path.samefile(f"{board}/current/model.phiz", f"{board}/{os.readlink(board + '/current')}/model.phiz")
    with open(f"{board}/current/model.phiz", "rb") as there, open(model, "rb") as here:
        assert there.read() == here.read()
    check_ssh_ended()
    assert states(deploy()) == {"check": "done", "copy": "done", "unpack": "done", "build": "done", "test": "done",
                                "bench": "done", "install": "ok"}
    assert states(deploy("--step", "test")) == {"test": "ok"}

    # A copy that was cut goes on; one that is damaged is noticed and thrown away.
    bundle = next(f for f in os.listdir(board) if f.startswith("bundle-"))
    with open(f"{board}/{bundle}", "rb") as f:
        whole = f.read()
    os.remove(f"{board}/{bundle}")
    for part, want in ((whole[:len(whole) // 2], 0), (b"x" * 1000 + whole[1000:2000], 1)):
        with open(f"{board}/{bundle}.part", "wb") as f:
            f.write(part)
        done = deploy("--step", "copy", want=want)
        assert "goes on at" in done.stderr, done.stderr
        assert not os.path.exists(f"{board}/{bundle}.part")
        if want == 0:
            with open(f"{board}/{bundle}", "rb") as f:
                assert f.read() == whole
            os.remove(f"{board}/{bundle}")
    assert "what arrived is not what was sent" in done.stderr
    deploy("--step", "copy")

    check_service(root, board, model, deploy, states)

    # What is no host is none; what is not there is said.
    deploy(want=2, target="-oProxyCommand=touch x")
    for target in ("board;reboot", "a@b@c", "@board", "us er@board"):
        assert "want USER@HOST" in deploy(want=2, target=target).stderr
    os.remove(f"{root}/ssh.log")
    assert "no connection" in deploy(want=1, target="nowhere.invalid").stderr
    check_ssh_ended()
    assert "--step unpakc" in deploy("--step", "unpakc", want=2).stderr
    deploy("--source", root, want=1)
    assert deploy("--dry-run").stdout.splitlines()[0].startswith("check")

    # The bundle for a board without network is the same.
    made = f"{root}/bundle.tar.gz"
    subprocess.run([PHIZ, "deploy", "--bundle", made, model, "--source", SOURCE], check=True, capture_output=True)
    with open(made, "rb") as f:
        assert f.read() == whole
    assert stat.S_ISREG(os.stat(made).st_mode)


if __name__ == "__main__":
    main()
