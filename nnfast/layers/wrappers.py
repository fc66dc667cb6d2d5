"""Layers around a layer: Bidirectional (both directions of time), TimeDistributed (each time step by itself)."""

from __future__ import annotations

from typing import Any

from nnfast import ops, serialization
from nnfast.errors import ShapeError
from nnfast.layers.base import Layer
from nnfast.layers.recurrent import RNN
from nnfast.typing import Config, Tensor

MERGE_MODES = ("concat", "sum", "mul", "ave", None)


@serialization.register("layer")
class Bidirectional(Layer):
    """A recurrent layer and a second one that reads the sequence from its end (Schuster, Paliwal 1997).

    In (batch, time, features), out the two outputs merged; outputs of both directions stand at the time step that they belong to. The
    states of both (forward first) are what `initial_state` takes and return_state gives. Equal to Keras' Bidirectional.

    Args:
        layer: a recurrent layer (RNN, LSTM, GRU, SimpleRNN).
        merge_mode: "concat", "sum", "mul", "ave", or None for a list of the two.
        backward_layer: the layer for the other direction, with go_backwards; made like `layer` by default.

    >>> import numpy as np
    >>> from nnfast.layers import LSTM
    >>> Bidirectional(LSTM(3))(np.zeros((2, 5, 4), "float32")).shape
    (2, 6)
    """

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        layer = _revived(layer)
        if not isinstance(layer, RNN):
            raise ValueError(f"Bidirectional(layer={layer!r}): expected a recurrent layer, as LSTM(8)")
        if merge_mode not in MERGE_MODES:
            raise ValueError(f"Bidirectional(merge_mode={merge_mode!r}): expected one of {MERGE_MODES}")
        self.forward_layer = layer
        self.merge_mode = merge_mode
        self._weights = weights
        if backward_layer is None:
            config = {**layer.get_config(), "go_backwards": not layer.go_backwards, "name": f"backward_{layer.name}"}
            backward_layer = type(layer).from_config(config)
        self.backward_layer = _revived(backward_layer)
        same = ("return_sequences", "return_state", "stateful")
        if not isinstance(self.backward_layer, RNN) or self.backward_layer.go_backwards == layer.go_backwards:
            raise ValueError(
                "Bidirectional(backward_layer=...): expected a recurrent layer that runs the other way (go_backwards)"
            )
        if any(getattr(layer, name) != getattr(self.backward_layer, name) for name in same):
            raise ValueError(f"Bidirectional: {', '.join(same)} must be the same in layer and backward_layer")

    def build(self, input_shape: Any) -> None:
        shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        for layer in (self.forward_layer, self.backward_layer):
            if layer._dtype is None:
                layer._dtype = self._dtype
            layer.build_once(shape)
        if self._weights is not None:
            self.set_weights(self._weights)

    def __call__(  # type: ignore[override]
        self, inputs: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None
    ) -> Any:
        if initial_state is not None:
            inputs = [inputs, *initial_state]
            mask = None if mask is None else [mask, *[None] * len(initial_state)]
        return super().__call__(inputs, training, mask)

    def call(self, inputs: Any, mask: Any = None, training: bool = False) -> Any:
        x, *states = inputs if isinstance(inputs, list | tuple) else [inputs]
        half = len(states) // 2
        if len(states) % 2:
            raise ShapeError(
                f"{self.name}: {len(states)} initial states; expected those of both directions, forward first"
            )
        runs = []
        for layer, own in ((self.forward_layer, states[:half]), (self.backward_layer, states[half:])):
            y, last, ends = layer.run([x, *own], mask, training)
            runs.append((y if layer.return_sequences else last, ends))
        (forward, states), (backward, others) = runs
        output = self._merged(forward, backward)
        if not self.forward_layer.return_state:
            return output
        return [*(output if isinstance(output, list) else [output]), *states, *others]

    def _merged(self, a: Tensor, b: Tensor) -> Any:
        match self.merge_mode:
            case "concat":
                return ops.concatenate([a, b], axis=-1)
            case "sum":
                return ops.add(a, b)
            case "mul":
                return ops.multiply(a, b)
            case "ave":
                return ops.multiply(ops.add(a, b), 0.5)
            case _:
                return [a, b]

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        mask = previous_mask[0] if isinstance(previous_mask, list | tuple) else previous_mask
        mask = mask if self.forward_layer.return_sequences else None
        return [mask, mask] if self.merge_mode is None else mask

    def reset_state(self) -> None:
        """Let both directions begin with zeros again."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "layer": serialization.serialize(self.forward_layer),
            "backward_layer": serialization.serialize(self.backward_layer),
            "merge_mode": self.merge_mode,
        }


def _revived(layer: Any) -> Any:
    return serialization.deserialize("layer", layer) if isinstance(layer, dict) else layer


@serialization.register("layer")
class TimeDistributed(Layer):
    """A layer applied to each time step: (batch, time, ...) -> (batch, time, ...).

    The time steps of all sequences become one batch for the layer. Equal to Keras' TimeDistributed.

    >>> import numpy as np
    >>> from nnfast.layers import Dense
    >>> TimeDistributed(Dense(3))(np.zeros((2, 5, 4), "float32")).shape
    (2, 5, 3)
    """

    supports_masking = True

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        layer = _revived(layer)
        if not isinstance(layer, Layer):
            raise ValueError(f"TimeDistributed(layer={layer!r}): expected a layer")
        self.layer = layer

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 3:
            raise ShapeError(f"{self.name}: inputs of shape {tuple(input_shape)}; expected (batch, time, ...)")
        if self.layer._dtype is None:
            self.layer._dtype = self._dtype
        self.layer.build_once((None, *input_shape[2:]))

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        batch, time, *rest = inputs.shape
        outputs = self.layer(ops.reshape(inputs, (batch * time, *rest)), training=training)
        return ops.reshape(outputs, (batch, time, *outputs.shape[1:]))

    def get_config(self) -> Config:
        return {**super().get_config(), "layer": serialization.serialize(self.layer)}
