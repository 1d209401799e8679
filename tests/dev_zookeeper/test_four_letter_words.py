from __future__ import annotations

import pytest

from storm.dev_zookeeper.four_letter_words import ConnectionFigures, ServerFigures, answer, is_word
from storm.dev_zookeeper.options import DevZooKeeperOptions

FIGURES = ServerFigures(
    options=DevZooKeeperOptions(),
    port=12181,
    zxid=0x1F,
    node_count=5,
    data_size_bytes=40,
    watch_count=3,
    watched_path_count=2,
    watching_connection_count=1,
    received=10,
    sent=11,
    connections=(ConnectionFigures("127.0.0.1:5000", 0xAB, 4, 5), ConnectionFigures("127.0.0.1:5001", None, 0, 0)),
    session_timeouts_ms={0xAB: 4000},
    ephemeral_paths={0xAB: {"/e/2", "/e/1"}},
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (b"ruok", "imok"),
        (b"isro", "rw"),
        (b"envi", "zookeeper.version=3.8.0-"),
        (b"srvr", "Mode: standalone-dev\nNode count: 5\n"),
        (b"stat", "Clients:\n 127.0.0.1:5000[1](queued=0,recved=4,sent=5,sid=0xab)\n 127.0.0.1:5001[1]"),
        (b"cons", "sid=0xab"),
        (b"mntr", "zk_ephemerals_count\t2\n"),
        (b"dump", "Sessions with Ephemerals (1):\n0xab:\n\t/e/1\n\t/e/2\n"),
        (b"wchs", "1 connections watching 2 paths\nTotal watches:3\n"),
        (b"conf", "clientPort=12181\n"),
    ],
)
def test_answers(word: bytes, expected: str) -> None:
    assert is_word(word)
    assert expected in answer(word, FIGURES).decode()


@pytest.mark.parametrize("word", [b"kill", b"\0\0\0\x2d", b"RUOK", b"\xff\xff\xff\xff", b"stmk"])
def test_other_bytes_are_no_words(word: bytes) -> None:
    assert not is_word(word)
