"""Layer: the base class of all layers, the user's own too.

In: constructor arguments, later the shape of the input. Out: weights (nnfast.variable.Variable) and `call`, which computes with
nnfast.ops. A layer is called on symbols (while a model is put together), on traced values (while a plan is made), or on arrays.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from nnfast import config, initializers, ops, regularizers, serialization
from nnfast._core.calls import note_change
from nnfast.boundary import refuse_unfolded
from nnfast.errors import DtypeError, NnfastError, unknown_name
from nnfast.graph import trace
from nnfast.graph.ir import FLOATS, Value
from nnfast.layers.symbol import LayerCall, Symbol, flat, infer_outputs, is_numbers, is_symbolic, like
from nnfast.random import next_stream
from nnfast.variable import Variable

_named: Counter[str] = Counter()


def unique_name(stem: str) -> str:
    """dense, dense_1, dense_2 ... in the order of creation."""
    _named[stem] += 1
    return stem if _named[stem] == 1 else f"{stem}_{_named[stem] - 1}"


def reset_names() -> None:
    """Count automatic layer names from the beginning again."""
    _named.clear()


class Layer:
    """A function with weights. Subclass it with `build(input_shape)`, which makes weights, and `call(inputs)`, which uses nnfast.ops.

    name: shown in summaries and files; made from the class by default. dtype: of weights and computation ("float32", "float64");
    by default that of the input. trainable: False keeps the weights as they are in `fit`. recompute: True as for nnfast.recompute.

    >>> import numpy as np, nnfast
    >>> class Scale(nnfast.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight("factor", (input_shape[-1],), initializer="ones")
    ...     def call(self, inputs):
    ...         return inputs * self.factor
    >>> Scale()(np.array([[1.0, 2.0]], np.float32)).tolist()
    [[1.0, 2.0]]
    """

    supports_masking = False  # whether the mask of the input is that of the output

    def __init__(
        self,
        *,
        name: str | None = None,
        dtype: str | None = None,
        trainable: bool = True,
        activity_regularizer: Any = None,
        recompute: bool = False,
        **unknown: Any,
    ) -> None:
        self._children: dict[str, Any]
        object.__setattr__(self, "_children", {})
        if unknown:
            raise _unknown_argument(type(self), next(iter(unknown)))
        self.name = name or unique_name(serialization.snake_case(type(self).__name__))
        self._dtype = None if dtype is None else _float_name(type(self).__name__, dtype)
        self.trainable = trainable
        self.recompute = recompute
        self.streams: list[int] = []  # what seed_stream gave
        self._recorded = serialization.recorded_streams()
        self.built = False
        self.input_shape: Any = None
        self.activity_regularizer = regularizers.get(activity_regularizer)
        if not hasattr(self, "call"):
            raise NotImplementedError(
                f"{type(self).__name__}: define call(self, inputs), which computes the output with nnfast.ops"
            )
        parameters = inspect.signature(self.call).parameters
        self._wants_training = "training" in parameters
        self._wants_mask = "mask" in parameters

    def __setattr__(self, name: str, value: Any) -> None:
        """Attributes that are layers or variables, or lists and dictionaries that hold some (also later), become part of this layer."""
        if isinstance(value, Layer | Variable | list | tuple | dict):
            if "_children" in self.__dict__:
                self._children[name] = value
            elif isinstance(value, Layer | Variable):
                raise _not_initialized(self)
        elif "_children" in self.__dict__:
            self._children.pop(name, None)
        object.__setattr__(self, name, value)
        note_change()

    # What subclasses write
    def build(self, input_shape: Any) -> None:
        """Make the weights. input_shape: sizes with None for the batch; a list of such for several inputs."""

    call: Callable[..., Any]  # (self, inputs[, training=False][, mask=None]): computes the output with nnfast.ops

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the output (for several a list), from the inputs and their masks: (batch, time), 1.0 where a position counts."""
        return previous_mask if self.supports_masking else None

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as JSON types."""
        config_: dict[str, Any] = {"name": self.name}
        if self._dtype is not None:
            config_["dtype"] = self._dtype
        if not self.trainable:
            config_["trainable"] = False
        if self.recompute:
            config_["recompute"] = True
        if self.activity_regularizer is not None:
            config_["activity_regularizer"] = serialization.serialize(self.activity_regularizer)
        return config_

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A new layer from what `get_config` gave."""
        return cls(**config)

    # What subclasses call
    def add_weight(
        self,
        name: str | None = None,
        shape: tuple[int, ...] = (),
        initializer: Any = "glorot_uniform",
        regularizer: Any = None,
        trainable: bool = True,
        dtype: str | None = None,
        layout: str | None = None,
    ) -> Variable:
        """Make a weight. layout: "panel" for a matrix that stands on the right of a product (the default for trainable matrices), else "row"."""
        if isinstance(shape, int):
            shape = (shape,)
        if any(extent is None for extent in shape):
            raise NnfastError(
                f"{self.name}: weight {name!r} has shape {list(shape)}: a size that is None cannot be part of a weight"
            )
        chosen = layout or ("panel" if len(shape) == 2 and trainable else "row")
        return Variable(
            tuple(shape), dtype or self.dtype, initializers.get(initializer), f"{self.name}/{name or 'weight'}", trainable, chosen,
            regularizers.get(regularizer),
        )  # fmt: skip

    def add_loss(self, value: Any) -> None:
        """Add a scalar to the loss of the model, during a trace."""
        running = trace.current()
        if running is not None:
            running.losses.append(value)

    def add_update(self, variable: Variable, value: Any, momentum: float = 0.0) -> None:
        """Let a weight that is not trained become momentum * weight + (1 - momentum) * value in each training step."""
        running = trace.current()
        if running is None:
            variable.assign(ops.call("update_average", variable.numpy(), np.asarray(value), momentum=momentum))
        elif running.training:
            running.update(variable, lambda old: ops.call("update_average", old, value, momentum=momentum))

    def seed_stream(self) -> int:
        """The number of the next random stream, for ops.dropout and the like; a layer from a model file gets the numbers it had."""
        recorded = next(self._recorded, None)
        self.streams.append(next_stream() if recorded is None else recorded)
        return self.streams[-1]

    def all_streams(self) -> list[int]:
        """The random streams of this layer and of those inside, in the order in which they were asked for."""
        return sorted({*self.streams, *(stream for layer in self.layers for stream in layer.all_streams())})

    # What users read
    @property
    def dtype(self) -> str:
        return self._dtype or config.floatx()

    @property
    def layers(self) -> list[Layer]:
        """The layers inside, in the order in which they were set."""
        return [item for item in self._parts() if isinstance(item, Layer)]

    def _parts(self) -> Iterator[Any]:
        return iter({id(item): item for value in self._children.values() for item in _held(value)}.values())

    def containers(self) -> list[Any]:
        """The lists and dictionaries in attributes of this layer and of those inside, which may change without its knowing."""
        found: dict[int, Any] = {}
        waiting: list[Any] = [self]
        while waiting:
            item = waiting.pop()
            if isinstance(item, tuple):
                waiting += item
            elif isinstance(item, Layer | list | dict) and id(item) not in found:
                found[id(item)] = item
                inside = item._children if isinstance(item, Layer) else item
                waiting += inside.values() if isinstance(inside, dict) else inside
        return [item for item in found.values() if not isinstance(item, Layer)]

    @property
    def weights(self) -> list[Variable]:
        """All weights, own ones first, then those of the layers inside; each once."""
        own = [item for item in self._parts() if isinstance(item, Variable)]
        inner = [variable for layer in self.layers for variable in layer.weights]
        return list(dict.fromkeys([*own, *inner]))

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that fit changes."""
        if not self.trainable:
            return []
        own = [item for item in self._parts() if isinstance(item, Variable) and item.trainable]
        inner = [variable for layer in self.layers for variable in layer.trainable_weights]
        return list(dict.fromkeys([*own, *inner]))

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that fit leaves alone."""
        trained = set(self.trainable_weights)
        return [variable for variable in self.weights if variable not in trained]

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights as arrays, in the order of `weights`."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        """Replace all weights, in the order of `weights`; nothing changes where one does not fit."""
        variables = self.weights
        if len(weights) != len(variables):
            hint = "" if variables else "; the layer is not built yet: give it an Input, or call it once"
            raise NnfastError(f"{self.name}.set_weights: expected {len(variables)} arrays, got {len(weights)}{hint}")
        for variable, array in zip(variables, weights, strict=True):
            if np.shape(array) != variable.shape:
                raise NnfastError(
                    f"{self.name}.set_weights: {variable.name} has shape {list(variable.shape)}, got {list(np.shape(array))}"
                )
        for variable, array in zip(variables, weights, strict=True):
            variable.assign(array)

    def count_params(self) -> int:
        """Number of weights' elements."""
        return sum(variable.size for variable in self.weights)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the output for a shape of the input, with None for the batch."""
        several = isinstance(input_shape, list)
        symbols = [Symbol(tuple(shape), self.dtype, "x") for shape in (input_shape if several else [input_shape])]
        self._ensure_built(symbols if several else symbols[0])
        shapes = [shape for shape, _ in infer_outputs(self._call_traced, symbols if several else symbols[0])]
        return shapes[0] if len(shapes) == 1 else shapes

    # Calling
    def __call__(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if "_children" not in self.__dict__:
            raise _not_initialized(self)
        if mask is not None and is_symbolic([*flat(inputs), *flat(mask)]):
            inputs, mask = _attach_mask(inputs, mask), None
        if is_symbolic(inputs):
            return self._call_symbolic(inputs)
        if any(isinstance(x, Value) for x in flat(inputs)):
            self._ensure_built(inputs)
            return self._call_traced(inputs, training, mask)
        if not isinstance(inputs, dict | list | tuple) or is_numbers(inputs):
            inputs = np.asarray(inputs)
        arrays = [np.asarray(x) for x in flat(inputs)]
        for array in arrays:
            refuse_unfolded(array, f"{self.name}: inputs")
        self._ensure_built(like(inputs, arrays))
        given = like(inputs, [self._to_float(a) for a in arrays])
        return self.call(given, **self._options(bool(training), mask))

    def _options(self, training: bool, mask: Any) -> dict[str, Any]:
        """What `call` takes besides the inputs."""
        options: dict[str, Any] = {"training": training} if self._wants_training else {}
        return {**options, "mask": mask} if self._wants_mask else options

    def _to_float(self, array: np.ndarray) -> np.ndarray:
        return array.astype(self.dtype) if array.dtype.kind == "f" else array

    def _call_traced(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        running = trace.current()
        training = (running is not None and running.training) if training is None else training
        cast = [self._cast(x) for x in flat(inputs)]
        if mask is None:
            masks = [getattr(x, "mask", None) for x in flat(inputs)]
            mask = like(inputs, masks) if any(m is not None for m in masks) else None
        given = like(inputs, cast)
        with nullcontext() if running is None else running.inside(self, training):
            outputs = self.call(given, **self._options(training, mask))
        if mask is not None or type(self).compute_mask is not Layer.compute_mask:
            _set_masks(outputs, self.compute_mask(given, mask))
        if self.activity_regularizer is not None and running is not None:
            for output in flat(outputs):
                rows = max(output.shape[0], 1) if output.shape else 1
                self.add_loss(ops.divide(self.activity_regularizer(output), float(rows)))
        return outputs

    def _cast(self, x: Any) -> Any:
        if isinstance(x, Value) and x.dtype in FLOATS and x.dtype != self.dtype and self.weights:
            return ops.cast(x, self.dtype)
        return x

    def _call_symbolic(self, inputs: Any) -> Any:
        self._ensure_built(inputs)
        try:
            specs = infer_outputs(self._call_traced, inputs)
        except NnfastError as error:
            shapes = [list(x.shape) for x in flat(inputs)]
            raise type(error)(
                f"layer {self.name} ({type(self).__name__}) on input {shapes if len(shapes) > 1 else shapes[0]}: {error}"
            ) from None
        outputs = [Symbol(shape, dtype, self.name, index=i) for i, (shape, dtype) in enumerate(specs)]
        made = LayerCall(self, inputs, outputs)
        for output in outputs:
            output.call = made
        return outputs[0] if len(outputs) == 1 else outputs

    def _ensure_built(self, inputs: Any) -> None:
        if self.built:
            return
        items = flat(inputs)
        if self._dtype is None:
            floats = [str(x.dtype) for x in items if str(x.dtype) in FLOATS and not isinstance(x, np.ndarray)]
            self._dtype_from_input(floats[0] if floats else None)
        self.build_once(like(inputs, [(None, *x.shape[1:]) for x in items]))

    def build_once(self, input_shape: Any) -> None:
        """Build, if that is not done; layers made meanwhile take the random streams that a model file notes for this one."""
        if not self.built:
            self.input_shape = input_shape
            with serialization.streams(self._recorded):
                self.build(input_shape)
            self.built = True

    def _dtype_from_input(self, dtype: str | None) -> None:
        if dtype is not None and dtype != config.floatx():
            self._dtype = dtype

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def _set_masks(outputs: Any, masks: Any) -> None:
    """Give outputs the masks that compute_mask named; what has none there keeps the one that a layer inside has set."""
    for output, mask in zip(flat(outputs), flat(masks), strict=False):
        if mask is not None and isinstance(output, Value):
            output.mask = mask


def _attach_mask(inputs: Any, mask: Any) -> Any:
    from nnfast.layers.masking import AttachMask

    return like(
        inputs, [x if m is None else AttachMask()([x, m]) for x, m in zip(flat(inputs), flat(mask), strict=True)]
    )


def _held(value: Any) -> Iterator[Any]:
    """The layers and variables in an attribute."""
    if isinstance(value, Layer | Variable):
        yield value
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _held(item)


def _float_name(owner: str, dtype: Any) -> str:
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in FLOATS:
        raise DtypeError(f"{owner}(dtype={dtype!r}): expected 'float32' or 'float64'")
    return name


def _unknown_argument(layer: type, name: str) -> NnfastError:
    if name in ("input_shape", "input_dim", "batch_input_shape"):
        return NnfastError(f"{layer.__name__}({name}=...): put nnfast.Input(shape) in front of the first layer instead")
    known = [
        parameter.name
        for base in (layer, Layer)
        for parameter in inspect.signature(base).parameters.values()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]
    return unknown_name(f"argument of {layer.__name__}", name, known)


def _not_initialized(layer: Layer) -> NnfastError:
    return NnfastError(f"{type(layer).__name__}: call super().__init__() at the beginning of its __init__")


ops.install_operators(Variable)
