"""The configuration of one process, read-only: every key that there is, checked, and where each value comes from."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storm.config.addresses import is_ipv6, is_loopback, with_port
from storm.config.option_types import Bool, FilePath, Int, Json, Number
from storm.config.options import OPTIONS
from storm.errors import ConfigError

DEFAULT_ORIGIN = "default"
LOOPBACK = "127.0.0.1"
EVERY_IPV4_ADDRESS = "0.0.0.0"
EVERY_ADDRESS = "::"  # of both families, where the host has both
MASK = "********"
SECRET_WORDS = re.compile(
    r"(?i)passw(or)?d|passphrase|secret|token|credential|payload|private[._-]?key|api[._-]?key|access[._-]?key|keystore"
    r"|authorization|(^|[._-])auth$|cookie|(^|[._-])dsn([._-]|$)|(?-i:Dsn)|bearer|headers$"
)
# A password may have any character but spaces and commas in it: some libraries ask for no %2F.
USER_IN_URL = re.compile(r"://([^\s,/?#@:]*:[^\s,]*|[^\s/?#]*)@")


class Settings(Mapping[str, Any]):
    """{key: value}. Made by `loading.load_settings`, or by `Settings.of` from values that were settings before."""

    def __init__(self, values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
        self._values = with_derived_paths(with_defaults(values))
        self._origins = dict(origins)

    @classmethod
    def of(cls, values: Mapping[str, Any] | None = None, origin: str = "given") -> Settings:
        """The defaults overlaid by `values`. Raises ConfigError where one does not fit its key."""
        given = dict(values or {})
        checked = {key: checked_value(key, value, origin) for key, value in given.items()}
        return cls(checked, dict.fromkeys(given, origin))

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def origin(self, key: str) -> str:
        """Where the value comes from: "default", "FILE:LINE", "environment NAME" or "-c KEY". Raises KeyError."""
        if key not in self._values:
            raise KeyError(key)
        return self._origins.get(key, DEFAULT_ORIGIN)

    def changed(self) -> dict[str, Any]:
        """What was set, without the defaults: `Settings.of(settings.changed())` has the same values."""
        return {key: self._values[key] for key in self._origins}

    @property
    def zookeeper_servers(self) -> tuple[str, ...]:
        """`host:port` of each server of the ensemble."""
        return tuple(with_port(server, self["storm.zookeeper.port"]) for server in self["storm.zookeeper.servers"])

    @property
    def zookeeper_auth(self) -> tuple[str, str] | None:
        """Scheme and credentials; None: ZooKeeper asks for none."""
        scheme, payload = self["storm.zookeeper.auth.scheme"], self["storm.zookeeper.auth.payload"]
        return (scheme, payload) if scheme and payload else None

    @property
    def bind_host(self) -> str:
        """The address that daemons and workers listen on: loopback, unless `storm.security.insecure` is written out."""
        return every_address() if self["storm.security.insecure"] else self._loopback

    @property
    def advertised_host(self) -> str:
        """The name or address by which others reach this host's daemons and workers."""
        if not self["storm.security.insecure"]:
            return self._loopback
        named = self["storm.local.hostname"]
        return str(named) if named is not None else socket.gethostname()

    def names_of(self, listens_on: str) -> frozenset[str]:
        """What a server of this host that listens there may be called besides addresses and `localhost`, in small
        letters.
        """
        named = (listens_on, self["storm.local.hostname"], socket.gethostname(), *self["ui.allowed.hosts"])
        return frozenset(name.lower() for name in named if name)

    @property
    def _loopback(self) -> str:
        """IPv4's, unless `storm.local.hostname` is IPv6's."""
        named = str(self["storm.local.hostname"])
        return named if is_ipv6(named) and is_loopback(named) else LOOPBACK


def with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values`, and the default of every other key. Raises ConfigError where a default needs a home directory."""
    missing = [option for option in OPTIONS.values() if option.key not in values]
    return {**{option.key: checked_value(option.key, option.default, DEFAULT_ORIGIN) for option in missing}, **values}


def with_derived_paths(values: dict[str, Any]) -> dict[str, Any]:
    """Fill in directories that lie in another one unless they are set."""
    local_dir = Path(values["storm.local.dir"])
    for key, name in (("storm.log.dir", "logs"), ("blobstore.dir", "blobs")):
        if values[key] is None:
            values[key] = str(local_dir / name)
    return values


def checked_value(key: str, value: Any, origin: str, directory: Path | None = None) -> Any:
    """The value of a key as the program uses it; keys that no option describes hold any JSON.

    `directory` is what a relative path is relative to; None: the current one. Raises ConfigError that names
    key and origin.
    """
    option = OPTIONS.get(key)
    try:
        if option is None:
            return Json().checked(value)
        checked = option.checked(value)
    except ValueError as error:
        raise ConfigError(f"{key}: {error} (from {origin})") from None
    except RecursionError:
        raise ConfigError(f"{key}: nested too deeply (from {origin})") from None
    if isinstance(option.type, FilePath) and checked is not None and not Path(checked).is_absolute():
        return str((directory or Path.cwd()) / checked)
    return checked


def is_secret(key: str, value: object) -> bool:
    """Whether this value must not be shown under this name. A number is none where an option takes nothing else."""
    option = OPTIONS.get(key)
    if option is not None and option.secret:
        return True
    takes_numbers = option is not None and isinstance(option.type, Bool | Int | Number)
    return SECRET_WORDS.search(key) is not None and not (takes_numbers and isinstance(value, int | float))


def redacted(conf: Mapping[str, Any]) -> dict[str, Any]:
    """`conf` for people and logs: masked are secrets, also in mappings and lists within it, and users in URLs."""
    return {key: _masked(key, value) for key, value in conf.items()}


def _masked(key: object, value: Any) -> Any:
    if value is not None and is_secret(str(key), value):
        return MASK
    if isinstance(value, Mapping):
        return {name: _masked(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked("", item) for item in value]
    return USER_IN_URL.sub(f"://{MASK}@", value) if isinstance(value, str) else value


def every_address() -> str:
    """What a daemon listens on that all hosts may reach: addresses of both families, where this host has both."""
    return EVERY_ADDRESS if socket.has_dualstack_ipv6() else EVERY_IPV4_ADDRESS
