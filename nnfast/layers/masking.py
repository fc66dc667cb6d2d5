"""Masks: which positions of a sequence count.

A mask is a tensor (batch, time) of 1.0 and 0.0. A layer that knows of padding (Masking, Embedding) puts it on its output while a model
is traced; layers hand it on by `compute_mask`, those with a `mask` argument in `call` are given it, losses and metrics leave out what
it leaves out. On arrays there is nothing to put a mask on: give `mask=` there.
"""

from __future__ import annotations

from typing import Any

from nnfast import ops, serialization
from nnfast.errors import ShapeError
from nnfast.layers.base import Layer
from nnfast.typing import Config, Tensor


@serialization.register("layer")
class Masking(Layer):
    """Leave out the time steps of which all features equal mask_value: they become 0, and the layers behind pass over them.

    In and out (batch, time, ...). Equal to Keras' Masking.

    >>> import numpy as np
    >>> Masking(mask_value=-1.0)(np.array([[[2.0], [-1.0]]], "float32")).tolist()
    [[[2.0], [0.0]]]
    """

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = float(mask_value)

    def call(self, inputs: Tensor) -> Tensor:
        mask = self._counting(inputs)
        return ops.where(ops.reshape(mask, (*mask.shape, *(1,) * (len(inputs.shape) - 2))), inputs, 0.0)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        mask = self._counting(inputs)
        return mask if previous_mask is None else ops.multiply(mask, previous_mask)

    def _counting(self, inputs: Tensor) -> Tensor:
        rank = len(inputs.shape)
        if rank < 3:
            raise ShapeError(
                f"{self.name}: inputs of shape {tuple(inputs.shape)}; expected (batch, time, features): a time step is left out by its features"
            )
        return ops.max(ops.not_equal(inputs, self.mask_value), axis=tuple(range(2, rank)))

    def get_config(self) -> Config:
        return {**super().get_config(), "mask_value": self.mask_value}


@serialization.register("layer")
class AttachMask(Layer):
    """The first of two inputs, with the second as its mask: what `layer(x, mask=m)` makes of symbols.

    >>> import numpy as np
    >>> AttachMask()([np.ones((1, 2, 1), "float32"), np.ones((1, 2), "float32")]).shape
    (1, 2, 1)
    """

    def call(self, inputs: list[Tensor]) -> Tensor:
        return ops.call(
            "reshape", inputs[0], shape=tuple(inputs[0].shape)
        )  # a value of its own: the first keeps its mask

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return ops.cast(inputs[1], str(inputs[0].dtype))
