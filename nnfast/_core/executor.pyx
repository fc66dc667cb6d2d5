# cython: language_level=3
# cython: boundscheck=False, wraparound=False
"""Runs a plan's steps: no GIL, no allocation, all batches of a call at once.

In: steps as nnfast.plan made them, and the addresses of the memory they use. This is the one place that opens a
parallel region: one, whose threads wait for runs (csrc/team.c).
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cython.parallel cimport parallel, threadid
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from nnfast._core.nnfast cimport (
    NNF_PARAMETERS, NNF_SCRATCH_BYTES, nnf_function, nnf_kernel, nnf_openmp_version, nnf_operation, nnf_phase, nnf_run,
    nnf_share, nnf_step, nnf_team_limit, nnf_team_prepare, nnf_team_run, nnf_team_set_wake_from, nnf_team_work,
)
from nnfast._core.runtime cimport Memory


cdef void _open_region(int threads) noexcept nogil:
    """One region for many runs: csrc/team.c has its threads wait in it."""
    with parallel(num_threads=threads):
        nnf_team_work(threadid() + 1, threads)


nnf_team_prepare(&_open_region)


def set_wake_from(int64_t work_ns) -> int:
    """Set the nanoseconds of work from which on sleeping threads are woken for it; returns what they were."""
    return nnf_team_set_wake_from(work_ns)


# Shorter work keeps the GIL: to hand it to a waiting thread and get it back takes longer. Sixteen threads that predict
# one row by 256-256-256-256 took 1.01 to 1.07 times as long as one after the other, 1.17 to 1.2 without this (two-core
# Intel Xeon, AVX-512, 2026-11).
cdef double _KEEP_GIL_NS = 50000.0

# Working memory that no running plan uses. Never empty: a list that becomes shorter than half of what it was asks for
# memory anew.
cdef list _scratch = [None] * 4


def openmp_version() -> int:
    """Date of the OpenMP standard that the build follows (yyyymm); 0 in a serial build."""
    return nnf_openmp_version()


cdef class Executor:
    """The steps of one plan in C, and the pointers to what they read and write.

    steps: tuples (kernel address, buffers, sizes, scalars, program, threads, parts, barrier); a buffer is (space, byte
    offset) or None; an operation of a program is (function address, y, a, b, c, parameters). A space is a piece of
    memory bound by `bind`. work_ns: about how long one thread needs for all steps once.
    """

    def __cinit__(self, list steps, int spaces, int threads, double work_ns=INFINITY):
        cdef Py_ssize_t p = 0, s = 0, d = 0, o = 0
        cdef int32_t i, j
        cdef nnf_step *step
        cdef nnf_operation *operation
        self.count = len(steps)
        self.threads = threads
        self.work_ns = work_ns
        self.owners = [None] * spaces
        self.first_size = []
        self.size_count = []
        self.pointer_count = sum(len(t[1]) for t in steps)
        self.steps = <nnf_step *> calloc(self.count + 1, sizeof(nnf_step))
        self.phases = <nnf_phase *> calloc(self.count + 1, sizeof(nnf_phase))
        self.share_count = max([t[5] for t in steps], default=1) * max([t[6] for t in steps], default=1)
        self.shares = <nnf_share *> calloc(self.share_count, sizeof(nnf_share))
        self.pointers = <char **> calloc(self.pointer_count + 1, sizeof(char *))
        self.fix_space = <int32_t *> calloc(self.pointer_count + 1, sizeof(int32_t))
        self.fix_offset = <int64_t *> calloc(self.pointer_count + 1, sizeof(int64_t))
        self.sizes = <int64_t *> calloc(sum(len(t[2]) for t in steps) + 1, sizeof(int64_t))
        self.scalars = <double *> calloc(sum(len(t[3]) for t in steps) + 1, sizeof(double))
        self.operations = <nnf_operation *> calloc(sum(len(t[4]) for t in steps) + 1, sizeof(nnf_operation))
        self.profile = <int64_t *> calloc(self.count + 1, sizeof(int64_t))
        if not (self.steps and self.phases and self.shares and self.pointers and self.fix_space and self.fix_offset
                and self.sizes and self.scalars and self.operations and self.profile):
            raise MemoryError(f"nnfast could not get memory for a plan of {self.count} steps")
        for i in range(self.count):
            kernel, buffers, sizes, scalars, program, step_threads, parts, barrier = steps[i]
            step = &self.steps[i]
            step.kernel = <nnf_kernel> <uintptr_t> kernel
            step.buffer = &self.pointers[p]
            step.size = &self.sizes[s]
            step.scalar = &self.scalars[d]
            step.program = &self.operations[o]
            step.operations = len(program)
            step.threads = step_threads
            step.parts = parts
            step.barrier = barrier
            step.id = i
            for buffer in buffers:
                self.fix_space[p] = -1 if buffer is None else buffer[0]
                self.fix_offset[p] = 0 if buffer is None else buffer[1]
                p += 1
            self.first_size.append(s)
            self.size_count.append(len(sizes))
            for size in sizes:
                self.sizes[s] = size
                s += 1
            for scalar in scalars:
                self.scalars[d] = scalar
                d += 1
            for function, y, a, b, c, parameters in program:
                operation = &self.operations[o]
                operation.function = <nnf_function> <uintptr_t> function
                operation.y, operation.a, operation.b, operation.c = y, a, b, c
                for j in range(min(len(parameters), NNF_PARAMETERS)):
                    operation.p[j] = parameters[j]
                o += 1

        self._make_phases()

    cdef _make_phases(self):
        """Cut the steps at the barriers."""
        cdef nnf_phase *phase
        cdef int32_t i
        for i in range(self.count):
            if i == 0 or self.steps[i].barrier:
                phase = &self.phases[self.phase_count]
                phase.begin = i
                phase.threads = phase.parts = 1
                self.phase_count += 1
            phase.end = i + 1
            phase.threads = max(phase.threads, self.steps[i].threads)
            phase.parts = max(phase.parts, self.steps[i].parts)

    def __dealloc__(self):
        free(self.steps)
        free(self.phases)
        free(self.shares)
        free(self.pointers)
        free(self.fix_space)
        free(self.fix_offset)
        free(self.sizes)
        free(self.scalars)
        free(self.operations)
        free(self.profile)

    def bind(self, int space, uintptr_t address, owner) -> None:
        """Let a space be the memory at this address; `owner` is kept alive."""
        self._bind(space, <char *> address, owner)

    cpdef bind_array(self, int space, array):
        """Let a space be the memory of a contiguous buffer."""
        cdef Py_buffer view
        PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
        self._bind(space, <char *> view.buf, array)
        PyBuffer_Release(&view)

    cdef _bind(self, int space, char *start, owner):
        cdef int32_t i
        if not 0 <= space < len(self.owners):
            raise IndexError(f"the plan has no space {space}")
        self.owners[space] = owner
        for i in range(self.pointer_count):
            if self.fix_space[i] == space:
                self.pointers[i] = start + self.fix_offset[i]

    cdef _release(self, int space):
        """Forget what a space was bound to."""
        self.owners[space] = None

    cpdef set_size(self, int step, int place, int64_t value):
        """Change one size of a step, such as the row count of a source."""
        if not 0 <= step < self.count or not 0 <= place < self.size_count[step]:
            raise IndexError(f"step {step} has no size {place}")
        self.sizes[self.first_size[step] + place] = value

    cpdef run(self, int64_t batches=1, int threads=0, bint profile=False):
        """Run all steps `batches` times with at most `threads` threads (0: as planned)."""
        cdef nnf_run run
        cdef int wanted = min(threads, self.threads) if threads > 0 else self.threads
        cdef Memory scratch
        cdef int32_t i
        for i in range(len(self.owners)):
            if self.owners[i] is None:
                raise RuntimeError(f"space {i} of the plan is not bound")
        wanted = max(min(wanted, nnf_team_limit()), 1)
        scratch = self._take_scratch(wanted)
        run.steps = self.steps
        run.phases = self.phases
        run.phase_count = self.phase_count
        run.shares = self.shares
        run.share_count = self.share_count
        run.batches = batches
        run.profile_ns = self.profile if profile else NULL
        if profile:
            memset(self.profile, 0, self.count * sizeof(int64_t))
        run.threads = wanted
        if batches * self.work_ns < _KEEP_GIL_NS:
            nnf_team_run(&run, batches * self.work_ns)
        else:
            with nogil:
                nnf_team_run(&run, batches * self.work_ns)
        self.used = run.threads
        _scratch.append(scratch)

    cdef Memory _take_scratch(self, int threads):
        """Working memory for this run; the pointers in the steps change only when it is another piece than before."""
        cdef Memory memory = None
        cdef int32_t i
        try:
            memory = _scratch.pop()
        except IndexError:
            pass
        if memory is None or memory.nbytes < threads * NNF_SCRATCH_BYTES:
            memory = Memory(threads * NNF_SCRATCH_BYTES)
        if memory is not self.scratch:
            for i in range(self.count):
                self.steps[i].scratch = <char *> memory.block
            self.scratch = memory
        return memory

    def profile_ns(self) -> list:
        """Nanoseconds of each step in the last profiled run."""
        return [self.profile[i] for i in range(self.count)]
