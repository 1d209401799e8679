from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from mutator import CASE_BYTES_MAX, case, mutated, mutated_lines, mutated_messages, split_messages

SESSIONS = [b"\0\0\0\x03abc\0\0\0\0\0\0\0\x02de", b"\0\0\0\x01x", b"", b"no session"]


@settings(deadline=None)
@given(st.integers(), st.integers(0, 10**6))
def test_the_same_seed_and_number_make_the_same_case(seed: int, number: int) -> None:
    for change in (mutated, mutated_messages, mutated_lines):
        found = case(seed, number, SESSIONS, change)
        assert found == case(seed, number, SESSIONS, change)
        assert len(found) <= CASE_BYTES_MAX


def test_cases_differ() -> None:
    assert len({case(1, number, SESSIONS) for number in range(200)}) > 100


def test_most_changes_keep_the_lengths_of_messages_right() -> None:
    rng = random.Random(1)
    whole = 0
    for _ in range(1000):
        found = mutated_messages(SESSIONS[0], rng, SESSIONS)
        whole += sum(4 + len(message) for message in split_messages(found)) == len(found)
    assert 700 < whole < 1000


def test_most_changes_of_requests_keep_their_form() -> None:
    rng = random.Random(1)
    requests = [b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n", b"POST /a/b HTTP/1.1\r\nHost: localhost\r\n\r\n{}"]
    found = [mutated_lines(requests[1], rng, requests) for _ in range(1000)]
    assert len(set(found)) > 400
    assert sum(b"\r\n\r\n" in one for one in found) > 600
    assert sum(one.startswith(b"POST /") for one in found) > 500


def test_messages_are_split_up_to_the_first_that_is_not_whole() -> None:
    assert split_messages(SESSIONS[0]) == [b"abc", b"", b"de"]
    assert split_messages(SESSIONS[0] + b"\0\0\0\x09x") == [b"abc", b"", b"de"]
