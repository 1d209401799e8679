"""Roots and what is known of their trees: a hash table of 64-bit numbers, for roots that come from anywhere.

Open addressing with linear probing. Roots of one spout task follow one another, so their places are scattered by a
multiplicative hash: in a row they would make every removal walk through the whole row.
"""

from __future__ import annotations

from array import array

SIZE_MIN = 64


class RootTable:
    """Root (never 0) -> a value of 64 bits and a mark of 8. Places are only good until the next `place` or `remove`."""

    __slots__ = ("count", "marks", "mask", "roots", "salt", "shift", "values")

    def __init__(self, salt: int = 0) -> None:
        """`salt`, of 64 bits, moves the places of all roots."""
        self.salt = salt
        self.make(SIZE_MIN)

    def make(self, size: int) -> None:
        """Empty, with room for `size` / 2 roots; a power of two."""
        self.mask = size - 1
        self.shift = 65 - size.bit_length()
        self.count = 0
        self.roots = array("Q", bytes(8 * size))  # 0: a free place
        self.values = array("Q", bytes(8 * size))
        self.marks = bytearray(size)

    def home(self, root: int) -> int:
        """Where a root would like to be: the upper bits of its product with 2**64 / phi (Knuth, volume 3, 6.4)."""
        mask = 0xFFFFFFFFFFFFFFFF
        golden = 0x9E3779B97F4A7C15
        return (((root ^ self.salt) * golden) & mask) >> self.shift

    def slot(self, root: int) -> int:
        """Its place, or the free one that it would get."""
        place = self.home(root)
        while self.roots[place] != root and self.roots[place]:
            place = (place + 1) & self.mask
        return place

    def find(self, root: int) -> int:
        """Its place; -1: it is not there."""
        place = self.slot(root)
        return place if self.roots[place] == root else -1

    def place(self, root: int) -> int:
        """Its place; a root that was not there has value 0 and mark 0 now."""
        if self.count + self.count > self.mask:
            self.grow()
        place = self.slot(root)
        if not self.roots[place]:
            self.roots[place] = root
            self.values[place] = 0
            self.marks[place] = 0
            self.count += 1
        return place

    def remove(self, place: int) -> None:
        """Free a place; those after it move up, so that no search ends early."""
        free = place
        while True:
            place = (place + 1) & self.mask
            root = self.roots[place]
            if not root:
                break
            if (place - self.home(root)) & self.mask >= (place - free) & self.mask:
                self.roots[free] = root
                self.values[free] = self.values[place]
                self.marks[free] = self.marks[place]
                free = place
        self.roots[free] = 0
        self.count -= 1

    def roots_marked(self, mark: int, mask: int) -> list[int]:
        """The roots whose marks have these bits where `mask` has ones."""
        return [
            self.roots[place]
            for place in range(self.mask + 1)
            if self.roots[place] and self.marks[place] & mask == mark
        ]

    def grow(self) -> None:
        roots, values, marks = self.roots, self.values, self.marks
        size = self.mask + 1
        self.make(2 * size)
        for old in range(size):
            if roots[old]:
                new = self.place(roots[old])
                self.values[new] = values[old]
                self.marks[new] = marks[old]
