"""Files: named tensors with metadata, written atomically and checked when read; weights of other libraries."""

from nnfast.io.recurrent_weights import recurrent_weights
from nnfast.io.safetensors import load_safetensors, read_safetensors
from nnfast.io.tensor_file import read_tensors, write_tensors

__all__ = ["load_safetensors", "read_safetensors", "read_tensors", "recurrent_weights", "write_tensors"]
