from __future__ import annotations

import pytest

from storm.errors import (
    BlobNotFoundError,
    NotLeaderError,
    StormError,
    ThriftConnectionError,
    TopologyNotAliveError,
)
from storm.thrift.exceptions import (
    EXCEPTION_OF,
    application_error,
    application_text,
    to_error,
    to_exception,
)
from storm.thrift.interface import storm_thrift


@pytest.mark.parametrize("error", EXCEPTION_OF)
def test_each_error_comes_back_as_itself(error: type[StormError]) -> None:
    exception = to_exception(error("why"))
    assert type(exception).__name__ == EXCEPTION_OF[error]
    back = to_error(exception)
    assert type(back) is error
    assert str(back) == "why"


def test_an_exception_of_a_subclass_is_that_of_its_parent() -> None:
    class NamelessTopologyError(TopologyNotAliveError):
        pass

    assert type(to_exception(NamelessTopologyError("x"))).__name__ == "NotAliveException"


def test_errors_without_an_exception_travel_by_name() -> None:
    assert to_exception(NotLeaderError("b leads")) is None
    assert application_text(NotLeaderError("b leads")) == "NotLeaderError: b leads"
    back = application_error("NotLeaderError: b leads")
    assert type(back) is NotLeaderError
    assert str(back) == "b leads"


@pytest.mark.parametrize("text", ["no colon", "FailedError: x", "os: x", "Exception: x", "a b: x", ": x"])
def test_other_texts_are_plain_errors(text: str) -> None:
    back = application_error(text)
    assert type(back) is StormError
    assert str(back) == text


def test_an_error_that_carries_more_than_text_comes_back() -> None:
    assert isinstance(application_error("ThriftConnectionError: gone"), ThriftConnectionError)


def test_drpc_exceptions_become_plain_errors() -> None:
    error = to_error(storm_thrift().DRPCExecutionException(msg="too late"))
    assert type(error) is StormError
    assert str(error) == "too late"
    assert isinstance(to_error(storm_thrift().KeyNotFoundException(msg="k")), BlobNotFoundError)
