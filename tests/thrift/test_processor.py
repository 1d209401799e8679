from __future__ import annotations

import logging
from typing import Any

import pytest

from storm.errors import NotLeaderError, NotServedError, ThriftProtocolError, TopologyNotAliveError
from storm.thrift import exceptions
from storm.thrift.binary_protocol import encode_message, read_scanned
from storm.thrift.interface import service, storm_thrift
from storm.thrift.prescan import CALL, EXCEPTION, ONEWAY, REPLY, MessageHeader, ScanLimits, scan_message
from storm.thrift.processor import Call, Processor


class Handler:
    """A Nimbus of a few methods."""

    def __init__(self) -> None:
        self.killed: list[tuple[str, Any]] = []
        self.asked: list[tuple[str, str, bool]] = []

    def isTopologyNameAllowed(self, name: str) -> bool:
        return name != "taken"

    def killTopologyWithOpts(self, name: str, options: Any) -> None:
        self.killed.append((name, options))

    def activate(self, name: str) -> None:
        raise TopologyNotAliveError(f"no topology {name!r}")

    def deactivate(self, name: str) -> None:
        raise NotLeaderError("b:6627 leads")

    def getNimbusConf(self) -> str:
        raise ZeroDivisionError("a bug")

    def getTopologyConf(self, topology_id: str) -> None:
        return None

    def getTopologyHistory(self, user: str) -> None:
        raise NotServedError

    def getSupervisorPageInfo(self, supervisor_id: str = "", host: str = "any", is_include_sys: bool = False) -> Any:
        self.asked.append((supervisor_id, host, is_include_sys))
        return storm_thrift().SupervisorPageInfo()

    def getLeader(self) -> Any:
        return storm_thrift().NimbusSummary(host="a")


class Everything:
    def submitTopology(self, *arguments: Any) -> None:
        raise AssertionError("it is only decoded")


def ask(method: str, kind: int = CALL, handler: object | None = None, **arguments: Any) -> tuple[int, Any]:
    """The reply's kind and its struct, as a client sees them."""
    nimbus = service("Nimbus")
    body = getattr(nimbus, f"{method}_args", storm_thrift().NullStruct)(**arguments)
    reply = Processor("Nimbus", handler or Handler()).process(encode_message(MessageHeader(method, kind, 7, 0), body))
    assert reply is not None
    header = scan_message(reply)
    assert (header.method, header.sequence_id) == (method, 7)
    cls = type(exceptions.application_exception(0, ""))
    if header.kind == REPLY:
        cls = getattr(nimbus, f"{method}_result")
    return header.kind, read_scanned(cls, reply, header.body_offset)


@pytest.mark.parametrize(("name", "allowed"), [("words", True), ("taken", False)])
def test_a_result_is_returned(name: str, allowed: bool) -> None:
    kind, result = ask("isTopologyNameAllowed", name=name)
    assert (kind, result.success) == (REPLY, allowed)


def test_options_may_be_left_out() -> None:
    handler = Handler()
    assert ask("killTopologyWithOpts", handler=handler, name="words")[0] == REPLY
    options = storm_thrift().KillOptions(wait_secs=3)
    ask("killTopologyWithOpts", handler=handler, name="words", options=options)
    assert handler.killed == [("words", None), ("words", options)]


def test_a_declared_exception_passes() -> None:
    kind, result = ask("activate", name="words")
    assert kind == REPLY
    assert result.e.msg == "no topology 'words'"


def test_an_error_that_is_not_declared_travels_by_name() -> None:
    kind, failure = ask("deactivate", name="words")
    assert (kind, failure.type) == (EXCEPTION, exceptions.INTERNAL_ERROR)
    assert failure.message == "NotLeaderError: b:6627 leads"


def test_a_bug_is_logged_and_its_caller_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        kind, failure = ask("getNimbusConf")
    assert (kind, failure.type) == (EXCEPTION, exceptions.INTERNAL_ERROR)
    assert "getNimbusConf failed inside the server" in failure.message
    assert "ZeroDivisionError" in caplog.text


def test_a_bug_that_is_called_again_and_again_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    processor = Processor("Nimbus", Handler())
    frame = encode_message(MessageHeader("getNimbusConf", CALL, 7, 0), service("Nimbus").getNimbusConf_args())
    for _ in range(1000):
        processor.process(frame)
    assert len(caplog.records) == 10
    assert "(512 times so far)" in caplog.text


def test_a_message_is_decoded_apart_from_its_call() -> None:
    handler = Handler()
    processor = Processor("Nimbus", handler)
    body = service("Nimbus").killTopologyWithOpts_args(name="words")
    call = processor.decode(encode_message(MessageHeader("killTopologyWithOpts", CALL, 7, 0), body))
    assert isinstance(call, Call)
    assert call.arguments == ["words", None]
    assert handler.killed == []
    assert processor.run(call) is not None
    assert handler.killed == [("words", None)]


def test_a_message_of_more_values_than_the_server_takes_is_refused() -> None:
    topology = storm_thrift().StormTopology(spouts={}, bolts={}, state_spouts={}, worker_hooks=[b""] * 100)
    body = service("Nimbus").submitTopology_args(name="n", uploadedJarLocation="", jsonConf="", topology=topology)
    frame = encode_message(MessageHeader("submitTopology", CALL, 7, 0), body)
    assert isinstance(Processor("Nimbus", Everything(), ScanLimits(values_max=200)).decode(frame), Call)
    refused = Processor("Nimbus", Everything(), ScanLimits(values_max=100)).decode(frame)
    assert isinstance(refused, bytes)
    assert b"more than 100 values" in refused


def test_a_handler_that_forgets_its_result_is_a_bug() -> None:
    assert "its handler returned none" in ask("getTopologyConf", id="x")[1].message


def test_a_result_that_java_would_refuse_is_not_sent() -> None:
    assert "NimbusSummary lacks the required field 'port'" in ask("getLeader")[1].message


@pytest.mark.parametrize("method", ["getTopologyHistory", "listBlobs"])
def test_what_is_not_served_says_so(method: str) -> None:
    arguments = {"user": "u"} if method == "getTopologyHistory" else {"session": ""}
    kind, failure = ask(method, **arguments)
    assert (kind, failure.type) == (EXCEPTION, exceptions.UNKNOWN_METHOD)
    assert failure.message.startswith(f"Nimbus.{method} is not served yet by this release")


@pytest.mark.parametrize("method", ["nonsense", "__init__", "killed"])
def test_only_methods_of_the_interface_can_be_called(method: str) -> None:
    kind, failure = ask(method)
    assert (kind, failure.type) == (EXCEPTION, exceptions.UNKNOWN_METHOD)
    assert failure.message == f"Nimbus has no method {method!r}"


def test_a_missing_argument_is_named() -> None:
    kind, failure = ask("activate")
    assert (kind, failure.type) == (EXCEPTION, exceptions.PROTOCOL_ERROR)
    assert failure.message == "activate lacks its argument 'name'"


def test_an_argument_that_has_a_default_may_be_missing() -> None:
    handler = Handler()
    for arguments in ({}, {"id": "a", "is_include_sys": True}, {"host": ""}):
        assert ask("getSupervisorPageInfo", handler=handler, **arguments)[0] == REPLY
    assert handler.asked == [("", "any", False), ("a", "any", True), ("", "", False)]


def test_only_calls_are_answered() -> None:
    assert ask("activate", kind=REPLY, name="x")[1].type == exceptions.INVALID_MESSAGE_TYPE


def test_a_call_that_wants_no_reply_gets_none() -> None:
    handler = Handler()
    body = service("Nimbus").killTopologyWithOpts_args(name="words")
    message = encode_message(MessageHeader("killTopologyWithOpts", ONEWAY, 7, 0), body)
    assert Processor("Nimbus", handler).process(message) is None
    assert handler.killed == [("words", None)]


def test_a_malformed_body_is_answered_where_the_header_could_be_read() -> None:
    body = service("Nimbus").activate_args(name="words")
    message = encode_message(MessageHeader("activate", CALL, 7, 0), body)
    reply = Processor("Nimbus", Handler()).process(message[:-4])
    assert reply is not None
    assert scan_message(reply).kind == EXCEPTION
    with pytest.raises(ThriftProtocolError):
        Processor("Nimbus", Handler()).process(b"GET / HTTP/1.1\r\n")
