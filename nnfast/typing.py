"""Names for the types that appear in the signatures of layers, losses, metrics and optimizers."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Tensor: TypeAlias = Any  # a symbolic Value, a Variable, an array, or a number: whatever nnfast.ops takes
Array: TypeAlias = NDArray[Any]
Totals: TypeAlias = list[NDArray[np.float64]]  # sums over many batches, one array per statistic of a metric
Shape: TypeAlias = tuple[int | None, ...]  # None where the size of the batch goes
Config: TypeAlias = dict[str, Any]  # JSON types only
