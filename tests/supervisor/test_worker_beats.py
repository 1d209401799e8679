from __future__ import annotations

from dataclasses import replace
from typing import Any

from storm.metrics.stats_records import WINDOWS, ExecutorStats, SpoutStats
from storm.supervisor.nimbus_link import LOT_BYTES_MAX
from storm.supervisor.worker_beats import WorkerBeat, WorkerBeats
from storm.thrift.convert import executor_stats_to_thrift
from storm.thrift.figures import stats_bytes

FIGURES, NEWER = {1: "figures"}, {1: "newer"}


def beat(message: str, stats: dict[Any, Any] | None = None, worker_id: str = "w1") -> WorkerBeat:
    return WorkerBeat(worker_id, "words", 6700, message, stats)


def test_the_first_beat_of_a_worker_is_told_from_the_next() -> None:
    beats = WorkerBeats()
    assert beats.receive(beat("1"), 1.0)
    assert not beats.receive(beat("2"), 2.0)
    assert beats.receive(beat("3", worker_id="w2"), 3.0)
    assert (beats.seen_at(6700, "w2"), beats.seen_at(6700, "w1"), beats.seen_at(6701, "w1")) == (3.0, None, None)


def test_that_its_components_are_prepared_is_news_once_and_of_that_worker_only() -> None:
    beats = WorkerBeats()
    prepared = replace(beat("2"), is_prepared=True)
    assert [beats.receive(each, 1.0) for each in (beat("1"), prepared, prepared)] == [True, True, False]
    assert not beats.receive(beat("3"), 2.0)  # the topology was activated: it prepares, and was well
    assert (beats.is_prepared(6700, "w1"), beats.is_prepared(6700, "w2"), beats.is_prepared(1, "w1")) == (
        True, False, False,
    )  # fmt: skip
    beats.receive(beat("4", worker_id="w2"), 3.0)
    assert not beats.is_prepared(6700, "w2")
    beats.receive(replace(prepared, worker_id="w2"), 4.0)
    assert (beats.is_prepared(6700, "w1"), beats.is_prepared(6700, "w2")) == (False, True)
    beats.forget(6700)
    assert not beats.is_prepared(6700, "w2")


def test_nimbus_gets_the_newest_once_with_figures_that_came_before_it() -> None:
    beats = WorkerBeats()
    beats.receive(beat("1", stats=FIGURES), 1.0)
    beats.receive(beat("2"), 2.0)
    assert beats.take_for_nimbus() == [beat("2", stats=FIGURES)]
    assert beats.take_for_nimbus() == []


def test_what_nimbus_did_not_take_goes_with_the_next() -> None:
    beats = WorkerBeats()
    beats.receive(beat("1", stats=FIGURES), 1.0)
    refused = beats.take_for_nimbus()
    beats.receive(beat("2"), 2.0)
    beats.give_back(refused)
    assert beats.take_for_nimbus() == [beat("2", stats=FIGURES)]
    beats.give_back([beat("2", stats=FIGURES)])
    beats.receive(beat("3", stats=NEWER), 3.0)
    assert beats.take_for_nimbus() == [beat("3", stats=NEWER)]


def figures_of(streams: int) -> Any:
    emitted = {window: {f"stream-{i}": 1 for i in range(streams)} for window in WINDOWS}
    return executor_stats_to_thrift(ExecutorStats(emitted, {}, SpoutStats()))


def test_parts_of_the_figures_go_together_with_the_newest_of_each_executor() -> None:
    beats = WorkerBeats()
    few, more = figures_of(1), figures_of(2)
    beats.receive(beat("1", stats={1: few, 2: few}), 1.0)
    refused = beats.take_for_nimbus()
    beats.receive(beat("2", stats={3: few}), 2.0)
    beats.give_back(refused)
    beats.receive(beat("3", stats={2: more, 4: few}), 3.0)
    assert beats.take_for_nimbus() == [beat("3", stats={1: few, 2: more, 3: few, 4: few})]


def test_parts_that_are_too_much_for_a_message_lose_the_oldest_figures() -> None:
    beats = WorkerBeats()
    large = figures_of(5000)
    assert 2 < LOT_BYTES_MAX / stats_bytes(large) < 3
    for number in range(1, 5):
        beats.receive(beat(str(number), stats={number: large}), float(number))
    assert beats.take_for_nimbus() == [beat("4", stats={3: large, 4: large})]


def test_workers_are_unheard_from_what_goes_to_nimbus_until_it_has_taken_it() -> None:
    beats = WorkerBeats()
    beats.receive(beat("1"), 1.0)
    assert beats.unheard() == {}
    taken = beats.take_for_nimbus()
    assert beats.unheard() == {6700: ("w1", 1.0)}, "it may wait for an answer for long"
    beats.give_back(taken)
    beats.receive(beat("2"), 2.0)
    beats.receive(WorkerBeat("w2", "words", 6701, "3"), 3.0)
    assert beats.unheard() == {6700: ("w1", 2.0), 6701: ("w2", 3.0)}
    beats.forget(6700)
    assert beats.unheard() == {6701: ("w2", 3.0)}
    beats.take_for_nimbus()
    beats.delivered()
    assert beats.unheard() == {}


def test_a_forgotten_worker_is_not_given_back() -> None:
    beats = WorkerBeats()
    beats.receive(beat("1"), 1.0)
    taken = beats.take_for_nimbus()
    beats.forget(6700)
    beats.give_back(taken)
    assert beats.take_for_nimbus() == []


def test_a_pardon_counts_as_a_beat_of_who_has_beaten() -> None:
    beats = WorkerBeats()
    beats.receive(beat("1"), 1.0)
    beats.pardon(9.0)
    assert (beats.seen_at(6700, "w1"), beats.seen_at(6701, "w2")) == (9.0, None)
    beats.receive(beat("2"), 10.0)
    assert beats.seen_at(6700, "w1") == 10.0


def test_what_a_worker_measures_is_kept_until_it_is_gone_and_goes_to_nimbus_once() -> None:
    beats = WorkerBeats()
    beats.receive(WorkerBeat("w1", "words", 6700, "1"), 1.0)
    assert beats.measured() == {6700: ("words", "", 1.0)}
    beats.receive(WorkerBeat("w1", "words", 6700, "2", metrics="text"), 2.0)
    beats.receive(WorkerBeat("w1", "words", 6700, "3"), 3.0)
    assert beats.measured() == {6700: ("words", "text", 3.0)}
    assert beats.take_for_nimbus() == [WorkerBeat("w1", "words", 6700, "3", metrics="text")]
    beats.receive(WorkerBeat("w1", "words", 6700, "4"), 4.0)
    assert beats.take_for_nimbus() == [WorkerBeat("w1", "words", 6700, "4")]
    beats.receive(WorkerBeat("w2", "words", 6700, "5"), 5.0)
    assert beats.measured() == {6700: ("words", "", 5.0)}
    beats.forget(6700)
    assert beats.measured() == {}
