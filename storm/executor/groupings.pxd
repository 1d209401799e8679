cimport cython


cdef class TargetChoice:
    cpdef Py_ssize_t choose(self, values) except -1
    cpdef choose_many(self, values)


cdef class OnlyChoice(TargetChoice):
    cdef Py_ssize_t position


cdef class ShuffleChoice(TargetChoice):
    cdef list order
    cdef Py_ssize_t count
    cdef Py_ssize_t turn

    @cython.locals(turn=Py_ssize_t)
    cpdef Py_ssize_t choose(self, values) except -1


cdef class RandomChoice(TargetChoice):
    cdef public object positions
    cdef object rng


cdef class FieldsChoice(TargetChoice):
    cdef tuple fields
    cdef Py_ssize_t first
    cdef Py_ssize_t count
    cdef readonly dict cache

    @cython.locals(first=Py_ssize_t)
    cpdef Py_ssize_t choose(self, values) except -1
    cdef Py_ssize_t position(self, key) except -1


cdef class PartialKeyChoice(TargetChoice):
    cdef tuple fields
    cdef Py_ssize_t count
    cdef list sent


cdef class AllChoice(TargetChoice):
    cdef tuple positions


cdef class CustomChoice(TargetChoice):
    cdef object grouping
    cdef dict positions
    cdef object sender
