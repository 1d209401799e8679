from storm.executor.tracking cimport TrackingOut


cdef class Executor:
    cdef readonly object id
    cdef readonly object component
    cdef readonly object options
    cdef readonly object surroundings
    cdef readonly object clock
    cdef readonly TrackingOut tracking
    cdef object throttle
    cdef public dict streams
    cdef readonly dict hooks
    cdef public object lane
    cdef public object gauge
    cdef public list outgoing
    cdef public bint held
    cdef public bint started
    cdef public bint prepared
    cdef public bint unfinished
    cdef public Py_ssize_t quota
