from __future__ import annotations

from storm.config.keys import Config
from storm.config.options import OPTIONS, SECTIONS, default_slot_ports
from storm.config.topology_options import COMPONENT_KEYS, TOPOLOGY_SECTIONS
from storm.config.unsupported import reason_unsupported


def test_no_key_stands_twice() -> None:
    assert sum(len(options) for _, options in SECTIONS) == len(OPTIONS)


def test_every_default_is_a_value_of_its_key() -> None:
    for option in OPTIONS.values():
        option.checked(option.default)


def test_every_key_says_what_it_is() -> None:
    assert [key for key, option in OPTIONS.items() if not option.doc] == []


def test_a_worker_a_core_and_four_at_least() -> None:
    assert default_slot_ports(1) == [6700, 6701, 6702, 6703]
    assert default_slot_ports(6) == [6700, 6701, 6702, 6703, 6704, 6705]


def test_no_key_is_both_known_and_without_meaning() -> None:
    assert [key for key in OPTIONS if reason_unsupported(key)] == []


def test_component_keys_are_keys() -> None:
    assert set(OPTIONS) >= COMPONENT_KEYS


def test_config_names_every_key_of_a_topology() -> None:
    named = {value for name, value in vars(Config).items() if name.isupper()}
    assert named == {option.key for _, options in TOPOLOGY_SECTIONS for option in options}
