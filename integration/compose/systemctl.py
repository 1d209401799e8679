#!/usr/bin/env python3
"""Stands for systemctl where systemd does not run, in containers: `daemon-reload`, and `enable --now UNIT`.

A unit's command is started as its user, with its environment and its state directories; what it prints goes to
/var/log/UNIT.log. Nothing is started a second time, so that no `Restart=` hides a daemon that ends.
"""

from __future__ import annotations

import configparser
import os
import pwd
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

UNITS, STATE, LOGS = Path("/etc/systemd/system"), Path("/var/lib"), Path("/var/log")


def service_of(text: str) -> configparser.SectionProxy:
    """The section Service of a unit's file."""
    read = configparser.ConfigParser(interpolation=None)
    read.read_string(text)
    return read["Service"]


def start(unit: str) -> None:
    service = service_of((UNITS / f"{unit}.service").read_text())
    user, group = service["User"], service["Group"]
    for name in service.get("StateDirectory", "").split():
        directory = STATE / name
        directory.mkdir(exist_ok=True)
        directory.chmod(int(service["StateDirectoryMode"], 8))
        shutil.chown(directory, user, group)
    variables = dict(word.split("=", 1) for word in shlex.split(service.get("Environment", "")))
    with (LOGS / f"{unit}.log").open("ab") as log:
        subprocess.Popen(
            shlex.split(service["ExecStart"]), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            start_new_session=True, user=user, group=group, extra_groups=[], umask=int(service.get("UMask", "022"), 8),
            env={"HOME": pwd.getpwnam(user).pw_dir, "PATH": os.environ["PATH"], **variables},
        )  # fmt: skip


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["daemon-reload"]:
            pass
        case ["enable", "--now", unit]:
            start(unit)
        case words:
            sys.exit(f"systemd does not run here, and this does not stand for: systemctl {' '.join(words)}")
