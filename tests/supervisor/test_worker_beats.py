from __future__ import annotations

from storm.supervisor.worker_beats import WorkerBeat, WorkerBeats


def beat(message: str, stats: object = None, worker_id: str = "w1") -> WorkerBeat:
    return WorkerBeat(worker_id, "words", 6700, message, stats)


def test_the_first_beat_of_a_worker_is_told_from_the_next() -> None:
    beats = WorkerBeats()
    assert beats.receive(beat("1"), 1.0)
    assert not beats.receive(beat("2"), 2.0)
    assert beats.receive(beat("3", worker_id="w2"), 3.0)
    assert (beats.seen_at(6700, "w2"), beats.seen_at(6700, "w1"), beats.seen_at(6701, "w1")) == (3.0, None, None)


def test_nimbus_gets_the_newest_once_with_figures_that_came_before_it() -> None:
    beats = WorkerBeats()
    beats.receive(beat("1", stats="figures"), 1.0)
    beats.receive(beat("2"), 2.0)
    assert beats.take_for_nimbus() == [beat("2", stats="figures")]
    assert beats.take_for_nimbus() == []


def test_what_nimbus_did_not_take_goes_with_the_next() -> None:
    beats = WorkerBeats()
    beats.receive(beat("1", stats="figures"), 1.0)
    refused = beats.take_for_nimbus()
    beats.receive(beat("2"), 2.0)
    beats.give_back(refused)
    assert beats.take_for_nimbus() == [beat("2", stats="figures")]
    beats.give_back([beat("2", stats="figures")])
    beats.receive(beat("3", stats="newer"), 3.0)
    assert beats.take_for_nimbus() == [beat("3", stats="newer")]


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
