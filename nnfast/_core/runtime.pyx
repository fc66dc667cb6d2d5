# cython: language_level=3
"""SIMD levels, kernel tables and memory.

The level in use is chosen once, at import: the highest that the processor and the operating system allow, capped by
NNFAST_ISA.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport uintptr_t

from nnfast._core.nnfast cimport (
    nnf_allocate, nnf_get_table, nnf_release, nnf_table, nnf_table_count, nnf_why_not,
)

from nnfast.environment import isa_cap


MOST_BYTES = 1 << 60  # no machine has more, and sizes below it can be rounded up and added without overflow


cdef class Memory:
    """Zeroed memory, 64-byte aligned, as a writable buffer. Raises MemoryError with the size that could not be had."""

    def __cinit__(self, nbytes):
        if nbytes > MOST_BYTES:
            raise MemoryError(f"nnfast could not get {nbytes:,} bytes of memory")
        self.nbytes = nbytes
        self.block = nnf_allocate(self.nbytes)
        if self.block == NULL:
            raise MemoryError(f"nnfast could not get {nbytes:,} bytes of memory")

    def __dealloc__(self):
        nnf_release(self.block, self.nbytes)

    @property
    def address(self) -> int:
        return <uintptr_t> self.block

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.block, self.nbytes, 0, flags)


def levels() -> list:
    """The levels of this build, weakest first: name, available, and the reason where it is not."""
    found = []
    cdef const nnf_table *table
    cdef const char *reason
    for i in range(0, nnf_table_count(), 2):
        table = nnf_get_table(i)
        reason = nnf_why_not(table.level)
        found.append({
            "name": table.level.decode(),
            "available": reason == NULL,
            "reason": None if reason == NULL else reason.decode(),
        })
    return found


def _choose() -> str:
    cap = isa_cap()
    names = [level["name"] for level in levels()]
    if cap is not None and cap not in names:
        raise ValueError(f"NNFAST_ISA={cap}: this build has {', '.join(names)}; name one of them or unset the variable")
    best = names[0]
    for level in levels():
        if level["available"]:
            best = level["name"]
        elif level["name"] == cap:
            raise ValueError(f"NNFAST_ISA={cap}: not on this machine: {level['reason']}; unset the variable")
        if level["name"] == cap:
            break
    return best


_level = _choose()


cdef dict _read_tables():
    """(level, dtype) -> (kernels by name, functions by name, lanes)."""
    cdef const nnf_table *table
    cdef dict tables = {}
    for i in range(nnf_table_count()):
        table = nnf_get_table(i)
        kernels, functions = {}, {}
        for j in range(table.count):
            if table.entries[j].kernel != NULL:
                kernels[table.entries[j].name.decode()] = <uintptr_t> table.entries[j].kernel
            else:
                functions[table.entries[j].name.decode()] = <uintptr_t> table.entries[j].function
        tables[table.level.decode(), table.dtype.decode()] = kernels, functions, table.lanes
    return tables


_tables = _read_tables()


def level() -> str:
    """The level in use."""
    return _level


def lanes(str dtype, str level=None) -> int:
    """Elements of a vector."""
    return _tables[level or _level, dtype][2]


def kernels(str dtype="float32", str level=None) -> dict:
    """Addresses of a level's kernels by name."""
    return dict(_tables[level or _level, dtype][0])


def functions(str dtype="float32", str level=None) -> dict:
    """Addresses of a level's elementwise functions by name."""
    return dict(_tables[level or _level, dtype][1])


def kernel(str name, str dtype, str level=None) -> int:
    """Address of a kernel."""
    return _tables[level or _level, dtype][0][name]


def function(str name, str dtype, str level=None) -> int:
    """Address of an elementwise function."""
    return _tables[level or _level, dtype][1][name]
