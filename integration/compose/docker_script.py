"""Stands for `docker`: a script on the PATH that answers by patterns and writes down what it was asked."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SCRIPT = """#!/bin/sh
echo "$*" >>{calls}
case "$*" in
{cases}
esac
"""


def write_command(directory: Path, name: str, script: str) -> None:
    """A command of this name in a directory of the PATH."""
    (directory / name).write_text(script)
    (directory / name).chmod(0o755)


class DockerScript:
    """`docker` in `directory`, which has to be on the PATH. What no pattern matches succeeds and prints nothing."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._calls = directory / "calls"
        self.answer({})

    def answer(self, commands: Mapping[str, str]) -> None:
        """From now on: {pattern of all its words, as of the shell's `case`: commands of the shell}."""
        cases = "\n".join(f"{pattern}) {command} ;;" for pattern, command in commands.items())
        write_command(self.directory, "docker", SCRIPT.format(calls=shlex.quote(str(self._calls)), cases=cases))
        self._calls.write_text("")

    def calls(self, *which: str) -> list[str]:
        """The words of each call, of those that begin with one of these."""
        return [line for line in self._calls.read_text().splitlines() if line.startswith(which or "")]


def prints(text: str) -> str:
    """The shell's command for that."""
    return f"echo {shlex.quote(text)}"


def containers(*found: Mapping[str, Any]) -> dict[str, str]:
    """Answers of an engine with these, as `inspected` has them."""
    ids: Sequence[str] = [each["Id"] for each in found]
    return {"'ps --all'*": prints(" ".join(ids)), "'inspect '*": prints(json.dumps(found))}


def inspected(service: str, number: int = 1, **changed: Any) -> dict[str, Any]:
    """As `docker inspect` tells of a container."""
    return {
        "Id": f"{number:04d}{service}",
        "Config": {"Labels": {nodes.SERVICE: service, nodes.NUMBER: str(number), nodes.PROJECT: "storm"}},
        "State": {"Status": "running", "Health": {"Status": "healthy"}},
        "HostConfig": {"PortBindings": {}},
        "NetworkSettings": {"Networks": {"storm_storm": {}}},
        "Mounts": [],
        **changed,
    }
