from libc.stdint cimport int64_t


cdef class Memory:
    cdef void *block
    cdef readonly int64_t nbytes
    cdef Py_ssize_t shape[1]
    cdef Py_ssize_t strides[1]
