from libc.stdint cimport uint64_t


cdef class TrackingOut:
    cdef dict inits
    cdef dict acks
    cdef dict others

    cpdef init(self, uint64_t root, uint64_t value)
    cpdef ack(self, uint64_t root, uint64_t value)
    cpdef note(self, kind, uint64_t root)
