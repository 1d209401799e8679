from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storm.environment_spec import MANIFEST, NOT_BUILT, WHEELS, EnvironmentSpec
from storm.errors import WorkerStartError
from storm.ids import ExecutorId
from storm.supervisor.assignment_sync import LocalAssignment
from storm.supervisor.environments import Build, EnvironmentLimits, Environments, EnvironmentSeen, EnvironmentState
from storm.supervisor.prepared_code import PreparedCode
from storm.supervisor.slot import BlobsSeen, BlobsState

if TYPE_CHECKING:
    from storm.ids import TopologyId

WORDS = LocalAssignment("words", (ExecutorId(1, 1),), 1)
PLAIN = LocalAssignment("plain", (ExecutorId(1, 1),), 1)
SPEC = EnvironmentSpec("3.11", ("colours==1",))
READY = BlobsSeen(BlobsState.READY)


class ModelCode:
    """Packages that are there at once, or when `states` says so."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.states: dict[TopologyId, BlobsSeen] = {}
        self.kept: frozenset[TopologyId] = frozenset()

    def put(self, topology_id: TopologyId, manifest: object) -> None:
        path = self.code_dir(topology_id)
        path.mkdir(parents=True, exist_ok=True)
        (path / MANIFEST).write_text(json.dumps(manifest))

    def request(self, assignment: LocalAssignment) -> None: ...

    def look(self, assignment: LocalAssignment) -> BlobsSeen:
        return self.states.get(assignment.topology_id, READY)

    def keep(self, topology_ids: frozenset[TopologyId]) -> None:
        self.kept = topology_ids

    def own_timeout(self, topology_id: TopologyId) -> float | None:
        return None

    def code_dir(self, topology_id: TopologyId) -> Path:
        return self.directory / topology_id


class ModelEnvironments:
    """Environments as `seen` says, and what was asked of them."""

    def __init__(self) -> None:
        self.seen: dict[str, EnvironmentSeen] = {}
        self.wanted: list[tuple[EnvironmentSpec, Path]] = []
        self.used: frozenset[str] = frozenset()
        self.spare = 0  # environments that nobody needs

    def want(self, spec: EnvironmentSpec, wheels_dir: Path) -> None:
        self.wanted.append((spec, wheels_dir))
        self.seen.setdefault(spec.key, EnvironmentSeen(EnvironmentState.WAITING))

    def look(self, key: str) -> EnvironmentSeen:
        return self.seen.get(key, EnvironmentSeen(None))

    def use(self, keys: frozenset[str]) -> None:
        self.used = keys

    def make_room(self) -> bool:
        freed, self.spare = self.spare, 0
        return freed > 0

    def python(self, key: str) -> Path:
        return Path("/environments") / key / "bin" / "python"


class LivingEnvironments(ModelEnvironments):
    """Environments that are built at once, and live as on a host."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.life = Environments(EnvironmentLimits(keep_secs=100.0))

    def want(self, spec: EnvironmentSpec, wheels_dir: Path) -> None:
        self.life.want(spec.key, self.now)
        command = self.life.next(self.now)
        if isinstance(command, Build):
            self.life.ended(command.key, None, self.now)

    def look(self, key: str) -> EnvironmentSeen:
        return self.life.look(key, self.now)

    def use(self, keys: frozenset[str]) -> None:
        self.life.use(keys, self.now)


class Shop:
    def __init__(self, directory: Path, environments: ModelEnvironments | None = None) -> None:
        self.code, self.environments = ModelCode(directory), environments or ModelEnvironments()
        self.prepared = PreparedCode(self.code, self.environments, "3.11")
        self.code.put("words", {"format": 1, "environment": SPEC.to_plain()})


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.parametrize("manifest", [None, {"format": 1, "files": 3}])
def test_a_topology_without_requirements_waits_for_its_code_alone(shop: Shop, manifest: object) -> None:
    if manifest is not None:  # a package of another client has none
        shop.code.put("plain", manifest)
    shop.prepared.request(PLAIN)
    assert (shop.prepared.look(PLAIN), shop.prepared.python("plain")) == (READY, None)
    assert shop.environments.wanted == []


def test_room_on_the_disk_is_that_of_environments(shop: Shop) -> None:
    shop.environments.spare = 2
    assert [shop.prepared.make_room(), shop.prepared.make_room()] == [True, False]


def test_code_comes_first_then_its_environment(shop: Shop, tmp_path: Path) -> None:
    shop.code.states["words"] = BlobsSeen(BlobsState.PENDING)
    shop.prepared.request(WORDS)
    assert shop.prepared.look(WORDS) == BlobsSeen(BlobsState.PENDING)
    assert shop.environments.wanted == []
    del shop.code.states["words"]
    waiting = shop.prepared.look(WORDS)
    assert (waiting.state, "environment" in waiting.waits_for) == (BlobsState.PENDING, True)
    assert shop.environments.wanted == [(SPEC, tmp_path / "words" / WHEELS)]
    shop.environments.seen[SPEC.key] = EnvironmentSeen(EnvironmentState.READY)
    assert shop.prepared.look(WORDS) == READY
    assert shop.prepared.python("words") == shop.environments.python(SPEC.key)


def test_a_failed_environment_is_told_and_asked_for_again_with_the_code(shop: Shop) -> None:
    shop.environments.seen[SPEC.key] = EnvironmentSeen(EnvironmentState.FAILED, 1.0, "pip says: no", "ERROR: no", 4.0)
    assert shop.prepared.look(WORDS) == BlobsSeen(
        BlobsState.FAILED, f"{NOT_BUILT}: pip says: no", "ERROR: no", 4.0, lacks_environment=True
    )
    assert shop.environments.wanted == []
    shop.prepared.request(WORDS)
    assert [spec for spec, _ in shop.environments.wanted] == [SPEC]


def test_a_python_that_this_host_does_not_have_is_said(shop: Shop) -> None:
    shop.code.put("words", {"environment": {**SPEC.to_plain(), "python": "3.99"}})
    shop.prepared.request(WORDS)
    seen = shop.prepared.look(WORDS)
    assert seen.failure == f"{NOT_BUILT}: it is packed for Python 3.99, and this host has 3.11"
    assert (seen.state, seen.retry_secs > 0, shop.environments.wanted) == (BlobsState.FAILED, True, [])


def test_a_manifest_that_no_client_wrote_starts_nothing(shop: Shop) -> None:
    shop.code.put("words", {"environment": {"python": "3.11", "requirements": ["-r /etc/passwd"]}})
    shop.prepared.request(WORDS)
    seen = shop.prepared.look(WORDS)
    assert (seen.state, "none that hosts follow" in seen.failure) == (BlobsState.FAILED, True)
    with pytest.raises(WorkerStartError, match="none that hosts follow"):
        shop.prepared.python("words")
    assert shop.environments.wanted == []


def test_environments_of_topologies_that_stay_are_used_also_after_a_restart(shop: Shop) -> None:
    shop.prepared.keep(frozenset({"words", "plain"}))
    assert (shop.code.kept, shop.environments.used) == ({"words", "plain"}, {SPEC.key})
    assert [spec for spec, _ in shop.environments.wanted] == [SPEC], "it may be built before the next worker needs it"
    (shop.code.code_dir("words") / MANIFEST).unlink()
    shop.prepared.keep(frozenset({"words"}))
    assert shop.environments.used == {SPEC.key}, "a damaged disk takes nobody's environment away"
    shop.prepared.keep(frozenset({"plain"}))
    assert shop.environments.used == frozenset()


@pytest.mark.parametrize("is_found", [False, True])
def test_an_environment_that_was_left_and_is_used_again_stays(tmp_path: Path, is_found: bool) -> None:
    environments = LivingEnvironments()
    shop = Shop(tmp_path, environments)
    if is_found:  # by a supervisor that was started again
        environments.life.found([SPEC.key], environments.now)
    else:
        assert shop.prepared.look(WORDS) == READY
        shop.prepared.keep(frozenset())
    environments.now = 50.0
    # The code of a topology comes after slots have said whose code is to be kept.
    shop.prepared.keep(frozenset({"other"}))
    shop.code.put("other", {"environment": SPEC.to_plain()})
    assert shop.prepared.look(LocalAssignment("other", (ExecutorId(1, 1),), 1)) == READY
    assert environments.life.next(1e9) is None
