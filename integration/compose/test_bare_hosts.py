"""docs/cluster.md, line by line: three hosts with nothing of ours on them become a cluster that counts words.

A fourth joins them, one of them is lost, and the others go on. What runs is the document's own text, as it stands. Four
things are otherwise than on real hosts. Debian's packages are installed once, while images are made, since the mirror
may be reached from this machine's network alone. `scp` is `docker cp`. `systemctl` is systemctl.py, which starts a
unit's command line as the unit says: there is no systemd. And what the fourth needs is installed beside the others, to
save time.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import engine
import images
import pytest
from cluster_site import wait_until
from compose_site import bootstraps
from zookeeper_servers import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

pytestmark = pytest.mark.timeout(1_800)  # the first waits for images to be made

HERE = Path(__file__).parent
DOCUMENT = REPOSITORY / "docs" / "cluster.md"
HOSTS, NEW = ("h1", "h2", "h3"), "h4"
BUILDER = "the build machine"  # this one
PLACES = {BUILDER: (BUILDER,), "every host": HOSTS}
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WHERE = re.compile(rf"^# on ({'|'.join(PLACES)}|h\d(?: and h\d)*)(, until it succeeds)?$", re.MULTILINE)
PACKAGES = "apt-get"  # what begins so is run while the image is made
IMAGE = "storm-bare-host"
SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "storm", "conf")
AT_HOME = "127.0.0.1 localhost\n127.0.1.1 {host}\n"  # as Debian's installer writes /etc/hosts
SCP = """#!/bin/bash
# scp -r FILE... root@HOST:
set -eu
host=${!#}
for file in "${@:2:$#-2}"; do docker cp "$file" "$BARE_HOSTS-${host#root@}/root/"; done
"""
LOST, OTHERS = "h2", {"h1", "h3", NEW}
# One Nimbus is left, so that its replication is not worth waiting for.
AGAIN = "storm submit examples/word_count.py --name again -c topology.workers=2 -c word_count.report_dir=/tmp/again \
 -c topology.max.replication.wait.time.sec=1"
EXPECTED = "from storm.examples.word_count import read_lines\nfor line in read_lines(None): print(line)"
COUNTED = "awk 1 /tmp/{name}/count-*.json 2>/dev/null || true"  # a line for each file
STEP_SECS = "600"
READY_SECS = 120.0
POLL_SECS = 1.0


class Step(NamedTuple):
    """Lines for one shell on each of these hosts. `repeat`: until they succeed."""

    hosts: tuple[str, ...]
    repeat: bool
    script: str


def steps(document: str) -> list[Step]:
    """Its blocks of shell, cut where a line says on which hosts the next ones are run. Raises AssertionError."""
    found = []
    for block in BLOCK.findall(document):
        before, *parts = WHERE.split(block)
        assert before.strip() == "", f"where is this run?\n{block}"
        for hosts, repeat, script in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            found.append(Step(PLACES.get(hosts) or tuple(hosts.split(" and ")), bool(repeat), script.strip()))
    return found


class BareHosts:
    """Four containers on a network of their own, and a checkout to build in. `close` it whatever happens."""

    def __init__(self, directory: Path) -> None:
        self.name = f"storm-bare-{os.getpid()}"
        self.checkout = directory / "checkout"
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("STORM_", "PYTHON", "PIP_"))},
            "STORM_PURE": os.environ.get("STORM_PURE", ""),  # the wheel is what these tests run
            "BARE_HOSTS": self.name,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(images.WHEELHOUSE),
            "STORM_CFLAGS": "-O0",
        }
        self._tools = directory / "bin"

    def start(self, packages: Mapping[str, str]) -> None:
        """Containers of Debian, each with the name that others know it by. `packages`: {host: what installs its}."""
        images.make_base(print)
        images.fetch_wheels(print)
        self._prepare_building()
        engine.docker("network", "create", self.name)
        for host, script in packages.items():
            named = ("--name", self.container(host), "--hostname", host, "--network-alias", host)
            engine.docker("run", "--detach", "--init", "--network", self.name, *named, _image(host, script))
            engine.docker("cp", str(HERE / "systemctl.py"), f"{self.container(host)}:/usr/local/bin/systemctl")
            self.on(host, f"cat >/etc/hosts <<'END'\n{AT_HOME.format(host=host)}END")

    def _prepare_building(self) -> None:
        """A checkout without anything that was made in it, the hosts' version of Python, and `scp`."""
        without = shutil.ignore_patterns("*.so", "*.c", "__pycache__", "not_compiled.txt")
        self.checkout.mkdir()
        for name in SOURCES:
            if (REPOSITORY / name).is_dir():
                shutil.copytree(REPOSITORY / name, self.checkout / name, ignore=without)
            else:
                shutil.copy2(REPOSITORY / name, self.checkout)
        self._tools.mkdir()
        (self._tools / "scp").write_text(SCP)
        (self._tools / "scp").chmod(0o755)
        python = images.python_with_pip(images.base_python(images.MADE_BASE))
        (self._tools / "python3").write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
        (self._tools / "python3").chmod(0o755)
        self._environment["PATH"] = f"{self._tools}:{os.environ['PATH']}"

    def close(self) -> None:
        """Remove everything that was started here, and nothing else."""
        containers = engine.docker("ps", "--all", "--quiet", "--filter", f"network={self.name}").split()
        if containers:
            engine.docker("rm", "--force", "--volumes", *containers)
        if self.name in engine.docker("network", "ls", "--format", "{{.Name}}").split():
            engine.docker("network", "rm", self.name)

    def container(self, host: str) -> str:
        return f"{self.name}-{host}"

    def run(self, step: Step) -> None:
        """On all of its hosts at once. Raises AssertionError with what a command said."""
        began = time.monotonic()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda host: self._run_on(host, step), step.hosts))
        print(f"{time.monotonic() - began:5.1f} s on {', '.join(step.hosts)}: {step.script.splitlines()[-1]}")

    def _run_on(self, host: str, step: Step) -> None:
        deadline = time.monotonic() + READY_SECS
        while (done := self._shell(host, step.script)).returncode != 0:
            if not step.repeat or time.monotonic() > deadline:
                pytest.fail(f"on {host} this ended with exit code {done.returncode}:\n{step.script}\n\n{done.stdout}")
            time.sleep(POLL_SECS)

    def _shell(self, host: str, script: str) -> subprocess.CompletedProcess[str]:
        within = ["docker", "exec", "--workdir", "/root", self.container(host)]
        if host == BUILDER:
            within = ["env", "--chdir", str(self.checkout)]
        return subprocess.run(  # `timeout` ends all that a script has started
            [*within, "timeout", "--signal", "KILL", STEP_SECS, "bash", "-euc", script], env=self._environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip

    def on(self, host: str, script: str) -> str:
        """What a script prints there. Raises AssertionError if it fails."""
        done = self._shell(host, script)
        assert done.returncode == 0, f"on {host}: {script}\n{done.stdout}"
        return done.stdout

    def counted(self, name: str, among: Iterable[str]) -> Counter[str]:
        """How often each word was counted by this topology on these hosts."""
        counts: Counter[str] = Counter()
        for host in among:
            for line in self.on(host, COUNTED.format(name=name)).splitlines():
                counts.update(json.loads(line)["counts"])
        return counts

    def log_tails(self) -> str:
        """The end of every daemon's log, for whoever reads of a failure."""
        return "\n".join(
            f"--- {host}\n{self._shell(host, 'tail -n 30 /var/log/*.log').stdout}" for host in (*HOSTS, NEW)
        )


def _image(host: str, packages: str) -> str:
    """Of a bare Debian on which this was run; made where it is not there."""
    inputs = images.fingerprint(HERE, ("bare.Dockerfile",), images.image_id(images.MADE_BASE), packages)
    given = ("--build-arg", f"BASE_IMAGE={images.MADE_BASE}", "--build-arg", f"PACKAGES={packages}")
    tag = IMAGE if host in HOSTS else f"{IMAGE}-{host}"
    images.build(print, tag, inputs, (*given, "--network", "host"), str(HERE / "bare.Dockerfile"))
    return tag


@pytest.fixture
def hosts(docker_engine: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[BareHosts]:
    if not bootstraps():
        pytest.skip("a bare Debian is made by debootstrap, as root: apt-get install debootstrap")
    failed_before = request.session.testsfailed
    made = BareHosts(tmp_path)
    try:
        yield made
        if request.session.testsfailed > failed_before:
            print(made.log_tails())
    finally:
        made.close()


def test_three_bare_hosts_become_a_cluster_that_counts_words(hosts: BareHosts) -> None:
    described = steps(DOCUMENT.read_text())
    packages = dict.fromkeys((*HOSTS, NEW), "")
    for step in [step for step in described if step.script.startswith(PACKAGES)]:
        packages |= {host: f"{packages[host]}{step.script}\n" for host in step.hosts}
    hosts.start(packages)
    build, *following, end = [step for step in described if not step.script.startswith(PACKAGES)]
    at = following.index(next(step for step in following if step.hosts == (BUILDER,)))
    first, (copy, install, *joining) = following[:at], following[at:]
    assert install.hosts == (NEW,)

    hosts.run(build)
    with ThreadPoolExecutor() as pool:
        installed = pool.submit(lambda: [hosts.run(step) for step in (copy, install)])
        for step in first:
            hosts.run(step)
        installed.result()
    assert workers_of(hosts, "words") == Counter(HOSTS)
    text = hosts.on("h1", f"/opt/storm/bin/python -c '{EXPECTED}'").split()
    wait_until(lambda: Counter(text) <= hosts.counted("words", HOSTS), "every word of the text was counted", READY_SECS)

    for step in joining:
        hosts.run(step)
    assert workers_of(hosts, "words") == Counter((*HOSTS, NEW))
    for host in (*HOSTS, NEW):
        assert json.loads(hosts.on(host, "storm doctor --json"))["healthy"]

    survives_the_loss_of_a_host(hosts, text)
    hosts.run(end)
    hosts.on("h3", "storm kill again -w 1")
    wait_until(lambda: json.loads(hosts.on("h3", "storm list --json")) == [], "no topology runs", READY_SECS)


def workers_of(hosts: BareHosts, name: str) -> Counter[str]:
    """How many workers of a topology each host has."""
    return Counter(worker["host"] for worker in json.loads(hosts.on("h1", f"storm status {name} --json"))["workers"])


def survives_the_loss_of_a_host(hosts: BareHosts, text: list[str]) -> None:
    """With its ZooKeeper, its Nimbus and its workers; and a topology can be submitted to those that are left."""

    def seen(command: str) -> Any:
        return json.loads(hosts.on("h3", f"storm {command} --json 2>/dev/null || echo null"))

    def known() -> set[str]:
        return {row["host"] for row in seen("hosts") or ()}

    def used_by(name: str) -> set[str]:
        return {worker["host"] for worker in (seen(f"status {name}") or {"workers": ()})["workers"]}

    engine.docker("kill", hosts.container(LOST))
    wait_until(lambda: known() == OTHERS, "Nimbus knows that the host is gone", READY_SECS)
    hosts.on("h3", AGAIN)
    assert used_by("again")
    assert used_by("again") <= OTHERS
    wait_until(lambda: Counter(text) <= hosts.counted("again", OTHERS), "every word was counted", READY_SECS)
    wait_until(lambda: used_by("words") == OTHERS, "its work is done by the others", READY_SECS)


def test_the_document_says_of_every_line_where_it_is_run() -> None:
    text = DOCUMENT.read_text()
    assert len(re.findall("^```", text, re.MULTILINE)) == 2 * len(BLOCK.findall(text)), "a block is not run"
    assert not re.search(r"^(    |\t)\S", BLOCK.sub("", text), re.MULTILINE), "indented lines are not run"
    assert {host for step in steps(text) for host in step.hosts} == {BUILDER, *HOSTS, NEW}


def test_blocks_are_cut_where_the_host_changes() -> None:
    block = "```sh\n# on h1 and h3\na\nb\n\n# on every host, until it succeeds\nc  # on h1\n```\n"
    assert steps(f"text\n\n{block}more text\n") == [Step(("h1", "h3"), False, "a\nb"), Step(HOSTS, True, "c  # on h1")]
    with pytest.raises(AssertionError, match="where is this run"):
        steps("```sh\nreboot\n```\n")
