"""Reading the configuration: defaults, storm.yaml, the environment, `-c key=value`; each wins over the former.

storm.yaml is the file given, or the first that exists of $STORM_CONF_DIR/storm.yaml, conf/storm.yaml of the checkout
(the directory that holds bin/storm) and ~/.storm/storm.yaml.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm.config.near_names import did_you_mean
from storm.config.option_types import Choice, FilePath, Text
from storm.config.options import OPTIONS, SECOND_NAMES
from storm.config.settings import Settings, checked_value, is_secret
from storm.config.unsupported import reason_unsupported
from storm.config.without_effect import warning_of
from storm.config.yaml_document import DOCUMENT_CHARS_MAX, read_mapping, read_value
from storm.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)

PREFIX = "STORM_"
# Variables that are not keys: where files are, and how the checkout's scripts and tests run.
OWN_VARIABLES = frozenset(
    {
        "STORM_CFLAGS",
        "STORM_CONF_DIR",
        "STORM_HOME",
        "STORM_PURE",
        "STORM_PYTHON",
        "STORM_REQUIRE_REAL_PARTS",
        "STORM_SIMULATION_SEED",
        "STORM_SIMULATION_SEEDS",
        "STORM_VENV",
    }
)
RESERVED_PREFIXES = frozenset(key.split(".")[0] for key in OPTIONS)


def load_settings(
    config_file: Path | None = None, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Settings:
    """The settings of this process. `overrides` are "key=value", the value YAML; `environ` None: that of the process.

    `-c` may also hold keys of the user's own (outside the prefixes of Storm's keys), meant for a topology's conf.
    Logs a warning for each key that means nothing here. Raises ConfigError that lists all that is wrong.
    """
    environment = os.environ if environ is None else environ
    reading = _Reading()
    path = _config_path(config_file, environment)
    if path is not None:
        reading.take_file(path)
    reading.take_environment(environment)
    reading.take_overrides(overrides)
    reading.check_ports()
    for text in reading.warnings:
        log.warning("%s", text)
    if reading.problems:
        raise ConfigError("\n".join(reading.problems))
    return Settings(reading.values, reading.origins)


def parse_override(text: str) -> tuple[str, Any]:
    """("key", value) of "key=value". Raises ConfigError."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"-c {text}: expected key=value")
    return key, _scalar(key, value, f"-c {key}")


def environment_names(key: str) -> tuple[str, ...]:
    """The variables that set a key: STORM_NIMBUS_SEEDS for nimbus.seeds; a `storm.` key needs no second STORM_."""
    name = key.upper().replace(".", "_").replace("-", "_")
    return (PREFIX + name, name) if name.startswith(PREFIX) else (PREFIX + name,)


def keys_by_variable() -> dict[str, str]:
    """{variable of the environment: the key that it sets}, of all keys."""
    keys = {**{key: key for key in OPTIONS}, **SECOND_NAMES}
    return {name: key for written, key in keys.items() for name in environment_names(written)}


class _Reading:
    """What was read so far, and what was wrong with it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def take_file(self, path: Path) -> None:
        try:
            entries = read_mapping(_read_text(path))
        except ConfigError as error:
            self.problems.append(f"{path}: {error}")
            return
        for second, key in SECOND_NAMES.items():
            if second in entries and key in entries:
                self.problems.append(f"{path}:{entries[second].line}: {second} is {key}, which is set there too")
        for key, entry in entries.items():
            self._take(key, entry.value, f"{path}:{entry.line}", path.resolve().parent)
        if any(is_secret(key, entry.value) for key, entry in entries.items()) and path.stat().st_mode & 0o077:
            self.warnings.append(f"{path} holds a secret and others may read it: chmod 600 {path}")

    def take_environment(self, environ: Mapping[str, str]) -> None:
        keys = keys_by_variable()
        taken: dict[str, str] = {}
        for name in sorted(name for name in environ if name.startswith(PREFIX) and name not in OWN_VARIABLES):
            key = keys.get(name)
            if key is None:
                self.warnings.append(f"environment {name} is no key{did_you_mean(name, keys)}")
            elif key in taken:
                self.problems.append(f"{key}: set by both {taken[key]} and {name} in the environment")
            else:
                taken[key] = name
                self._take_text(key, environ[name], f"environment {name}")

    def take_overrides(self, overrides: Sequence[str]) -> None:
        for text in overrides:
            key, equals, value = text.partition("=")
            key = key.strip()
            if equals and key:
                self._take_text(key, value, f"-c {key}", users_own=True)
            else:
                self.problems.append(f"-c {text}: expected key=value")

    def check_ports(self) -> None:
        """A port of a daemon beside the supervisor must differ from those of its slots."""
        values = {**{key: option.default for key, option in OPTIONS.items()}, **self.values}
        for key in ("supervisor.thrift.port", "logviewer.port"):
            is_asked_for = key in self.values or key.startswith("supervisor.")
            if is_asked_for and values[key] in values["supervisor.slots.ports"]:
                origin = self.origins.get(key) or self.origins.get("supervisor.slots.ports", "default")
                self.problems.append(
                    f"{key}: {values[key]} is one of supervisor.slots.ports too; give it another port (from {origin})"
                )

    def _take_text(self, key: str, text: str, origin: str, users_own: bool = False) -> None:
        try:
            value = _scalar(key, text, origin)
        except ConfigError as error:
            self.problems.append(str(error))
            return
        self._take(key, value, origin, Path.cwd(), users_own)

    def _take(self, key: str, value: Any, origin: str, directory: Path, users_own: bool = False) -> None:
        key = SECOND_NAMES.get(key, key)
        if key not in OPTIONS:
            is_users = users_own and may_be_users(key)
            # A user's key may look like one of Storm's: in a topology's `conf` it counts, and so it must here.
            reason = None if is_users and not key.startswith("topology.") else reason_unsupported(key)
            if reason is not None:
                self.warnings.append(f"{origin}: {key} means nothing here: {reason}")
                return
            if not is_users:
                self.problems.append(f"{origin}: no key {key!r}{did_you_mean(key, OPTIONS)}")
                return
            hint = did_you_mean(key, OPTIONS)
            if hint or key.startswith("topology."):
                self.warnings.append(f"{origin}: no key of Storm, kept as your own{hint}")
        try:
            self.values[key] = checked_value(key, value, origin, directory)
            self.origins[key] = origin
        except ConfigError as error:
            self.problems.append(str(error))
            return
        if warning := warning_of(key, self.values[key]):
            self.warnings.append(f"{origin}: {warning}")


def may_be_users(key: str) -> bool:
    """Whether a key that no option describes may be a user's own: Storm's prefixes but topology are Storm's."""
    first = key.split(".")[0]
    return first == "topology" or first not in RESERVED_PREFIXES or "." not in key


def _scalar(key: str, text: str, origin: str) -> Any:
    """`text` as YAML; for a key that holds text, text that YAML takes for a number or the like stays as it is."""
    option = OPTIONS.get(key)
    is_text = option is not None and isinstance(option.type, Text | FilePath | Choice)
    try:
        value = read_value(text)
    except ConfigError as error:
        if is_text:
            return text
        raise ConfigError(f"{key}: {error} (from {origin})") from None
    if is_text and value is not None and not isinstance(value, str):
        return text
    return value


def _config_path(config_file: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config_file is not None:
        if not config_file.exists():
            raise ConfigError(f"no such file: {config_file}")
        return config_file
    candidates = [checkout_directory() / "conf" / "storm.yaml", Path("~/.storm/storm.yaml")]
    if environ.get("STORM_CONF_DIR"):
        candidates.insert(0, Path(environ["STORM_CONF_DIR"]) / "storm.yaml")
    for candidate in candidates:
        try:
            found = candidate.expanduser()
        except RuntimeError:  # no home directory
            continue
        if found.exists():
            return found
    return None


def checkout_directory() -> Path:
    """Where bin/ and conf/ are when the program runs from a checkout."""
    return Path(__file__).resolve().parents[2]


def _read_text(path: Path) -> str:
    """Raises ConfigError where the file cannot be read or is not text."""
    try:
        with path.open("rb") as file:
            data = file.read(4 * DOCUMENT_CHARS_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"line {line}: not UTF-8 text") from None
