cimport cython
from libc.stdint cimport uint64_t

from storm.executor.task cimport OutputStream


cdef class OldTree:
    cdef public uint64_t value
    cdef public int age
    cdef public object message_id
    cdef public OutputStream out
    cdef public double since


cdef class Pending:
    cdef uint64_t mask
    cdef uint64_t[::1] roots
    cdef uint64_t[::1] values
    cdef double[::1] since
    cdef unsigned char[::1] ages
    cdef list message_ids
    cdef list outs
    cdef dict old
    cdef public Py_ssize_t count
    cdef int generation
    cdef public list acked
    cdef public list failed

    @cython.locals(place=Py_ssize_t)
    cpdef add(self, uint64_t root, uint64_t value, message_id, OutputStream out, double now)
    cpdef done_at_once(self, message_id, OutputStream out, double now)
    @cython.locals(place=Py_ssize_t, out=OutputStream)
    cpdef fold(self, uint64_t root, uint64_t value)
    @cython.locals(i=Py_ssize_t)
    cpdef fold_all(self, const uint64_t[::1] pairs)
    @cython.locals(tree=OldTree)
    cdef fold_old(self, uint64_t root, uint64_t value)
    @cython.locals(tree=OldTree)
    cpdef settle(self, uint64_t root, bint acked, uint64_t by=*)
    @cython.locals(tree=OldTree)
    cdef fail(self, uint64_t root, kind, uint64_t by)
    @cython.locals(place=Py_ssize_t)
    cdef OldTree remove(self, uint64_t root)
    cdef OldTree taken_out(self, Py_ssize_t place)
    @cython.locals(place=Py_ssize_t, tree=OldTree)
    cpdef reset(self, uint64_t root)
    @cython.locals(place=Py_ssize_t, root=uint64_t, previous=int)
    cpdef rotate(self)
    @cython.locals(size=Py_ssize_t)
    cdef make_room(self, Py_ssize_t place)
    cdef make_ring(self, size)
    @cython.locals(place=Py_ssize_t, new=Py_ssize_t, root=uint64_t)
    cdef grow(self)
