"""`topology.blobstore.map`: which blobs a topology's workers want, and how they find them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from storm.config.near_names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "topology.blobstore.map"
LOCAL_NAME, UNCOMPRESS, WORKER_RESTART = "localname", "uncompress", "workerRestart"
NAME_BYTES_MAX = 200  # a link of that name and a few letters is made before it: file systems take 255
RESERVED = {"launch.json", "storm", "storm.py"}  # a worker's directory is its current one, where Python looks first

_FIELDS = (LOCAL_NAME, UNCOMPRESS, WORKER_RESTART)


class BlobUse(NamedTuple):
    """One blob of a topology: its key, what it is called in the directory of each worker, whether it is an archive to
    be unpacked there, and whether workers are restarted when it changes.
    """

    key: str
    local_name: str
    is_unpacked: bool = False
    restarts_workers: bool = False


def blob_uses(value: Any) -> tuple[BlobUse, ...]:
    """The blobs that a `topology.blobstore.map` names, sorted by key. Raises ValueError that names the wrong place."""
    if not isinstance(value, dict):
        raise ValueError("expected a mapping (each value: {localname, uncompress, workerRestart})")
    uses: dict[str, BlobUse] = {}
    for key, fields in sorted(value.items(), key=lambda item: str(item[0])):
        try:
            use = _use(key, fields)
            if use.local_name in uses:
                raise ValueError(f"the local name {use.local_name!r} is also that of {uses[use.local_name].key!r}")
        except ValueError as error:
            raise ValueError(f"{key!r}: {error}") from None
        uses[use.local_name] = use
    return tuple(uses.values())


def conf_uses(conf: Mapping[str, Any]) -> tuple[BlobUse, ...]:
    """As `blob_uses`, of a topology's conf."""
    return blob_uses(conf.get(KEY) or {})


def _use(key: Any, fields: Any) -> BlobUse:
    fields = {} if fields is None else fields
    if not isinstance(key, str) or not key:
        raise ValueError("expected a blob's key, which is text")
    if not isinstance(fields, dict):
        raise ValueError("expected a mapping of localname, uncompress and workerRestart")
    for name in fields:
        if name not in _FIELDS:
            raise ValueError(f"there is no {name!r} here{did_you_mean(str(name), _FIELDS)}")
    local_name = fields.get(LOCAL_NAME)
    return BlobUse(
        key,
        _checked_name(key if local_name is None else local_name),
        _flag(fields, UNCOMPRESS),
        _flag(fields, WORKER_RESTART),
    )


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not name or not name.isprintable() or "/" in name or name.startswith("."):
        raise ValueError(f"localname {name!r:.60} is not the plain name of a file: no slash, no dot in front")
    if len(name.encode(errors="replace")) > NAME_BYTES_MAX:
        raise ValueError(f"localname {name[:20]!r}... takes more than {NAME_BYTES_MAX} bytes")
    if name in RESERVED:
        raise ValueError(f"localname {name!r} is taken in a worker's directory: choose another")
    return name


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} is true or false, not {value!r:.60}")
    return bool(value)
