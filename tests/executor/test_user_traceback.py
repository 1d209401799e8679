from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import storm.executor
from storm.executor.user_traceback import is_ours, user_stack, user_traceback

OURS = str(Path(storm.executor.__file__).parent / "bolt_executor.py")


def raised_through(source: str, file: str) -> BaseException:
    namespace: dict[str, object] = {}
    exec(compile("def call(f):\n    f()\n", file, "exec"), namespace)
    user: dict[str, object] = {}
    exec(compile(source, "user_code.py", "exec"), user)
    try:
        namespace["call"](user["execute"])  # type: ignore[operator]
    except Exception as error:  # noqa: BLE001
        return error
    raise AssertionError


def test_only_the_users_frames_are_told() -> None:
    text = user_traceback(raised_through("def execute():\n    raise KeyError('colour')\n", OURS))
    assert "bolt_executor" not in text
    assert 'File "user_code.py", line 2, in execute' in text
    assert text.endswith("KeyError: 'colour'")


def test_causes_are_told_too() -> None:
    source = (
        "def execute():\n"
        "    try:\n"
        "        1 / 0\n"
        "    except ZeroDivisionError as error:\n"
        "        raise ValueError('bad') from error\n"
    )
    text = user_traceback(raised_through(source, OURS))
    assert "bolt_executor" not in text
    assert "ZeroDivisionError" in text
    assert text.endswith("ValueError: bad")


def test_the_work_stands_where_our_frames_were_and_what_happened_stays_the_last_line() -> None:
    text = user_traceback(raised_through("def execute():\n    raise KeyError('colour')\n", OURS), "Executing [1]")
    lines = text.splitlines()
    assert lines[:2] == ["Traceback (most recent call last):", "  Executing [1]"]
    assert '  File "user_code.py", line 2, in execute' in lines
    assert lines[-1] == "KeyError: 'colour'"
    assert user_traceback(TypeError("no"), "Executing [1]").splitlines() == [
        "Traceback (most recent call last):",
        "  Executing [1]",
        "TypeError: no",
    ]


def test_the_work_stands_above_the_error_and_not_above_what_it_came_from() -> None:
    source = (
        "def execute():\n"
        "    try:\n"
        "        1 / 0\n"
        "    except ZeroDivisionError as error:\n"
        "        raise ValueError('bad') from error\n"
    )
    text = user_traceback(raised_through(source, OURS), "Executing [1]")
    assert text.count("Executing [1]") == 1
    assert text.index("ZeroDivisionError: ") < text.index("Executing [1]") < text.index("ValueError: bad")


def test_the_work_is_told_of_several_errors_at_once() -> None:
    source = "def execute():\n    raise ExceptionGroup('two', [ValueError('a'), KeyError('b')])\n"
    text = user_traceback(raised_through(source, OURS), "Executing [1]")
    assert text.count("Executing [1]") == 1
    assert "ValueError: a" in text


def test_what_is_ours() -> None:
    assert is_ours(OURS)
    assert is_ours("storm/executor/collectors.py")
    assert not is_ours("/home/user/storm_topology/bolts.py")


def test_of_a_stack_only_the_users_frames_are_told() -> None:
    found: list[str] = []

    def look() -> None:
        ours, user = sys._getframe(2), sys._getframe(1)
        found.extend([user_stack([ours, user]), user_stack([ours])])

    namespace: dict[str, Any] = {}
    exec(compile("def call(f, look):\n    f(look)\n", OURS, "exec"), namespace)
    user: dict[str, Any] = {}
    exec(compile("def execute(look):\n    look()\n", "user_code.py", "exec"), user)
    namespace["call"](user["execute"], look)
    assert found == ['Stack (most recent call last):\n  File "user_code.py", line 2, in execute', ""]
