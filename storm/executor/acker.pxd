cimport cython
from libc.stdint cimport uint64_t

from storm.executor.root_table cimport RootTable
from storm.executor.tracking cimport TrackingOut


cdef class AckLedger:
    cdef readonly RootTable trees
    cdef int generation
    cdef readonly dict failed_by

    @cython.locals(i=Py_ssize_t, is_init=bint, is_fail=bint, verdict=int)
    cpdef receive(self, kind, const uint64_t[::1] pairs, TrackingOut out)
    @cython.locals(trees=RootTable, place=Py_ssize_t, flags=int)
    cdef int take(self, uint64_t root, uint64_t value, bint is_init, bint is_fail) except -1
    @cython.locals(place=Py_ssize_t)
    cdef reset(self, uint64_t root, TrackingOut out)
