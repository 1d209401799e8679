"""The table of scenarios has all of the catalogue, and each row runs or says why it does not."""

from __future__ import annotations

from nemesis import may_overlap
from scenario import NEEDS, why_not
from scenarios import FAULTS, MIXED, MIXED_WISH, PATIENT_SECS, SCENARIOS, WAITS_FOR, mixed
from timers import DEFAULT, SHORT, patient

from storm.supervisor.core import PAUSE_SECS

CATALOGUE = {"P": 18, "H": 9, "N": 12, "Z": 11, "D": 8, "T": 4, "A": 13}


def test_every_row_of_the_catalogue_has_a_name() -> None:
    wanted = {f"{letter}{number}" for letter, last in CATALOGUE.items() for number in range(1, last + 1)}
    assert wanted <= {each for scenario in SCENARIOS for each in scenario.ids.split()}


def test_names_are_words_and_belong_to_one_scenario_each() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalnum() and name == name.lower() for name in names)


def test_what_has_no_code_says_why() -> None:
    for scenario in SCENARIOS:
        assert (scenario.run is None) == bool(scenario.missing), scenario.name
        assert scenario.needs <= NEEDS.keys(), scenario.name
        assert scenario.run is not None or why_not(scenario) == scenario.missing


def test_the_mix_is_made_of_faults_that_there_are() -> None:
    assert set(MIXED) <= FAULTS.keys()
    assert set(MIXED_WISH.always) <= set(MIXED)


def test_faults_of_the_mix_that_cut_the_same_network_or_need_what_another_takes_do_not_overlap() -> None:
    kinds = [mixed(name).drawable(SHORT) for name in MIXED]
    pairs = {(one.name, other.name) for one in kinds for other in kinds if may_overlap(one, other)}
    cutting = {"link-cut", "link-cut-one-way", "host-cut-from-zookeeper", "host-cut-from-nimbus", "nimbus-cut-off"}
    assert not {pair for pair in pairs if set(pair) <= cutting | {"host-paused", "host-unplugged"}}
    assert not {pair for pair in pairs if "rebalanced" in pair}
    assert {("worker-killed", "nimbus-killed"), ("zookeeper-lost", "supervisor-killed")} <= pairs


def test_of_the_mix_all_that_have_a_bar_say_what_they_wait_for() -> None:
    assert set(WAITS_FOR) == {name for name in MIXED if FAULTS[name].bar is not None}
    parts = {part for takes in MIXED.values() for part in takes.split()}
    assert {part for waits_for in WAITS_FOR.values() for part in waits_for.split()} <= parts
    assert "nimbus" not in WAITS_FOR["worker-killed"].split()


def test_what_lasts_less_than_a_session_bears_nothing_that_may_wait_for_longer() -> None:
    for name in ("zookeeper-restarted", "coordination-paused"):
        assert set(MIXED[name].split()) & set(MIXED["bolt-raises"].split())
        assert set(MIXED[name].split()) & set(MIXED["worker-session-expired"].split())


def test_nobody_is_assigned_anew_while_workers_have_to_say_that_zookeeper_is_back() -> None:
    for name in ("host-lost", "host-paused", "host-unplugged", "host-cut-from-nimbus", "rebalanced"):
        assert "zookeeper" in MIXED[name].split()


def test_of_each_fault_that_a_log_names_it_is_known_whose() -> None:
    assert all(bool(fault.told_by) == (fault.told is not None) for fault in FAULTS.values())


BARS = {  # seconds, as the promises of docs/reliability.md are; a Nimbus's is the session timeout and three seconds
    "worker-killed": 2.0, "worker-terminated": 2.0, "bolt-raises": 2.0, "bolt-exits": 2.0, "rebalanced": 3.0,
    "link-cut": 3.0, "link-cut-one-way": 3.0, "link-stalled": 3.0,
    "zookeeper-restarted": 5.0, "zookeeper-lost": 5.0, "session-expired": 5.0, "worker-session-expired": 5.0,
    "zookeeper-slow": 5.0, "one-zookeeper-killed": 5.0, "leading-zookeeper-paused": 5.0,
    "nimbus-killed": 7.0, "nimbus-session-expired": 7.0, "nimbus-cut-off": 7.0,
}  # fmt: skip


def test_each_promise_of_a_time_is_a_bar() -> None:
    assert {name: fault.bar(SHORT).median for name, fault in FAULTS.items() if fault.bar is not None} == BARS


def test_what_is_to_be_back_in_time_is_seen_to_be_back() -> None:
    """By a line of a log, by the tasks of the workers that were hit, or by tuples over the link that was cut."""
    hit = {"worker", "topology"}
    unseen = {name for name in BARS if not FAULTS[name].back and FAULTS[name].target not in hit}
    assert unseen == {"link-cut", "link-cut-one-way", "link-stalled"}


def test_a_fault_that_spares_workers_of_a_patient_nimbus_is_held_to_it_in_its_own_scenario() -> None:
    for name, secs in PATIENT_SECS.items():
        for timers in (SHORT, DEFAULT):
            fault, own = FAULTS[name], patient(timers, secs)
            assert fault.spares_workers, name
            assert fault.patience(own), name
            assert fault.seconds(own)[0] > own.executor_secs, name
        assert not FAULTS[name].patience(SHORT), name


def test_a_supervisor_that_stood_still_is_late_enough_to_say_so() -> None:
    for timers in (SHORT, DEFAULT):
        assert FAULTS["everything-paused"].seconds(timers)[0] > timers.worker_secs + PAUSE_SECS


def test_faults_last_as_long_as_the_timers_ask_for() -> None:
    for fault in FAULTS.values():
        for timers in (SHORT, DEFAULT):
            least, most = fault.seconds(timers)
            assert 0 <= least <= most, fault.name
