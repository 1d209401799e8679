cimport cython
from libc.stdint cimport uint64_t

from storm.tuples cimport Origin, Tuple


@cython.locals(tup=Tuple, rows=list, plain=bint, tracked=bint)
cpdef columns(list tuples)
@cython.locals(tup=Tuple, i=Py_ssize_t, more=dict)
cdef dict fill_ids(list tuples, uint64_t[::1] ids)
@cython.locals(values=list, tup=Tuple, width=Py_ssize_t, i=Py_ssize_t, out=list)
cdef list zipped(list rows, const uint64_t[::1] ids, Origin origin, int target)
@cython.locals(tuples=list, tup=Tuple, count=Py_ssize_t)
cpdef list tuples_of(list rows, section, Origin origin)
cdef bint are_plain(list values)
cpdef bint are_lists(list values)
@cython.locals(tup=Tuple, first=Origin)
cpdef list by_origin(list tuples)


cdef class ValueCheck:
    cdef Py_ssize_t limit_bytes
    cdef object examine

    @cython.locals(text=str, size_bytes=Py_ssize_t)
    cpdef check(self, values)
