cimport cython
from libc.stdint cimport uint64_t

from storm.executor.collectors cimport BasicCollector, BoltCollector
from storm.executor.executor cimport Executor
from storm.executor.latencies cimport Latencies
from storm.executor.pending cimport Pending
from storm.executor.task cimport Port
from storm.executor.tracking cimport TrackingOut
from storm.tuples cimport Tuple


cdef class BoltTask:
    cdef readonly object id
    cdef readonly object bolt
    cdef readonly BoltCollector collector
    cdef public Port port
    cdef public object user_collector
    cdef readonly BasicCollector basic
    cdef readonly object calls
    cdef public object raised
    cdef readonly object execute
    cdef readonly object execute_batch

    @cython.locals(basic=BasicCollector, done=Py_ssize_t, count=Py_ssize_t, tup=Tuple)
    cdef execute_all(self, list batch)
    @cython.locals(tup=Tuple)
    cpdef refused(self, error, list tuples)
    cdef execute_basic(self, Tuple tup)


cdef class BoltExecutor(Executor):
    cdef object only_input
    cdef dict executed
    cdef dict acked
    cdef dict failed
    cdef dict execute_secs
    cdef dict process_secs
    cdef dict execute_latencies
    cdef dict process_latencies
    cdef list samples
    cdef list called
    cdef Py_ssize_t timed
    cdef public bint active
    cdef Py_ssize_t fan_out
    cdef public bint running
    cdef public object tick_secs
    cdef public object tick_due
    cdef public list tasks

    @cython.locals(task=BoltTask, collector=BoltCollector, did=bint)
    cpdef turn(self, double now)
    @cython.locals(
        left=Py_ssize_t, number=Py_ssize_t, first=long, before=long, emitted=long, ends=double, did=bint
    )
    cdef bint work(self, BoltTask task) except -1
    @cython.locals(port=Port, batch=list, quota=Py_ssize_t, began=double, ended=double)
    cpdef Py_ssize_t run(self, BoltTask task) except -1
    cpdef execute_one(self, BoltTask task, Tuple tup)
    cpdef execute_now(self, BoltTask task, Tuple tup)
    cdef note_called(self, Tuple tup)
    @cython.locals(called=list)
    cdef count_called(self)
    @cython.locals(
        acks=list, fails=list, resets=list, ledgers=dict, tracking=TrackingOut, pending=Pending, tup=Tuple,
        root=uint64_t, upper=uint64_t,
    )
    cdef settle(self, BoltCollector collector)
    @cython.locals(one=Tuple)
    cpdef count_executed(self, list batch, double began, double ended)


cdef Latencies latencies_of(dict found, source)
