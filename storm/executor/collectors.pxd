cimport cython
from libc.stdint cimport uint64_t

from storm.executor.groupings cimport OnlyChoice, TargetChoice
from storm.executor.pending cimport Pending
from storm.executor.task cimport OutputStream, Port
from storm.executor.tracking cimport TrackingOut
from storm.executor.xorshift cimport xorshift64
from storm.tuples cimport Origin, Tuple


cdef class SpoutCollector:
    cdef readonly object component
    cdef readonly dict streams
    cdef readonly Pending pending
    cdef TrackingOut tracking
    cdef object report
    cdef public long long emits
    cdef public double now
    cdef readonly bint tracked
    cdef readonly bint init_sent
    cdef readonly uint64_t base
    cdef readonly uint64_t counter
    cdef uint64_t seed

    @cython.locals(
        out=OutputStream, port=Port, tup=Tuple, edge=uint64_t, root=uint64_t, counter=uint64_t, low=uint64_t,
    )
    cpdef emit(self, values, message_id=*, stream=*)
    @cython.locals(tup=Tuple, edge=uint64_t, root=uint64_t, counter=uint64_t, low=uint64_t, value=uint64_t, tuples=list)
    cpdef send(self, OutputStream out, list ports, values, message_id)
    @cython.locals(out=OutputStream, ids=list, targets=list, tuples=list, i=Py_ssize_t)
    cpdef emit_many(self, rows, message_ids=*, stream=*)
    @cython.locals(tup=Tuple, edge=uint64_t, root=uint64_t, low=uint64_t, i=Py_ssize_t)
    cdef track_each(self, OutputStream out, list tuples, list message_ids)


cdef class BoltCollector:
    cdef readonly object component
    cdef readonly dict streams
    cdef readonly int task
    cdef int unwatched
    cdef object watch
    cdef readonly long long refused
    cdef uint64_t seed
    cdef object report
    cdef public list acks
    cdef public list fails
    cdef public list resets

    @cython.locals(out=OutputStream, port=Port, tup=Tuple, anchor=Tuple, edge=uint64_t)
    cpdef emit(self, values, anchors=*, stream=*)
    @cython.locals(
        out=OutputStream, tup=Tuple, anchor=Tuple, edge=uint64_t, edges=uint64_t, targets=list, tuples=list,
        i=Py_ssize_t,
    )
    cpdef emit_many(self, rows, anchors=*, stream=*)
    cpdef ack(self, tup)
    @cython.locals(acks=list)
    cpdef ack_many(self, tuples)
    cpdef fail(self, tup)
    @cython.locals(own=Tuple)
    cdef bint settles(self, tup, what) except -1
    cdef bint settles_watched(self, Tuple tup, what) except -1
    cdef refuse(self, Tuple tup, what)
    cpdef reset_timeout(self, tup)
    @cython.locals(tup=Tuple, edge=uint64_t, tuples=list)
    cpdef send(self, OutputStream out, list ports, values, anchors)


cdef class BasicCollector:
    cdef readonly BoltCollector collector
    cdef public Tuple input


@cython.locals(out=OutputStream)
cdef OutputStream checked_rows(component, dict streams, stream, rows)
@cython.locals(single=TargetChoice, ports=list, origin=Origin, tup=Tuple, port=Port, chosen=list, tuples=list, i=Py_ssize_t)
cdef list spread(OutputStream out, rows)
cdef tuple all_of(anchors)
@cython.locals(tup=Tuple)
cdef Tuple new_tuple(values, Origin origin)
cdef anchor_to(Tuple tup, Tuple anchor, uint64_t edge)
cdef add_edge(Tuple tup, uint64_t root, uint64_t edge)
cdef count_emit(OutputStream out, Py_ssize_t targets)
@cython.locals(port=Port, tup=Tuple)
cdef hand_over(list ports, list tuples)
