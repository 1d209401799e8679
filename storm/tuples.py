"""What travels: tuples of named values, and where they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from storm.ids import ComponentId, StreamId, TaskId


class Origin:
    """The task and stream that emitted a tuple, and the names of its values; shared by all such tuples."""

    __slots__ = ("component", "fields", "index", "stream", "task")

    def __init__(self, component: ComponentId, stream: StreamId, task: TaskId, fields: Sequence[str]) -> None:
        self.component = component
        self.stream = stream
        self.task = task
        self.fields = tuple(fields)
        self.index = {name: i for i, name in enumerate(self.fields)}

    def __repr__(self) -> str:
        return f"Origin({self.component}:{self.task}, stream {self.stream}, fields {list(self.fields)})"


class Tuple:
    """One tuple as a bolt receives it: read by position, by name, or as an attribute.

    `root` names the spout tuple it descends from (0: tracked by nobody). `edge` is its own random edge id, XORed with
    the edges of all tuples anchored to it so far: what its ack sends to the acker. A tuple anchored to several
    trees keeps the other roots in `more`, {root: edge}. `target` is the task that it is for; `settled` is set once it
    was acked or failed.

    Made by `Tuple.__new__(Tuple)` and attribute stores on the hot path: compiled, that boxes no integer.
    """

    __slots__ = ("edge", "more", "origin", "root", "settled", "target", "values")

    values: Sequence[Any]
    origin: Origin
    root: int
    edge: int
    more: dict[int, int] | None
    settled: bool
    target: TaskId

    def __init__(self, values: Sequence[Any], origin: Origin, root: int = 0, edge: int = 0) -> None:
        self.values = values
        self.origin = origin
        self.root = root
        self.edge = edge
        self.more = None
        self.settled = False
        self.target = 0

    @property
    def component(self) -> ComponentId:
        """The component that emitted it."""
        return self.origin.component

    @property
    def stream(self) -> StreamId:
        """The stream that it was emitted on."""
        return self.origin.stream

    @property
    def task(self) -> TaskId:
        """The task that emitted it."""
        return self.origin.task

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of its values, in order."""
        return self.origin.fields

    def __getitem__(self, key: int | str) -> Any:
        """The value at a position or of a field. Raises IndexError or KeyError."""
        if type(key) is str:
            try:
                return self.values[self.origin.index[key]]
            except KeyError:
                raise KeyError(f"no field {key!r} in {list(self.origin.fields)}") from None
        return self.values[key]  # type: ignore[index]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in Tuple.__slots__:
            raise AttributeError(name)
        try:
            return self.values[self.origin.index[name]]
        except KeyError:
            raise AttributeError(f"no field {name!r} in {list(self.origin.fields)}") from None

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def __contains__(self, name: object) -> bool:
        """Whether there is a field of this name."""
        return name in self.origin.index

    def as_dict(self) -> dict[str, Any]:
        """{field: value}."""
        return dict(zip(self.origin.fields, self.values, strict=True))

    def is_tick(self) -> bool:
        """Whether this is a tick of the system (`topology.tick.tuple.freq.secs`), not data."""
        return self.origin.stream == "__tick" and self.origin.component == "__system"

    def __repr__(self) -> str:
        return f"Tuple({list(self.values)!r} from {self.origin.component}:{self.origin.task}/{self.origin.stream})"
