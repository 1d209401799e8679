cimport cython


cdef class Latencies:
    cdef readonly list counts

    @cython.locals(bound=double, i=Py_ssize_t, last=Py_ssize_t)
    cpdef add(self, double secs, long long number)
