cimport cython
from libc.stdint cimport uint64_t


cdef class Origin:
    cdef readonly object component
    cdef readonly object stream
    cdef readonly object task
    cdef readonly tuple fields
    cdef readonly dict index


@cython.final
@cython.freelist(4096)
cdef class Tuple:
    cdef public object values
    cdef public Origin origin
    cdef public uint64_t root
    cdef public uint64_t edge
    cdef public dict more
    cdef public bint settled
    cdef public int target
