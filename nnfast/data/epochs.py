"""Objects that give batches in another order in each epoch: they count epochs, and a fit that goes on sets their count.

In: the calls of fit. Out: `epoch`, on which their order depends.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast.errors import DataError


class CountsEpochs:
    """The number of the epoch that batches are given of: 0 at first, one more after each epoch of a fit.

    fit writes into its files which epoch the data stood at when it began, and sets it again where it goes on from such a file. Data of
    your own take part with an attribute `epoch` and a method `set_epoch(epoch)`.
    """

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Give the batches of this epoch from now on.

        Raises:
            DataError: epoch is not a whole number from 0 on.
        """
        if isinstance(epoch, bool) or not isinstance(epoch, int | np.integer) or epoch < 0:
            raise DataError(f"epoch={epoch!r}: expected a whole number from 0 on")
        self.epoch = int(epoch)

    def on_epoch_end(self) -> None:
        """The next epoch has another order."""
        self.set_epoch(self.epoch + 1)


def epoch_of(data: Any) -> int | None:
    """The epoch that data stand at, or None where they do not say or it cannot be set.

    >>> epoch_of(CountsEpochs()), epoch_of([])
    (0, None)
    """
    epoch = getattr(data, "epoch", None)
    if not callable(getattr(data, "set_epoch", None)) or not isinstance(epoch, int) or epoch < 0:
        return None
    return epoch
