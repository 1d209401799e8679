cimport cython
from libc.stdint cimport uint64_t

from storm.executor.canonical_hash cimport canonical_hash, word_hash
from storm.executor.xorshift cimport xorshift64


cdef class TargetChoice:
    cpdef Py_ssize_t choose(self, values) except -1
    cpdef choose_many(self, values)


cdef class OnlyChoice(TargetChoice):
    cdef Py_ssize_t position

    cpdef Py_ssize_t choose(self, values) except -1


cdef class ShuffleChoice(TargetChoice):
    cdef list order
    cdef Py_ssize_t count
    cdef Py_ssize_t turn

    @cython.locals(turn=Py_ssize_t)
    cpdef Py_ssize_t choose(self, values) except -1


cdef class RandomChoice(TargetChoice):
    cdef public uint64_t count
    cdef uint64_t seed

    cpdef Py_ssize_t choose(self, values) except -1


cdef class KeyChoice(TargetChoice):
    cdef tuple fields
    cdef Py_ssize_t first
    cdef uint64_t count
    cdef tuple names
    cdef object where

    @cython.locals(first=Py_ssize_t, i=Py_ssize_t, state=uint64_t)
    cdef uint64_t key_hash(self, values) except? 0


cdef class FieldsChoice(KeyChoice):
    cpdef Py_ssize_t choose(self, values) except -1


cdef class CachedFieldsChoice(FieldsChoice):
    cdef readonly dict recent
    cdef readonly dict older

    @cython.locals(first=Py_ssize_t)
    cpdef Py_ssize_t choose(self, values) except -1


cdef class PartialKeyChoice(KeyChoice):
    cdef list sent

    @cython.locals(number=uint64_t, count=uint64_t, first=Py_ssize_t, second=Py_ssize_t, chosen=Py_ssize_t, sent=list)
    cpdef Py_ssize_t choose(self, values) except -1


cdef class AllChoice(TargetChoice):
    cdef tuple positions


cdef class CustomChoice(TargetChoice):
    cdef object grouping
    cdef dict positions
    cdef object sender
    cdef object where
