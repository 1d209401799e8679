cimport cython
from libc.stdint cimport uint64_t


cdef class RootTable:
    cdef readonly Py_ssize_t count
    cdef Py_ssize_t mask
    cdef int shift
    cdef uint64_t salt
    cdef uint64_t[::1] roots
    cdef uint64_t[::1] values
    cdef unsigned char[::1] marks

    cdef make(self, size)
    @cython.locals(mask=uint64_t, golden=uint64_t)
    cdef Py_ssize_t home(self, uint64_t root) noexcept
    @cython.locals(place=Py_ssize_t)
    cdef Py_ssize_t slot(self, uint64_t root) noexcept
    @cython.locals(place=Py_ssize_t)
    cpdef Py_ssize_t find(self, uint64_t root) noexcept
    @cython.locals(place=Py_ssize_t)
    cpdef Py_ssize_t place(self, uint64_t root) except -1
    @cython.locals(free=Py_ssize_t, root=uint64_t)
    cpdef remove(self, Py_ssize_t place)
    @cython.locals(old=Py_ssize_t, new=Py_ssize_t, size=Py_ssize_t)
    cdef grow(self)
