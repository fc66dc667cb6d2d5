"""One file of named tensors with metadata, in the safetensors format.

In: a dict of arrays and a dict of JSON types. Out: a file that is either the old one or the new one whole, and that
says on reading whether every tensor is as it was written. The header's metadata (text to text) holds

    format          "nnfast"
    format_version  "1"
    content         JSON: {"metadata": what the caller gave, "tensors": {name: SHA-256 of dtype, shape and bytes}}
    sha256          SHA-256 of content

Nothing in it is executed on reading.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast.errors import DtypeError, ModelFileError

FORMAT = "nnfast"
FORMAT_VERSION = "1"
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
TEMPORARY = ".tmp"
LONGEST_WRITE = 3600.0  # seconds without a change after which a temporary file was left behind

PathLike = str | os.PathLike[str]


def write_tensors(path: PathLike, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
    """Write tensors and metadata to `path`, replacing what is there in one move: whatever happens, the old file or the new one is there.

    Args:
        path: the file; its folder must exist.
        tensors: name to array of any shape; bool, integers of 8 to 64 bits, floats of 16 to 64 bits.
        metadata: JSON types only.

    Raises:
        DtypeError: a tensor has another dtype, or metadata is not made of JSON types.
        OSError: the file cannot be written. A file that was there before is then unchanged.

    >>> import numpy as np, tempfile
    >>> path = tempfile.mkdtemp() + "/weights.nnf"
    >>> write_tensors(path, {"bias": np.zeros(3, np.float32)}, {"epoch": 5})
    >>> read_tensors(path)
    ({'bias': array([0., 0., 0.], dtype=float32)}, {'epoch': 5})
    """
    from safetensors.numpy import save

    arrays = {name: _plain(name, array) for name, array in tensors.items()}
    content = _to_json({"metadata": dict(metadata), "tensors": {name: _digest(a) for name, a in arrays.items()}})
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "content": content,
        "sha256": _sha256(content.encode()).hexdigest(),
    }
    replace_file(os.path.realpath(path), save(arrays, metadata=header))


def read_tensors(path: PathLike) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `write_tensors` wrote, checking every tensor.

    Returns:
        The tensors, as arrays of their own memory, and the metadata.

    Raises:
        ModelFileError: the file is damaged, cut off, not from nnfast, or of another version.
        OSError: there is no such file, or it may not be read.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/weights.nnf"
    >>> write_tensors(path, {}, {"epoch": 5})
    >>> read_tensors(path)
    ({}, {'epoch': 5})
    """
    with _opened(path) as file:
        content = _checked_content(path, file.metadata())
        digests = content["tensors"]
        names = set(file.keys())
        if names != set(digests):
            odd = sorted(names ^ set(digests))
            raise ModelFileError(f"{os.fspath(path)}: damaged: tensors missing or added: {', '.join(odd)}")
        return {name: _checked_tensor(path, file, name, digests[name]) for name in digests}, content["metadata"]


@contextmanager
def _opened(path: PathLike) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    with open(path, "rb"):  # a file that is missing or forbidden is reported as for any other file
        pass
    try:
        file = safe_open(os.fspath(path), framework="numpy")
    except (SafetensorError, ValueError) as error:
        raise ModelFileError(
            f"{os.fspath(path)}: not a model file, or damaged or cut off ({error}); save the model again or use a copy"
        ) from error
    with file:
        yield file


def _checked_content(path: PathLike, header: dict[str, str] | None) -> dict[str, Any]:
    found = header or {}
    if found.get("format") != FORMAT:
        raise ModelFileError(f"{os.fspath(path)}: a safetensors file that nnfast did not write; it has no model in it")
    if found.get("format_version") != FORMAT_VERSION:
        raise ModelFileError(
            f"{os.fspath(path)}: format version {found.get('format_version')}, expected {FORMAT_VERSION}; "
            "read it with the version of nnfast that wrote it"
        )
    content = found.get("content", "")
    if _sha256(content.encode()).hexdigest() != found.get("sha256"):
        raise ModelFileError(f"{os.fspath(path)}: damaged: the metadata differ from what was written")
    try:
        parsed: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            f"{os.fspath(path)}: the metadata are not JSON ({error}); nnfast did not write it"
        ) from None
    if not (isinstance(parsed, dict) and all(isinstance(parsed.get(key), dict) for key in ("metadata", "tensors"))):
        raise ModelFileError(f"{os.fspath(path)}: the metadata have no metadata or no tensors; nnfast did not write it")
    return parsed


def _checked_tensor(path: PathLike, file: Any, name: str, digest: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = file.get_tensor(name)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # dtypes and shapes that NumPy does not have, each with an error of its own
        raise ModelFileError(f"{os.fspath(path)}: tensor {name!r} cannot be read ({error})") from error
    if _digest(array) != digest:
        raise ModelFileError(f"{os.fspath(path)}: damaged: tensor {name!r} differs from what was written")
    return array


def _plain(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """The array in row-major order and little-endian bytes, copied only where it is not."""
    given = np.asarray(array)
    if given.dtype.name not in DTYPES:
        raise DtypeError(f"tensor {name!r} has dtype {given.dtype}; a file holds {', '.join(DTYPES)}")
    return np.asarray(given, dtype=given.dtype.newbyteorder("<"), order="C")


def _digest(array: NDArray[Any]) -> str:
    digest = _sha256(f"{array.dtype.name}{list(array.shape)}".encode())
    digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _sha256(data: bytes) -> Any:
    import hashlib  # takes milliseconds to import, which `import nnfast` does not spend

    return hashlib.sha256(data)


def _to_json(content: dict[str, Any]) -> str:
    try:
        return json.dumps(content, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise DtypeError(f"metadata: {error}; expected None, bool, int, float, str, list and dict only") from error


def replace_file(path: str, data: bytes) -> None:
    """Write data beside path, flush it to the disk, then rename: a crash leaves the old file or the new one."""
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{path}: there is no folder {folder}; make it first")
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path} is a folder; expected the name of a file")
    _sweep(folder, name)
    temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}{TEMPORARY}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # the first error says what is wrong
            os.unlink(temporary)
        raise
    _flush_folder(folder)


def _sweep(folder: str, name: str) -> None:
    """Remove what writers of this file left that were killed; one that is still at work has written to its own within the hour."""
    for entry in os.scandir(folder):
        if entry.name.startswith(f".{name}.") and entry.name.endswith(TEMPORARY):
            with suppress(OSError):  # another writer was faster, or it is not ours to remove
                if time.time() - entry.stat().st_mtime > LONGEST_WRITE:
                    os.unlink(entry.path)


def _flush_folder(folder: str) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and renames through its own journal
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
