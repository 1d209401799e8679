"""Where everything is in ZooKeeper: Storm's own layout, below the root that the storage puts before it.

Names that people choose (topology ids, components, hosts) are URL-encoded as Java's `URLEncoder` does it, so
that no name can leave its directory; ids made of letters, digits, `-`, `_` and `.` look as they do in Storm.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, unquote_plus

if TYPE_CHECKING:
    from storm.ids import ComponentId, NodeId, TopologyId

STORMS = "/storms"
ASSIGNMENTS = "/assignments"
SUPERVISORS = "/supervisors"
DRAINS = "/drains"  # not in Storm
ERRORS = "/errors"
LOG_CONFIGS = "/logconfigs"
NIMBUSES = "/nimbuses"
LEADER_LOCK = "/leader-lock"
LEADER_INFO = "/leader-info"
BLOBSTORE = "/blobstore"
USER_BLOBS = "/userblobs"
RESTART_TURNS = "/restartturns"
CLUSTER_ID = "/cluster-id"

TOP_NODES = (
    STORMS,
    ASSIGNMENTS,
    SUPERVISORS,
    DRAINS,
    ERRORS,
    LOG_CONFIGS,
    NIMBUSES,
    LEADER_LOCK,
    BLOBSTORE,
    USER_BLOBS,
    RESTART_TURNS,
)

NAMES_REMEMBERED = 10_000  # daemons read the same nodes again and again

_LAST_ERROR = "-last-error"
_SEQUENCE_DIGITS = 10  # ZooKeeper's: a sequential node's name ends in its number, padded to ten digits


@lru_cache(NAMES_REMEMBERED)
def node_name(name: str) -> str:
    """`name` as the name of one node. Raises ValueError if it is empty."""
    if not name:
        raise ValueError("a node's name cannot be empty")
    if name in {".", ".."}:
        return name.replace(".", "%2E")
    return quote_plus(name, safe="*", errors="surrogatepass").replace("~", "%7E")


@lru_cache(NAMES_REMEMBERED)
def name_of(node: str) -> str:
    """The name that `node_name` made `node` of."""
    return unquote_plus(node, errors="replace")


def storm(topology_id: TopologyId) -> str:
    return f"{STORMS}/{node_name(topology_id)}"


def assignment(topology_id: TopologyId) -> str:
    return f"{ASSIGNMENTS}/{node_name(topology_id)}"


def supervisor(node_id: NodeId) -> str:
    return f"{SUPERVISORS}/{node_name(node_id)}"


def drain(node_id: NodeId) -> str:
    """That the supervisor is drained."""
    return f"{DRAINS}/{node_name(node_id)}"


def log_config(topology_id: TopologyId) -> str:
    return f"{LOG_CONFIGS}/{node_name(topology_id)}"


def nimbus(host: str, port: int) -> str:
    return f"{NIMBUSES}/{node_name(f'{host}:{port}')}"


def candidate(nimbus_address: str, nonce: str) -> str:
    """What the path of a candidate for leadership begins with; ZooKeeper puts its number behind.

    Numbers begin anew where ZooKeeper lost its data; the `nonce` lets no path be used twice all the same.
    """
    return f"{LEADER_LOCK}/{node_name(nimbus_address)}-{nonce}-"


def blob(key: str) -> str:
    """What is below it says which Nimbuses hold the blob."""
    return f"{BLOBSTORE}/{node_name(key)}"


def blob_replica(key: str, nimbus_address: str, sha256: str) -> str:
    """That the Nimbus at `host:port` holds this content of the blob.

    Storm puts a sequence number in the place of the hash: a blob's content is its version here.
    """
    return f"{blob(key)}/{node_name(f'{nimbus_address}-{sha256}')}"


def replica_of(node: str) -> tuple[str, str]:
    """The address and the hash that `blob_replica` made `node` of."""
    address, _, sha256 = name_of(node).rpartition("-")
    return address, sha256


def user_blob(key: str) -> str:
    """Which content a blob of people's own has now."""
    return f"{USER_BLOBS}/{node_name(key)}"


def restart_turn(topology_id: TopologyId) -> str:
    """Which supervisor may start workers of the topology again that run well."""
    return f"{RESTART_TURNS}/{node_name(topology_id)}"


def topology_errors(topology_id: TopologyId) -> str:
    return f"{ERRORS}/{node_name(topology_id)}"


def component_errors(topology_id: TopologyId, component_id: ComponentId) -> str:
    return f"{topology_errors(topology_id)}/{node_name(component_id)}"


def last_error(topology_id: TopologyId, component_id: ComponentId) -> str:
    return component_errors(topology_id, component_id) + _LAST_ERROR


def components_with_errors(nodes: list[str]) -> list[ComponentId]:
    """The components among `nodes`, the children of `topology_errors`.

    A component has a directory and a last error beside it; one whose own name ends like a last error's node
    is told from it by having both.
    """
    present = set(nodes)
    return sorted(name_of(node) for node in nodes if node + _LAST_ERROR in present)


def sequence_number(node: str) -> int | None:
    """The number at the end of a sequential node's name; None where there is none."""
    digits = node[-_SEQUENCE_DIGITS:]
    return int(digits) if len(digits) == _SEQUENCE_DIGITS and digits.isascii() and digits.isdigit() else None


def without_number(node: str) -> str:
    """A sequential node's name as it was asked for."""
    return node[:-_SEQUENCE_DIGITS]


@lru_cache(NAMES_REMEMBERED)
def checked(path: str) -> str:
    """`path`, if ZooKeeper takes it as an absolute path. Raises ValueError."""
    names = path.split("/")
    if names[0] or len(names) < 2 or any(name in {"", ".", ".."} for name in names[1:]):
        raise ValueError(f"{path!r} is not an absolute path of named nodes")
    if not path.isprintable():
        raise ValueError(f"{path!r} has characters that ZooKeeper refuses in a path")
    return path


def parent(path: str) -> str:
    """The path above `path`; "" above the topmost nodes."""
    return path.rpartition("/")[0]
