"""`docker/cluster`: brings a cluster up, breaks parts of it and mends them, and takes it down."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import engine
import images
import nodes
from engine import Trouble, docker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nodes import Node

HERE = Path(__file__).resolve().parent
READY_SECS = 180.0
POLL_SECS = 0.5
STOP_SECS = "10"
LOG_LINES = "15"
SUPERVISORS = "from storm.cli.options import connect_nimbus, read_settings\n\
print(len(connect_nimbus(read_settings(None, ())).call('getClusterInfo').supervisors))"


def say(text: str) -> None:
    print(text, flush=True)


def say_aside(text: str) -> None:
    """To whom a shell that reads what is printed does not hide it."""
    print(text, file=sys.stderr, flush=True)


def project() -> str:
    """The name of the cluster: several may run on one machine."""
    return os.environ.get("COMPOSE_PROJECT_NAME") or "storm"


# --- up and down


def up(arguments: argparse.Namespace) -> None:
    with engine.in_use() as started:
        if started:
            say("started the Docker engine; `docker/cluster down` ends it")
        if stuck := remedies(nodes.nodes(project())):
            raise Trouble("; ".join(stuck))
        made = images.prepare(say, arguments.base, arguments.bootstrap)
        files = [HERE / ("single.yml" if arguments.single else "docker-compose.yml"), *arguments.files]
        words = [word for file in files for word in ("-f", str(file))]
        scales = [word for scale in arguments.scale for word in ("--scale", scale)]
        before = caches(nodes.nodes(project()))
        say(f"starting the cluster {project()}")
        engine.show(
            [*engine.compose_command(), "-p", project(), *words, "up", "--detach", "--remove-orphans", *scales],
            env={**os.environ, **made.variables()},
        )
        left = before - caches(nodes.nodes(project()))  # of supervisors that are wanted no more
        if left:
            docker("volume", "rm", *left)
        wait_ready(READY_SECS)
    say(announcement(nodes.nodes(project())))


def make_images(arguments: argparse.Namespace) -> None:
    """Those of `up`, which finds them then; prints for a shell what compose has to be told of them."""
    try:
        with engine.in_use():
            made = images.prepare(say_aside, arguments.base, arguments.bootstrap)
    except BaseException:
        with contextlib.suppress(Trouble):  # of the two, what came first is told
            engine.stop_if_ours()
        raise
    engine.stop_if_ours()
    for name, value in made.variables().items():
        say(f"export {name}={shlex.quote(value)}")


def caches(present: Sequence[Node]) -> set[str]:
    return {name for node in present for name in node.caches}


def wait_ready(secs: float) -> None:
    """Until every container that runs is well, and Nimbus knows every supervisor. Raises Trouble."""
    deadline = time.monotonic() + secs
    while True:
        present = nodes.nodes(project())
        ill = [node for node in present if not node.is_well]
        if not ill and supervisors_are_known(present):
            return
        if time.monotonic() > deadline:
            raise Trouble(f"not well after {secs:.0f} s\n{what_ails(ill or present)}")
        time.sleep(POLL_SECS)


def supervisors_are_known(present: Sequence[Node]) -> bool:
    nimbus = next((node for node in present if node.service.startswith("nimbus")), None)
    wanted = sum(node.service == "supervisor" for node in present)
    if nimbus is None:
        return True  # `storm dev` says by its health that all of it runs
    try:
        return int(docker("exec", nimbus.id, "python3", "-c", SUPERVISORS)) >= wanted
    except Trouble:
        return False


def remedies(present: Sequence[Node]) -> list[str]:
    """What has to be done first for nodes that no `up` makes well: compose knows nothing of it, and would wait."""
    cut_off = [f"{node.name} is cut off: docker/cluster heal" for node in present if node.is_cut]
    paused = [f"{node.name} is paused: docker/cluster resume {node.name}" for node in present if node.is_paused]
    return cut_off + paused


def what_ails(ill: Sequence[Node]) -> str:
    """The nodes, and the end of the log of each."""
    tails = [f"--- {node.name}\n{log_of(node, LOG_LINES)}" for node in ill]
    return "\n".join([nodes.table(ill), *tails])


def log_of(node: Node, lines: str) -> str:
    return engine.run(["sh", "-c", 'docker logs --tail "$1" "$2" 2>&1', "sh", lines, node.id], check=False)


def announcement(present: Sequence[Node]) -> str:
    seeds = json.dumps(nodes.seeds(present))
    return "\n".join(
        [
            nodes.table(present),
            "",
            *(f"in a browser:       {address}" for address in nodes.ui_addresses(present)),
            "submit a topology:  docker/cluster submit FILE_OR_DIR --name NAME",
            f"or, with any storm: export STORM_NIMBUS_SEEDS='{seeds}'",
            "other commands:     docker/cluster storm list",
        ]
    )


def down(arguments: argparse.Namespace) -> None:
    if not engine.answers():
        if (reason := engine.missing()) is not None:  # one may run that this user may not ask
            raise engine.NoEngine(reason)
        say("the Docker engine does not run, so no cluster does")
        return
    present = nodes.nodes(project())
    paused = [node.id for node in present if node.is_paused]
    if paused:
        docker("unpause", *paused)
    # Last ZooKeeper: daemons tell it that they end, so that nobody has to wait for the end of their sessions.
    for last in (False, True):
        if ids := [node.id for node in present if node.service.startswith("zookeeper") is last]:
            docker("stop", "--time", STOP_SECS, *ids)
    if present:
        docker("rm", "--volumes", *(node.id for node in present))  # those without a name: supervisors' caches
    kinds = ["network", "volume"] if arguments.data else ["network"]
    for kind in kinds:
        found = docker(kind, "ls", "--quiet", "--filter", f"label={nodes.PROJECT}={project()}").split()
        if found:
            docker(kind, "rm", *found)
    kept = "" if arguments.data else "; the data of ZooKeeper and Nimbus is kept, `down --data` removes it too"
    say(f"the cluster {project()} is down{kept}")
    if engine.stop_if_ours():
        say("ended the Docker engine that was started for it")


# --- using it


def submit(words: list[str]) -> None:
    """Replaces this process by `storm submit`."""
    seeds = nodes.seeds(nodes.nodes(project()))
    if not seeds:
        raise Trouble("no cluster is up: docker/cluster up")
    command = storm_command()
    os.environ["STORM_NIMBUS_SEEDS"] = json.dumps(seeds)
    os.execvp(command, [command, "submit", *words])


def storm_command() -> str:
    """This checkout's, or the one on the PATH. Raises Trouble."""
    root = HERE.parent
    if (Path(os.environ.get("STORM_VENV") or root / ".venv") / "bin" / "python").exists():
        return str(root / "bin" / "storm")
    found = shutil.which("storm")
    if found is None:
        raise Trouble("there is no storm command: pip install the package, or run bin/quickstart once")
    return found


def storm(words: list[str]) -> None:
    """Replaces this process by a command within the cluster, where every host's name is known."""
    present = nodes.nodes(project())
    runs = [node for node in present if node.state == "running" and nodes.NIMBUS_PORT in node.ports]
    if not runs:
        raise Trouble("no Nimbus runs: docker/cluster up, or docker/cluster start nimbus-1")
    # By a terminal Ctrl-C reaches the command; else docker's client alone would end.
    terminal = ["--interactive", "--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    os.execvp("docker", ["docker", "exec", *terminal, runs[0].id, "storm", *words])


def logs(arguments: argparse.Namespace) -> None:
    node = nodes.named(arguments.node, nodes.nodes(project()))
    follow = ["--follow"] if arguments.follow else []
    os.execvp("docker", ["docker", "logs", "--tail", arguments.tail, *follow, node.id])


def show_nodes(arguments: argparse.Namespace) -> None:
    present = nodes.nodes(project())
    if arguments.as_json:
        print(json.dumps([node._asdict() for node in present]))
    else:
        say(nodes.table(present) if present else "no cluster is up: docker/cluster up")


# --- breaking and mending it


def cut(arguments: argparse.Namespace) -> None:
    nodes.cut(nodes.named(arguments.node, nodes.nodes(project())), project())


def heal(arguments: argparse.Namespace) -> None:
    cut_off = [node for node in nodes.nodes(project()) if node.is_cut]
    nodes.heal(cut_off, project())
    say(f"on the network again: {', '.join(node.name for node in cut_off)}" if cut_off else "no node was cut off")


def with_docker(*words: str) -> Callable[[argparse.Namespace], None]:
    """A command that is Docker's own, on a node."""

    def command(arguments: argparse.Namespace) -> None:
        docker(*words, nodes.named(arguments.node, nodes.nodes(project())).id)

    return command


ON_A_NODE: Mapping[str, tuple[str, Callable[[argparse.Namespace], None]]] = {
    "cut": ("take a node off the network", cut),
    "pause": ("freeze all processes of a node", with_docker("pause")),
    "resume": ("let a paused node go on", with_docker("unpause")),
    "kill": ("kill all processes of a node at once", with_docker("kill", "--signal", "KILL")),
    "start": ("start a node that was killed", with_docker("start")),
    "restart": ("stop a node in order and start it again", with_docker("restart", "--time", STOP_SECS)),
}

BY_STORM = {  # these take all words that follow as they are
    "submit": "`storm submit` from this machine",
    "storm": "any storm command, within the cluster",
}


def of_what(command: argparse.ArgumentParser) -> None:
    """What images are made of."""
    command.add_argument("--base", metavar="IMAGE", help="build on this image, a Debian with Python")
    command.add_argument("--bootstrap", action="store_true", help="make base images of Debian's packages, pull none")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="docker/cluster",
        description="A cluster of containers on this machine. COMPOSE_PROJECT_NAME names it (storm).",
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("up", help="bring the cluster up, or change it to what is asked for")
    one.add_argument("--scale", action="append", default=[], metavar="supervisor=N", help="how many supervisors (3)")
    one.add_argument("--single", action="store_true", help="one container with `storm dev` instead")
    one.add_argument("--with", action="append", default=[], dest="files", metavar="FILE", help="one more compose file")
    of_what(one)
    one.set_defaults(run=up)
    one = commands.add_parser("images", help="make the images that `up` needs, and print their names for compose")
    of_what(one)
    one.set_defaults(run=make_images)
    one = commands.add_parser("down", help="end the cluster and remove its containers")
    one.add_argument("--data", action="store_true", help="remove what ZooKeeper and Nimbus have stored, too")
    one.set_defaults(run=down)
    one = commands.add_parser("nodes", help="show the nodes and how they are")
    one.add_argument("--json", action="store_true", dest="as_json")
    one.set_defaults(run=show_nodes)
    one = commands.add_parser("logs", help="print the log of a node")
    one.add_argument("node", metavar="NODE")
    one.add_argument("-f", "--follow", action="store_true")
    one.add_argument("--tail", default="all", metavar="LINES")
    one.set_defaults(run=logs)
    one = commands.add_parser("heal", help="put back all nodes that were cut off")
    one.set_defaults(run=heal)
    for name, (help_text, command) in ON_A_NODE.items():
        one = commands.add_parser(name, help=help_text)
        one.add_argument("node", metavar="NODE", help="such as nimbus-1, supervisor-2, zookeeper-3")
        one.set_defaults(run=command)
    for name, help_text in BY_STORM.items():
        commands.add_parser(name, help=help_text)
    return made


def main(words: list[str]) -> int:
    try:
        if words and words[0] == "submit":
            submit(words[1:])
        elif words and words[0] == "storm":
            storm(words[1:])
        else:
            arguments = parser().parse_args(words)
            arguments.run(arguments)
    except Trouble as trouble:
        print(f"docker/cluster: {trouble}", file=sys.stderr)
        return trouble.exit_code
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # what was begun is ended
    sys.exit(main(sys.argv[1:]))
