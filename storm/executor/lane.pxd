cimport cython

from storm.executor.pending cimport Pending
from storm.executor.task cimport Port


cdef class Lane:
    cdef readonly object name
    cdef readonly object lanes
    cdef public list executors
    cdef public dict tasks
    cdef readonly dict ports
    cdef public dict ledgers
    cdef public dict pendings
    cdef public dict ackers
    cdef readonly object lock
    cdef readonly object bell
    cdef public bint asleep
    cdef public bint woken
    cdef public list tuples_in
    cdef public list tracking_in
    cdef public dict waiting
    cdef public list errands
    cdef public object thread
    cdef public object blocked
    cdef readonly double poll_pause_secs
    cdef readonly long pauses
    cdef double pauses_cpu_secs
    cdef readonly long long turns
    cdef readonly object busy

    @cython.locals(executors=list, ends=double, did=bint, unfinished=bint)
    cpdef turn(self, double now)
    @cython.locals(began=double, ended=double, busy=double, did=bint, samples=bint, is_suspect=bint)
    cpdef turn_measured(self, executor, double now)
    cdef double busy_secs(self, bint is_suspect) except -1.0
    @cython.locals(port=Port)
    cpdef take_mail(self)
    @cython.locals(pending=Pending)
    cpdef apply(self, kind, task, pairs)
    @cython.locals(port=Port, length=Py_ssize_t, high=Py_ssize_t, low=Py_ssize_t)
    cpdef look_at_marks(self)
    cpdef note_pause(self)
