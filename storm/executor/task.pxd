cimport cython

from storm.executor.groupings cimport TargetChoice
from storm.executor.latencies cimport Latencies
from storm.tuples cimport Origin


cdef class Port:
    cdef readonly int task
    cdef public list items
    cdef public object check
    cdef public object execute_now


cdef class Subscription:
    cdef readonly object subscriber
    cdef public TargetChoice choice
    cdef public list ports
    cdef public list near

    cpdef list targets(self, values)


cdef class OutputStream:
    cdef readonly object name
    cdef readonly Origin origin
    cdef readonly Py_ssize_t width
    cdef readonly bint direct
    cdef readonly list leaving
    cdef public list subscriptions
    cdef public dict direct_ports
    cdef public TargetChoice single
    cdef public list ports
    cdef public long long emitted
    cdef public long long transferred_more
    cdef public long long acked
    cdef public long long failed
    cdef public double complete_secs
    cdef public long long fresh
    cdef public double fresh_since
    cdef list samples
    cdef readonly Latencies latencies
    cdef readonly dict failures
    cdef readonly object watch
    cdef readonly list watchers

    cpdef list targets(self, values)
    cpdef count_acked(self, double since)
    @cython.locals(left="long long", since=double)
    cpdef told(self, double now)
    cpdef count_failed(self, kind)
    @cython.locals(port=Port)
    cpdef check(self, ports, values)
