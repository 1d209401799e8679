"""The text of conf/storm.yaml: every key with its default, commented out, in the order of the options' table."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

from storm.config.options import SECTIONS
from storm.config.without_effect import WITHOUT_EFFECT

if TYPE_CHECKING:
    from storm.config.option_types import Option

WIDTH = 100
HEAD = """\
# The configuration of this machine's part of a Storm cluster.
#
# Every key is here with its default, commented out: remove the `# ` before those that you change. Keys are
# Apache Storm's; where a default differs from Storm's, its text says so. The daemons and the `storm` command read
# the first of: the file that --config names, $STORM_CONF_DIR/storm.yaml, conf/storm.yaml of a checkout (this file),
# ~/.storm/storm.yaml. `-c key=value` and the environment (STORM_NIMBUS_SEEDS='["one", "two"]' for nimbus.seeds)
# win over it. `storm config show --origin` tells what is set and where. Relative paths are relative to this file.
#
# To join several machines, write at least:
#   storm.zookeeper.servers: [zookeeper.example.org]
#   nimbus.seeds: [nimbus.example.org]
#   storm.security.insecure: true
"""


def storm_yaml() -> str:
    """The whole file, ending in a newline."""
    parts = [HEAD]
    for title, options in SECTIONS:
        parts.append(f"\n# ---- {title} {'-' * (WIDTH - len(title) - 8)}\n")
        parts += [f"\n{described(option)}" for option in options]
    return "".join(parts)


def described(option: Option) -> str:
    """One key: what it is, its unit and type, and its default, every line a comment."""
    unit = f", in {option.unit}" if option.unit else ""
    reason = WITHOUT_EFFECT.get(option.key)
    effect = "" if reason is None else f" Without effect: {reason}."
    text = f"{option.doc}{effect} ({str(option.type)[0].upper()}{str(option.type)[1:]}{unit}.)"
    lines = textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")
    default = option.shown_default if option.shown_default is not None else json.dumps(option.default)
    return "\n".join([*lines, f"# {option.key}: {default}", ""])
