from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm.supervisor.environments import (
    Build,
    BuildFailure,
    EnvironmentLimits,
    Environments,
    EnvironmentSeen,
    EnvironmentState,
    Remove,
)

LIMITS = EnvironmentLimits(builds_max=2, keep_secs=100.0, back_off_max_secs=8.0)
PIP = BuildFailure("pip exited with code 1", "no such thing")


def state(environments: Environments, key: str, now: float = 0.0) -> EnvironmentState | None:
    return environments.look(key, now).state


def test_what_is_wanted_is_built_in_turn_a_few_at_a_time() -> None:
    environments = Environments(LIMITS)
    for number, key in enumerate("cab"):
        environments.want(key, number)
    assert [environments.next(9), environments.next(9), environments.next(9)] == [Build("c"), Build("a"), None]
    assert [state(environments, key) for key in "abcd"] == [
        EnvironmentState.BUILDING,
        EnvironmentState.WAITING,
        EnvironmentState.BUILDING,
        None,
    ]
    environments.ended("c", None, 10)
    assert state(environments, "c") is EnvironmentState.READY
    assert environments.next(10) == Build("b")
    environments.want("c", 11)
    assert environments.next(11) is None, "it is there already"


def test_a_failure_is_told_and_tried_again_later_and_later() -> None:
    environments = Environments(LIMITS)
    now, waits = 0.0, []
    for _ in range(6):
        environments.want("a", now)
        assert environments.next(now) == Build("a")
        environments.ended("a", PIP, now)
        seen = environments.look("a", now)
        assert seen == EnvironmentSeen(EnvironmentState.FAILED, now, *PIP[:2], seen.retry_secs)
        waits.append(seen.retry_secs)
        environments.want("a", now + seen.retry_secs - 0.5)
        assert environments.next(now + seen.retry_secs - 0.5) is None, "the back-off holds for all who want it"
        now += seen.retry_secs
    assert waits == [1, 2, 4, 8, 8, 8]
    environments.want("a", now)
    assert environments.next(now) == Build("a")
    environments.ended("a", None, now)
    assert environments.look("a", now) == EnvironmentSeen(EnvironmentState.READY, now)


def test_what_nobody_uses_goes_after_a_while_and_not_before() -> None:
    environments = Environments(LIMITS)
    environments.found(["old", "used"], 0)
    environments.use({"used"}, 10)
    assert (environments.next(99), environments.due(99)) == (None, 100)
    environments.want("old", 50)
    environments.use({"old"}, 60)
    assert (environments.next(159), environments.due(159)) == (None, 160), "used again, and the other one not"
    assert environments.next(160) == Remove("used")
    assert (environments.next(1e9), environments.due(1e9), state(environments, "used")) == (None, None, None)


def test_what_is_not_built_and_not_needed_is_forgotten() -> None:
    environments = Environments(EnvironmentLimits(builds_max=9, keep_secs=100))
    for key in ("failed", "good", "bad"):
        environments.want(key, 0)
        assert environments.next(0) == Build(key)
    environments.want("waiting", 0)
    environments.ended("failed", PIP, 1)
    environments.use(set(), 2)
    assert [state(environments, key) for key in ("waiting", "failed", "good")] == [
        None,
        None,
        EnvironmentState.BUILDING,
    ]
    environments.ended("bad", PIP, 3)
    environments.ended("good", None, 4)
    assert (state(environments, "bad"), state(environments, "good")) == (None, EnvironmentState.READY)
    assert environments.next(102) == Remove("good")


def test_a_full_disk_costs_all_that_nobody_uses() -> None:
    environments = Environments(LIMITS)
    environments.found(["idle", "used"], 0)
    assert environments.give_up() == [], "what is used was not said yet"
    environments.want("left", 0)
    assert environments.next(1) == Build("left")
    environments.use({"used"}, 1)
    assert environments.give_up() == ["idle"]
    assert (environments.next(1), environments.give_up()) == (None, [])
    environments.ended("left", None, 2)
    assert environments.next(2) == Remove("left"), "it was built for nobody"
    assert state(environments, "used") is EnvironmentState.READY


def test_a_full_disk_is_told_only_if_room_was_made_in_vain() -> None:
    environments = Environments(LIMITS)
    full = PIP._replace(no_room=True)
    environments.want("a", 0)
    for now, tried_at in ((0, 1), (1, 3)):
        assert environments.next(now) == Build("a")
        environments.ended("a", full, now)
        environments.want("a", now)
        assert environments.look("a", now) == EnvironmentSeen(EnvironmentState.WAITING, now)
        assert (environments.next(tried_at - 0.5), environments.due(now)) == (None, tried_at)
        assert environments.due(tried_at) is None, "whoever builds is not woken for ever"
    assert environments.next(3) == Build("a")
    environments.ended("a", full, 3)
    assert environments.look("a", 3) == EnvironmentSeen(EnvironmentState.FAILED, 3, *PIP[:2], 4)
    environments.want("a", 7)
    assert environments.next(7) == Build("a")
    environments.ended("a", None, 8)
    environments.want("a", 8)
    assert state(environments, "a") is EnvironmentState.READY


KEYS = st.sampled_from("abc")
EVENTS = st.lists(
    st.tuples(st.sampled_from(["want", "use", "next", "full disk", "good", "bad", "full"]), KEYS, st.floats(0, 50)),
    max_size=60,
)


@given(EVENTS)
def test_a_used_one_is_never_removed_and_none_is_built_twice_at_once(events: list[tuple[str, str, float]]) -> None:
    environments = Environments(LIMITS)
    used: set[str] = set()
    building: list[str] = []
    now = 0.0
    for event, key, secs in events:
        now += secs
        match event:
            case "want":
                environments.want(key, now)
                used.add(key)
            case "use":
                used = {key}
                environments.use(used, now)
            case "next":
                command = environments.next(now)
                if isinstance(command, Build):
                    assert command.key not in building
                    building.append(command.key)
                    assert len(building) <= LIMITS.builds_max
                elif command is not None:
                    assert command.key not in used
            case "full disk":
                assert used.isdisjoint(environments.give_up())
            case _ if building:
                failure = None if event == "good" else PIP._replace(no_room=event == "full")
                environments.ended(building.pop(0), failure, now)
