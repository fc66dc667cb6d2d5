"""`nnfast verify RECEIPT DATA`: train again as a receipt says, and compare the weights after each epoch.

In: a file of `fit(..., receipt=path)` and a .npz file with its arrays. Out: one line or JSON; 0 where all is equal, 1 where data, seed or an
epoch differ, or where a file cannot be used.
"""

from __future__ import annotations

import json
import sys
import zipfile
from typing import Any

import numpy as np

from nnfast.errors import DataError
from nnfast.receipt import verify


def run(receipt: str, data: str, as_json: bool) -> int:
    """Verify; returns the exit status."""
    answer = verify(receipt, _arrays(data))
    if as_json:
        json.dump(answer, sys.stdout, indent=2)
        print()
    else:
        made = answer["made_on"] or {}
        print(
            f"{answer['reason']} ({answer['level']}, {answer['threads']} threads; "
            f"the receipt: {made.get('level')}, {made.get('threads')} threads)"
        )
    return 0 if answer["equal"] else 1


def _arrays(path: str) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: expected a .npz file with the arrays x, y, ..., as numpy.savez(path, x=x, y=y) makes it ({error})"
        ) from None
