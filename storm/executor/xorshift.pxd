cimport cython
from libc.stdint cimport uint64_t


@cython.locals(mask=uint64_t)
cpdef uint64_t xorshift64(uint64_t seed)
