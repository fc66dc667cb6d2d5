"""Arrays whose surroundings are watched: sentinels that must stay, or pages that end the process when touched."""

import ctypes
import mmap
import sys

import numpy as np

GUARD = 256
SENTINEL = 0xA5


class Between:
    """An uninitialised array between sentinels, `shift` bytes off a 64-byte line."""

    def __init__(self, shape, dtype, shift=0):
        dtype = np.dtype(dtype)
        nbytes = int(np.prod(shape)) * dtype.itemsize
        block = np.full(nbytes + 2 * GUARD + 64, SENTINEL, np.uint8)
        self.begin = GUARD + (-block.ctypes.data - GUARD) % 64 + shift * (shift < GUARD // 2)
        self.end = self.begin + nbytes
        self.block = block
        self.array = block[self.begin : self.end].view(dtype).reshape(shape)

    @classmethod
    def holding(cls, array, shift=0):
        made = cls(array.shape, array.dtype, shift)
        made.array[...] = array
        return made

    def intact(self):
        return bool((self.block[: self.begin] == SENTINEL).all() and (self.block[self.end :] == SENTINEL).all())


class Pages:
    """Arrays that end at, or begin behind, a page without access. For processes that may die."""

    def __init__(self, at_end):
        self.at_end = at_end
        self.kept = []
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

    def empty(self, shape, dtype):
        dtype = np.dtype(dtype)
        nbytes = int(np.prod(shape)) * dtype.itemsize
        page = mmap.PAGESIZE
        inside = max(-(-nbytes // page), 1) * page
        region = mmap.mmap(-1, inside + 2 * page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(region))
        for forbidden in (start, start + page + inside):
            if self.libc.mprotect(forbidden, page, 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        offset = page + (inside - nbytes if self.at_end else 0)
        self.kept.append(region)
        return np.frombuffer(region, dtype, nbytes // dtype.itemsize, offset).reshape(shape)

    def holding(self, array):
        made = self.empty(array.shape, array.dtype)
        made[...] = array
        return made


def main(levels):
    """Every op and product between forbidden pages. Prints what it does, so that the last line names the culprit."""
    from checks import ops, products

    for level in levels:
        for at_end in (True, False) if level == levels[-1] else (True,):
            for op in ops.compiled():
                print(level, "at the end" if at_end else "at the start", op.name, flush=True)
                for dtype in ops.DTYPES:
                    for arrays, attributes in ops.samples(op, dtype):
                        ops.check_between_pages(op, arrays, attributes, level, Pages(at_end))
            for dtype in ops.DTYPES:
                for form in products.FORMS:
                    print(level, form, dtype, flush=True)
                    for sizes in products.SIZES:
                        pages = Pages(at_end)
                        products.run(form, sizes, dtype, level, empty=pages.empty)
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
