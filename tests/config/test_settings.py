from __future__ import annotations

import socket
from pathlib import Path

import pytest

from storm.config.options import OPTIONS
from storm.config.settings import MASK, Settings, redacted
from storm.errors import ConfigError


def test_every_key_is_there() -> None:
    settings = Settings.of()
    assert set(settings) == set(OPTIONS)
    assert settings["nimbus.monitor.freq.secs"] == 10
    assert settings.origin("nimbus.monitor.freq.secs") == "default"


def test_values_that_were_changed_make_the_same_settings_again() -> None:
    settings = Settings.of({"topology.workers": 3, "storm.local.dir": "/srv/storm"}, "launch.json")
    again = Settings.of(settings.changed(), "launch.json")
    assert dict(again) == dict(settings)
    assert again.origin("topology.workers") == "launch.json"


def test_directories_lie_in_the_local_one_unless_set() -> None:
    settings = Settings.of({"storm.local.dir": "/srv/storm", "blobstore.dir": "/blobs"})
    assert settings["storm.log.dir"] == "/srv/storm/logs"
    assert settings["blobstore.dir"] == "/blobs"


def test_without_a_home_directory_a_path_must_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(path: Path) -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "expanduser", no_home)
    with pytest.raises(ConfigError, match=r"storm.local.dir: .* no such home directory.* \(from default\)"):
        Settings.of()
    assert Settings.of({"storm.local.dir": "/srv/storm"})["storm.log.dir"] == "/srv/storm/logs"


def test_wrong_values_name_key_and_origin() -> None:
    with pytest.raises(ConfigError, match=r"ui.port: expected integer 1..65535, got 'x' \(from launch.json\)"):
        Settings.of({"ui.port": "x"}, "launch.json")


def test_an_unknown_key_has_no_origin() -> None:
    with pytest.raises(KeyError):
        Settings.of().origin("nimbus.seed")


def test_daemons_listen_on_loopback_unless_told_otherwise() -> None:
    safe = Settings.of({"storm.local.hostname": "one.example.org"})
    assert (safe.bind_host, safe.advertised_host) == ("127.0.0.1", "127.0.0.1")
    is_open = Settings.of({"storm.security.insecure": True, "storm.local.hostname": "one.example.org"})
    everywhere = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
    assert (is_open.bind_host, is_open.advertised_host) == (everywhere, "one.example.org")
    assert Settings.of({"storm.security.insecure": True}).advertised_host


def test_loopback_may_be_that_of_ipv6() -> None:
    settings = Settings.of({"storm.local.hostname": "::1"})
    assert (settings.bind_host, settings.advertised_host) == ("::1", "::1")
    for name in ("10.0.0.1", "fd00::2", "one.example.org"):
        settings = Settings.of({"storm.local.hostname": name})
        assert (settings.bind_host, settings.advertised_host) == ("127.0.0.1", "127.0.0.1")


def test_servers_of_zookeeper_have_their_ports() -> None:
    servers = ["a", "b:2182", "::1", "[fd00::2]:2183"]
    settings = Settings.of({"storm.zookeeper.servers": servers, "storm.zookeeper.port": 2180})
    assert settings.zookeeper_servers == ("a:2180", "b:2182", "[::1]:2180", "[fd00::2]:2183")


def test_zookeeper_is_given_credentials_where_they_are_whole() -> None:
    scheme, payload = {"storm.zookeeper.auth.scheme": "digest"}, {"storm.zookeeper.auth.payload": "u:p"}
    assert Settings.of({**scheme, **payload}).zookeeper_auth == ("digest", "u:p")
    assert [Settings.of(some).zookeeper_auth for some in ({}, scheme, payload)] == [None, None, None]


def test_secrets_are_masked_wherever_they_are() -> None:
    conf = {
        "storm.zookeeper.auth.payload": "storm:canary",
        "my.sink": {"user": "me", "Password": "canary", "hosts": [{"api_key": "canary"}]},
        "aws.secret.access.key": "canary",
        "topology.metrics.consumer.register": [
            {"class": "http", "argument": {"url": "https://canary@host/a@b", "headers": {"X-Mine": "canary"}}}
        ],
        "my.urls": ["postgresql+x://canary@host/db", "the queue is amqp://me:can@ary@host:5672, in short"],
        "my.databases": ["postgres://u:canary/can?ary#@h/db", "a://h:1/x,postgres://u:can@ary/canary@h, me@home"],
        "my.request": {"Authorization": "Bearer canary", "Set-Cookie": "canary", "bearer": "canary"},
        "my.auth": ["me", "canary"],
        "SENTRY_DSN": "canary",
        "my.sentryDsn": "canary",
        "dsn.of.sentry": "canary",
        "my.wordsNum": 3,
        "fieldsName": "colours",
        "storm.zookeeper.auth.scheme": "digest",
        "my.author": "me@host: see https://host/~me@home",
        "topology.workers": 2,
        "my.token": None,
        "my.tokens": 4711,
        "task.credentials.poll.secs": 30,
        "my.copy": {"task.credentials.poll.secs": "canary"},
    }
    shown = redacted(conf)
    assert "canary" not in repr(shown)
    assert shown["my.sink"]["user"] == "me"
    [consumer] = shown["topology.metrics.consumer.register"]
    assert consumer["argument"] == {"url": f"https://{MASK}@host/a@b", "headers": MASK}
    assert shown["my.urls"][1] == f"the queue is amqp://{MASK}@host:5672, in short"
    assert shown["my.databases"] == [f"postgres://{MASK}@h/db", f"a://h:1/x,postgres://{MASK}@h, me@home"]
    assert (shown["my.wordsNum"], shown["fieldsName"]) == (3, "colours")
    assert shown["storm.zookeeper.auth.scheme"] == "digest"
    assert shown["my.author"] == conf["my.author"]
    assert shown["topology.workers"] == 2
    assert shown["my.token"] is None
    assert (shown["my.tokens"], shown["task.credentials.poll.secs"]) == (MASK, 30)
    assert shown["aws.secret.access.key"] == MASK
    assert conf["aws.secret.access.key"] == "canary"
