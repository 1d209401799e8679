from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm.executor.xorshift import xorshift64


@given(st.integers(1, (1 << 64) - 1))
def test_edges_are_64_bits_and_never_zero(seed: int) -> None:
    for _ in range(20):
        seed = xorshift64(seed)
        assert 0 < seed < 1 << 64


def test_edges_are_fixed_by_their_seed() -> None:
    """xorshift64 with 13, 7, 17: both modes of the hot path must agree."""
    assert xorshift64(1) == 1082269761
    assert xorshift64(88172645463325252) == 8748534153485358512
