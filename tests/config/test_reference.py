from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from storm.config.loading import load_settings
from storm.config.options import OPTIONS
from storm.config.reference import storm_yaml

FILE = Path(__file__).parents[2] / "conf" / "storm.yaml"


def test_conf_storm_yaml_is_what_the_options_say() -> None:
    """To write it anew: python -c "from storm.config.reference import storm_yaml; print(storm_yaml(), end='')"."""
    assert FILE.read_text() == storm_yaml()


def test_every_line_is_a_comment_and_every_key_is_there() -> None:
    lines = storm_yaml().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []
    keys = re.findall(r"^# ([a-z][\w.-]*): ", storm_yaml(), re.MULTILINE)
    assert [key for key in OPTIONS if keys.count(key) < 1] == []


def test_its_defaults_load(tmp_path: Path) -> None:
    lines = [line[2:] for line in storm_yaml().splitlines() if re.match(r"# [a-z][\w.-]*\.[\w.-]*: \S+", line)]
    written = [line for line in lines if line.partition(": ")[0] in OPTIONS and _is_json(line.partition(": ")[2])]
    assert len(written) == len(OPTIONS)
    file = tmp_path / "storm.yaml"
    file.write_text("\n".join(written))
    settings = load_settings(file, (), {})
    assert settings["nimbus.seeds"] == yaml.safe_load('["localhost"]')


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
