cimport cython

from storm.executor.collectors cimport SpoutCollector
from storm.executor.executor cimport Executor
from storm.executor.pending cimport Pending
from storm.executor.task cimport OutputStream


cdef class SpoutTask:
    cdef readonly object id
    cdef readonly object spout
    cdef readonly SpoutCollector collector
    cdef readonly Pending pending
    cdef public object schedule
    cdef readonly object calls


cdef class SpoutExecutor(Executor):
    cdef public list tasks
    cdef public bint active
    cdef public bint activated
    cdef public bint changing
    cdef public double idle_secs
    cdef public double idle_until
    cdef public long idle_pauses
    cdef public object timeout_secs
    cdef public object rotate_due
    cdef public bint fail_pending
    cdef public object died
    cdef public object inquiry
    cdef public object last_failures
    cdef public Py_ssize_t waiting
    cdef tuple skipped

    @cython.locals(
        collector=SpoutCollector, pending=Pending, first="long long", emits="long long", enough="long long"
    )
    cdef emit_of(self, SpoutTask task, Py_ssize_t quota, Py_ssize_t pending_max)
