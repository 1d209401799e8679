"""What values cost on their way into a frame and out of it, in-process: `encode_rows` and `decode_rows` of 500 rows."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from case import Case, Options, Result
from timing import ns_each

from storm.messaging.tuple_codec import decode_rows, encode_rows

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 0.5  # of encoding, and of decoding
ROWS = 500


def numpy_scalar(n: int) -> Any:
    import numpy

    return numpy.float64(n + 0.5)


def numpy_array(n: int) -> Any:
    import numpy

    return numpy.arange(n, n + 100, dtype="float64")


# Name -> the n-th row.
ROWS_OF: dict[str, Callable[[int], list[Any]]] = {
    "row": lambda n: [f"word{n}", n],
    "str": lambda n: [f"word{n}"],
    "text": lambda n: [f"Grüße {n}"],
    "int": lambda n: [n],
    "float": lambda n: [n + 0.5],
    "bool": lambda n: [n % 2 == 0],
    "none": lambda n: [None],
    "bytes": lambda n: [b"word%d" % n],
    "tuple": lambda n: [(f"word{n}", n)],
    "list": lambda n: [[f"word{n}", n]],
    "dict": lambda n: [{"word": f"word{n}", "n": n}],
    "set": lambda n: [{n, n + 1, n + 2}],
    "datetime": lambda n: [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=n)],
    "decimal": lambda n: [Decimal(n).scaleb(-2)],
    "uuid": lambda n: [UUID(int=n)],
    "big-int": lambda n: [(1 << 100) + n],
    "numpy-scalar": lambda n: [numpy_scalar(n)],
    "numpy-array": lambda n: [numpy_array(n)],
}


def case(name: str) -> Case:
    def run(options: Options) -> Result:
        try:
            rows = [ROWS_OF[name](n) for n in range(ROWS)]
        except ImportError as error:
            return Result(f"codec-{name}", "ns/row", (), notes=f"not measured: {error}")
        payload = encode_rows(rows)
        encoding = ns_each(lambda _: len(encode_rows(rows)) and ROWS, SECONDS, lambda: None)
        decoding = ns_each(lambda _: len(decode_rows(payload)), SECONDS, lambda: None)
        medians = statistics.median(encoding), statistics.median(decoding)
        both = tuple(there + back for there, back in zip(encoding, decoding, strict=False))
        notes = (
            f"in-process: encode {medians[0]:.0f} ns, decode {medians[1]:.0f} ns, {len(payload) / ROWS:.1f} bytes a row"
        )
        return Result(f"codec-{name}", "ns/row", both, notes=notes)

    about = "a row [str, int]" if name == "row" else f"a row of one {name}"
    return Case(f"codec-{name}", f"in-process: encode and decode {about}, in batches of {ROWS}", run)


CASES = [case(name) for name in ROWS_OF]
