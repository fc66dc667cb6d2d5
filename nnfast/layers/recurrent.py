"""Recurrent layers: RNN runs a cell over time; SimpleRNN, LSTM and GRU are RNN with the cell of that name.

In (batch, time, features), out (batch, units), or with return_sequences (batch, time, units). Where the cell has a kernel for whole
sequences, that runs; else the steps of the cell stand one after the other in the graph.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from nnfast import ops, serialization
from nnfast.errors import ShapeError
from nnfast.graph import trace
from nnfast.layers.base import Layer
from nnfast.layers.recurrent_cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
from nnfast.typing import Config, Shape, Tensor
from nnfast.variable import Variable


@serialization.register("layer")
class RNN(Layer):
    """Run a cell over the time steps of its input.

    In (batch, time, features), or a list of that and the initial states; out (batch, units), or (batch, time, units) with
    return_sequences; with return_state a list of the output and the last states. Equal to Keras' RNN.

    Args:
        cell: a layer with `state_size` and `call(inputs, states) -> (output, states)`, or a list of cells, which are stacked.
        return_sequences: whether all outputs come back, or the last one.
        return_state: whether the last states come back too.
        go_backwards: from the last time step to the first; the outputs are in that order.
        stateful: whether a batch begins with the states that the last one of its size ended with (`reset_state` makes them 0).
        unroll: accepted, and without effect: results and speed do not depend on it.
        zero_output_for_mask: whether the output of a time step that the mask leaves out is 0, and not that of the step before.

    >>> import numpy as np
    >>> RNN(SimpleRNNCell(3), return_sequences=True)(np.zeros((2, 5, 4), "float32")).shape
    (2, 5, 3)
    """

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(cell, dict):
            cell = serialization.deserialize("layer", cell)
        if isinstance(cell, list | tuple):
            cell = StackedRNNCells(cell)
        if not hasattr(cell, "state_size") or not callable(cell):
            raise ValueError(
                f"{type(self).__name__}(cell={cell!r}): expected a cell: a layer with state_size and call(inputs, states)"
            )
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        # States of a stateful layer, by batch size and dtype. They are no weights: a model file does not have them.
        self.kept: dict[tuple[int, str], list[Variable]]
        object.__setattr__(self, "kept", {})

    @property
    def state_sizes(self) -> list[int]:
        size = self.cell.state_size
        return list(size) if isinstance(size, list | tuple) else [size]

    def build(self, input_shape: Any) -> None:
        shape: Shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        if len(shape) < 3:
            raise ShapeError(f"{self.name}: inputs of shape {tuple(shape)}; expected (batch, time, features)")
        if self.cell._dtype is None:
            self.cell._dtype = self._dtype
        self.cell.build_once((None, *shape[2:]))

    def __call__(  # type: ignore[override]
        self, inputs: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None
    ) -> Any:
        if initial_state is not None:
            states = list(initial_state) if isinstance(initial_state, list | tuple) else [initial_state]
            inputs = [*(inputs if isinstance(inputs, list | tuple) else [inputs]), *states]
            mask = None if mask is None else [mask, *[None] * len(states)]
        return super().__call__(inputs, training, mask)

    def call(self, inputs: Any, mask: Any = None, training: bool = False) -> Any:
        y, last, states = self.run(inputs, mask, training)
        if self.return_sequences:
            output = ops.slice(y, (slice(None), slice(None, None, -1))) if self.go_backwards else y
        else:
            output = last
        return [output, *states] if self.return_state else output

    def run(self, inputs: Any, mask: Any, training: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Outputs in time's order, the last output, the last states."""
        x, *states = inputs if isinstance(inputs, list | tuple) else [inputs]
        if isinstance(mask, list | tuple):
            mask = mask[0]
        if len(x.shape) < 3 or x.shape[1] < 1:
            raise ShapeError(
                f"{self.name}: inputs of shape {tuple(x.shape)}; expected (batch, time, features) with a time step"
            )
        if states and len(states) != len(self.state_sizes):
            raise ShapeError(
                f"{self.name}: {len(states)} initial states; expected {len(self.state_sizes)}, of sizes {self.state_sizes}"
            )
        if mask is not None:
            mask = ops.cast(mask, str(x.dtype))
        states = states or self._states_before(x)
        found = (
            self.cell.sequence(x, states, mask, self.go_backwards, training) if hasattr(self.cell, "sequence") else None
        )
        if found is None:
            y, last, states = self._unrolled(x, states, mask, training)
        else:
            y, states = found
            last = states[0]
        if self.zero_output_for_mask and mask is not None:
            y = ops.multiply(y, ops.reshape(mask, (*mask.shape, *(1,) * (len(y.shape) - 2))))
            end = 0 if self.go_backwards else y.shape[1] - 1
            last = y[:, end]
        if self.stateful:
            self._keep(x, states)
        return y, last, states

    def _unrolled(
        self, x: Tensor, states: list[Tensor], mask: Tensor | None, training: bool
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The cell, once for each time step."""
        if not states:
            states = self._zeros(x)
        length, outputs = x.shape[1], {}
        output: Any = None
        for t in reversed(range(length)) if self.go_backwards else range(length):
            new, new_states = self.cell(x[:, t], states, training=training)
            new_states = list(new_states) if isinstance(new_states, list | tuple) else [new_states]
            if mask is not None:
                counts = ops.reshape(mask[:, t], (mask.shape[0], *(1,) * (len(new.shape) - 1)))
                new = ops.where(counts, new, ops.zeros_like(new) if output is None else output)
                new_states = [ops.where(counts, a, b) for a, b in zip(new_states, states, strict=True)]
            output, states, outputs[t] = new, new_states, new
        return ops.stack([outputs[t] for t in range(length)], axis=1), output, states

    def _zeros(self, x: Tensor) -> list[Tensor]:
        return [ops.full((x.shape[0], *_shape(size)), 0.0, str(x.dtype)) for size in self.state_sizes]

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        mask = previous_mask[0] if isinstance(previous_mask, list | tuple) else previous_mask
        if mask is None or not self.return_sequences:
            return None
        return ops.slice(mask, (slice(None), slice(None, None, -1))) if self.go_backwards else mask

    # Stateful
    def _states_before(self, x: Tensor) -> list[Tensor]:
        """The kept states of a stateful layer; they come into being with the first batch of a size."""
        if not self.stateful:
            return []
        kept = self.kept_for(x.shape[0], str(x.dtype))
        running = trace.current()
        if running is None:
            return [variable.numpy() for variable in kept]
        # copies, since gradients may read them after the new states are written
        return [ops.add(running.latest(variable), 0.0) for variable in kept]

    def kept_for(self, rows: int, dtype: str) -> list[Variable]:
        """The kept states for batches of this size."""
        if (rows, dtype) not in self.kept:
            self.kept[rows, dtype] = [
                Variable((rows, *_shape(size)), dtype, 0.0, f"{self.name}/state_{i}", trainable=False)
                for i, size in enumerate(self.state_sizes)
            ]
        return self.kept[rows, dtype]

    def _keep(self, x: Tensor, states: list[Tensor]) -> None:
        running = trace.current()
        for variable, state in zip(self.kept_for(x.shape[0], str(x.dtype)), states, strict=True):
            if running is None:
                variable.assign(state)
            else:  # a layer that is called twice goes on where its last call ended
                running.update(variable, partial(_become, state))

    def reset_state(self) -> None:
        """Begin with zeros again."""
        for variables in self.kept.values():
            for variable in variables:
                variable.assign(0.0)

    reset_states = reset_state

    def get_config(self) -> Config:
        names = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "zero_output_for_mask")
        return {
            **super().get_config(),
            "cell": serialization.serialize(self.cell),
            **{name: getattr(self, name) for name in names},
        }


def _become(state: Tensor, old: Tensor) -> Tensor:
    return ops.call("update_state", old, state)


def _shape(size: Any) -> tuple[int, ...]:
    """The shape of a state of this size, without the batch: units, or sizes."""
    return tuple(size) if isinstance(size, list | tuple) else (size,)


class _CellLayer(RNN):
    """RNN with one kind of cell: takes the cell's arguments."""

    cell_class: Any

    def __init__(
        self,
        units: int,
        *args: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        name: str | None = None,
        dtype: str | None = None,
        trainable: bool = True,
        activity_regularizer: Any = None,
        use_cudnn: Any = "auto",
        implementation: int = 2,
        **of_cell: Any,
    ) -> None:
        cell = self.cell_class(units, *args, dtype=dtype, **of_cell)
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask,
            name=name, dtype=dtype, trainable=trainable, activity_regularizer=activity_regularizer,
        )  # fmt: skip

    @property
    def units(self) -> int:
        return int(self.cell.units)

    def get_config(self) -> Config:
        config = super().get_config()
        del config["cell"]
        of_cell = self.cell.get_config()
        return {**{k: v for k, v in of_cell.items() if k not in ("name", "trainable", "dtype")}, **config}


@serialization.register("layer")
class SimpleRNN(_CellLayer):
    """h = activation(x W + h U + b), over time (Elman 1990).

    In (batch, time, features), out (batch, units), or (batch, time, units) with return_sequences. Arguments of SimpleRNNCell and RNN; equal
    to Keras' SimpleRNN. With activation "tanh" or "relu" the whole sequence is one kernel.

    >>> import numpy as np
    >>> SimpleRNN(3)(np.zeros((2, 5, 4), "float32")).shape
    (2, 3)
    """

    cell_class = SimpleRNNCell


@serialization.register("layer")
class LSTM(_CellLayer):
    """Long short-term memory (Hochreiter, Schmidhuber 1997), over time.

    In (batch, time, features), out (batch, units), or (batch, time, units) with return_sequences; states h and c. Arguments of LSTMCell
    and RNN; equal to Keras' LSTM (gates i, f, c, o; the bias of f begins at 1). With the usual activations the whole sequence is one
    kernel.

    >>> import numpy as np
    >>> LSTM(3, return_sequences=True)(np.zeros((2, 5, 4), "float32")).shape
    (2, 5, 3)
    """

    cell_class = LSTMCell


@serialization.register("layer")
class GRU(_CellLayer):
    """Gated recurrent unit (Cho et al. 2014), over time.

    In (batch, time, features), out (batch, units), or (batch, time, units) with return_sequences. Arguments of GRUCell and RNN; equal to
    Keras' GRU. With the usual activations and reset_after the whole sequence is one kernel.

    >>> import numpy as np
    >>> GRU(3)(np.zeros((2, 5, 4), "float32")).shape
    (2, 3)
    """

    cell_class = GRUCell
