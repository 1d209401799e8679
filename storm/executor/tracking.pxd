cimport cython
from libc.stdint cimport uint64_t


cdef class Pairs:
    cdef uint64_t[::1] numbers
    cdef int[::1] recent
    cdef readonly Py_ssize_t count

    @cython.locals(end=Py_ssize_t)
    cpdef add(self, uint64_t root, uint64_t value)
    @cython.locals(place=Py_ssize_t, i=Py_ssize_t)
    cpdef fold(self, uint64_t root, uint64_t value)
    cpdef take(self)


cdef class TrackingOut:
    cdef dict inits
    cdef dict acks
    cdef dict others
    cdef Pairs acks_to
    cdef uint64_t acks_holder
    cdef readonly bint waiting

    @cython.locals(pairs=Pairs)
    cpdef init(self, uint64_t root, uint64_t value)
    @cython.locals(holder=uint64_t)
    cpdef ack(self, uint64_t root, uint64_t value)
    @cython.locals(by_task=dict, pairs=Pairs)
    cpdef note(self, kind, uint64_t root, uint64_t value=*)
    @cython.locals(pairs=Pairs, by_task=dict)
    cpdef flush(self, source, send)
