"""The generator of edges and of random choices: fast, not secret, the same compiled and interpreted."""

from __future__ import annotations


def xorshift64(seed: int) -> int:
    """The next value of xorshift64 (13, 7, 17); never 0 for a seed that is not (Marsaglia, Xorshift RNGs, 2003)."""
    mask = 0xFFFFFFFFFFFFFFFF
    seed ^= (seed << 13) & mask
    seed ^= seed >> 7
    seed ^= (seed << 17) & mask
    return seed
