"""Files: named tensors with metadata, written atomically and checked when read."""

from nnfast.io.tensor_file import read_tensors, write_tensors

__all__ = ["read_tensors", "write_tensors"]
