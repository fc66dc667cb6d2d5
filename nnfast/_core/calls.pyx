# cython: language_level=3
# cython: boundscheck=False, wraparound=False
"""The short way into a plan, for arrays that can be used as they lie.

In: a plan's executor and what its arrays have to be. Out: results, or None where an array is anything else: then the
caller takes the long way, which converts what it can and says what is wrong with the rest.
"""

from cpython.buffer cimport PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.list cimport PyList_GET_ITEM
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pythread cimport (
    NOWAIT_LOCK, PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock,
    PyThread_type_lock, WAIT_LOCK,
)
from cython cimport critical_section
from libc.math cimport INFINITY, floor
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uintptr_t

from nnfast._core.executor cimport Executor

from nnfast.locks import free_in_child

from numpy import empty as _empty, ndarray as _ndarray

cdef enum:
    _MOST_AXES = 64  # as NumPy
    _MOST_CALLS = 8

cdef int64_t _changes = 0


def note_change() -> None:
    """Something has changed that plans depend on: a layer's attribute, a variable's `trainable`, where it lies."""
    global _changes
    _changes += 1


cdef class Unchanged:
    """Whether layers and variables are as they were: no `note_change` since, the same items in these containers."""

    cdef int64_t changes
    cdef list lists, before

    def __init__(self, containers):
        self.changes = _changes
        self.lists = list(containers)
        self.before = [_items(x) for x in self.lists]

    cpdef bint holds(self):
        cdef Py_ssize_t i, j
        cdef list before, now
        if self.changes != _changes:
            return False
        for i in range(len(self.lists)):
            before = <list> self.before[i]
            now = <list> self.lists[i] if type(self.lists[i]) is list else _items(self.lists[i])
            if len(now) != len(before):
                return False
            for j in range(len(before)):
                if PyList_GET_ITEM(now, j) != PyList_GET_ITEM(before, j):
                    return False
        return True


cdef list _items(container):
    return list(container.values()) if isinstance(container, dict) else list(container)


cdef class Spec:
    """What an array has to be: exact type, dtype, shape, contiguous and aligned."""

    cdef readonly object dtype
    cdef readonly tuple shape
    cdef int ndim
    cdef Py_ssize_t extents[_MOST_AXES]
    cdef Py_ssize_t itemsize

    def __init__(self, tuple shape, dtype):
        cdef int i
        self.dtype, self.shape, self.ndim, self.itemsize = dtype, shape, len(shape), dtype.itemsize
        for i in range(self.ndim):
            self.extents[i] = shape[i]

    cdef bint view(self, object array, Py_buffer *view, int flags) except -1:
        """Get the array's memory; False where the array is not what it has to be."""
        cdef int i
        if type(array) is not _ndarray:
            return False
        dtype = array.dtype
        if dtype is not self.dtype and dtype != self.dtype:
            return False
        try:
            PyObject_GetBuffer(array, view, flags)
        except (ValueError, BufferError):  # strided or read-only
            return False
        if view.ndim == self.ndim and (<uintptr_t> view.buf % <uintptr_t> self.itemsize == 0 or view.len == 0):
            for i in range(self.ndim):
                if view.shape[i] != self.extents[i]:
                    break
            else:
                return True
        PyBuffer_Release(view)
        return False


cdef Py_buffer *_views(int count) except NULL:
    cdef Py_buffer *views = <Py_buffer *> PyMem_Malloc((count + 1) * sizeof(Py_buffer))
    if views == NULL:
        raise MemoryError("nnfast could not get memory for the arguments of a call")
    return views


cdef class _Place:
    """An executor, and the lock that the thread which uses it holds."""

    cdef Executor executor
    cdef PyThread_type_lock lock
    cdef object __weakref__

    def __cinit__(self, Executor executor):
        self.executor = executor
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError("nnfast could not get a lock")
        free_in_child(self)

    def _at_fork_reinit(self) -> None:
        if self.take():
            self.give()
        else:
            self.lock = PyThread_allocate_lock()  # the one that is held stays, a few bytes

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef bint take(self) noexcept:
        return PyThread_acquire_lock(self.lock, NOWAIT_LOCK)

    cdef void wait(self) noexcept:
        with nogil:
            PyThread_acquire_lock(self.lock, WAIT_LOCK)

    cdef void give(self) noexcept:
        PyThread_release_lock(self.lock)


cdef class DirectCall:
    """A plan without streams on arrays; the one place where such a plan is run.

    A thread that finds all executors in use makes one more, by `another`, as long as there are fewer than `most`; then
    it waits.
    in_place: an output may be exactly the memory of an input.
    """

    cdef list places, inputs, outputs
    cdef object another
    cdef int most, first, in_place
    cdef readonly int threads  # that the plan was made for

    def __init__(self, Executor executor, another, int most, int first, list inputs, list outputs, bint in_place,
                 int threads):
        self.places, self.another, self.most = [_Place(executor)], another, most
        self.first, self.inputs, self.outputs = first, inputs, outputs
        self.in_place, self.threads = in_place, threads

    cpdef list call(self, tuple operands, out=None):
        """The outputs, in the arrays of `out` where it is given; None where an array cannot be used as it lies."""
        cdef Py_buffer *views
        cdef int held = 0, i, inputs = len(self.inputs)
        cdef list results = []
        cdef Spec spec
        if len(operands) != inputs or (out is not None and len(out) != len(self.outputs)):
            return None
        views = _views(inputs + len(self.outputs))
        try:
            for i in range(inputs):
                if not (<Spec> self.inputs[i]).view(operands[i], &views[held], PyBUF_ND):
                    return None
                held += 1
            for i in range(len(self.outputs)):
                spec = <Spec> self.outputs[i]
                array = _empty(spec.shape, spec.dtype) if out is None else out[i]
                if not spec.view(array, &views[held], PyBUF_ND | PyBUF_WRITABLE):
                    return None
                held += 1
                if out is not None and self._meets(views, inputs, held - 1):
                    return None
                results.append(array)
            self._run(views, held)
        finally:
            for i in range(held):
                PyBuffer_Release(&views[i])
            PyMem_Free(views)
        return results

    cdef bint _meets(self, Py_buffer *views, int inputs, int place):
        """Whether an output lies over another array, other than exactly over an input where that is allowed."""
        cdef char *start = <char *> views[place].buf
        cdef char *other
        cdef int i
        for i in range(place):
            other = <char *> views[i].buf
            if start < other + views[i].len and other < start + views[place].len:
                if not (self.in_place and i < inputs and start == other and views[i].len == views[place].len):
                    return True
        return False

    cdef _Place _take_place(self):
        """A place for this thread, which has to give it back."""
        cdef _Place place
        for place in self.places:
            if place.take():
                return place
        if len(self.places) < self.most:
            place = _Place(self.another())
            place.take()
            self.places.append(place)
            return place
        place = <_Place> self.places[0]
        place.wait()
        return place

    cdef _run(self, Py_buffer *views, int count):
        cdef int i
        cdef _Place place = self._take_place()
        try:
            for i in range(count):
                place.executor._bind(self.first + i, <char *> views[i].buf, self)  # the views keep the arrays
            place.executor.run()
        finally:
            for i in range(count):
                place.executor._release(self.first + i)
            place.give()


cdef class Calls:
    """DirectCalls of one op or model for different shapes, those used last in front.

    Without a GIL, an attribute that threads exchange is read and written in a critical section.
    """

    cdef list calls

    def __init__(self):
        self.calls = []

    def add(self, DirectCall call) -> None:
        """Take a call in; the one that was not used for longest goes."""
        with critical_section(self):
            if not any([known is call for known in self.calls]):
                self.calls = [call, *self.calls[:_MOST_CALLS - 1]]

    cpdef list call(self, tuple operands, int threads, out=None):
        """The outputs; None where no call takes these arrays."""
        cdef list calls, found
        cdef DirectCall call
        cdef Py_ssize_t i
        with critical_section(self):
            calls = self.calls
        for i in range(len(calls)):
            call = <DirectCall> calls[i]
            if call.threads == threads:
                found = call.call(operands, out)
                if found is not None:
                    if i:
                        with critical_section(self):
                            self.calls = [call, *calls[:i], *calls[i + 1:]]
                    return found
        return None

    cpdef one(self, tuple operands, int threads, out=None):
        """The only output, in `out` where it is given; None where no call takes these arrays."""
        cdef list found = self.call(operands, threads, None if out is None else (out,))
        return None if found is None else found[0]


ctypedef fused Number:
    uint8_t
    int8_t
    int16_t
    uint16_t
    int32_t
    int64_t
    float
    double


cdef bint _within(const Number *x, Py_ssize_t n, double low, double high, bint whole) noexcept:
    cdef Py_ssize_t i
    for i in range(n):
        if not low <= x[i] <= high:
            return False
        if Number is float or Number is double:
            if whole and floor(x[i]) != x[i]:
                return False
    return True


cdef class BatchCall:
    """One training or test step of a plan with streams, on the arrays of one batch.

    sources: for each input of the plan its Spec, and limits (least, greatest, whole numbers only) or None.
    sizes: (step, place, value) to set first. order, log, counters, rates: arrays that the plan reads and writes.
    places: those of the row and of the log's slot in the counters.
    """

    cdef Executor executor
    cdef int first, row, slot
    cdef list sources, sizes
    cdef readonly object log
    cdef tuple kept  # what the addresses below belong to
    cdef char *order
    cdef int64_t *counters
    cdef double *logged
    cdef double *rates
    cdef double rows
    cdef readonly int threads

    def __init__(self, Executor executor, int first, list sources, list sizes, order, log, counters, rates,
                 tuple places, int threads):
        self.executor, self.first, self.sources, self.sizes = executor, first, sources, sizes
        self.log, self.kept = log, (order, log, counters, rates)
        self.order, self.logged = _address(order), <double *> _address(log)
        self.counters, self.rates = <int64_t *> _address(counters), <double *> _address(rates)
        self.row, self.slot = places
        self.rows = len(order)
        self.threads = threads

    cpdef bint run(self, tuple arrays, double rate) except -1:
        """Take one step with this learning rate; False where an array cannot be used as it lies."""
        cdef Py_buffer *views
        cdef int held = 0, i
        if len(arrays) != len(self.sources):
            return False
        views = _views(len(arrays))
        try:
            for i in range(len(arrays)):
                spec, limits = self.sources[i]
                if not (<Spec> spec).view(arrays[i], &views[held], PyBUF_ND):
                    return False
                held += 1
                if limits is not None and not _inside(&views[i], (<Spec> spec).dtype.char, limits):
                    return False
            for i in range(held):
                self.executor._bind(self.first + 2 + i, <char *> views[i].buf, arrays[i])
            self._start(rate)
            self.executor.run()
        finally:
            for i in range(held):
                PyBuffer_Release(&views[i])
            PyMem_Free(views)
        return True

    cdef _start(self, double rate):
        self.executor._bind(self.first, self.order, self.kept)
        self.executor._bind(self.first + 1, <char *> self.logged, self.kept)
        for step, place, value in self.sizes:
            self.executor.set_size(step, place, value)
        self.counters[self.row] = 0
        self.counters[self.slot] = 0
        self.rates[0] = rate

    cpdef double mean(self):
        """The first number of the log, a mean over the rows of the batch, as the means of an epoch are computed."""
        return (0.0 + self.logged[0] * self.rows) / self.rows


cdef char *_address(array) except NULL:
    """Of an array whose memory stays where it is while the array lives."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_ND | PyBUF_WRITABLE)
    PyBuffer_Release(&view)
    return <char *> view.buf


cdef bint _inside(Py_buffer *view, str char, tuple limits) except -1:
    cdef double low = limits[0], high = limits[1]
    cdef bint whole = limits[2]
    cdef Py_ssize_t n = view.len // view.itemsize
    if low == -INFINITY and high == INFINITY and not whole:
        return True
    if char == "i":
        return _within(<int32_t *> view.buf, n, low, high, whole)
    if char == "l":
        return _within(<int64_t *> view.buf, n, low, high, whole)
    if char == "B":
        return _within(<uint8_t *> view.buf, n, low, high, whole)
    if char == "f":
        return _within(<float *> view.buf, n, low, high, whole)
    if char == "d":
        return _within(<double *> view.buf, n, low, high, whole)
    if char == "b":
        return _within(<int8_t *> view.buf, n, low, high, whole)
    if char == "h":
        return _within(<int16_t *> view.buf, n, low, high, whole)
    if char == "H":
        return _within(<uint16_t *> view.buf, n, low, high, whole)
    return False
