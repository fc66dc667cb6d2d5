# The C side as Cython sees it: csrc/nnfast.h.
from libc.stdint cimport int32_t, int64_t

cdef extern from "nnfast.h" nogil:
    enum:
        NNF_PARAMETERS
    int64_t NNF_SCRATCH_BYTES

    ctypedef void (*nnf_function)(void *y, const void *a, const void *b, const void *c, const double *p, int64_t n)

    ctypedef struct nnf_operation:
        nnf_function function
        int32_t y
        int32_t a
        int32_t b
        int32_t c
        double p[4]

    ctypedef struct nnf_step
    ctypedef void (*nnf_kernel)(const nnf_step *step, int thread, int threads)

    ctypedef struct nnf_step:
        nnf_kernel kernel
        char **buffer
        const int64_t *size
        const double *scalar
        const nnf_operation *program
        char *scratch
        int32_t operations
        int32_t threads
        int32_t parts
        int32_t barrier
        int32_t id

    ctypedef struct nnf_entry:
        const char *name
        nnf_kernel kernel
        nnf_function function

    ctypedef struct nnf_table:
        const char *level
        const char *dtype
        int32_t lanes
        int32_t count
        const nnf_entry *entries

    ctypedef struct nnf_phase:
        int32_t begin
        int32_t end
        int32_t threads
        int32_t parts

    ctypedef struct nnf_share:
        pass

    ctypedef struct nnf_run:
        nnf_step *steps
        const nnf_phase *phases
        nnf_share *shares
        int32_t phase_count
        int32_t share_count
        int32_t threads
        int64_t batches
        int64_t *profile_ns

    ctypedef void (*nnf_region)(int threads) noexcept nogil
    void nnf_team_prepare(nnf_region open)
    void nnf_team_work(int thread, int threads)
    void nnf_team_run(nnf_run *run, double work_ns)
    int nnf_team_limit()
    int64_t nnf_team_set_wake_from(int64_t work_ns)
    int nnf_openmp_version()
    void *nnf_allocate(int64_t nbytes)
    void nnf_release(void *block, int64_t nbytes)
    int nnf_table_count()
    const nnf_table *nnf_get_table(int i)
    const char *nnf_why_not(const char *level)
