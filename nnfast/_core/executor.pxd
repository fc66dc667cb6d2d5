# The executor as other compiled modules of nnfast see it.

from libc.stdint cimport int32_t, int64_t

from nnfast._core.nnfast cimport nnf_operation, nnf_phase, nnf_share, nnf_step
from nnfast._core.runtime cimport Memory


cdef class Executor:
    cdef nnf_step *steps
    cdef int32_t count
    cdef nnf_phase *phases
    cdef int32_t phase_count
    cdef nnf_share *shares
    cdef char **pointers
    cdef int64_t *sizes
    cdef double *scalars
    cdef nnf_operation *operations
    cdef int64_t *profile
    cdef int32_t *fix_space  # for each pointer: its space, or -1
    cdef int64_t *fix_offset
    cdef int32_t pointer_count
    cdef list owners
    cdef Memory scratch
    cdef readonly int threads
    cdef int32_t share_count  # of the phase that has most
    cdef readonly int used  # threads in the last run: 1 where the team was taken, or not worth it
    cdef double work_ns
    cdef list first_size
    cdef list size_count

    cpdef bind_array(self, int space, array)
    cdef _bind(self, int space, char *start, owner)
    cdef _release(self, int space)
    cdef _make_phases(self)
    cpdef set_size(self, int step, int place, int64_t value)
    cpdef run(self, int64_t batches=*, int threads=*, bint profile=*)
    cdef Memory _take_scratch(self, int threads)
