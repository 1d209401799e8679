from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from storm.config.loading import environment_names, load_settings, may_be_users, parse_override
from storm.config.options import OPTIONS
from storm.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def storm_yaml(tmp_path: Path) -> Path:
    return tmp_path / "storm.yaml"


def refusal(file: Path | None = None, overrides: tuple[str, ...] = (), environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(file, overrides, environ or {})
    return str(caught.value)


def test_each_source_wins_over_the_former(storm_yaml: Path) -> None:
    storm_yaml.write_text("ui.port: 1\nui.title: file\nnimbus.thrift.port: 1\n")
    environ = {"STORM_UI_PORT": "2", "STORM_NIMBUS_THRIFT_PORT": "2"}
    settings = load_settings(storm_yaml, ["ui.port=3"], environ)
    assert (settings["ui.port"], settings.origin("ui.port")) == (3, "-c ui.port")
    assert settings["nimbus.thrift.port"] == 2
    assert settings.origin("nimbus.thrift.port") == "environment STORM_NIMBUS_THRIFT_PORT"
    assert (settings["ui.title"], settings.origin("ui.title")) == ("file", f"{storm_yaml}:2")
    assert (settings["drpc.port"], settings.origin("drpc.port")) == (3772, "default")


def test_unknown_keys_and_wrong_types_are_all_named_with_their_lines(storm_yaml: Path) -> None:
    storm_yaml.write_text("nimbus.seed: [a]\n\nui.port: eighty\nsupervisor.slots.ports: [1, 1]\n")
    assert refusal(storm_yaml).splitlines() == [
        f"{storm_yaml}:1: no key 'nimbus.seed': did you mean 'nimbus.seeds'?",
        f"ui.port: expected integer 1..65535, got 'eighty' (from {storm_yaml}:3)",
        f"supervisor.slots.ports: 1 stands there twice (from {storm_yaml}:4)",
    ]


def test_a_key_may_have_a_second_name(storm_yaml: Path) -> None:
    storm_yaml.write_text("storm.scheduler.meta: {tags: gpu}\n")
    for settings, origin in (
        (load_settings(storm_yaml, (), {}), f"{storm_yaml}:1"),
        (load_settings(None, ("storm.scheduler.meta={tags: gpu}",), {}), "-c storm.scheduler.meta"),
        (load_settings(None, (), {"STORM_SCHEDULER_META": "{tags: gpu}"}), "environment STORM_SCHEDULER_META"),
    ):
        assert settings["supervisor.scheduler.meta"] == {"tags": "gpu"}
        assert settings.origin("supervisor.scheduler.meta") == origin
        assert "storm.scheduler.meta" not in settings
    storm_yaml.write_text("supervisor.scheduler.meta: {}\nstorm.scheduler.meta: {tags: gpu}\n")
    assert refusal(storm_yaml) == (
        f"{storm_yaml}:2: storm.scheduler.meta is supervisor.scheduler.meta, which is set there too"
    )


def test_a_storm_yaml_of_storm_loads_with_warnings(storm_yaml: Path, caplog: pytest.LogCaptureFixture) -> None:
    storm_yaml.write_text('worker.childopts: "-Xmx768m"\nstorm.zookeeper.servers:\n    - "zk1"\n')
    settings = load_settings(storm_yaml, (), {})
    assert settings["storm.zookeeper.servers"] == ["zk1"]
    assert caplog.messages == [f"{storm_yaml}:1: worker.childopts means nothing here: there is no JVM here"]


def test_a_secret_that_others_may_read_is_warned_of(storm_yaml: Path, caplog: pytest.LogCaptureFixture) -> None:
    storm_yaml.write_text("storm.zookeeper.auth.payload: me:canary\n")
    storm_yaml.chmod(0o644)
    load_settings(storm_yaml, (), {})
    assert [f"chmod 600 {storm_yaml}" in message for message in caplog.messages] == [True]
    assert "canary" not in caplog.text
    caplog.clear()
    storm_yaml.chmod(0o600)
    load_settings(storm_yaml, (), {})
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a: \xff\n", "line 1: not UTF-8 text"),
        (b"ui.port: [1\n", "line 2, column 1"),
        (b"ui.port: 1\nui.port: 2\n", "line 2, column 1: 'ui.port' is set twice"),
        (b"[]\n", "expected lines of `key: value`"),
        (b"#" * 2_000_000, "longer than"),
    ],
)
def test_a_file_that_is_no_yaml_of_ours(storm_yaml: Path, data: bytes, text: str) -> None:
    storm_yaml.write_bytes(data)
    assert refusal(storm_yaml).startswith(f"{storm_yaml}: ")
    assert text in refusal(storm_yaml)


def test_a_byte_order_mark_is_read_over(storm_yaml: Path) -> None:
    storm_yaml.write_bytes(b"\xef\xbb\xbfui.port: 1\r\n")
    assert load_settings(storm_yaml, (), {})["ui.port"] == 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.yaml") == f"no such file: {tmp_path / 'absent.yaml'}"
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


def test_the_first_file_that_exists_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    conf, home = tmp_path / "conf", tmp_path / ".storm"
    for directory, port in ((conf, 1), (home, 2)):
        directory.mkdir()
        (directory / "storm.yaml").write_text(f"ui.port: {port}\n")
    assert load_settings(None, (), {"STORM_CONF_DIR": str(conf)})["ui.port"] == 1
    monkeypatch.setattr("storm.config.loading.checkout_directory", lambda: tmp_path / "elsewhere")
    assert load_settings(None, (), {})["ui.port"] == 2
    assert load_settings(None, (), {"STORM_CONF_DIR": str(tmp_path)})["ui.port"] == 2


def test_relative_paths_are_relative_to_their_file_or_the_current_directory(
    tmp_path: Path, storm_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storm_yaml.write_text("storm.local.dir: state\n")
    assert load_settings(storm_yaml, (), {})["storm.local.dir"] == str(tmp_path / "state")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    settings = load_settings(storm_yaml, ["storm.local.dir=state"], {})
    assert settings["storm.local.dir"] == str(tmp_path / "here" / "state")


def test_the_environment_has_no_two_keys_of_one_name() -> None:
    names = [name for key in OPTIONS for name in environment_names(key)]
    assert len(set(names)) == len(names)


def test_keys_in_the_environment() -> None:
    settings = load_settings(
        None, (), {"STORM_NIMBUS_SEEDS": '["a", "b"]', "STORM_ZOOKEEPER_PORT": "2182", "PATH": "x"}
    )
    assert settings["nimbus.seeds"] == ["a", "b"]
    assert settings["storm.zookeeper.port"] == 2182
    assert "set by both" in refusal(None, (), {"STORM_ZOOKEEPER_PORT": "1", "STORM_STORM_ZOOKEEPER_PORT": "2"})


def test_variables_that_are_no_keys_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    load_settings(None, (), {"STORM_NIMBUS_SEED": "a", "STORM_PURE": "1", "STORM_CFLAGS": "-O0"})
    assert caplog.messages == ["environment STORM_NIMBUS_SEED is no key: did you mean 'STORM_NIMBUS_SEEDS'?"]


def test_overrides_are_yaml() -> None:
    settings = load_settings(None, ["nimbus.seeds=[a, b]", "topology.debug=true", "storm.log.dir=/a=b"], {})
    assert settings["nimbus.seeds"] == ["a", "b"]
    assert settings["topology.debug"] is True
    assert settings["storm.log.dir"] == "/a=b"


def test_text_that_looks_like_something_else_stays_text() -> None:
    overrides = ["storm.zookeeper.auth.payload=12:30", "storm.local.hostname=10", "ui.title=[a"]
    settings = load_settings(None, overrides, {})
    assert settings["storm.zookeeper.auth.payload"] == "12:30"
    assert settings["storm.local.hostname"] == "10"
    assert settings["ui.title"] == "[a"


def test_wrong_overrides_are_named() -> None:
    assert refusal(None, ("ui.port",)) == "-c ui.port: expected key=value"
    assert refusal(None, ("=3",)) == "-c =3: expected key=value"
    assert "topology.workers: expected integer 1..10000, got 'abc' (from -c topology.workers)" in refusal(
        None, ("topology.workers=abc",)
    )
    assert "did you mean 'nimbus.seeds'?" in refusal(None, ("nimbus.seed=a",))


def test_users_own_keys_are_kept_from_overrides_only(storm_yaml: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = load_settings(None, ["word_count.text=/a", "threshold=3"], {})
    assert (settings["word_count.text"], settings["threshold"]) == ("/a", 3)
    assert settings.origin("word_count.text") == "-c word_count.text"
    assert caplog.messages == []
    assert load_settings(None, ["topology.wokers=2"], {})["topology.wokers"] == 2
    assert ["did you mean 'topology.workers'?" in message for message in caplog.messages] == [True]
    storm_yaml.write_text("word_count.text: a\n")
    assert "no key 'word_count.text'" in refusal(storm_yaml)


def test_a_users_own_key_may_be_named_like_one_of_storm(storm_yaml: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = ["kafka.tls.enabled", "spark.childopts", "my.log4j.level", "orders.kerberos.realm"]
    settings = load_settings(None, [f"{key}=1" for key in own], {})
    assert [settings[key] for key in own] == [1, 1, 1, 1]
    assert caplog.messages == []
    not_own = ["topology.worker.childopts", "nimbus.childopts"]
    settings = load_settings(None, [f"{key}=1" for key in not_own], {})
    assert [key in settings for key in not_own] == [False, False]
    assert caplog.messages == [f"-c {key}: {key} means nothing here: there is no JVM here" for key in not_own]
    caplog.clear()
    storm_yaml.write_text("kafka.tls.enabled: true\n")
    assert "kafka.tls.enabled" not in load_settings(storm_yaml, (), {})
    assert ["means nothing here" in message for message in caplog.messages] == [True]


def test_a_supervisor_needs_its_port_for_itself() -> None:
    assert "6700 is one of supervisor.slots.ports too" in refusal(None, ("supervisor.thrift.port=6700",))
    assert "6628 is one of supervisor.slots.ports too" in refusal(None, ("supervisor.slots.ports=[6628]",))
    assert "8000 is one of" in refusal(None, ("supervisor.slots.ports=[8000]", "logviewer.port=8000"))
    assert load_settings(None, ["supervisor.slots.ports=[8000]"], {})["supervisor.slots.ports"] == [8000]


def test_parse_override() -> None:
    assert parse_override("a=[1]") == ("a", [1])
    with pytest.raises(ConfigError, match="expected key=value"):
        parse_override("a")


def test_prefixes_of_storm_are_not_the_users() -> None:
    assert [may_be_users(key) for key in ("my.key", "topology.my", "nimbus.my", "storm.my")] == [
        True,
        True,
        False,
        False,
    ]


@examples(max_examples=40)
@given(
    st.lists(st.text(), max_size=3), st.dictionaries(st.text(min_size=1).map("STORM_".__add__), st.text(), max_size=3)
)
def test_any_input_loads_or_is_a_config_error(overrides: list[str], environ: dict[str, str]) -> None:
    environ.pop("STORM_CONF_DIR", None)
    logging.disable(logging.WARNING)
    try:
        outcome = outcome_of(overrides, environ)
    finally:
        logging.disable(logging.NOTSET)
    assert outcome


@examples(max_examples=40)
@given(st.sampled_from(sorted(OPTIONS)), st.text() | st.integers().map(str) | st.just("[1, {a: b}]"))
def test_any_value_of_any_key_loads_or_the_error_names_the_key(key: str, value: str) -> None:
    outcome = outcome_of([f"{key}={value}"], {})
    assert outcome == "loaded" or key in outcome or "supervisor.slots.ports" in outcome


def outcome_of(overrides: list[str], environ: dict[str, str]) -> str:
    try:
        load_settings(None, overrides, environ)
    except ConfigError as error:
        return str(error)
    return "loaded"
