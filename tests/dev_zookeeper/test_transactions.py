from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.dev_zookeeper.protocol import AclEntry
from storm.dev_zookeeper.transactions import (
    CloseSession,
    CreateNode,
    DeleteNode,
    OpenSession,
    SetAcl,
    SetData,
    Transaction,
    decode_transaction,
    encode_transaction,
)
from storm.errors import MalformedPacketError

PATHS = st.text(max_size=20)
BYTES = st.binary(max_size=20)
DATA = st.none() | BYTES
LONGS = st.integers(-(2**63), 2**63 - 1)
ACLS = st.lists(st.builds(AclEntry, st.integers(0, 31), PATHS, PATHS), max_size=3).map(tuple)
CHANGES = st.one_of(
    st.builds(CreateNode, PATHS, DATA, ACLS, LONGS),
    st.builds(DeleteNode, PATHS),
    st.builds(SetData, PATHS, DATA),
    st.builds(SetAcl, PATHS, ACLS),
    st.builds(OpenSession, LONGS, BYTES, st.integers(0, 40_000)),
    st.builds(CloseSession, LONGS),
)
TRANSACTIONS = st.builds(Transaction, LONGS, LONGS, st.lists(CHANGES, max_size=4).map(tuple))


@given(TRANSACTIONS)
def test_a_transaction_is_decoded_as_it_was(transaction: Transaction) -> None:
    decoded = decode_transaction(encode_transaction(transaction))

    assert decoded == transaction
    assert [type(change) for change in decoded.changes] == [type(change) for change in transaction.changes]


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(encoded: bytes) -> None:
    try:
        transaction = decode_transaction(encoded)
    except MalformedPacketError:
        return
    assert decode_transaction(encode_transaction(transaction)) == transaction


def test_a_change_of_a_later_release_is_refused() -> None:
    encoded = bytearray(encode_transaction(Transaction(1, 2, (CloseSession(3),))))
    encoded[23] = 77

    with pytest.raises(MalformedPacketError, match="kind 77"):
        decode_transaction(bytes(encoded))


@given(TRANSACTIONS, BYTES)
def test_bytes_after_a_transaction_are_passed_over(transaction: Transaction, more: bytes) -> None:
    assert decode_transaction(encode_transaction(transaction) + more) == transaction
