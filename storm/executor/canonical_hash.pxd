cimport cython
from libc.stdint cimport uint64_t


@cython.locals(real=double)
cpdef uint64_t canonical_hash(value, Py_ssize_t depth=*) except? 0
@cython.locals(data=bytes)
cdef uint64_t text_hash(str text) except? 0
@cython.locals(mask=uint64_t)
cdef uint64_t number_hash(Py_hash_t number) noexcept
@cython.locals(state=uint64_t, count=uint64_t, below=Py_ssize_t)
cpdef uint64_t sequence_hash(items, Py_ssize_t depth) except? 0
@cython.locals(
    at=Py_ssize_t, mask=uint64_t, prime_1=uint64_t, prime_2=uint64_t, prime_3=uint64_t, prime_4=uint64_t,
    prime_5=uint64_t, state=uint64_t, first=uint64_t, second=uint64_t, third=uint64_t, fourth=uint64_t,
    word=uint64_t,
)
cpdef uint64_t xxh64(const unsigned char* data, Py_ssize_t size, uint64_t seed) noexcept
@cython.locals(mask=uint64_t, prime_1=uint64_t, prime_4=uint64_t, prime_5=uint64_t, state=uint64_t)
cpdef uint64_t word_hash(uint64_t word, uint64_t seed) noexcept
@cython.locals(word=uint64_t)
cdef uint64_t word_at(const unsigned char* data, Py_ssize_t at) noexcept
@cython.locals(mask=uint64_t)
cdef uint64_t rotated(uint64_t word, int bits) noexcept
@cython.locals(mask=uint64_t, prime_1=uint64_t, prime_2=uint64_t)
cdef uint64_t mixed(uint64_t lane, uint64_t word) noexcept
@cython.locals(mask=uint64_t, prime_2=uint64_t, prime_3=uint64_t)
cdef uint64_t avalanched(uint64_t state) noexcept
cdef uint64_t _octets(bytes data, str tag) except? 0
