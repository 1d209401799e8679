"""The errors of this project: one shallow tree, named after what a person did or met.

Thrift exceptions exist only in `storm.thrift`; `storm.thrift.exceptions` maps both ways. Wrong arguments of a
function are `ValueError`; broken invariants are `assert`.
"""

from __future__ import annotations


class StormError(Exception):
    """Anything that went wrong in a way that a person can understand and act on: the text says how."""


class ConfigError(StormError):
    """A configuration file, environment variable or option is wrong; the text names the place."""


class InvalidTopologyError(StormError):
    """The topology breaks a rule; the text names the component."""


class TopologyAlreadyAliveError(StormError):
    """A topology of that name runs already."""


class TopologyNotAliveError(StormError):
    """No topology of that name or id is running."""


class NotAuthorizedError(StormError):
    """The caller may not do this."""


class InvalidTransitionError(StormError):
    """The topology's status does not allow this action."""


class BlobNotFoundError(StormError):
    """No blob has this key."""


class BlobAlreadyExistsError(StormError):
    """A blob with this key exists."""


class BlobCorruptError(StormError):
    """A blob's bytes are not what its hash says."""


class BlobStoreError(StormError):
    """The place that keeps the blobs fails (a full disk, missing permission); the text names it and says why."""


class PackageError(StormError):
    """A topology package cannot be built, read or safely unpacked."""


class UploadNotFoundError(PackageError):
    """This Nimbus has no such upload: it began on another one, or stood still for too long. Upload again."""


class NimbusUnreachableError(StormError):
    """No Nimbus answered; the text lists the addresses and what each one said."""


class ThriftProtocolError(StormError):
    """A Thrift message is malformed, exceeds a limit or lacks a required field; the text names the place."""


class ThriftConnectionError(StormError):
    """A Thrift port did not answer, or did not speak Thrift; the text names the address and what it said.

    `sent`: whether the call had gone out, so that the other side may have carried it out.
    """

    def __init__(self, text: str, *, sent: bool = False) -> None:
        super().__init__(text)
        self.sent = sent


class ThriftTimeoutError(ThriftConnectionError):
    """A call went out and its answer did not come in time."""


class UnknownHostError(ThriftConnectionError):
    """The host of a Thrift port has a name that does not resolve here."""


class NotServedError(StormError):
    """This release does not serve a Thrift method that Storm has."""


class NotLeaderError(StormError):
    """This Nimbus does not lead; the text names the one that does."""


class CoordinationError(StormError):
    """ZooKeeper cannot be reached or refused; the text names the servers and what to do."""


class NoPermissionError(CoordinationError):
    """ZooKeeper refuses who asks, so asking again is of no use; the text names the node, who asked, and what to do."""


class NodeExistsError(CoordinationError):
    """A node with this path exists."""


class NoNodeError(CoordinationError):
    """No node has this path."""


class BadVersionError(CoordinationError):
    """The node was changed by somebody else since it was read."""


class RecordError(StormError):
    """Bytes that should be a record of ours are not, or are of a version that this release cannot read."""


class SerializationError(StormError):
    """A value cannot travel between workers; the text names component, stream, field and type.

    `position`: that of the value in its tuple, where one value is to blame.
    """

    def __init__(self, text: str, position: int | None = None) -> None:
        super().__init__(text)
        self.position = position


class FrameError(StormError):
    """A frame from another worker is malformed; it is counted and dropped."""


class WorkerStartError(StormError):
    """A worker process could not be started."""


class PortTakenError(WorkerStartError):
    """Somebody else listens on the worker's port."""


class AlreadyRunningError(StormError):
    """Another daemon uses the same directory or port; the text names it."""


class MalformedPacketError(StormError):
    """A packet from a ZooKeeper client is not what the protocol says."""


class DataDirectoryError(StormError):
    """A data directory cannot be used; the text names it, what is wrong there and what to do."""


class FailedError(Exception):
    """Raised by a bolt to fail the tuples that it was given and has not settled; their spouts may replay them."""


class ReportedFailedError(FailedError):
    """Like `FailedError`, and the error is reported so that people see it in the UI."""
