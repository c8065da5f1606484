#!/usr/bin/env python3
"""The files of deploy/ are valid, and name only flags that the program has: Tests/deploy.py PROGRAM

Units are checked by systemd-analyze, manifests by kubernetes-validate (of PyPI, with its PyYAML), which must be installed.
Tests/serve.py checks that the service has every number of the Grafana dashboard.
"""
import glob
import os
import re
import shlex
import subprocess
import sys
import tempfile

import yaml

PROGRAM = os.path.abspath(sys.argv[1])
FOLDER = f"{os.path.dirname(os.path.abspath(__file__))}/../deploy"
INSTALLED = "/usr/local/bin/tessera"


def flags(command):
    """All flags of a command, from its help."""
    text = subprocess.run([PROGRAM, *command, "--help"], check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"--[a-z][a-z0-9-]*", text))


def check(place, words):
    """Words after the program's name: a command, and flags."""
    command = [word for word in words[:2] if re.fullmatch(r"[a-z]+", word)]
    if command[0] != "tokens":
        command = command[:1]
    given = {word.split("=")[0] for word in words if word.startswith("--")}
    unknown = given - flags(command)
    assert given and not unknown, f"{place}: tessera {' '.join(command)} does not have {sorted(unknown)}"
    print(f"{place}: tessera {' '.join(command)} with {len(given)} flags")


def units():
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for path in sorted(glob.glob(f"{FOLDER}/systemd/*.service")):
            text = open(path).read()
            start = re.search(r"^ExecStart=((?:.*\\\n)*.*)", text, re.M)[1].replace("\\\n", " ")
            words = shlex.split(start)
            assert words[0] == INSTALLED, words
            check(os.path.basename(path), words[1:])
            # Neither the program nor its manual needs to be installed here.
            text = re.sub(r"^Documentation=.*\n", "", text.replace(INSTALLED, "/bin/true"), flags=re.M)
            open(f"{folder}/{os.path.basename(path)}", "w").write(text)
            names.append(os.path.basename(path).replace("@.", "@1."))
        found = subprocess.run(["systemd-analyze", "verify", "--man=no", *names], cwd=folder, capture_output=True, text=True,
                               env=dict(os.environ, SYSTEMD_UNIT_PATH=f"{folder}:"))
        ours = [line for line in found.stderr.splitlines() if "tessera" in line]
        assert found.returncode == 0 and not ours, found.stderr
    known = flags(["serve"])
    for name in re.findall(r"^#?TESSERA_(\w+)=", open(f"{FOLDER}/systemd/serve.conf").read(), re.M):
        assert f"--{name.lower().replace('_', '-')}" in known, name


def manifests():
    for path in sorted(glob.glob(f"{FOLDER}/kubernetes/*.yaml")):
        subprocess.run([sys.executable, "-m", "kubernetes_validate", "--strict", "--quiet", path], check=True)
        for document in yaml.safe_load_all(open(path)):
            pod = document["spec"].get("template", {}).get("spec", {})
            for container in pod.get("initContainers", []) + pod.get("containers", []):
                place = f"{os.path.basename(path)}, {container['name']}"
                words = container.get("args", container.get("command", []))
                if "command" not in container:
                    check(place, words)
                # Commands in a shell script, one per line.
                for line in re.findall(r"\btessera ((?:.*\\\n)*.*)", words[-1]):
                    words = shlex.split(line.replace("\\\n", " ").split(";")[0])
                    if any(word.startswith("--") for word in words):
                        check(place, words)


units()
manifests()
