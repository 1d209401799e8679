from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from storm.cli.options import connect_nimbus, read_settings, with_settings
from storm.errors import ConfigError, NimbusUnreachableError

if TYPE_CHECKING:
    from storm.config.settings import Settings


def test_a_command_gets_the_settings_of_its_options(tmp_path: Path) -> None:
    file = tmp_path / "storm.yaml"
    file.write_text("nimbus.thrift.port: 7001\nnimbus.seeds: [a]\n")
    seen: list[Settings] = []

    @click.command()
    @with_settings
    def command(settings: Settings) -> None:
        seen.append(settings)

    CliRunner().invoke(command, ["--config", str(file), "-c", "nimbus.seeds=[b]"], catch_exceptions=False)
    assert (seen[0]["nimbus.thrift.port"], seen[0]["nimbus.seeds"]) == (7001, ["b"])


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/no/such/storm\.yaml"):
        read_settings(Path("/no/such/storm.yaml"), ())


def test_nimbus_that_does_not_listen_is_said_with_its_address() -> None:
    settings = read_settings(None, ("nimbus.seeds=[127.0.0.1]", "nimbus.thrift.port=1"))
    with pytest.raises(NimbusUnreachableError, match=r"127\.0\.0\.1:1: nothing listens there"):
        connect_nimbus(settings).call("getLeader")
